"""Durable Streams, for reading: offsets, caching, long polls and streams of a run's log."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from support.servers import Served, ServeModel
from support.upstream import SILENCE, Upstream, chunk
from unspool import Draft, RunSpec


async def ended(client: httpx.AsyncClient, served: Served) -> str:
    reply = await client.post(f"{served.url}/ai/stream", json={"prompt": "hello"})
    return reply.headers["x-run-id"]


async def live(client: httpx.AsyncClient, served: Served, upstream: Upstream) -> str:
    """Start a run that says one word and then nothing."""
    asked = {"flow": "chat", "input": {"prompt": "hello"}}
    run_id = str((await client.post(f"{served.url}/v1/runs", json=asked)).json()["id"])
    url = f"{served.url}/v1/runs/{run_id}"
    async with client.stream("GET", f"{url}/events") as response:
        async for line in response.aiter_lines():
            if '"text.delta"' in line:
                return run_id
    raise AssertionError("the run said nothing")


def url_of(served: Served, run_id: str) -> str:
    return f"{served.url}/v1/streams/{run_id}"


async def test_an_ended_run_is_read_at_once_and_is_closed(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    run_id = await ended(client, shared_server)
    url = url_of(shared_server, run_id)
    reply = await client.get(url)
    found = reply.json()
    assert [event["seq"] for event in found] == list(range(1, len(found) + 1))
    assert found[-1]["type"] == "run.completed"
    assert reply.headers["stream-next-offset"] == f"{len(found):016d}"
    assert reply.headers["stream-up-to-date"] == reply.headers["stream-closed"] == "true"
    assert reply.headers["cache-control"].startswith("public, max-age=60")
    assert reply.headers["x-content-type-options"] == "nosniff"
    for offset in ("-1", f"{0:016d}"):
        assert (await client.get(url, params={"offset": offset})).json() == found
    rest = await client.get(url, params={"offset": f"{3:016d}"})
    assert rest.json() == found[3:]
    for offset in ("now", reply.headers["stream-next-offset"]):
        tail = await client.get(url, params={"offset": offset})
        assert (tail.status_code, tail.json()) == (200, [])
        assert tail.headers["stream-closed"] == "true"


async def test_an_etag_answers_304_and_changes_when_the_run_ends(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("half"), SILENCE]]
    served = serve_model()
    run_id = await live(client, served, upstream)
    url = url_of(served, run_id)
    first = await client.get(url)
    assert first.headers["cache-control"] == "no-cache"
    assert "stream-closed" not in first.headers
    known = {"If-None-Match": first.headers["etag"]}
    same = await client.get(url, headers=known)
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["stream-next-offset"] == first.headers["stream-next-offset"]
    await client.post(f"{served.url}/v1/runs/{run_id}/cancel")
    closed = await client.get(url, headers=known)
    assert closed.status_code == 200
    assert closed.headers["stream-closed"] == "true"


async def test_head_tells_the_end_of_the_stream(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    run_id = await ended(client, shared_server)
    head = await client.head(url_of(shared_server, run_id))
    whole = await client.get(url_of(shared_server, run_id))
    assert head.headers["stream-next-offset"] == whole.headers["stream-next-offset"]
    assert head.headers["content-type"] == "application/json"
    assert head.headers["cache-control"] == "no-store"
    assert head.content == b""
    assert (await client.head(url_of(shared_server, "nobody"))).status_code == 404


async def test_a_long_log_comes_in_chunks_that_never_change(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    async def write() -> str:
        pen = await shared_server.core.journal.create(RunSpec("chat", {"prompt": "x"}))
        pen.append(*[Draft("progress.made", {"message": str(n)}) for n in range(1100)])
        await pen.end(Draft("run.completed"))
        return pen.run_id

    url = url_of(shared_server, await shared_server.call(write))
    offset, found, replies = "-1", list[Any](), list[httpx.Response]()
    while not replies or "stream-closed" not in replies[-1].headers:
        replies.append(await client.get(url, params={"offset": offset}))
        found += replies[-1].json()
        offset = replies[-1].headers["stream-next-offset"]
    assert [event["seq"] for event in found] == list(range(1, 1103))
    assert len(replies) == 3
    assert ["stream-up-to-date" in reply.headers for reply in replies] == [False, False, True]
    assert all("max-age=60" in reply.headers["cache-control"] for reply in replies)


async def test_a_long_poll_waits_for_the_next_event(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("half"), SILENCE]]
    served = serve_model()
    run_id = await live(client, served, upstream)
    url = url_of(served, run_id)
    first = await client.get(url, params={"offset": "-1", "live": "long-poll"})
    cursor = first.headers["stream-cursor"]
    place = {"offset": first.headers["stream-next-offset"], "live": "long-poll", "cursor": cursor}
    waiting = asyncio.create_task(client.get(url, params=place))
    tail = asyncio.create_task(client.get(url, params={"offset": "now", "live": "long-poll"}))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await client.post(f"{served.url}/v1/runs/{run_id}/cancel")
    reply = await waiting
    assert reply.json()
    assert (await tail).json()[-1]["type"] in {"attempt.failed", "run.cancelled"}
    closed = {"offset": f"{(await client.get(url)).json()[-1]['seq']:016d}", "live": "long-poll"}
    over = await client.get(url, params=closed)
    assert (over.status_code, over.headers["stream-closed"]) == (204, "true")


async def test_cursors_never_stand_still(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("half"), SILENCE]]
    served = serve_model()
    url = url_of(served, await live(client, served, upstream))
    cursor = "0"
    for _ in range(5):
        place = {"offset": "-1", "live": "long-poll", "cursor": cursor}
        new = (await client.get(url, params=place)).headers["stream-cursor"]
        assert int(new) > int(cursor)
        cursor = new


async def test_a_stream_pairs_data_with_controls_and_says_when_it_is_closed(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("half"), SILENCE]]
    served = serve_model()
    run_id = await live(client, served, upstream)
    place = {"offset": "now", "live": "sse"}
    async with client.stream("GET", url_of(served, run_id), params=place) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.aiter_lines()
        assert await anext(lines) == "event: control"
        control = json.loads((await anext(lines)).removeprefix("data:"))
        assert control["upToDate"] is True
        assert int(control["streamCursor"]) > 0
        await client.post(f"{served.url}/v1/runs/{run_id}/cancel")
        rest = [line async for line in lines if line.startswith(("event:", "data:"))]
    assert rest[0::2] == ["event: data", "event: control"] * (len(rest) // 4)
    last = json.loads(rest[-1].removeprefix("data:"))
    assert last["streamClosed"] is True
    assert "streamCursor" not in last


@pytest.mark.parametrize(
    "place",
    [
        {"offset": "5"},
        {"offset": "abc"},
        {"offset": f"{999999:016d}"},
        {"offset": "-2"},
        {"live": "sse"},
        {"live": "long-poll"},
    ],
)
async def test_a_place_that_is_none_is_refused(
    shared_server: Served, client: httpx.AsyncClient, place: dict[str, str]
) -> None:
    url = url_of(shared_server, await ended(client, shared_server))
    assert (await client.get(url, params=place)).status_code == 400


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
async def test_writing_is_not_offered(
    shared_server: Served, client: httpx.AsyncClient, method: str
) -> None:
    url = url_of(shared_server, await ended(client, shared_server))
    assert (await client.request(method, url, json={})).status_code == 405


async def test_a_long_poll_does_not_hold_up_a_server_that_stops(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("half"), SILENCE]]
    served = serve_model()
    url = url_of(served, await live(client, served, upstream))
    waiting = asyncio.create_task(client.get(url, params={"offset": "now", "live": "long-poll"}))
    await asyncio.sleep(0.1)

    async def stop() -> None:  # as the server does first, when it is told to stop
        served.core.viewing.close()

    await served.call(stop)
    assert (await waiting).status_code in {200, 204}
