"""What a provider wants back with a turn: kept as it came, and for nobody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from providers.test_field_kinds import finish
from providers.test_readers import Heard, bytewise, model_for
from support import messages_wire as messages
from support.strict_vendors import SHAPES, Shape
from support.upstream import END, Upstream, chunk, refusal
from unspool import Model, Prompt
from unspool.errors import ProviderError
from unspool.generation.attempts import AttemptStarted
from unspool.generation.generate import GenerationDeps, generate
from unspool.providers import (
    Request,
    Skipped,
    Text,
    Tool,
    ToolCall,
    TurnState,
    Usage,
    open_provider,
)
from unspool.providers.upstream.http import open_http
from unspool.providers.upstream.turn_states import MAX_STATE_BYTES

TOOL = Tool("sky_of")
ASKED = Prompt.of("weather?")
WITH_TOOL = replace(ASKED, tools=(TOOL,))


def heard(model: Model, pieces: Sequence[Any], prompt: Prompt = WITH_TOOL) -> Heard:
    """What an answer says, cut at every byte."""
    came = Heard()
    reader = open_provider(model.provider).reader(model, prompt, came)
    broken: ProviderError | None = None
    try:
        for piece in pieces:
            for byte in bytewise(piece):
                reader.feed(byte)
    except ProviderError as error:
        broken = error
    reader.end(broken)
    return came


def state_of(came: Heard) -> TurnState | None:
    return next((it for it in came.outputs if isinstance(it, TurnState)), None)


def body(model: Model, *turns: Mapping[str, Any]) -> Mapping[str, Any]:
    prompt = replace(WITH_TOOL, messages=(*WITH_TOOL.messages, *turns))
    request = open_provider(model.provider).request(model, prompt)
    assert isinstance(request, Request)
    assert request.body is not None
    return request.body


def turn(came: Heard) -> dict[str, Any]:
    """An answer as a message of the assistant."""
    said: dict[str, Any] = {"role": "assistant", "content": came.said}
    if (state := state_of(came)) is not None:
        said["turn_state"] = {"by": state.by, "data": state.data}
    calls = [it for it in came.outputs if isinstance(it, ToolCall)]
    if calls:
        said["tool_calls"] = [
            {"id": it.id, "name": it.name, "arguments": it.arguments} for it in calls
        ]
    return said


def model_of(shape: Shape) -> Model:
    return replace(model_for(shape.provider), params=shape.params)


@pytest.mark.parametrize("name", SHAPES)
def test_a_call_comes_back_with_its_state_to_the_same_deployment_alone(name: str) -> None:
    shape = SHAPES[name]
    model = model_of(shape)
    came = heard(model, shape.call)
    assert finish(came) == "tool_calls"
    assert list(shape.turns(dict(body(model, turn(came))))) == [True]
    for other in (
        replace(model, upstream_name="m-2"),
        replace(model, base_url="http://127.0.0.1:8"),
    ):
        assert list(shape.turns(dict(body(other, turn(came))))) == [False]
    renamed = replace(model, name="n", api_key="another", prefill="none")
    assert list(shape.turns(dict(body(renamed, turn(came))))) == [True]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(
    "odd", [None, {}, {"by": "x", "data": {}}, {"by": 5}, "x", {"data": {"entries": []}}]
)
def test_a_state_that_is_none_is_left_out(name: str, odd: Any) -> None:
    shape = SHAPES[name]
    said = {"role": "assistant", "content": "好", "turn_state": odd}
    assert "turn_state" not in str(body(model_of(shape), said))


@pytest.mark.parametrize("name", ["DeepSeek", "Anthropic", "Responses"])
def test_thinking_is_not_kept_where_no_tool_is_offered(name: str) -> None:
    shape = SHAPES[name]
    assert state_of(heard(model_of(shape), shape.say("好"), ASKED)) is None
    assert state_of(heard(model_of(shape), shape.say("好"))) is not None


def test_a_turn_that_was_edited_keeps_its_thinking_in_front() -> None:
    shape = SHAPES["Anthropic"]
    model = model_of(shape)
    said = turn(heard(model, shape.say("今天")))
    (edited,) = [
        it for it in body(model, {**said, "content": "明天晴"})["messages"] if it["role"] != "user"
    ]
    kinds = [block["type"] for block in edited["content"]]
    assert kinds == ["thinking", "redacted_thinking", "text"]
    assert edited["content"][-1]["text"] == "明天晴"


def test_blocks_come_back_in_their_order_and_as_they_came() -> None:
    claude = model_for("anthropic")
    search = {"type": "server_tool_use", "id": "srv_1", "name": "web_search"}
    found = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": [{"url": "u"}]}
    pieces = [
        messages.START,
        messages.block(0, type="text", text=""),
        messages.delta(0, text="I look"),
        messages.delta(0, text=" it up."),
        messages.block(1, **search, input={}),
        messages.delta(1, partial_json='{"query":'),
        messages.delta(1, partial_json=' "x"}'),
        messages.event("content_block_stop", index=1),
        messages.block(2, **found),
        messages.event("content_block_stop", index=2),
        messages.block(3, type="text", text=""),
        messages.delta(3, text="And call."),
        messages.call(4, "toolu_1"),
        messages.delta(4, partial_json='{"city": "P"}'),
        messages.stop("tool_use"),
        messages.OVER,
    ]
    came = heard(claude, pieces)
    (back,) = [it for it in body(claude, turn(came))["messages"] if it["role"] == "assistant"]
    assert back["content"] == [
        {"type": "text", "text": "I look it up."},
        {**search, "input": {"query": "x"}},
        found,
        {"type": "text", "text": "And call."},
        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "P"}},
    ]


def test_thoughts_of_earlier_turns_are_not_sent_where_thinking_is_off() -> None:
    shape = SHAPES["Anthropic"]
    said = turn(heard(model_of(shape), shape.call))
    off = replace(model_of(shape), params={"thinking": {"type": "disabled"}})
    assert "sig-call" not in str(body(off, said))


def test_signatures_stay_with_their_calls() -> None:
    model = model_for("openai")
    calls = [
        {"index": at, "id": f"c{at}", "function": {"name": "f", "arguments": "{}"}}
        for at in range(3)
    ]
    calls[1]["extra_content"] = {"google": {"thought_signature": "b"}}
    came = heard(model, [*(chunk(tool_calls=[call]) for call in calls), chunk(finish="tool_calls")])
    said = turn(came)
    (back,) = [it for it in body(model, said)["messages"] if it["role"] == "assistant"]
    assert ["extra_content" in call for call in back["tool_calls"]] == [False, True, False]
    said["tool_calls"].pop(0)
    (back,) = [it for it in body(model, said)["messages"] if it["role"] == "assistant"]
    assert ["extra_content" in call for call in back["tool_calls"]] == [True, False]


def test_a_signature_of_a_call_without_an_id_is_known_by_its_place() -> None:
    model = model_for("openai")
    call = {"function": {"name": "f", "arguments": "{}"}, "extra_content": {"a": 1}}
    came = heard(model, [chunk(tool_calls=[call]), chunk(finish="tool_calls"), *END])
    (back,) = [it for it in body(model, turn(came))["messages"] if it["role"] == "assistant"]
    assert back["tool_calls"][0]["extra_content"] == {"a": 1}


def test_a_state_that_is_too_large_is_left_out_with_a_warning() -> None:
    model = model_for("openai")
    large = "x" * (MAX_STATE_BYTES // 2)
    pieces = [chunk("", reasoning_content=large), chunk("", reasoning_content=large), chunk("好")]
    came = Heard()
    reader = open_provider("openai").reader(model, WITH_TOOL, came)
    for piece in (*pieces, *END):
        reader.feed(piece)
    reader.end(None)
    assert (came.said, finish(came), state_of(came)) == ("好", "stop", None)
    assert sum(isinstance(it, Skipped) for it in came.outputs) == 1


async def test_a_deployment_that_refuses_the_state_is_asked_without_it(upstream: Upstream) -> None:
    def play(request: Any) -> Any:
        if any("reasoning_content" in message for message in request.body["messages"]):
            return refused
        return [chunk("好"), *END]

    refused = refusal(400, "property 'messages.1.reasoning_content' is unsupported")
    upstream.play = play
    model = upstream.model()
    said = turn(heard(model, SHAPES["DeepSeek"].say("好")))
    prompt = replace(WITH_TOOL, messages=(*ASKED.messages, said, *ASKED.messages))
    async with open_http() as http:
        outputs = [it async for it in generate(prompt, [model], GenerationDeps(http))]
    assert "".join(it.text for it in outputs if isinstance(it, Text)) == "好"
    assert not any(isinstance(it, Skipped) for it in outputs)
    assert len(upstream.requests) == 2


SEARCH = (
    messages.block(1, type="server_tool_use", id="srv_1", name="web_search", input={}),
    messages.delta(1, partial_json='{"query": "x"}'),
    messages.event("content_block_stop", index=1),
)


async def test_a_paused_turn_goes_on_with_what_was_said(upstream: Upstream) -> None:
    pause = (*SEARCH, messages.stop("pause_turn"), messages.OVER)
    said = messages.block(0, type="text", text="")
    upstream.play = [
        [messages.START, said, messages.delta(text="I look. "), *pause],
        [messages.START, *pause],
        [messages.START, said, messages.delta(text="It is 42."), *messages.END],
    ]
    params = {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}
    model = replace(upstream.model(), provider="anthropic", params=params)
    async with open_http() as http:
        outputs = [it async for it in generate(ASKED, [model], GenerationDeps(http, retries=0))]
    assert "".join(it.text for it in outputs if isinstance(it, Text)) == "I look. It is 42."
    started = [it.strategy for it in outputs if isinstance(it, AttemptStarted)]
    assert started == ["first", "resume", "resume"]
    last = upstream.requests[-1].body["messages"]
    searched = {"type": "server_tool_use", "id": "srv_1", "name": "web_search"}
    assert last[1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I look. "},
                {**searched, "input": {"query": "x"}},
                {**searched, "input": {"query": "x"}},
            ],
        }
    ]
    usages = [getattr(it, "usage", None) for it in outputs]
    assert [it for it in usages if isinstance(it, Usage)] == [Usage(25, 15)] * 3
