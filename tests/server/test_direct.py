"""
Requests that start runs past the framework. Anything odd is the framework's, which also shows
how the answers have to look: a query that nobody reads sends a request its way.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from support.patience import within
from support.servers import Served, Tune
from unspool import plugs
from unspool.dialects import open_dialect
from unspool.providers import Model
from unspool.server.app import create_app
from unspool.server.direct import DirectRoute

JSON = {"content-type": "application/json"}
BY_FRAMEWORK = "?nobody-reads=this"

WRONG: dict[str, tuple[bytes, dict[str, str]]] = {
    "nothing": (b"", JSON),
    "half": (b"{", JSON),
    "null": (b"null", JSON),
    "list": (b"[]", JSON),
    "text": (b'"text"', JSON),
    "not UTF-8": (b"\xff{}", JSON),
    "deep": (b"[" * 100_000, JSON),
    "wrong fields": (b'{"prompt": "", "model_id": "x", "sku": 1, "flow": []}', JSON),
    "no number": (b'{"prompt": NaN, "model_id": NaN, "sku": NaN, "input": NaN}', JSON),
    "lone surrogate": (b'{"prompt": "\\ud800", "model_id": 1, "sku": "\\ud800"}', JSON),
    "no type": (b'{"prompt": "hello", "model_id": 1}', {}),
    "other type": (b'{"prompt": "hello", "model_id": 1}', {"content-type": "text/plain"}),
    "unknown": (b'{"flow": "none", "model": "none", "sku": "none", "model_id": 99}', JSON),
    "bad option": (b'{"prompt": "hello"}', {**JSON, "unspool-cache": "maybe"}),
}


class NoRuns:
    """A gateway for routes that nobody calls."""

    async def stream(self, *_: Any) -> Any:
        raise NotImplementedError

    whole = answer = lines = begin = events = stream

    def model(self, _: int) -> Model:
        raise NotImplementedError


def test_routes_of_the_common_form_are_direct() -> None:
    routes = [
        route
        for name in plugs.names("dialects")
        for route in open_dialect(name).routes(NoRuns()).routes
        if isinstance(route, APIRoute)
    ]
    assert {route.path for route in routes if DirectRoute.of(route) is not None} == {
        "/ai/stream",
        "/ai/generate/copy",
        "/api/debug/chat",
        "/api/debug/compare",
        "/api/v1/events/extract/batch/llm-stream",
        "/api/v1/causal-graph/generate/llm-stream",
        "/api/chat",
        "/v1/chat/completions",
        "/v1/messages",
        "/v1/responses",
    }


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("path", ["/ai/stream", "/v1/runs", "/api/debug/chat", "/ai/generate/copy"])
async def test_what_is_wrong_is_answered_as_the_framework_answers_it(
    shared_server: Served, client: httpx.AsyncClient, path: str, wrong: str
) -> None:
    body, headers = WRONG[wrong]
    url = shared_server.url + path
    answers = [
        await client.post(url + query, content=body, headers=headers)
        for query in ("", BY_FRAMEWORK)
    ]
    mine, theirs = [
        (answer.status_code, answer.content, {**answer.headers, "date": ""}) for answer in answers
    ]
    assert mine == theirs
    assert mine[0] >= 400


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
async def test_what_is_right_is_answered_as_the_framework_answers_it(
    shared_server: Served, client: httpx.AsyncClient, accept: str, kind: str
) -> None:
    asked = json.dumps({"flow": "chat", "input": {"prompt": "你好"}, "dialect": "plain"})
    headers = {"accept": accept, "content-type": kind, "unspool-cache": "off"}
    seen = []
    for query in ("", BY_FRAMEWORK):
        answer = await client.post(
            f"{shared_server.url}/v1/runs{query}", content=asked, headers=headers
        )
        shown = answer.content if "event-stream" in accept else sorted(answer.json())
        seen.append((answer.status_code, sorted(answer.headers), shown))
    assert seen[0] == seen[1]
    assert seen[0][0] < 300


async def test_a_client_who_leaves_inside_its_request_starts_no_run(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    before = (await client.get(f"{shared_server.url}/v1/runs")).json()["runs"]
    reader, writer = await asyncio.open_connection("127.0.0.1", shared_server.port)
    head = "POST /v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    body = json.dumps({"input": {"prompt": "whole, but not all that was announced"}})
    writer.write(f"{head}content-length: 1000\r\n\r\n{body}".encode())
    writer.write_eof()
    async with within(5):
        await reader.read()  # until the server has closed its side too
    writer.close()
    after = (await client.get(f"{shared_server.url}/v1/runs")).json()["runs"]
    assert [run["id"] for run in after] == [run["id"] for run in before]


async def test_a_middleware_of_who_embeds_the_server_sees_every_request(tune: Tune) -> None:
    seen: list[str] = []

    class Watch:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["path"])
            await self.app(scope, receive, send)

    app = create_app(tune())
    app.add_middleware(Watch)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        answer = await client.post("/v1/runs", json={"input": {"prompt": "hello"}})
    assert answer.status_code == 201
    assert seen == ["/v1/runs"]
