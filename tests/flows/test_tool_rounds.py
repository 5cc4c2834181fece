"""What a stop, a death, a fork and a replay make of runs whose tools are carried out."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.debug_chat import CITY, called, made, results
from support.servers import Serve, Served, ServeModel, Tune
from support.upstream import SILENCE, Head, Upstream, answer
from unspool import Core, Draft, Event, Run, RunSpec, fold, follow, open_core, open_journal, plugs
from unspool.execution.replay import replay
from unspool.journals import sqlite_url
from unspool.tools.calling.registry import ToolInput

PLACES = ["北京", "上海"]


@pytest.fixture
def asked_for() -> Iterator[Counter[str]]:
    """How often the tool `weather_of` was called, by city."""
    counter: Counter[str] = Counter()

    async def weather_of(city: str) -> dict[str, str]:
        counter[city] += 1
        await asyncio.sleep(0)
        return {"sky": "晴"}

    plugs.offer("tools", "weather_of", weather_of)
    yield counter
    plugs.withdraw("tools", "weather_of")


TOOL = {
    "name": "weather",
    "description": "城市的天气",
    "parameters": CITY,
    "answer": {"kind": "python", "entry_point": "weather_of"},
}


async def whole(core: Core, run_id: str) -> list[Event]:
    return [event async for batch in follow(core.journal, run_id) for event in batch]


@pytest.fixture
async def recorded(tune: Tune, quick_model: None, asked_for: Counter[str]) -> Any:
    """Settings, and the log of a run that has called twice and answered."""
    settings = tune()
    async with open_core(settings) as core:
        kept = await core.tool_registry.add(ToolInput.model_validate(TOOL))
        spec = RunSpec("chat", {"prompt": "北京和上海的天气？", "tool_ids": [kept.row.id]})
        log = await whole(core, await core.admission.admit(spec))
    assert asked_for == dict.fromkeys(PLACES, 1)
    asked_for.clear()
    return settings, log


def answered(events: list[Event]) -> list[tuple[str, int]]:
    return [(e.data["step"], e.data["index"]) for e in events if e.type == "tool.answered"]


async def test_a_run_killed_after_any_event_asks_no_tool_again_whose_answer_it_has(
    recorded: Any, asked_for: Counter[str]
) -> None:
    settings, log = recorded
    run = fold(log)
    journal = await open_journal(sqlite_url(settings.data_dir / "journal.db"))
    spec = RunSpec("chat", log[0].data["input"])
    pens = {}
    for cut in range(2, len(log)):
        pens[cut] = await journal.create(spec)
        pens[cut].append(*(Draft(event.type, event.data) for event in log[1:cut]))
    await journal.aclose()  # without endings, as a process that died leaves it
    async with open_core(settings) as core:
        for cut, pen in pens.items():
            events = await whole(core, pen.run_id)
            came = fold(events)
            assert (came.status, came.text) == ("completed", run.text), cut
            assert [(e.type, e.data) for e in events[1:cut]] == [
                (e.type, e.data) for e in log[1:cut]
            ]
            once = Counter(answered(events))
            assert max(once.values()) == 1, cut
    # Each cut asks for just what it has no answer to.
    known = sum(len(answered(log[:cut])) for cut in pens)
    assert sum(asked_for.values()) == 2 * len(pens) - known


async def test_a_log_with_tools_replays_and_calls_nothing(
    recorded: Any, asked_for: Counter[str]
) -> None:
    _, log = recorded
    done = await replay(log)
    assert done.difference is None
    assert not asked_for


async def test_a_fork_takes_over_what_tools_have_answered(
    recorded: Any, asked_for: Counter[str], serve_with: Serve, client: httpx.AsyncClient
) -> None:
    _, log = recorded
    served = serve_with()
    (first, *_) = (await client.get(f"{served.url}/v1/runs")).json()["runs"]
    seq = next(event.seq for event in log if event.type == "tool.answered")
    made_ = await client.post(f"{served.url}/v1/runs/{first['id']}/fork", json={"after": seq})
    await client.get(f"{served.url}/v1/runs/{made_.json()['id']}/events")
    run = (await client.get(f"{served.url}/v1/runs/{made_.json()['id']}")).json()
    assert run["status"] == "completed"
    assert [call["answer"] for call in run["steps"][0]["tool_calls"]] == [
        {"content": '{"sky": "晴"}'}
    ] * 2
    assert sum(asked_for.values()) == 1


async def until_ended(client: httpx.AsyncClient, served: Served, run_id: str) -> dict[str, Any]:
    await client.get(f"{served.url}/v1/runs/{run_id}/events")
    return dict((await client.get(f"{served.url}/v1/runs/{run_id}")).json())


async def test_a_call_over_http_that_a_stop_cut_off_comes_again_under_the_same_key(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [called(("a", "shop", {"city": "北京"})), answer("好")]
    async with Upstream() as shop:
        shop.play = [[SILENCE], [Head(200, body=b"sold")]]
        hosts = shop.url.removeprefix("http://").removesuffix("/v1")
        served = serve_model(tool_hosts=hosts)
        http = {"kind": "http", "url": f"http://{hosts}/order"}
        tool = await made(client, served, "tools", {"name": "shop", "answer": http})
        asked = {"prompt": "?", "tool_ids": [tool["id"]]}
        run_id = (await client.post(f"{served.url}/v1/runs", json={"input": asked})).json()["id"]
        await shop.until(lambda: shop.open == 1)
        served.stop()
        await shop.until(lambda: shop.left == 1)
        run = await until_ended(client, serve_model(tool_hosts=hosts), run_id)
        keys = [request.headers["idempotency-key"] for request in shop.requests]
    assert (run["status"], run["text"]) == ("completed", "好")
    assert results(upstream.requests[1]) == [("a", "sold")]
    assert keys == [f"{run_id}-answer-0"] * 2


async def test_a_tool_that_was_removed_meanwhile_is_told_to_be_gone(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    served = serve_model()
    mock = {"name": "weather", "answer": {"kind": "mock", "value": 1}}
    tool = await made(client, served, "tools", mock)
    served.stop()
    journal = await open_journal(sqlite_url(served.settings.data_dir / "journal.db"))
    kept = [{"id": tool["id"] + 1, "name": "weather"}]
    pen = await journal.create(RunSpec("chat", {"prompt": "?", "kept_tools": kept}))
    await journal.aclose()
    upstream.play = [called(("a", "weather", {})), answer("好")]
    run = await until_ended(client, serve_model(), pen.run_id)
    assert run["status"] == "completed"
    (call,) = run["steps"][0]["tool_calls"]
    assert call["answer"]["code"] == "unknown_tool"
    assert "removed" in json.loads(call["answer"]["content"])["error"]["message"]


def test_what_a_tool_answered_is_gone_with_the_text_that_is_taken_back() -> None:
    call = {"step": "s", "index": 0, "id": "a", "name": "f"}
    drafts = [
        Draft("tool.called", {**call, "arguments": {}}),
        Draft("tool.answered", {**call, "content": "1"}),
        Draft("step.rewound", {"step": "s"}),
    ]
    run = Run()
    for seq, draft in enumerate(drafts, start=1):
        run.apply(Event(seq, draft.type, 0, draft.data))
    assert (run.steps["s"].calls, run.steps["s"].answers) == ([], {})
