"""
Every fault that breaks an answer, followed by a second model of each temper.

The text is the part that came and its continuation, nothing twice, and never half an answer
followed by a whole one; what was whole already gets no second ending.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from faults.adapter import KEY, model_of
from faults.playing import Stage, faults, patient
from support.readers import post
from support.servers import Served, tuned
from support.upstream import Script, Upstream, UpstreamRequest, answer, refusal

pytestmark = pytest.mark.timeout(60)  # the first one waits for all that is played

WHOLE = "今天推荐这款运动鞋，舒适的设计真的很赞！"
OTHER = "今天推荐大家换一双鞋，轻便又透气。"

FAULTS = {
    name: fault
    for name, fault in faults().items()
    if fault["level"] == "must"
    and fault["dialect"] == "openai"
    and WHOLE.startswith(fault["expected"]["text"] or "")
    and not {"text_sha256", "reasoning"} & set(fault["expected"])
    and not fault["expected"]["tool_calls"]
}
BROKEN = [
    n for n, f in FAULTS.items() if f["expected"]["outcome"] in {"truncated", "retryable_error"}
]
GOOD = [n for n, f in FAULTS.items() if f["expected"]["outcome"] == "ok"]

TEMPERS = {
    "goes_on": "assistant",
    "goes_on_when_told": "none",
    "repeats_the_last_words": "none",
    "begins_with_the_words_it_was_asked_for": "none",
    "says_it_all_again": "none",
    "echoes_its_prefix": "assistant",
    "refuses_a_prefix": "assistant",
    "starts_anew_with_a_prefix": "assistant",
    "starts_anew_when_told": "none",
}
"""Second models, and the prefill they are registered with."""

AT_ONCE = 40


def second(asked: UpstreamRequest) -> Script:
    """What a second model of the temper that its name says does with a request."""
    temper, messages = asked.body["model"], asked.body["messages"]
    is_prefilled = messages[-1]["role"] == "assistant"
    came = next((str(m["content"]) for m in messages if m["role"] == "assistant"), "")
    rest = WHOLE.removeprefix(came)
    match temper:
        case "refuses_a_prefix" if is_prefilled:
            return refusal(400, "This model does not support assistant message prefill.")
        case "repeats_the_last_words":
            rest = came[-4:] + rest if len(came) > 4 else rest
        case "begins_with_the_words_it_was_asked_for" if came:
            words = str(messages[-1]["content"]).partition("“")[2].partition("”")[0]
            rest = words + rest
        case "says_it_all_again" | "echoes_its_prefix":
            rest = WHOLE
        case "starts_anew_with_a_prefix" | "starts_anew_when_told" if came:
            rest = OTHER
    return answer(*(rest[at : at + 3] for at in range(0, len(rest), 3)))


def described(stage: Stage, upstream: Upstream) -> dict[str, Any]:
    models: list[dict[str, Any]] = [
        {"name": temper, "model": temper, "api_base": upstream.url, "prefill": prefill}
        for temper, prefill in TEMPERS.items()
    ]
    routes = []
    for name, fault in FAULTS.items():
        for temper in TEMPERS if name in BROKEN else ("goes_on",):
            model = model_of(stage.visit(fault).url, dict(fault))
            first = f"{name}:{temper}"
            said = {"name": first, "api_base": model.base_url, "limits": patient(fault)["client"]}
            models.append(said)
            routes.append({"name": f"{first}:route", "models": [first, temper]})
    for model in models:
        model["api_key"] = KEY
    return {"models": models, "routes": routes}


async def tell_all(data_dir: Path, filled: Path) -> dict[str, dict[str, Any]]:
    told: dict[str, dict[str, Any]] = {}
    turn = asyncio.Semaphore(AT_ONCE)
    async with Stage() as stage, Upstream() as upstream, AsyncExitStack() as stack:
        upstream.play = second
        config = data_dir / "models.yaml"
        config.write_text(json.dumps(described(stage, upstream)))
        settings = tuned(data_dir, filled, retries=0, config=config)
        served = await asyncio.to_thread(Served(settings).start)
        stack.callback(served.stop)
        client = httpx.AsyncClient(base_url=served.url, timeout=60, trust_env=False)
        api = await stack.enter_async_context(client)

        async def one(first: str) -> None:
            async with turn:
                body = {"prompt": "你好", "model": f"{first}:route"}
                view = await post(api, "/ai/stream", body)
                run = (await api.get(f"/v1/runs/{view.run_id}")).json()
                told[first] = {**run, "seen": view.seen.data}

        firsts = [f"{name}:{temper}" for name in BROKEN for temper in TEMPERS]
        await asyncio.gather(*map(one, firsts + [f"{name}:goes_on" for name in GOOD]))
    return told


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, filled_records: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONASYNCIODEBUG", raising=False)  # three times as slow
        return asyncio.run(tell_all(tmp_path_factory.mktemp("failover"), filled_records))


def test_there_are_faults_of_both_kinds() -> None:
    assert len([name for name in BROKEN if FAULTS[name]["expected"]["text"]]) > 10
    assert len(BROKEN) > 20
    assert len(GOOD) > 25


@pytest.mark.parametrize("temper", [temper for temper in TEMPERS if "anew" not in temper])
@pytest.mark.parametrize("name", BROKEN)
def test_the_text_is_the_part_that_came_and_the_rest(name: str, temper: str, told: Any) -> None:
    run = told[f"{name}:{temper}"]
    assert (run["status"], run["text"]) == ("completed", WHOLE)
    assert "".join(run["seen"]) == WHOLE, "what was shown is what is kept"
    first, *later = run["attempts"]
    assert (first["status"], first["error"]["code"]) == ("failed", later[0]["reason"])
    assert later[-1]["model"] == temper
    came = FAULTS[name]["expected"]["text"]
    assert later[0]["at"] == len(came)
    ways = [attempt["strategy"] for attempt in later]
    if not came:
        assert ways == ["next"]
    elif TEMPERS[temper] == "none":
        # A model that ends after a few words is asked whether that is all.
        assert ways in (["instruct"], ["instruct"] * 2)
    elif temper == "refuses_a_prefix":  # once: after that it is known
        assert ways in (["prefill", "instruct"], ["instruct"])
    else:
        assert ways == ["prefill"]


@pytest.mark.parametrize("temper", [temper for temper in TEMPERS if "anew" in temper])
@pytest.mark.parametrize("name", BROKEN)
def test_half_an_answer_is_never_followed_by_a_whole_one(name: str, temper: str, told: Any) -> None:
    run = told[f"{name}:{temper}"]
    came = FAULTS[name]["expected"]["text"]
    assert run["text"].startswith(came)
    assert run["text"].count("今天推荐") == 1
    if OTHER.startswith(came):  # as far as it came it is the other answer's beginning too
        assert run["text"] == (OTHER if came else WHOLE)
    else:
        assert (run["status"], run["text"]) == ("incomplete", came)
        assert run["error"]["code"] == run["attempts"][0]["error"]["code"], "the first error"
        assert {a["error"]["code"] for a in run["attempts"][1:]} == {"started_anew"}


@pytest.mark.parametrize("name", GOOD)
def test_a_whole_answer_gets_no_second_ending(name: str, told: Any) -> None:
    run = told[f"{name}:goes_on"]
    assert (run["status"], len(run["attempts"])) == ("completed", 1)
    assert run["text"] == FAULTS[name]["expected"]["text"]
