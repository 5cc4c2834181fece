"""What a stop, a death and a start make of runs and their viewers."""

from __future__ import annotations

import asyncio

import httpx

from conftest import Serve, Served, ServeModel
from readers import look, post
from unspool import Draft, RunSpec, open_journal
from unspool.journals import sqlite_url
from upstream import SILENCE, Upstream, chunk


async def started(client: httpx.AsyncClient, served: Served) -> str:
    asked = {"flow": "chat", "input": {"prompt": "你好"}}
    return (await client.post(f"{served.url}/v1/runs", json=asked)).json()["id"]


async def read_only(served: Served, is_so: bool) -> None:
    """Let the journal's file refuse every write, as a full disk does."""

    async def tell() -> None:
        db = served.core.journal._store._db  # type: ignore[attr-defined]
        db.execute(f"pragma query_only={'on' if is_so else 'off'}")

    await served.call(tell)


async def test_a_run_that_was_going_on_when_the_server_stopped_is_incomplete(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天"), SILENCE]]
    served = serve_model()
    first = await post(client, served.url + "/ai/stream", {"prompt": "你好"}, frames=1)
    served.stop()
    await upstream.until(lambda: upstream.left == 1, within_s=1)
    again = serve_model()
    run = (await client.get(f"{again.url}/v1/runs/{first.run_id}")).json()
    assert (run["status"], run["text"]) == ("incomplete", "今天")
    assert run["error"]["code"] == "interrupted"
    rest = await look(client, f"{again.url}/v1/runs/{first.run_id}/events", after="4")
    assert rest.seen.data[-1].startswith("[ERROR] interrupted")


async def test_a_viewer_of_a_stopped_server_is_cut_off_and_goes_on_at_the_next(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天"), SILENCE]]
    served = serve_model()
    run_id = await started(client, served)
    url = f"{served.url}/v1/runs/{run_id}/events"
    watching = asyncio.create_task(look(client, url))
    await upstream.until(lambda: upstream.open == 1)
    stopping = asyncio.to_thread(served.stop)
    results = await asyncio.gather(watching, stopping, return_exceptions=True)
    # Either the ending reached the viewer, or the connection broke: never a clean end without.
    if not isinstance(results[0], BaseException):
        assert results[0].seen.documents[-1]["type"] == "run.incomplete"
    else:
        assert isinstance(results[0], httpx.TransportError)


async def test_runs_that_a_dead_process_left_are_ended_at_the_next_start(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    served.stop()
    journal = open_journal(sqlite_url(served.settings.data_dir / "journal.db"))
    pen = await journal.create(RunSpec("chat", {"prompt": "你好"}))
    pen.append(Draft("step.started", {"step": "answer"}))
    pen.append(Draft("text.delta", {"step": "answer", "text": "今天"}))
    await journal.aclose()  # without an ending
    again = serve_with()
    run = (await client.get(f"{again.url}/v1/runs/{pen.run_id}")).json()
    assert (run["status"], run["text"]) == ("incomplete", "今天")


async def test_a_server_whose_disk_is_full_can_still_be_stopped(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天"), SILENCE]]
    served = serve_model()
    run_id = await started(client, served)
    await look(client, f"{served.url}/v1/runs/{run_id}/events?dialect=plain", frames=1)

    await read_only(served, True)
    try:
        await asyncio.wait_for(asyncio.to_thread(served.stop), 6)
    finally:
        if served.is_running:
            await read_only(served, False)
    again = serve_model()
    run = (await client.get(f"{again.url}/v1/runs/{run_id}")).json()
    assert (run["status"], run["text"]) == ("incomplete", "今天")


async def test_reading_goes_on_while_the_disk_is_full(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    served = serve_model()
    done = await post(client, served.url + "/ai/stream", {"prompt": "你好"})

    await read_only(served, True)
    refused = await client.post(served.url + "/ai/stream", json={"prompt": "你好"})
    assert refused.status_code == 507
    assert refused.json()["error"]["code"] == "journal_full"
    again = await look(client, f"{served.url}/v1/runs/{done.run_id}/events")
    assert again.seen.raw == done.seen.raw
