"""Chat Completions, as OpenAI's own client in Python speaks it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from support.images import data_url
from support.readers import until
from support.servers import Served, ServeModel
from support.upstream import END, SILENCE, Upstream, answer, chunk, refusal

ASKED: list[Any] = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "你好"},
]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}

Connect = Callable[[Served], AsyncOpenAI]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open official clients that do not send a request again by themselves."""
    opened: list[AsyncOpenAI] = []

    def connect(served: Served) -> AsyncOpenAI:
        own = opened_at(served.url)
        opened.append(own)
        return own

    yield connect
    for own in opened:
        await own.close()


def opened_at(url: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=10)


def called(index: int, arguments: str, **named: str) -> bytes:
    function = {"arguments": arguments, **({"name": named["name"]} if named else {})}
    call = {"index": index, "function": function, **({"id": named["id"]} if named else {})}
    return chunk(tool_calls=[call])


async def test_an_answer_comes_whole_with_its_usage_and_the_name_of_its_run(
    serve_model: ServeModel, upstream: Upstream, connect: Connect, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer("今天", "很好。")]
    served = serve_model()
    raw = await connect(served).chat.completions.with_raw_response.create(
        model="tested", messages=ASKED, temperature=0.5, max_tokens=50, user="anna"
    )
    said = raw.parse()
    assert said.choices[0].message.content == "今天很好。"
    assert said.choices[0].finish_reason == "stop"
    assert said.usage is not None
    assert (said.usage.prompt_tokens, said.usage.total_tokens) == (10, 30)
    assert said.id == f"chatcmpl-{raw.headers['x-run-id']}"
    body = upstream.requests[0].body
    assert body["messages"] == ASKED
    assert (body["temperature"], body["max_tokens"]) == (0.5, 50)
    assert "user" not in body
    events = await client.get(
        f"{served.url}/v1/runs/{raw.headers['x-run-id']}/events?dialect=native"
    )
    assert '"user":"anna"' in events.text


async def test_a_stream_has_the_role_first_the_thoughts_and_the_usage_last(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    upstream.play = [[chunk(reasoning_content="想"), *answer("今天", "。")]]
    stream = await connect(serve_model()).chat.completions.create(
        model="tested", messages=ASKED, stream=True, stream_options={"include_usage": True}
    )
    chunks = [it async for it in stream]
    deltas = [it.choices[0].delta for it in chunks if it.choices]
    assert deltas[0].role == "assistant"
    assert deltas[0].model_extra == {"reasoning_content": "想"}
    assert "".join(delta.content or "" for delta in deltas) == "今天。"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 20
    assert all(it.usage is None for it in chunks[:-1])


async def test_a_stream_without_the_option_has_a_choice_in_every_chunk(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    upstream.play = [answer("今天")]
    stream = await connect(serve_model()).chat.completions.create(
        model="tested", messages=ASKED, stream=True
    )
    assert all([it.choices async for it in stream])


async def test_a_tool_goes_round_through_the_client(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    calls = [
        called(0, "", id="a", name="weather"),
        called(0, '{"city":'),
        called(0, '"Paris"}'),
        called(1, '{"city":"Rome"}', id="b", name="weather"),
        chunk(finish="tool_calls"),
        *END[1:],
    ]
    upstream.play = [calls, calls, answer("Rain.")]
    own = connect(serve_model())
    stream = await own.chat.completions.create(
        model="tested", messages=ASKED, tools=[WEATHER], stream=True
    )
    joined = {0: "", 1: ""}
    async for it in stream:
        for call in it.choices[0].delta.tool_calls or ():
            assert call.function is not None
            joined[call.index] += call.function.arguments or ""
    assert joined == {0: '{"city":"Paris"}', 1: '{"city":"Rome"}'}

    said = await own.chat.completions.create(model="tested", messages=ASKED, tools=[WEATHER])
    assert said.choices[0].finish_reason == "tool_calls"
    message = said.choices[0].message
    assert [call.id for call in message.tool_calls or ()] == ["a", "b"]
    talk: list[Any] = [*ASKED, message.model_dump(exclude_none=True)]
    talk += [{"role": "tool", "tool_call_id": id_, "content": "rain"} for id_ in ("a", "b")]
    last = await own.chat.completions.create(model="tested", messages=talk, tools=[WEATHER])
    assert last.choices[0].message.content == "Rain."
    sent = upstream.requests[2].body["messages"]
    assert [it["role"] for it in sent] == ["system", "user", "assistant", "tool", "tool"]
    assert sent[2]["tool_calls"][0]["function"] == {
        "name": "weather",
        "arguments": '{"city": "Paris"}',
    }
    assert sent[3] == {"role": "tool", "tool_call_id": "a", "content": "rain"}


class Town(BaseModel):
    name: str
    people: int


async def test_structured_output_is_parsed_by_the_client(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    upstream.play = [answer('{"name": "Rome",', ' "people": 3}')]
    said = await connect(serve_model()).chat.completions.parse(
        model="tested", messages=ASKED, response_format=Town
    )
    assert said.choices[0].message.parsed == Town(name="Rome", people=3)
    assert upstream.requests[0].body["response_format"]["json_schema"]["name"] == "Town"


async def test_an_image_reaches_the_model(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    url = data_url()
    parts: list[Any] = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    own = connect(serve_model())
    await own.chat.completions.create(model="tested", messages=[{"role": "user", "content": parts}])
    assert url in str(upstream.requests[0].body["messages"][-1])


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_cut_answer_raises_and_never_looks_whole(
    serve_model: ServeModel, upstream: Upstream, connect: Connect, is_streamed: bool
) -> None:
    upstream.play = [[chunk("今天"), 0.02]]
    own = connect(serve_model())
    with pytest.raises(openai.APIError, match="the provider's stream"):
        await read(own, is_streamed=is_streamed)


async def read(own: AsyncOpenAI, *, is_streamed: bool) -> None:
    said: Any = await own.chat.completions.create(
        model="tested", messages=ASKED, stream=is_streamed
    )
    async for _ in said:
        pass


async def test_a_break_is_continued_and_the_client_sees_one_answer(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    upstream.play = [[chunk("今天推荐这款"), 0.02], answer("今天推荐这款", "跑鞋。")]
    stream = await connect(serve_model(retries=2)).chat.completions.create(
        model="tested", messages=ASKED, stream=True
    )
    said = "".join([it.choices[0].delta.content or "" async for it in stream])
    assert said == "今天推荐这款跑鞋。"


async def test_a_run_that_fails_has_a_status_and_is_not_asked_again(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    upstream.play = [refusal(429, "slow down")]
    own = connect(serve_model()).with_options(max_retries=2)
    with pytest.raises(openai.RateLimitError) as raised:
        await own.chat.completions.create(model="tested", messages=ASKED)
    assert raised.value.code == "rate_limit"
    assert len(upstream.requests) == 1


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"model": "nope"}, 404, "model_not_found"),
    ({"n": 2}, 400, "invalid_request"),
    ({"logprobs": True}, 400, "invalid_request"),
    ({"messages": []}, 400, "invalid_request"),
    ({"messages": [{"role": "system", "content": "x"}]}, 400, "invalid_request"),
    (
        {"messages": [*ASKED, {"role": "tool", "tool_call_id": "x", "content": "y"}]},
        400,
        "invalid_request",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
        400,
        "invalid_request",
    ),
]


@pytest.mark.parametrize(("change", "status", "code"), WRONG)
async def test_what_is_wrong_is_told_in_openais_shape(
    shared_server: Served,
    client: httpx.AsyncClient,
    change: dict[str, Any],
    status: int,
    code: str,
) -> None:
    body = {"model": "offline", "messages": ASKED, **change}
    reply = await client.post(f"{shared_server.url}/v1/chat/completions", json=body)
    assert reply.status_code == status
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["code"], error["type"]) == (code, "invalid_request_error")


async def test_a_client_who_leaves_stops_its_run_unless_it_says_otherwise(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天"), SILENCE]]
    served = serve_model()
    url, body = f"{served.url}/v1/chat/completions", {"messages": ASKED, "stream": True}
    async with client.stream("POST", url, json=body) as response:
        await anext(response.aiter_lines())
    await upstream.until(lambda: upstream.left == 1)
    whole = {"messages": ASKED}
    with pytest.raises(httpx.ReadTimeout):
        await client.post(url, json=whole, timeout=0.3)
    await upstream.until(lambda: upstream.left == 2)
    stays = {"unspool-when-left": "continue"}
    async with client.stream("POST", url, json=body, headers=stays) as response:
        run_id = response.headers["x-run-id"]
        await anext(response.aiter_lines())
    await until(lambda: served.core.viewing.count(run_id) == 0)
    run = (await client.get(f"{served.url}/v1/runs/{run_id}")).json()
    assert run["status"] == "running"
    await client.post(f"{served.url}/v1/runs/{run_id}/cancel")


async def test_a_client_with_a_key_of_its_own_returns_to_its_run(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天"), 0.3, *answer("好")]]
    url = f"{serve_model().url}/v1/chat/completions"
    headers = {"idempotency-key": "k-1"}
    with pytest.raises(httpx.ReadTimeout):
        await client.post(url, json={"messages": ASKED}, headers=headers, timeout=0.1)
    reply = await client.post(url, json={"messages": ASKED}, headers=headers)
    assert reply.json()["choices"][0]["message"]["content"] == "今天好"
    assert len(upstream.requests) == 1


async def test_the_names_that_can_be_asked_are_listed(shared_server: Served) -> None:
    own = opened_at(shared_server.url)
    assert [model.id async for model in own.models.list()] == ["offline"]
    assert (await own.models.retrieve("offline")).owned_by == "offline"
    with pytest.raises(openai.NotFoundError):
        await own.models.retrieve("nope")
    await own.close()


async def test_a_call_without_arguments_has_an_empty_object_that_clients_can_read(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    calls = [called(0, "{}", id="a", name="weather"), called(1, "", id="b", name="weather")]
    upstream.play = [[*calls, chunk(finish="tool_calls"), *END[1:]]]
    own, asked = connect(serve_model()), {"model": "tested", "messages": ASKED, "tools": [WEATHER]}
    said: Any = await own.chat.completions.create(**asked)
    assert [it.function.arguments for it in said.choices[0].message.tool_calls] == ["{}", "{}"]
    stream: Any = await own.chat.completions.create(**asked, stream=True)
    pieces = [it.choices[0].delta.tool_calls or () async for it in stream]
    told = [(it.index, it.id, it.function.arguments) for piece in pieces for it in piece]
    assert told == [(0, "a", ""), (1, "b", ""), (0, None, "{}"), (1, None, "{}")]


async def test_an_image_alone_is_a_question_and_only_a_user_shows_one(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    own, seen = connect(serve_model()), {"type": "image_url", "image_url": {"url": data_url()}}
    asked: Any = [{"role": "user", "content": [seen]}]
    await own.chat.completions.create(model="tested", messages=asked)
    assert upstream.requests[0].body["messages"] == asked
    function = {"name": "weather", "arguments": "{}"}
    calls = [{"id": "a", "type": "function", "function": function}]
    answered = {"role": "tool", "tool_call_id": "a", "content": [seen]}
    shown: Any = [*ASKED, {"role": "assistant", "tool_calls": calls}, answered]
    for messages in (shown, [*shown, *ASKED]):
        with pytest.raises(openai.BadRequestError, match="only a message of the role user"):
            await own.chat.completions.create(model="tested", messages=messages, tools=[WEATHER])


async def test_what_is_about_openais_own_service_reaches_no_model(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    own: Any = connect(serve_model())
    about = {"store": True, "metadata": {"a": "b"}, "service_tier": "auto"}
    cached = {"prompt_cache_key": "k", "prompt_cache_retention": "24h"}
    await own.chat.completions.create(model="tested", messages=ASKED, seed=3, **about, **cached)
    assert set(upstream.requests[0].body) == {
        *("model", "messages", "stream", "stream_options", "seed")
    }


async def test_an_answer_that_only_thought_has_an_empty_text(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    upstream.play = [[chunk(reasoning_content="想"), chunk(finish="length"), *END[1:]]]
    own = connect(serve_model())
    said = await own.chat.completions.create(model="tested", messages=ASKED)
    assert (said.choices[0].message.content, said.choices[0].finish_reason) == ("", "length")


async def test_instructions_may_be_as_long_as_any_message(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    own, text = connect(serve_model()), "x" * 200_000
    long: Any = [{"role": "system", "content": text}, *ASKED[1:]]
    await own.chat.completions.create(model="tested", messages=long)
    assert upstream.requests[0].body["messages"][0]["content"] == text


async def test_a_long_name_of_a_user_and_a_refusal_of_an_earlier_answer_are_taken(
    serve_model: ServeModel, upstream: Upstream, connect: Connect, client: httpx.AsyncClient
) -> None:
    served = serve_model()
    refused = {"role": "assistant", "content": None, "refusal": "No."}
    talk: Any = [*ASKED, refused, *ASKED[1:]]
    raw = await connect(served).chat.completions.with_raw_response.create(
        model="tested", messages=talk, user="u" * 300
    )
    assert upstream.requests[0].body["messages"][2] == {"role": "assistant", "content": "No."}
    events = f"{served.url}/v1/runs/{raw.headers['x-run-id']}/events?dialect=native"
    digest = hashlib.sha256(b"u" * 300).hexdigest()
    assert f'"user":"{digest}"' in (await client.get(events)).text


async def test_thoughts_before_a_call_go_back_to_the_model_if_the_client_sends_them_back(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    # DeepSeek refuses the round after a call without them.
    calls = [{"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]
    said = {"role": "assistant", "content": "", "reasoning_content": "想"}
    round_: Any = [
        {**said, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": "sun"},
    ]
    talk: Any = [*ASKED, {**said, "content": "hi"}, *ASKED[1:], *round_]
    own = connect(serve_model())
    await own.chat.completions.create(model="tested", messages=talk, tools=[WEATHER])
    sent = upstream.requests[0].body["messages"]
    assert [message.get("reasoning_content") for message in sent] == [
        *(None, None, None, None, "想", None),
    ]
