"""Runs that wait for their model, that nobody watches any more, and whose model is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from support.readers import View, look, post
from support.servers import Serve, Served
from support.upstream import END, KEY, SILENCE, Head, Script, Upstream, answer, chunk
from unspool.core import abandonment
from unspool.execution.replay import replay
from unspool.journals import read_all
from unspool.runs.events import Event

STREAM = {"accept": "text/event-stream"}


async def add(
    client: httpx.AsyncClient, served: Served, upstream: Upstream, **more: Any
) -> dict[str, Any]:
    fields = {"name": "local", "base_url": upstream.url, "api_key": KEY, **more}
    answered = await client.post(f"{served.url}/api/models", json=fields)
    assert answered.status_code == 201, answered.text
    return answered.json()


async def asked(client: httpx.AsyncClient, served: Served, prompt: str, **headers: str) -> View:
    body = {"flow": "chat", "model": "local", "input": {"prompt": prompt}}
    return await post(client, f"{served.url}/v1/runs", body, headers={**STREAM, **headers})


def told(view: View, kind: str) -> list[dict[str, Any]]:
    return [event["data"] for event in view.seen.documents if event["type"] == kind]


async def log_of(served: Served, run_id: str | None) -> list[Event]:
    assert run_id is not None
    core = served.core

    async def read() -> list[Event]:
        return [event async for events in read_all(core.journal, run_id) for event in events]

    return await served.call(read)


async def test_viewers_see_their_place_before_an_engine_that_answers_one_at_a_time(
    serve_with: Serve, client: httpx.AsyncClient, upstream: Upstream
) -> None:
    served = serve_with()
    upstream.play = [[chunk("One"), 0.2, *answer(".")]]
    model = await add(client, served, upstream, max_parallel=1, limits={"first_event_s": 0.5})
    assert model["max_parallel"] == 1
    views = await asyncio.gather(*(asked(client, served, f"number {n}") for n in range(4)))
    assert all(view.seen.documents[-1]["type"] == "run.completed" for view in views)
    places = sorted([told_["place"] for told_ in told(view, "attempt.queued")] for view in views)
    assert places == [[], [1], [2, 1], [3, 2, 1]]
    longest = max(views, key=lambda view: len(told(view, "attempt.queued")))
    types = [event["type"] for event in longest.seen.documents]
    assert types.index("attempt.started") > types.index("attempt.queued"), "the clock starts then"
    replayed = await replay(await log_of(served, longest.run_id))
    assert replayed.difference is None


async def test_a_cancelled_run_gives_its_place_back(
    serve_with: Serve, client: httpx.AsyncClient, upstream: Upstream
) -> None:
    served = serve_with()
    upstream.play = [[chunk("One"), SILENCE], answer("Two")]
    await add(client, served, upstream, max_parallel=1)
    body = {"flow": "chat", "model": "local", "input": {"prompt": "hi"}}
    runs = []
    for _ in range(3):
        runs.append((await client.post(f"{served.url}/v1/runs", json=body)).json()["id"])
        await upstream.until(lambda: upstream.open == 1)
    for run in runs[1::-1]:  # one that waits, then the one that is answered
        await client.post(f"{served.url}/v1/runs/{run}/cancel")
    last = await look(client, f"{served.url}/v1/runs/{runs[2]}/events?dialect=native")
    assert last.seen.documents[-1]["type"] == "run.completed"
    assert len(upstream.requests) == 2


async def test_viewers_are_told_that_a_model_is_silent(
    serve_with: Serve, client: httpx.AsyncClient, upstream: Upstream
) -> None:
    served = serve_with()
    upstream.play = [[0.4, *answer("At last.")]]
    await add(client, served, upstream, limits={"silent_s": 0.1})
    view = await asked(client, served, "think")
    silences = [(it["for_s"], it["alive"]) for it in told(view, "attempt.silent")]
    assert silences[:2] == [(0.1, False), (0.2, False)]
    assert (await replay(await log_of(served, view.run_id))).difference is None
    assert view.seen.documents[-1]["type"] == "run.completed"


LOST: Script = [Head(), *[chunk("从舒适到舒适，") for _ in range(900)], *END]


async def test_a_model_that_is_lost_never_completes_a_run(
    serve_with: Serve, client: httpx.AsyncClient, upstream: Upstream
) -> None:
    served = serve_with(retries=1)
    upstream.play = [LOST]
    await add(client, served, upstream)
    view = await asked(client, served, "写一段")
    codes = [it["code"] for it in told(view, "attempt.failed")]
    assert set(codes) <= {"repetition", "bad_continuation"}, "a circle, wherever it begins"
    last = view.seen.documents[-1]
    assert (last["type"], last["data"]["code"]) == ("run.incomplete", "repetition")
    run = (await client.get(f"{served.url}/v1/runs/{view.run_id}")).json()
    assert run["text"] == "从舒适到舒适，", "the native contract takes the loop back"
    assert (await replay(await log_of(served, view.run_id))).difference is None


async def test_what_everybody_has_left_does_not_write_for_ever(
    serve_with: Serve, client: httpx.AsyncClient, upstream: Upstream, monkeypatch: Any
) -> None:
    monkeypatch.setattr(abandonment, "CHECK_S", 0.05)
    served = serve_with(max_unwatched_bytes=20_000)
    upstream.play = [
        [step for number in range(20_000) for step in (chunk(f"word {number}, "), 0.001)]
    ]
    await add(client, served, upstream)
    body = {"flow": "chat", "model": "local", "input": {"prompt": "write"}}
    states = []
    for headers in ({}, {"Unspool-When-Left": "continue"}):
        view = await post(
            client, f"{served.url}/v1/runs", body, headers={**STREAM, **headers}, frames=5
        )
        states.append(view.run_id)
    await upstream.until(lambda: upstream.left == 1, within_s=15)
    left, kept = [(await client.get(f"{served.url}/v1/runs/{it}")).json() for it in states]
    assert left["status"] == "cancelled"
    assert "last viewer left" in left["error"]["message"]
    assert kept["status"] == "running"
