"""
Every upstream fault through whole runs and through the contracts of existing clients.

A contract's own good ending appears for whole answers alone. All faults are played at once
against one server, each a model of its own, each asked once through every door.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from faults.adapter import KEY, model_of
from faults.playing import Fault, Stage, faults, patient
from support.readers import View, post
from support.servers import Served, tuned
from unspool.apps.copywriting.flow import MAX_POST_CHARS

pytestmark = pytest.mark.timeout(60)  # the first one waits for all that is played

FAULTS = faults()
AT_ONCE = 24


@dataclass
class Heard:
    """What one fault came to, door by door."""

    run: dict[str, Any] = field(default_factory=dict)
    native: list[dict[str, Any]] = field(default_factory=list)
    plain: list[str] = field(default_factory=list)
    debug: list[str] = field(default_factory=list)
    copy: list[dict[str, Any]] = field(default_factory=list)
    copy_run: dict[str, Any] = field(default_factory=dict)


@dataclass
class Told:
    heard: dict[str, Heard] = field(default_factory=dict)
    log: str = ""
    answers: str = ""
    files: bytes = b""


class _Memory(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


DOORS = ("native", "plain", "debug", "copy")


def described(stage: Stage) -> dict[str, Any]:
    """A file of models, one for each fault and door, so that each is the fault's first caller."""
    models = []
    for fault in FAULTS.values():
        for door in DOORS:
            model = model_of(stage.visit(fault).url, dict(fault))
            said = {"name": f"{fault['id']}.{door}", "provider": model.provider, "api_key": KEY}
            said |= {"api_base": model.base_url, "limits": patient(fault)["client"]}
            models.append({**said, "quirks": sorted(model.quirks)})
    return {"models": models}


async def hear(api: httpx.AsyncClient, numbers: dict[str, int], name: str) -> Heard:
    by = {door: f"{name}.{door}" for door in DOORS}
    debug = {"prompt": "你好", "model_id": numbers[by["debug"]], "stream": True}
    native, plain, debugged, copy = await asyncio.gather(
        view(api, "/v1/runs", {"input": {"prompt": "你好"}, "model": by["native"]}),
        view(api, "/ai/stream", {"prompt": "你好", "model": by["plain"]}),
        view(api, "/api/debug/chat", debug),
        view(api, "/ai/generate/copy", {"sku": "8WZ01CM1", "count": 1, "model": by["copy"]}),
    )
    return Heard(
        run=(await api.get(f"/v1/runs/{native.run_id}")).json(),
        native=native.seen.documents,
        plain=plain.seen.data,
        debug=debugged.seen.data,
        copy=copy.seen.documents,
        copy_run=(await api.get(f"/v1/runs/{copy.run_id}")).json(),
    )


async def view(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> View:
    seen = await post(api, path, body, headers={"Accept": "text/event-stream"})
    assert seen.status == 200, path
    return seen


async def tell_all(data_dir: Path, filled: Path) -> dict[str, Heard]:
    told: dict[str, Heard] = {}
    turn = asyncio.Semaphore(AT_ONCE)
    async with Stage() as stage, AsyncExitStack() as stack:
        config = data_dir / "models.yaml"
        config.write_text(json.dumps(described(stage)))
        settings = tuned(data_dir, filled, retries=0, config=config)
        served = await asyncio.to_thread(Served(settings).start)
        stack.callback(served.stop)
        client = httpx.AsyncClient(base_url=served.url, timeout=60, trust_env=False)
        api = await stack.enter_async_context(client)
        models = (await api.get("/api/models")).json()["models"]
        numbers = {model["name"]: model["id"] for model in models}

        async def one(name: str) -> None:
            async with turn:
                told[name] = await hear(api, numbers, name)

        await asyncio.gather(*map(one, FAULTS))
        for path in ("/api/models", "/v1/runs?limit=500"):
            told[path] = Heard(run={"answer": (await api.get(path)).text})
        config.unlink()
    return told


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, filled_records: Path) -> Told:
    data_dir = tmp_path_factory.mktemp("faults")
    memory = _Memory()
    ours = logging.getLogger("unspool")
    ours.addHandler(memory)
    with pytest.MonkeyPatch.context() as patch:
        # What is looked at here is what is said; five hundred runs watched step by step take
        # three times as long.
        patch.delenv("PYTHONASYNCIODEBUG", raising=False)
        heard = asyncio.run(tell_all(data_dir, filled_records))
    ours.removeHandler(memory)
    answers = "".join(heard.pop(path).run["answer"] for path in list(heard) if path[0] == "/")
    answers += "".join(json.dumps(vars(each), ensure_ascii=False) for each in heard.values())
    kept = b"".join(path.read_bytes() for path in sorted(data_dir.iterdir()))
    return Told(heard, "\n".join(memory.lines), answers, kept)


def outcomes(fault: Fault) -> set[str]:
    expected = fault["expected"]
    others = expected.get("also_accept", ())
    return {expected["outcome"], *(o["outcome"] for o in others if "outcome" in o)}


def no_post(heard: Heard) -> bool:
    """Whether a whole answer is no post: too long, or cut by a limit, inside a sentence."""
    return any(
        attempt["error"] and attempt["error"]["code"] == "no_end"
        for attempt in heard.copy_run["attempts"]
    )


@pytest.mark.parametrize("name", FAULTS)
def test_a_good_ending_is_for_whole_answers_alone(name: str, told: Told) -> None:
    heard, may_be = told.heard[name], outcomes(FAULTS[name])
    is_whole = heard.run["status"] == "completed"
    assert is_whole if may_be == {"ok"} else not is_whole or "ok" in may_be
    # The contracts agree with the run, each in its own words.
    assert (heard.native[-1]["type"] == "run.completed") == is_whole
    assert (not heard.plain or not heard.plain[-1].startswith("[ERROR]")) == is_whole
    assert heard.debug[-1] == "[DONE]"
    final = json.loads(heard.debug[-2])
    assert ("error" not in final) == is_whole
    assert final["final_response"]["status"] == ("success" if is_whole else "error")
    # S0 has no bad ending: a template finishes what the model could not, and the log says so.
    assert heard.copy[-1]["type"] == "complete"
    writer = heard.copy_run["steps"][0]["model"]
    assert ("template" not in writer) == (is_whole and not no_post(heard))


@pytest.mark.parametrize("name", FAULTS)
def test_every_door_tells_the_text_that_came_and_no_other(name: str, told: Told) -> None:
    heard, expected = told.heard[name], FAULTS[name]["expected"]
    text = heard.run["text"]
    if "text" in expected and "text_sha256" not in expected and "also_accept" not in expected:
        assert text == expected["text"]
    output = json.loads(heard.debug[-2])["final_response"]["output"]
    assert output == "".join(json.loads(data).get("content", "") for data in heard.debug[:-1])
    assert output == text
    spoken = heard.plain if heard.run["status"] == "completed" else heard.plain[:-1]
    assert "".join(spoken) == text
    (post,) = heard.copy[-1]["posts"]
    assert post.startswith(text[:MAX_POST_CHARS] if no_post(heard) else text)
    assert post == "".join(frame.get("content", "") for frame in heard.copy[:-2])


@pytest.mark.parametrize("name", FAULTS)
def test_the_log_accounts_for_the_attempt(name: str, told: Told) -> None:
    run, expected = told.heard[name].run, FAULTS[name]["expected"]
    (attempt,) = run["attempts"]
    assert attempt["strategy"] == "first"
    is_whole = run["status"] == "completed"
    assert (attempt["status"] == "finished") == is_whole
    if is_whole and expected["outcome"] == "ok" and expected["usage"] is not None:
        assert attempt["usage"]["basis"] == "measured"
        assert attempt["usage"]["completion_tokens"] == expected["usage"]["completion_tokens"]
    calls = [(call["name"], call["arguments"]) for call in run["steps"][0]["tool_calls"]]
    wanted = expected["tool_calls"]
    if all("arguments_sha256" not in call for call in wanted) and is_whole:
        assert calls == [(call["name"], call["arguments"]) for call in wanted]


def test_no_secret_is_anywhere(told: Told) -> None:
    leaks = {s for fault in FAULTS.values() for s in fault.get("must_not_leak", ())}
    assert leaks
    for secret in {KEY, *leaks}:
        assert secret not in told.log
        assert secret not in told.answers
        assert secret.encode() not in told.files
    assert "Traceback" not in told.log
