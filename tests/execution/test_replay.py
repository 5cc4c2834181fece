"""
A recorded run can be run again from its log, and a change that would make it another is seen.

`conformance/golden/`: logs of runs as they were (`NAME.jsonl`) and their streams in every
dialect (`NAME.frames.json`), which `unspool replay --file NAME.jsonl --frames` prints.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from support.readers import post
from support.servers import Serve, ServeModel
from support.upstream import RESET, SILENCE, Upstream, answer, chunk, refusal
from support.vectors import state_of
from unspool import Core, RunSpec, plugs
from unspool.cli import app
from unspool.errors import SpecError
from unspool.execution.comparison import frames_in
from unspool.execution.replay import read_log, replay
from unspool.flows import Context, Flow, chat
from unspool.runs.events import Event, encode_event
from unspool.viewing.cursor import follow

GOLDEN = Path(__file__).parent.parent.parent / "conformance" / "golden"
LOGS = sorted(GOLDEN.glob("*.jsonl"))
FLOWS = ("chat", "copywriting")


def log_at(path: Path) -> list[Event]:
    return read_log(path.read_bytes())


def plain(events: list[Event]) -> list[dict[str, Any]]:
    return [json.loads(encode_event(event)) for event in events]


def cli(*args: str) -> Result:
    return CliRunner().invoke(app, args)


# Golden logs


def test_there_are_golden_logs_of_every_kind() -> None:
    strategies = set()
    for path in LOGS:
        for event in log_at(path):
            strategies.add(event.data.get("strategy", event.type))
    assert {"first", "retry", "instruct", "tool.called", "run.released"} <= strategies
    assert {"run.recovered", "run.cancelled", "run.failed", "reasoning.delta"} <= strategies
    assert {log_at(path)[0].data["flow"] for path in LOGS} >= set(FLOWS)


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
async def test_a_golden_log_replays_to_the_same_events_and_the_same_state(path: Path) -> None:
    log = log_at(path)
    done = await replay(log)
    assert done.difference is None
    assert plain(done.events) == plain(log)
    assert state_of(plain(done.events)) == state_of(plain(log))


@pytest.mark.parametrize("dialect", plugs.names("dialects"))
@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_golden_log_is_the_same_bytes_as_ever(path: Path, dialect: str) -> None:
    golden = json.loads(path.with_suffix(".frames.json").read_text())
    assert frames_in(dialect, log_at(path)) == golden[dialect]


# What is seen


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
async def test_a_log_that_is_cut_anywhere_replays_as_far_as_it_goes(path: Path) -> None:
    log = log_at(path)
    step = 1 if len(log) < 20 else 7
    for end in range(1, len(log), step):
        if log[end - 1].type == "run.recovered":
            continue  # it and what it tells of the death are one commit
        done = await replay(log[:end])
        assert done.difference is None, end


def changed(log: list[Event], seq: int, **data: Any) -> list[Event]:
    return [Event(e.seq, e.type, e.at_ms, {**e.data, **data}) if e.seq == seq else e for e in log]


def seq_of(log: list[Event], kind: str) -> int:
    return next(event.seq for event in log if event.type == kind)


async def test_the_first_difference_is_told_with_both_sides() -> None:
    log = log_at(GOLDEN / "templates.jsonl")
    seq = seq_of(log, "text.delta")
    done = await replay(changed(log, seq, text="别的话"))
    assert done.difference is not None
    assert done.difference.where == f"event {seq}"
    assert "别的话" in (done.difference.recorded or "")
    assert json.loads(done.difference.replayed or "")["data"]["text"] == log[seq - 1].data["text"]
    assert plain(done.events) == plain(log[: seq - 1])


@pytest.mark.parametrize(
    ("name", "kind", "data"),
    [
        ("chat", "step.finished", {"chars": 1}),
        ("chat", "attempt.started", {"strategy": "retry"}),
        ("failover", "attempt.failed", {"wrote": True}),
        ("templates", "result.set", {"value": {"posts": []}}),
        ("died", "run.recovered", {"reason": "stopped"}),
        ("cancelled", "attempt.failed", {"usage": None}),
        ("refused", "run.failed", {"code": "server"}),
    ],
)
async def test_what_the_code_would_not_have_written_is_seen(
    name: str, kind: str, data: dict[str, Any]
) -> None:
    log = log_at(GOLDEN / f"{name}.jsonl")
    done = await replay(changed(log, seq_of(log, kind), **data))
    assert done.difference is not None
    assert done.difference.where == f"event {seq_of(log, kind)}"


async def test_costs_are_of_the_deployment_and_not_compared() -> None:
    log = log_at(GOLDEN / "chat.jsonl")
    cost = {"amount": 0.5, "currency": "CNY", "basis": "measured"}
    done = await replay(changed(log, seq_of(log, "attempt.finished"), cost=cost))
    assert done.difference is None


@pytest.mark.parametrize(
    "lines",
    [b"", b"{}", b"\xff", b'{"seq":2,"type":"run.started","at_ms":1,"data":{}}', b"[1]\n[2]"],
)
def test_what_is_no_log_is_refused(lines: bytes) -> None:
    with pytest.raises(SpecError, match="that is no"):
        read_log(lines)


# Runs as they come


async def log_of(core: Core, spec: RunSpec) -> list[Event]:
    run_id = await core.admission.admit(spec)
    return [event async for events in follow(core.journal, run_id) for event in events]


class TwoAtOnce(Flow[chat.Chat]):
    """Two steps that go on at the same time, and a third one after them."""

    input_model = chat.Chat

    async def run(self, ctx: Context, asked: chat.Chat) -> None:
        both = (ctx.generate(asked.prompt + word, step=word) for word in ("left", "right"))
        texts = await asyncio.gather(*both)
        count = await ctx.note("count", lambda: asyncio.sleep(0, len(texts)))
        ctx.progress("两步写完", current=count, total=3)
        await ctx.say("完", step="end")
        ctx.result(texts)


@pytest.fixture
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(chat, "plug", TwoAtOnce())
    plugs.load.cache_clear()
    yield
    plugs.load.cache_clear()


async def test_steps_that_went_on_at_the_same_time_are_compared_each_in_its_own_order(
    two_at_once: None, core: Core
) -> None:
    log = await log_of(core, RunSpec("chat", {"prompt": "请介绍运动鞋"}))
    assert log[-1].type == "run.completed"
    done = await replay(log)
    assert done.difference is None
    assert plain(done.events) == plain(log)


async def test_whatever_the_provider_does_its_log_replays(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    scripts = [
        [answer("今天", "推荐")],
        [refusal(503), refusal(429, "slow", "Retry-After: 0"), answer("今天")],
        [[chunk("今天推荐"), RESET], answer("今天推荐", "这双鞋")],
        [[chunk("今天推荐这双又轻又软的鞋"), RESET], answer("今天推荐这双又轻又软的鞋很好")],
        [[chunk("今天"), RESET], answer("别的话")],
        [refusal(401)],
        [[chunk("今天"), b"data: {oops\n\n", *answer("推荐")]],
    ]
    served = serve_model(retries=2)
    for number, script in enumerate(scripts):
        upstream.requests.clear()
        upstream.play = script
        seen = await post(client, served.url + "/ai/stream", {"prompt": f"问 {number}"})
        log = read_log(await exported(client, served.url, seen.run_id))
        done = await replay(log)
        assert done.difference is None, number


async def exported(client: httpx.AsyncClient, url: str, run_id: str) -> bytes:
    result = await asyncio.to_thread(cli, "runs", "export", run_id, "--url", url)
    assert result.exit_code == 0, result.output
    return result.stdout_bytes


async def test_the_command_replays_from_a_server_a_directory_and_a_file(
    serve_with: Serve, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    served = serve_with()
    run_id = (await post(client, served.url + "/ai/stream", {"prompt": "你好"})).run_id
    log = tmp_path / "log.jsonl"
    log.write_bytes(await exported(client, served.url, run_id))
    data = str(served.settings.data_dir)
    for words in (
        (run_id, "--url", served.url),
        (run_id, "--data-dir", data),
        ("--file", str(log)),
    ):
        result = await asyncio.to_thread(cli, "replay", *words)
        assert (result.exit_code, result.stdout[:9]) == (0, "The same:"), result.output
    copy = await asyncio.to_thread(cli, "runs", "export", run_id, "--data-dir", data)
    assert copy.stdout_bytes == log.read_bytes()


async def ended(client: httpx.AsyncClient, url: str, path: str, body: dict[str, Any]) -> str:
    """Start a run, wait for its end and return its id."""
    run_id = str((await client.post(url + path, json=body)).json()["id"])
    async with client.stream("GET", f"{url}/v1/runs/{run_id}/events") as stream:
        await stream.aread()
    return run_id


async def test_a_fork_replays_from_what_it_has_taken_over(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    url = serve_with().url
    asked = {"flow": "chat", "input": {"prompt": "请介绍运动鞋"}}
    run_id = await ended(client, url, "/v1/runs", asked)
    for change in ({"after": 8}, {"texts": {"answer": {"text": "改过的话"}}}):
        fork = await ended(client, url, f"/v1/runs/{run_id}/fork", change)
        done = await replay(read_log(await exported(client, url, fork)))
        assert done.difference is None


async def test_a_run_that_has_started_others_is_not_replayed(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    url = serve_with().url
    asked = {"flow": "batch", "input": {"flow": "chat", "items": [{"prompt": "一"}]}}
    run_id = await ended(client, url, "/v1/runs", asked)
    with pytest.raises(SpecError, match="has started others"):
        await replay(read_log(await exported(client, url, run_id)))


async def test_a_run_that_goes_on_is_replayed_as_far_as_it_is(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天"), chunk("推荐"), SILENCE]]
    served = serve_model()
    run_id = (await post(client, served.url + "/ai/stream", {"prompt": "你好"}, frames=2)).run_id
    result = await asyncio.to_thread(cli, "replay", run_id, "--url", served.url, "--json")
    assert json.loads(result.stdout) == {"events": 5, "same": True, "difference": None}


def test_the_command_says_what_is_different_and_fails(tmp_path: Path) -> None:
    log = log_at(GOLDEN / "chat.jsonl")
    broken = changed(log, seq_of(log, "step.finished"), chars=99)
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\n".join(encode_event(event) for event in broken))
    result = cli("replay", "--file", str(path))
    assert result.exit_code == 1
    recorded, replayed = result.stdout.splitlines()
    assert '"chars":99' in recorded
    assert recorded.startswith("recorded")
    assert '"chars":99' not in replayed


def test_the_command_wants_a_run_or_a_file(tmp_path: Path) -> None:
    assert cli("replay").exit_code == 2
    assert cli("replay", "--file", str(tmp_path / "none")).exit_code == 2
