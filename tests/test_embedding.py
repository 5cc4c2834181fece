"""Unspool within other people's applications: FastAPI, Django under ASGI and WSGI, a script."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from starlette.types import ASGIApp

from support.readers import look, post
from support.servers import Tune
from unspool import get_llm_client
from unspool.embedded import Embedded
from unspool.errors import SetupError, SpecError, UnknownRun
from unspool.fastapi import Unspool

EXAMPLES = Path(__file__).parent.parent / "examples"


@asynccontextmanager
async def at(app: ASGIApp) -> AsyncIterator[str]:
    """The address of an application that plain uvicorn serves: none of our server's additions."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


# FastAPI


async def test_a_fastapi_application_answers_with_a_run_that_can_be_gone_on_with(
    tune: Tune, quick_model: None, client: httpx.AsyncClient
) -> None:
    unspool = Unspool(tune())
    app = FastAPI(lifespan=unspool.lifespan)
    app.mount("/unspool", unspool.app)

    @app.post("/write")
    async def write(prompt: str, dialect: str = "plain") -> Any:
        return await unspool.stream("chat", {"prompt": prompt}, dialect=dialect)

    async with at(app) as url:
        whole = await post(client, f"{url}/write?prompt=你好", {})
        events = f"{url}/unspool/v1/runs/{whole.run_id}/events"
        cut = whole.seen.frames[1][0]
        rest = await look(client, events, after=cut)
        assert rest.seen.data == whole.seen.data[2:]
        run = (await client.get(events.removesuffix("/events"))).json()
        assert run["text"] == "".join(whole.seen.data)
        wrong = await client.post(f"{url}/write?prompt=")
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "invalid_request")
        unknown = await client.post(f"{url}/write?prompt=x&dialect=klingon")
        assert unknown.json()["error"]["code"] == "unknown_plug"


async def test_the_example_for_fastapi_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    quick_model: None,
    client: httpx.AsyncClient,
) -> None:
    monkeypatch.chdir(tmp_path)
    example = loaded(EXAMPLES / "fastapi_app.py")
    async with at(example.app) as url:
        view = await post(client, f"{url}/write?prompt=你好", {})
        assert view.seen.data


async def test_s1_10_the_snippet_of_the_seed_streams_our_client(
    quick_model: None, client: httpx.AsyncClient
) -> None:
    app = FastAPI()

    @app.post("/ai/stream")
    async def stream_llm(prompt: str) -> StreamingResponse:
        asked = get_llm_client()

        async def generate() -> AsyncIterator[str]:
            async for chunk in asked.stream_chat(prompt):
                yield f"data: {chunk}\n\n"

        headers = {"Cache-Control": "no-cache", "Connection": "keep-alive"}
        return StreamingResponse(generate(), media_type="text/event-stream", headers=headers)

    async with at(app) as url:
        answered = await client.post(f"{url}/ai/stream", params={"prompt": "你好"})
    lines = [line for line in answered.text.split("\n") if line.startswith("data: ")]
    assert len(lines) > 1


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# A thread of its own


@pytest.fixture
def embedded(tune: Tune, quick_model: None) -> Iterator[Embedded]:
    with Embedded(tune()) as opened:
        yield opened


def test_a_script_starts_a_run_and_reads_it_without_a_loop(embedded: Embedded) -> None:
    run_id = embedded.start("chat", {"prompt": "你好"})
    pieces = list(embedded.frames(run_id, "plain"))
    whole = b"".join(pieces)
    assert whole.count(b"data: ") > 1
    assert list(embedded.frames(run_id, "plain", after="5"))
    with pytest.raises(SpecError):
        embedded.start("chat", {"prompt": ""})
    with pytest.raises(UnknownRun):
        next(embedded.frames("nothing"))


def test_a_reader_who_leaves_is_no_viewer_any_more(tune: Tune) -> None:
    with Embedded(tune()) as slow:  # with the pace of a model
        run_id = slow.start("chat", {"prompt": "请介绍运动鞋的特点"})
        with closing(slow.frames(run_id)) as frames:
            assert next(frames)
            assert slow.call(_counting(slow, run_id)) == 1
        assert slow.call(_counting(slow, run_id)) == 0
        slow.call(lambda: slow.core.runner.cancel(run_id))


def _counting(here: Embedded, run_id: str) -> Any:
    async def count() -> int:
        return here.core.viewing.count(run_id)

    return count


async def test_another_loop_reads_without_being_held_up(embedded: Embedded) -> None:
    run_id = await embedded.astart("chat", {"prompt": "你好"})
    said = b"".join([piece async for piece in embedded.aframes(run_id)])
    assert b"run.completed" in said


def test_what_is_not_open_says_so(tune: Tune) -> None:
    closed = Embedded(tune())
    with pytest.raises(SetupError, match="not open"):
        closed.start("chat", {"prompt": "x"})
    with Embedded(tune()) as first, pytest.raises(SetupError, match="Another server"):
        Embedded(first.settings).open()
