"""What a stop, a death and a start make of runs and their viewers."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from support.readers import look, post
from support.runs import left_behind, until_ended
from support.servers import Serve, Served, ServeModel
from support.upstream import SILENCE, Upstream, answer, chunk
from unspool import Draft, RunSpec, Settings, open_core, open_journal
from unspool.execution.adoption import MAX_RECOVERIES
from unspool.journals import sqlite_url
from unspool.viewing.cursor import follow


async def started(client: httpx.AsyncClient, served: Served, prompt: str = "你好") -> str:
    asked = {"flow": "chat", "input": {"prompt": prompt}}
    return (await client.post(f"{served.url}/v1/runs", json=asked)).json()["id"]


async def read_only(served: Served, is_so: bool) -> None:
    """Let the journal's file refuse every write, as a full disk does."""

    async def tell() -> None:
        db = served.core.journal._store._db  # type: ignore[attr-defined]
        db.execute(f"pragma query_only={'on' if is_so else 'off'}")

    await served.call(tell)


async def test_a_run_that_was_going_on_when_the_server_stopped_goes_on_at_the_next(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天推荐"), SILENCE], answer("今天推荐这双鞋")]
    served = serve_model()
    first = await post(client, served.url + "/ai/stream", {"prompt": "你好"}, frames=1)
    served.stop()
    await upstream.until(lambda: upstream.left == 1, within_s=1)
    again = serve_model()
    run = await until_ended(client, again, first.run_id)
    assert (run["status"], run["text"]) == ("completed", "今天推荐这双鞋")
    rest = await look(client, f"{again.url}/v1/runs/{first.run_id}/events", after="4")
    assert "".join(rest.seen.data) == "这双鞋"
    assert [attempt["strategy"] for attempt in run["attempts"]] == ["first", "instruct"]


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
    assert isinstance(results[0], httpx.TransportError), "never a clean end without an ending"


async def test_a_run_that_a_dead_process_left_is_the_one_it_would_have_been(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    whole = await until_ended(client, served, await started(client, served, "请介绍运动鞋"))
    served.stop()
    begun = whole["text"][:20]
    run_id = await left_behind(served, Draft("text.delta", {"step": "answer", "text": begun}))
    again = serve_with()
    run = await until_ended(client, again, run_id)
    assert (run["status"], run["text"]) == ("completed", whole["text"])
    events = (await look(client, f"{again.url}/v1/runs/{run_id}/events")).seen.documents
    told = [event["data"] for event in events if event["type"] == "run.recovered"]
    assert told == [{"epoch": 2, "reason": "died"}]


async def test_what_is_only_about_to_begin_is_nobodys_to_take_over(
    settings: Settings, quick_model: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_core(settings) as core:
        spec = RunSpec("chat", {"prompt": "你好"})
        ids = await asyncio.gather(*(core.admission.admit(spec) for _ in range(50)))
        for run_id in ids:
            async for events in follow(core.journal, run_id):
                assert "run.recovered" not in [event.type for event in events]
            assert (await core.journal.head(run_id)).epoch == 1
    assert "taken over" not in caplog.text


async def test_a_run_that_nobody_carries_yet_can_be_cancelled(settings: Settings) -> None:
    async with open_core(settings) as core:
        core.settings.data_dir.mkdir(exist_ok=True)
    journal = await open_journal(sqlite_url(settings.data_dir / "journal.db"))
    pen = await journal.create(RunSpec("chat", {"prompt": "你好"}))
    await journal.aclose()
    async with open_core(settings) as core:
        await core.runner.cancel(pen.run_id)  # before the one who takes over has had its turn
        assert (await core.journal.head(pen.run_id)).status == "cancelled"


async def test_a_run_that_kills_its_servers_ends_some_time(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    served.stop()
    text = Draft("text.delta", {"step": "answer", "text": "今天"})
    run_id = await left_behind(served, text, deaths=MAX_RECOVERIES)
    run = await until_ended(client, serve_with(), run_id)
    assert (run["status"], run["text"]) == ("incomplete", "今天")
    assert run["error"]["code"] == "interrupted"


async def test_a_server_whose_disk_is_full_can_still_be_stopped(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天推荐"), SILENCE], answer("今天推荐这双鞋")]
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
    run = await until_ended(client, again, run_id)
    assert (run["status"], run["text"]) == ("completed", "今天推荐这双鞋")


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
