"""What is a tool call and what is none: stubs, cut calls, leaked signs, calls in two choices."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support import messages_wire
from support.fragments import TEXT_A, TEXT_B, A, B, Called, part, sent
from support.hearing import heard
from support.upstream import DONE, chunk, frame
from unspool import Prompt
from unspool.providers import ToolCall, ToolFragment

STUBS: dict[str, dict[str, Any]] = {
    "an old call without a name": {"function_call": {"name": "", "arguments": ""}},
    "an old call of nothing": {"function_call": {}},
    "an entry without a function": {"tool_calls": [{"id": "", "index": 0}]},
    "an entry with an id": {"tool_calls": [{"id": "c", "index": 0, "type": "function"}]},
    "an entry of nulls": {
        "tool_calls": [{"index": 0, "id": None, "function": {"name": None, "arguments": None}}]
    },
    "an entry of empty text": {
        "tool_calls": [{"index": 0, "id": "", "function": {"name": "", "arguments": ""}}]
    },
    "an entry with a placeholder": {
        "tool_calls": [{"index": 0, "id": "", "function": {"name": "", "arguments": "{}"}}]
    },
    "an empty entry": {"tool_calls": [{}]},
    "an empty list": {"tool_calls": []},
    "a list of null": {"tool_calls": [None]},
}


@pytest.mark.parametrize("name", STUBS)
def test_a_call_that_says_nothing_is_no_call(name: str) -> None:
    texts = [chunk(text, **STUBS[name]) for text in ("今天", "推荐")]
    whole = heard([*texts, chunk(None, "stop", **STUBS[name]), DONE])
    assert (whole.said, whole.called, whole.warnings, whole.reason) == ("今天推荐", [], 0, "stop")
    assert not any(isinstance(it, ToolFragment | ToolCall) for it in whole.outputs)
    cut = heard(texts)
    assert cut.said == "今天推荐"
    assert not any(isinstance(it, ToolFragment) for it in cut.outputs)
    alone = heard([chunk(None, **STUBS[name]), chunk(None, "stop"), DONE])
    assert alone.error is not None
    assert alone.error.code == "empty"


CUT = {
    "a name and no arguments": [part(0, "c", "f")],
    "a name and empty arguments": [part(0, "c", "f", "")],
    "a placeholder": [part(0, "c", "f", "{}")],
    "a placeholder and a part": [part(0, "c", "f", "{}"), part(0, arguments='{"ci')],
    "a part": [part(0, "c", "f", TEXT_A[:-2])],
    "a part, encoded twice": [part(0, "c", "f", json.dumps(TEXT_A)[:-4])],
    "a part under a new id": [part(0, "c", "f", ""), part(0, "d", "", TEXT_A[:5])],
}


@pytest.mark.parametrize("reason", ["length", "content_filter"])
@pytest.mark.parametrize("name", CUT)
def test_a_call_that_was_cut_is_never_called(name: str, reason: str) -> None:
    heard = sent(*CUT[name], end=reason, text="好")
    assert (heard.called, heard.warnings, heard.reason) == ([], 1, reason)


def test_a_whole_call_before_the_one_that_was_cut_is_called() -> None:
    heard = sent(part(0, "c", "f", TEXT_A), part(1, "d", "g", ""), end="length")
    assert (heard.called, heard.warnings) == ([("f", A)], 1)


NO_CALLS = {
    "two objects that differ": TEXT_A + TEXT_B,
    "two placeholders in one string": "{}{}",
    "text, encoded twice": json.dumps(json.dumps("Paris")),
    "a list, encoded twice": json.dumps("[1]"),
    "a part, encoded twice": json.dumps(TEXT_A[:-1]),
    "encoded without end": json.dumps(json.dumps(json.dumps(json.dumps(TEXT_A)))),
    "a number": "5",
    "words behind": TEXT_A + " and more",
    "not a number, encoded twice": json.dumps('{"n": NaN}'),
    "far too deep, encoded twice": json.dumps('{"a":' * 5000 + "1" + "}" * 5000),
    "a raw end of line outside of a string": '{"city"\n"Paris"}',
}


@pytest.mark.parametrize("name", NO_CALLS)
def test_what_is_no_one_object_is_no_call(name: str) -> None:
    heard = sent(part(0, "c", "f", NO_CALLS[name]), text="好")
    assert (heard.called, heard.warnings) == ([], 1)


def test_a_stub_of_a_call_whose_rest_came_apart_is_not_called() -> None:
    heard = sent(part(0, "c", "f", ""), part(0, "d", "f", TEXT_A))
    assert heard.called == [("f", A)]


LEAKS = {
    "get_weather<|channel|>commentary": "get_weather",
    "get_weather<|channel|>json": "get_weather",
    "<|tool_call_begin|>get_weather": "get_weather",
    "<|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>": "get_weather",
    "functions.get_weather": "get_weather",
    "functions.get_weather:12": "get_weather",
    "<\uff5ctool\u2581call\u2581begin\uff5c>get_weather": "get_weather",
    "get_weather<\uff5ctool\u2581sep\uff5c>": "get_weather",
    "<tool_call>get_weather": "get_weather",
    "get_weather</tool_call>": "get_weather",
    "[TOOL_CALLS]get_weather": "get_weather",
    "<|start|>assistant<|channel|>commentary to=functions.get_weather<|constrain|>json": (
        "get_weather"
    ),
    "get_weather<|im_end|>": "get_weather",
    "get_weather<|chan": "get_weather",
    "get_weather\n": "get_weather",
    "get-weather.v2": "get-weather.v2",
    "functions_list": "functions_list",
    "mcp__files__read": "mcp__files__read",
}


@pytest.mark.parametrize("name", LEAKS)
def test_signs_of_the_model_are_taken_out_of_names(name: str) -> None:
    once = sent(part(0, "c", name, TEXT_A))
    assert once.called == [(LEAKS[name], A)]
    plain = LEAKS[name]
    again = sent(part(0, "c", plain, TEXT_A[:5]), part(0, "c", name, TEXT_A[5:]))
    assert again.called == [(plain, A)]


def test_a_name_in_pieces_is_one_name() -> None:
    assert sent(part(0, "c", "get_"), part(0, "c", "weather"), part(0, "c", None, TEXT_A)).called
    grown = sent(part(0, "c", "get_"), part(0, "c", "get_weather"), part(0, "c", None, TEXT_A))
    assert grown.called == [("get_weather", A)]


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": TEXT_A}}


def message(**said: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", **said}, "finish_reason": "tool_calls"}


TWO_CHOICES: dict[str, bytes] = {
    "whole, without numbers": json.dumps(
        {"choices": [message(content="看看"), message(tool_calls=[CALL])]}
    ).encode(),
    "whole, numbered": json.dumps(
        {
            "choices": [
                {"index": 0, **message(content="看看")},
                {"index": 1, **message(tool_calls=[CALL])},
            ]
        }
    ).encode(),
    "whole, the other way round": json.dumps(
        {
            "choices": [
                {"index": 0, **message(content=None, tool_calls=[CALL])},
                {"index": 1, **message(content="看看")},
            ]
        }
    ).encode(),
    "as a stream": b"".join(
        [
            chunk("看"),
            chunk("看"),
            frame({"choices": [{"index": 1, "delta": {"tool_calls": [part(0, "c", "f", "")]}}]}),
            frame(
                {"choices": [{"index": 1, "delta": {"tool_calls": [part(0, None, None, TEXT_A)]}}]}
            ),
            frame({"choices": [{"index": 1, "delta": {}, "finish_reason": "tool_calls"}]}),
            chunk(None, "tool_calls"),
            DONE,
        ]
    ),
}


@pytest.mark.parametrize("name", TWO_CHOICES)
def test_text_and_call_in_two_choices_are_one_answer(name: str) -> None:
    told = heard([TWO_CHOICES[name]])
    assert (told.said, told.called, told.reason) == ("看看", [("f", A)], "tool_calls")


def test_of_choices_that_were_asked_for_the_first_is_the_answer() -> None:
    second = {"index": 1, "delta": {"tool_calls": [part(0, "c", "f", TEXT_A)]}}
    pieces = [chunk("一"), frame({"choices": [second]}), chunk(None, "stop"), DONE]
    told = heard(pieces, prompt=Prompt.of("你好", n=2))
    assert (told.said, told.called, told.reason) == ("一", [], "stop")


def test_a_second_choice_adds_no_calls_to_those_of_the_first() -> None:
    choices = [
        {"index": n, "delta": {"tool_calls": [part(0, f"c{n}", "f", TEXT_A)]}} for n in range(2)
    ]
    told = heard([frame({"choices": choices}), chunk(None, "tool_calls"), DONE])
    assert told.called == [("f", A)]


def test_an_empty_reason_in_every_chunk_is_none() -> None:
    told = heard([chunk("好", "", tool_calls=[]), chunk("的", ""), chunk("", "stop"), DONE])
    assert (told.said, told.reason) == ("好的", "stop")
    assert heard([chunk("好", "", tool_calls=[]), chunk("的", "")]).reason is None


FAILED: dict[str, dict[str, Any]] = {
    "a code": {"type": "invalid_request_error", "code": "tool_use_failed", "message": "no"},
    "words": {
        "type": "invalid_request_error",
        "message": "Failed to call a function. Please adjust your prompt. See 'failed_generation'",
    },
    "JSON that does not validate": {
        "type": "invalid_request_error",
        "code": "json_validate_failed",
    },
    "a parser": {"type": "invalid_request_error", "code": "output_parse_failed", "message": "x"},
    "a call that was not offered": {
        "code": 400,
        "message": "Tool call validation failed: attempted to call tool 'x'",
    },
}


@pytest.mark.parametrize("name", FAILED)
def test_what_a_server_cannot_read_of_its_own_model_may_pass(name: str) -> None:
    error = {"error": FAILED[name]}
    at_once = heard([frame(error)])
    assert at_once.error is not None
    assert (type(at_once.error).__name__, at_once.error.code) == (
        "ProviderUnavailable",
        "unreadable",
    )
    within = heard([chunk("好"), frame(error)])
    assert within.error is not None
    assert (type(within.error).__name__, within.error.code) == ("ProviderInterrupted", "unreadable")


ANTHROPIC: dict[str, tuple[Called, list[bytes]]] = {
    "a placeholder among the parts": (
        [("get_weather", A)],
        [
            messages_wire.call(0, "c"),
            *(messages_wire.delta(partial_json=p) for p in ("{}", TEXT_A)),
        ],
    ),
    "arguments at once, as text": (
        [("get_weather", A)],
        [
            messages_wire.call(0, "c", input=TEXT_A),
            messages_wire.event("content_block_stop", index=0),
        ],
    ),
    "raw line ends": (
        [("get_weather", {"city": "Paris\n"})],
        [messages_wire.call(0, "c"), messages_wire.delta(partial_json='{"city": "Paris\n"}')],
    ),
    "one id in two blocks": (
        [("get_weather", A), ("get_weather", B)],
        [
            messages_wire.call(0, "c"),
            messages_wire.delta(0, partial_json=TEXT_A),
            messages_wire.call(1, "c"),
            messages_wire.delta(1, partial_json=TEXT_B),
        ],
    ),
}


@pytest.mark.parametrize("name", ANTHROPIC)
def test_blocks_of_messages_are_put_together_likewise(name: str) -> None:
    called, blocks = ANTHROPIC[name]
    end = [messages_wire.stop("tool_use"), messages_wire.OVER]
    assert heard([messages_wire.START, *blocks, *end], "anthropic").called == called


def test_a_block_that_the_limit_cut_before_its_arguments_is_no_call() -> None:
    said = [*messages_wire.SAID, messages_wire.call(1, "c")]
    told = heard([*said, messages_wire.stop("max_tokens"), messages_wire.OVER], "anthropic")
    assert (told.called, told.warnings, told.reason) == ([], 1, "length")


def test_gemini_and_ollama_may_give_arguments_as_text() -> None:
    call = {"functionCall": {"name": "f", "args": TEXT_A}}
    body = {"candidates": [{"content": {"parts": [call]}, "finishReason": "STOP"}]}
    assert heard([frame(body)], "gemini").called == [("f", A)]
    said = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": TEXT_A}}]}
    line = json.dumps({"message": said, "done": True, "done_reason": "stop"}).encode() + b"\n"
    assert heard([line], "ollama").called == [("f", A)]
