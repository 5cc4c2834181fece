"""Responses, as OpenAI's own client in Python speaks it: streams that resume by their numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from support.harness.programs import Program
from support.servers import Serve, Served, ServeModel, clean_env
from support.upstream import END, SILENCE, Upstream, answer, chunk
from unspool import plugs
from unspool.dialects import encoder_for
from unspool.runs.events import Event

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
CALL = (
    chunk(
        tool_calls=[{"index": 0, "id": "a", "function": {"name": "weather", "arguments": '{"ci'}}]
    ),
    chunk(tool_calls=[{"index": 0, "function": {"arguments": 'ty":"Rome"}'}}]),
    chunk(finish="tool_calls"),
    *END[1:],
)

Connect = Callable[[str], AsyncOpenAI]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open official clients that do not send a request again by themselves."""
    opened: list[AsyncOpenAI] = []

    def connect(url: str) -> AsyncOpenAI:
        opened.append(AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=30))
        return opened[-1]

    yield connect
    for own in opened:
        await own.close()


async def read(own: AsyncOpenAI, response_id: str, after: int) -> list[Any]:
    stream: Any = await own.responses.retrieve(response_id, stream=True, starting_after=after)
    return [event async for event in stream]


async def test_the_events_are_numbered_and_the_rest_after_each_is_exact(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    upstream.play = [[chunk(reasoning_content="想"), chunk("好"), *CALL]]
    own = connect(serve_model().url)
    stream: Any = await own.responses.create(
        model="tested", input="你好", tools=[WEATHER], stream=True, background=True
    )
    events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type.removeprefix("response.") for event in events]
    assert kinds == [
        *("created", "queued", "in_progress"),
        *("output_item.added", "content_part.added", "reasoning_text.delta"),
        *("reasoning_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        "output_item.added",
        *("function_call_arguments.delta", "function_call_arguments.delta"),
        *("function_call_arguments.done", "output_item.done", "completed"),
    ]
    response_id = events[0].response.id
    for number in range(len(events)):
        assert await read(own, response_id, number) == events[number + 1 :]
    with pytest.raises(openai.BadRequestError) as raised:
        await read(own, response_id, len(events))
    assert raised.value.code == "bad_cursor"


async def test_a_frame_has_the_name_of_its_type(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    body = {"model": "offline", "input": "hi", "stream": True}
    lines = (await client.post(f"{shared_server.url}/v1/responses", json=body)).text.splitlines()
    assert lines[:2] == ["id: 1.1", "event: response.created"]
    assert lines[2].startswith('data: {"type":"response.created",')


async def test_a_live_response_is_followed_from_its_eighth_event_and_cancelled(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    words = [chunk(f"{number}，") for number in range(8)]
    upstream.play = [[*words, SILENCE]]
    own = connect(serve_model().url)
    seen: list[Any] = []
    async for event in await own.responses.create(
        model="tested", input="你好", stream=True, background=True
    ):
        seen.append(event)
        if event.sequence_number == 8:
            break
    response_id = seen[0].response.id
    stream: Any = await own.responses.retrieve(response_id, stream=True, starting_after=8)
    assert (await own.responses.retrieve(response_id)).status == "in_progress"
    cancelled = await own.responses.cancel(response_id)
    assert cancelled.status == "cancelled"
    rest = [event async for event in stream]
    assert [event.sequence_number for event in seen + rest] == list(range(9 + len(rest)))
    assert rest[-1].type == "response.failed"
    assert rest[-1].response.error.code == "cancelled"
    await upstream.until(lambda: upstream.left == 1)


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_response_goes_on_after_a_kill_9_and_its_numbers_are_the_same(
    tmp_path: Path, connect: Connect
) -> None:
    program = Program(tmp_path / "data", clean_env())
    assert await program.start()
    try:
        own = connect(program.url)
        stream: Any = await own.responses.create(
            model="offline", input="请介绍运动鞋的特点", stream=True, background=True
        )
        seen = [await anext(stream) for _ in range(12)]
        program.kill()
        assert await program.start()
        again = connect(program.url)
        rest = await read(again, seen[0].response.id, seen[-1].sequence_number)
        whole = await again.responses.retrieve(seen[0].response.id)
    finally:
        program.kill()
    events = seen + rest
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert rest[-1].type == "response.completed"
    said = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert said == whole.output_text
    assert rest[-1].response == whole


async def test_a_conversation_goes_on_by_the_id_of_a_response(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    upstream.play = [CALL, answer("Rain."), answer("Yes.")]
    own = connect(serve_model().url)
    asked: Any = [{"role": "developer", "content": "Know."}, {"role": "user", "content": "Rome?"}]
    first = await own.responses.create(
        model="tested", instructions="Be short.", input=asked, tools=[WEATHER]
    )
    (call,) = first.output
    assert call.type == "function_call"
    assert (call.name, call.arguments) == ("weather", '{"city":"Rome"}')
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    second = await own.responses.create(
        model="tested", input=[output], previous_response_id=first.id, tools=[WEATHER]
    )
    assert second.output_text == "Rain."
    await own.responses.create(model="tested", input="Sure?", previous_response_id=second.id)
    sent = upstream.requests[2].body["messages"]
    assert [(it["role"], it["content"]) for it in sent] == [
        ("system", "Know."),
        ("user", "Rome?"),
        ("assistant", None),
        ("tool", "rain"),
        ("assistant", "Rain."),
        ("user", "Sure?"),
    ]


class Town(BaseModel):
    name: str


async def test_structured_output_is_parsed_and_parameters_are_passed_and_shown(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    upstream.play = [answer('{"name": "Rome"}')]
    own = connect(serve_model().url)
    said = await own.responses.parse(
        model="tested",
        input="Which town?",
        text_format=Town,
        max_output_tokens=50,
        temperature=0.5,
        metadata={"a": "b"},
    )
    assert said.output_parsed == Town(name="Rome")
    assert said.usage is not None
    assert said.usage.total_tokens == 30
    assert (said.max_output_tokens, said.temperature, said.metadata) == (50, 0.5, {"a": "b"})
    body = upstream.requests[0].body
    assert (body["max_tokens"], body["temperature"]) == (50, 0.5)
    assert body["response_format"]["json_schema"]["name"] == "Town"


async def test_an_answer_at_its_limit_is_incomplete_and_says_why(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    upstream.play = [[chunk("今天"), chunk(finish="length"), *END[1:]]]
    own = connect(serve_model().url)
    said = await own.responses.create(model="tested", input="你好")
    assert said.status == "incomplete"
    assert said.incomplete_details is not None
    assert said.incomplete_details.reason == "max_output_tokens"


async def test_a_cut_answer_fails_in_the_stream_and_raises_without_one(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    upstream.play = [[chunk("今天"), 0.02]]
    own = connect(serve_model().url)
    stream: Any = await own.responses.create(model="tested", input="你好", stream=True)
    last = [event async for event in stream][-1]
    assert (last.type, last.response.status) == ("response.failed", "failed")
    assert last.response.error.code == "truncated"
    assert last.response.output[0].content[0].text == "今天"
    with pytest.raises(openai.InternalServerError) as raised:
        await own.responses.create(model="tested", input="你好")
    assert raised.value.code == "truncated"


async def test_a_response_is_deleted_with_its_run(serve_with: Serve, connect: Connect) -> None:
    own = connect(serve_with().url)
    first = await own.responses.create(model="offline", input="hi")
    with pytest.raises(openai.ConflictError, match="newest"):
        await own.responses.delete(first.id)
    begun = await own.responses.create(model="offline", input="hi", background=True)
    await own.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        await own.responses.retrieve(first.id)
    assert begun.status in {"in_progress", "completed"}


WRONG: list[tuple[dict[str, Any], int]] = [
    ({"model": "nope"}, 404),
    ({"previous_response_id": "resp_nope"}, 404),
    ({"previous_response_id": "nope"}, 404),
    ({"tools": [{"type": "web_search"}]}, 400),
    ({"conversation": "c"}, 400),
    ({"input": ""}, 400),
    ({"input": [{"type": "item_reference", "id": "x"}]}, 400),
    ({"input": [{"type": "function_call_output", "call_id": "x", "output": "y"}]}, 400),
]


@pytest.mark.parametrize(("change", "status"), WRONG)
async def test_what_is_wrong_is_told_in_openais_shape(
    shared_server: Served, client: httpx.AsyncClient, change: dict[str, Any], status: int
) -> None:
    body = {"model": "offline", "input": "hi", **change}
    reply = await client.post(f"{shared_server.url}/v1/responses", json=body)
    assert reply.status_code == status
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}


VENDORS = [name for name in plugs.names("dialects") if name.startswith(("openai", "ollama"))]


@pytest.mark.parametrize("dialect", VENDORS)
def test_nothing_that_was_sent_is_taken_back_in_silence(dialect: str) -> None:
    # A run that began in a dialect that can rewind, read in one that cannot.
    encoder = encoder_for(dialect, "r")
    events = [
        Event(1, "run.started", 0, {"flow": "chat", "input": {}}),
        Event(2, "text.delta", 0, {"step": "answer", "text": "He"}),
        Event(3, "step.rewound", 0, {"step": "answer"}),
        Event(4, "text.delta", 0, {"step": "answer", "text": "It"}),
        Event(5, "run.completed", 0, {}),
    ]
    frames = [frame for event in events for frame in encoder.encode(event)]
    assert b"rewound" in frames[-1]
    assert b"It" not in b"".join(frames)


@pytest.mark.parametrize("dialect", VENDORS)
def test_a_tool_of_the_server_is_not_for_the_client(dialect: str) -> None:
    encoder = encoder_for(dialect, "r")
    call = {"step": "answer", "index": 0, "id": "c", "name": "clock"}
    kept = [{"id": 1, "name": "clock", "parameters": {}}]
    events = [
        Event(1, "run.started", 0, {"flow": "chat", "input": {"kept_tools": kept}}),
        Event(2, "tool.delta", 0, {**call, "arguments": "{}"}),
        Event(3, "tool.called", 0, {**call, "arguments": {}}),
        Event(4, "tool.answered", 0, {**call, "content": "noon"}),
        Event(5, "text.delta", 0, {"step": "answer-2", "text": "Noon."}),
        Event(6, "step.finished", 0, {"step": "answer-2", "finish_reason": "stop"}),
        Event(7, "run.completed", 0, {}),
    ]
    said = b"".join(frame for event in events for frame in encoder.encode(event))
    assert b"clock" not in said
    assert b"Noon." in said
    assert b'"tool_calls"' not in said


async def test_items_of_earlier_responses_are_named_by_their_ids(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    # The provider `openai` of the AI SDK sends the next turn in this way.
    upstream.play = [[chunk(reasoning_content="想"), chunk("好"), *CALL], answer("晴")]
    own: Any = connect(serve_model().url)
    asked = [{"role": "user", "content": "Rome?"}]
    first = await own.responses.create(model="tested", input=asked, tools=[WEATHER])
    named = [{"type": "item_reference", "id": item.id} for item in first.output]
    answered = {"type": "function_call_output", "call_id": "a", "output": "sunny"}
    said = await own.responses.create(
        model="tested", input=[*asked, *named, answered], tools=[WEATHER]
    )
    assert said.output_text == "晴"
    _, call, result = upstream.requests[1].body["messages"]
    assert (call["content"], call["tool_calls"][0]["id"]) == ("好", "a")
    assert result["content"] == "sunny"
    unknown = {"type": "item_reference", "id": f"{first.output[0].id}9"}
    with pytest.raises(openai.BadRequestError, match="no response here has an item"):
        await own.responses.create(model="tested", input=[*asked, unknown])


@pytest.mark.parametrize("include", [["reasoning.encrypted_content"], []])
async def test_thoughts_that_a_client_sends_back_reach_the_model_that_had_them(
    serve_model: ServeModel, upstream: Upstream, connect: Connect, include: list[str]
) -> None:
    # Clients who keep the talk by themselves ask for it; for others the log has it, by the ids.
    upstream.play = [[chunk(reasoning_content="想"), chunk("好"), *CALL], answer("晴")]
    own: Any = connect(serve_model().url)
    asked = [{"role": "user", "content": "Rome?"}]
    how = {"model": "tested", "tools": [WEATHER], "include": include}
    first = await own.responses.create(input=asked, **how)
    items = [item.model_dump(exclude_none=True) for item in first.output]
    answered = {"type": "function_call_output", "call_id": "a", "output": "sunny"}
    foreign = {"type": "reasoning", "id": "rs_x", "summary": [], "encrypted_content": "é[["}
    talk = [*asked, *items, foreign, answered]
    await own.responses.create(input=talk, **how)
    _, call, result = upstream.requests[1].body["messages"]
    assert (call["tool_calls"][0]["id"], result["content"]) == ("a", "sunny")
    assert call["reasoning_content"] == "想"


async def test_how_wordy_an_answer_is_to_be_reaches_the_model_and_is_shown_again(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    upstream.play = [answer("hm")]
    own: Any = connect(serve_model().url)
    said = await own.responses.create(model="tested", input="hi", text={"verbosity": "low"})
    assert upstream.requests[0].body["verbosity"] == "low"
    assert said.text.verbosity == "low"


async def test_a_call_without_arguments_has_an_empty_object_in_its_item(
    serve_model: ServeModel, upstream: Upstream, connect: Connect
) -> None:
    call = {"index": 0, "id": "a", "function": {"name": "weather", "arguments": ""}}
    upstream.play = [[chunk(tool_calls=[call]), chunk(finish="tool_calls"), *END[1:]]]
    own: Any = connect(serve_model().url)
    stream = await own.responses.create(model="tested", input="hi", tools=[WEATHER], stream=True)
    events = {event.type.removeprefix("response."): event async for event in stream}
    assert events["function_call_arguments.delta"].delta == "{}"
    assert events["function_call_arguments.done"].arguments == "{}"
    assert events["completed"].response.output[0].arguments == "{}"


async def test_an_image_in_the_result_of_a_tool_is_refused_and_not_lost(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    call = {"type": "function_call", "call_id": "a", "name": "look", "arguments": "{}"}
    seen = [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]
    answered = {"type": "function_call_output", "call_id": "a", "output": seen}
    body = {"model": "offline", "input": [{"role": "user", "content": "hi"}, call, answered]}
    reply = await client.post(f"{shared_server.url}/v1/responses", json=body)
    assert reply.status_code == 400
    assert "images" in reply.json()["error"]["message"]
