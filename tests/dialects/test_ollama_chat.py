"""Ollama's chat, as its own client in Python speaks it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import ollama
import pytest

from support.images import PNG
from support.servers import Served, ServeModel
from support.upstream import END, SILENCE, Upstream, answer, chunk

ASKED: list[Any] = [{"role": "user", "content": "你好"}]


Connect = Callable[[str], ollama.AsyncClient]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    opened: list[ollama.AsyncClient] = []

    def connect(url: str) -> ollama.AsyncClient:
        opened.append(ollama.AsyncClient(url))
        return opened[-1]

    yield connect
    for own in opened:
        await own.close()


def weather(city: str) -> str:
    """
    The weather in a city.

    Args:
        city: Its name.
    """
    return f"rain in {city}"


async def test_lines_come_and_the_last_one_counts(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    upstream.play = [[chunk(reasoning_content="想"), *answer("今天", "。")]]
    own = connect(serve_model().url)
    parts = [it async for it in await own.chat("tested", ASKED, stream=True)]
    assert "".join(it.message.content or "" for it in parts) == "今天。"
    assert parts[0].message.thinking == "想"
    assert [it.done for it in parts] == [*[False] * (len(parts) - 1), True]
    assert (parts[-1].done_reason, parts[-1].prompt_eval_count, parts[-1].eval_count) == (
        "stop",
        10,
        20,
    )


async def test_a_whole_answer_is_what_the_lines_would_have_been(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    upstream.play = [answer("今天", "。")]
    own = connect(serve_model().url)
    options = {"temperature": 0.5, "num_predict": 40, "num_ctx": 4096}
    said = await own.chat("tested", ASKED, options=options, format={"type": "object"})
    assert said.message.content == "今天。"
    assert said.eval_count == 20
    body = upstream.requests[0].body
    assert (body["temperature"], body["max_tokens"]) == (0.5, 40)
    assert "num_ctx" not in body
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}


async def test_a_tool_goes_round_through_the_client(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    function = {"name": "weather", "arguments": '{"city": "Rome"}'}
    call = chunk(tool_calls=[{"index": 0, "id": "a", "function": function}])
    upstream.play = [[call, chunk(finish="tool_calls"), *END[1:]], answer("Rain.")]
    own = connect(serve_model().url)
    first = await own.chat("tested", ASKED, tools=[weather])
    (made,) = first.message.tool_calls or ()
    assert (made.function.name, made.function.arguments) == ("weather", {"city": "Rome"})
    answered = {"role": "tool", "tool_name": "weather", "content": weather("Rome")}
    last = await own.chat("tested", [*ASKED, first.message, answered], tools=[weather])
    assert last.message.content == "Rain."
    sent = upstream.requests[1].body["messages"]
    assert sent[-1] == {"role": "tool", "tool_call_id": "call_0", "content": "rain in Rome"}
    assert sent[-2]["tool_calls"][0]["id"] == "call_0"


async def test_an_image_reaches_the_model(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    own = connect(serve_model().url)
    await own.chat("tested", [{"role": "user", "content": "What is it?", "images": [PNG]}])
    assert "data:image/png;base64," in str(upstream.requests[0].body["messages"][-1])


async def test_a_cut_answer_raises_and_never_looks_whole(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    upstream.play = [[chunk("今天"), 0.02]]
    own = connect(serve_model().url)
    with pytest.raises(ollama.ResponseError, match="stream stopped"):
        [it async for it in await own.chat("tested", ASKED, stream=True)]
    with pytest.raises(ollama.ResponseError) as raised:
        await own.chat("tested", ASKED)
    assert raised.value.status_code == 502


async def test_a_client_who_leaves_stops_its_run(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天"), SILENCE]]
    url = f"{serve_model().url}/api/chat"
    async with client.stream("POST", url, json={"messages": ASKED}) as response:
        assert response.headers["content-type"] == "application/x-ndjson"
        assert response.headers["x-run-id"]
        await anext(response.aiter_lines())
    await upstream.until(lambda: upstream.left == 1)


async def test_models_are_listed_and_errors_have_ollamas_shape(
    shared_server: Served, client: httpx.AsyncClient, connect: Connect
) -> None:
    own = connect(shared_server.url)
    assert [model.model for model in (await own.list()).models] == ["offline"]
    for body, status in (({"model": "nope", "messages": ASKED}, 404), ({"messages": []}, 400)):
        reply = await client.post(f"{shared_server.url}/api/chat", json=body)
        assert reply.status_code == status
        assert isinstance(reply.json()["error"], str)
    assert (await client.get(f"{shared_server.url}/api/version")).json()["version"]


async def test_a_client_learns_what_it_may_send_and_reads_why_the_rest_is_not_there(
    shared_server: Served, connect: Connect
) -> None:
    own = connect(shared_server.url)
    shown = await own.show("offline")
    assert shown.capabilities == ["completion", "tools", "vision"]
    with pytest.raises(ollama.ResponseError, match="no model 'nope'"):
        await own.show("nope")
    with pytest.raises(ollama.ResponseError, match=r"^no path /api/generate; .*404"):
        await own.generate("offline", "hi")
