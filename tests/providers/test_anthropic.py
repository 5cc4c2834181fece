"""Anthropic's Messages: what is sent, and what each event says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from support.messages_wire import (
    END,
    OVER,
    SAID,
    START,
    block,
    call,
    delta,
    error,
    event,
    start,
    stop,
)
from support.provider_probe import TALK, WEATHER, ask, at, bytewise
from support.upstream import CUT, KEY, RESET, SILENCE, Head, Upstream, frame
from unspool import Model, Prompt
from unspool.providers import Usage
from unspool.providers.anthropic import endpoint


@pytest.fixture
def claude(upstream: Upstream) -> Model:
    upstream.play = [[*SAID, *END]]
    return replace(at(upstream, "anthropic", ""), prefill="assistant")


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/messages", "/v1/messages/"])
def test_the_root_the_version_and_the_whole_address_are_the_same_place(path: str) -> None:
    assert endpoint(f"https://a.example{path}") == "https://a.example/v1/messages"
    assert endpoint(f"https://a.example/in{path}?q=1") == "https://a.example/in/v1/messages?q=1"


async def test_a_token_goes_out_as_one(upstream: Upstream, claude: Model) -> None:
    await ask(replace(claude, quirks=frozenset({"bearer"})), Prompt.of("你好"))
    (asked,) = upstream.requests
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert "x-api-key" not in asked.headers


async def test_an_answer_is_asked_for_as_the_api_wants_it(
    upstream: Upstream, claude: Model
) -> None:
    heard = await ask(claude, Prompt.of("你好", system="be brief", stop="END", temperature=0.5))
    assert (heard.text, heard.finish, heard.error) == ("今天推荐", "stop", None)
    assert heard.usage == Usage(25, 15)
    (asked,) = upstream.requests
    assert (asked.method, asked.path) == ("POST", "/v1/messages")
    assert asked.headers["x-api-key"] == KEY
    assert asked.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in asked.headers
    assert asked.body == {
        "model": "m-1",
        "max_tokens": 4096,
        "stream": True,
        "temperature": 0.5,
        "stop_sequences": ["END"],
        "system": "be brief",
        "messages": [{"role": "user", "content": "你好"}],
    }


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
async def test_a_length_is_passed_on_under_any_of_its_names(
    upstream: Upstream, claude: Model, name: str
) -> None:
    await ask(claude, Prompt.of("你好", **{name: 7}))
    assert upstream.requests[0].body["max_tokens"] == 7
    assert name == "max_tokens" or name not in upstream.requests[0].body


async def test_a_talk_with_tools_is_written_in_blocks(upstream: Upstream, claude: Model) -> None:
    params = {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}}
    await ask(claude, Prompt(TALK, tools=(WEATHER,), params=params))
    body = upstream.requests[0].body
    assert body["system"] == "be brief"
    assert body["tools"] == [
        {
            "name": "get_weather",
            "description": "Weather of a city",
            "input_schema": WEATHER.parameters,
        }
    ]
    assert body["tool_choice"] == {"type": "tool", "name": "get_weather"}
    use = {"type": "tool_use", "name": "get_weather"}
    assert body["messages"] == [
        {"role": "user", "content": "北京和上海的天气？"},
        {
            "role": "assistant",
            "content": [
                {**use, "id": "c_1", "input": {"city": "北京"}},
                {**use, "id": "c_2", "input": {"city": "上海"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c_1", "content": '{"celsius": 3}'},
                {"type": "tool_result", "tool_use_id": "c_2", "content": "雨"},
                {"type": "text", "text": "谢谢"},
            ],
        },
    ]


@pytest.mark.parametrize("choice", ["auto", "required", "none"])
async def test_a_choice_of_tools_has_other_words(
    upstream: Upstream, claude: Model, choice: str
) -> None:
    await ask(claude, Prompt.of("你好", tool_choice=choice))
    words = {"auto": "auto", "required": "any", "none": "none"}
    assert upstream.requests[0].body["tool_choice"] == {"type": words[choice]}


async def test_tools_are_called_one_by_one_where_that_is_asked_for(
    upstream: Upstream, claude: Model
) -> None:
    for choice in ({}, {"tool_choice": "required"}, {"tool_choice": "none"}):
        params = {"parallel_tool_calls": False, **choice}
        await ask(claude, Prompt(TALK, tools=(WEATHER,), params=params))
    bodies = [asked.body for asked in upstream.requests]
    one = {"disable_parallel_tool_use": True}
    choices = [{"type": "auto", **one}, {"type": "any", **one}, {"type": "none"}]
    assert [body["tool_choice"] for body in bodies] == choices
    assert not any("parallel_tool_calls" in body for body in bodies)


async def test_the_form_of_an_answer_goes_where_the_api_has_it(
    upstream: Upstream, claude: Model
) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "town", "schema": schema}}
    await ask(claude, Prompt.of("你好", response_format=form, output_config={"effort": "low"}))
    await ask(claude, Prompt.of("你好", response_format={"type": "json_object"}))
    first, second = (asked.body for asked in upstream.requests)
    asked_for = {"type": "json_schema", "schema": schema}
    assert first["output_config"] == {"format": asked_for, "effort": "low"}
    assert not {"response_format", "output_config"} & set(second)
    assert "response_format" not in first


async def test_thinking_signatures_and_what_is_not_known_are_told_from_the_answer(
    upstream: Upstream, claude: Model
) -> None:
    upstream.play = [
        [
            START,
            block(0, type="thinking", thinking=""),
            delta(0, thinking="想一"),
            delta(0, thinking="想"),
            delta(0, signature="c2ln"),
            block(1, type="redacted_thinking", data="eA=="),
            event(
                "content_block_delta", index=2, delta={"type": "citations_delta", "citation": {}}
            ),
            event("content_block_delta", index=2, delta={"type": "later_delta", "words": 1}),
            event("later_event", anything=[1]),
            frame({"no": "type"}),
            delta(2, text="好"),
            *END,
        ]
    ]
    heard = await ask(claude)
    assert (heard.reasoning, heard.text, heard.skipped) == ("想一想", "好", 0)


async def test_what_a_block_begins_with_counts(upstream: Upstream, claude: Model) -> None:
    begun = block(0, type="thinking", thinking="嗯"), block(1, type="text", text="今")
    upstream.play = [[START, *begun, delta(1, text="天"), *END]]
    heard = await ask(claude)
    assert (heard.reasoning, heard.text) == ("嗯", "今天")


CALLS = (
    START,
    delta(0, text="查一下"),
    call(1, "toolu_1"),
    call(2, "toolu_2"),
    delta(1, partial_json=""),
    delta(1, partial_json='{"city":'),
    delta(2, partial_json='{"city": "上'),
    delta(1, partial_json=' "北京"}'),
    delta(2, partial_json='海"}'),
    event("content_block_stop", index=1),
    stop("tool_use"),
    OVER,
)


async def test_calls_side_by_side_are_kept_apart_however_their_parts_mix(
    upstream: Upstream, claude: Model
) -> None:
    upstream.play = [CALLS]
    heard = await ask(claude)
    assert heard.calls == [("get_weather", {"city": "北京"}), ("get_weather", {"city": "上海"})]
    assert heard.ids == ["toolu_1", "toolu_2"]
    assert (heard.text, heard.finish) == ("查一下", "tool_calls")
    assert {it.index for it in heard.fragments} == {0, 1}


async def test_arguments_that_come_at_once_are_told_once(upstream: Upstream, claude: Model) -> None:
    upstream.play = [
        [
            START,
            call(0, "a", input={"city": "北京"}),
            event("content_block_stop", index=0),
            call(1, "b", input={"city": "x"}),
            delta(1, partial_json='{"city": "上海"}'),
            call(2, "c", input={"city": "天津"}),
            stop("tool_use"),
            OVER,
        ]
    ]
    heard = await ask(claude)
    assert [it["city"] for _, it in heard.calls] == ["北京", "上海", "天津"]


async def test_a_call_that_was_cut_is_no_call(upstream: Upstream, claude: Model) -> None:
    upstream.play = [
        [START, call(0, "a"), delta(0, partial_json='{"city": "北'), stop("max_tokens"), OVER]
    ]
    heard = await ask(claude)
    assert (heard.calls, heard.finish, heard.skipped) == ([], "length", 1)


async def test_a_tool_that_the_vendor_runs_is_no_call_of_ours(
    upstream: Upstream, claude: Model
) -> None:
    search = block(0, type="server_tool_use", id="s", name="web_search", input={})
    upstream.play = [
        [START, search, delta(0, partial_json='{"query": "x"}'), delta(1, text="好"), *END]
    ]
    heard = await ask(claude)
    assert (heard.fragments, heard.calls, heard.text) == ([], [], "好")


@pytest.mark.parametrize("script", [(*SAID, *END), CALLS], ids=["text", "calls"])
async def test_an_answer_cut_between_any_two_bytes_is_the_same(
    upstream: Upstream, claude: Model, script: tuple[bytes, ...]
) -> None:
    upstream.play = [script, bytewise(script)]
    whole, cut = await ask(claude), await ask(claude)
    assert whole.outputs == cut.outputs
    assert cut.error is None


async def test_the_cache_s_share_of_the_prompt_is_counted_in(
    upstream: Upstream, claude: Model
) -> None:
    first = start(cache_read_input_tokens=100, cache_creation_input_tokens=10, output_tokens=1)
    upstream.play = [[first, delta(text="好"), *END]]
    assert (await ask(claude)).usage == Usage(135, 15, 100, written_tokens=10)


async def test_the_last_count_wins(upstream: Upstream, claude: Model) -> None:
    later = stop(input_tokens=30, cache_read_input_tokens=5, output_tokens=20)
    upstream.play = [[START, delta(text="好"), stop(), later, OVER]]
    assert (await ask(claude)).usage == Usage(35, 20, 5)


@pytest.mark.parametrize("odd", ["many", -3, 0.5, 10**12])
async def test_a_count_that_cannot_be_is_none(upstream: Upstream, claude: Model, odd: Any) -> None:
    upstream.play = [[start(input_tokens=odd), delta(text="好"), *END]]
    heard = await ask(claude)
    assert (heard.text, heard.usage, heard.finish) == ("好", None, "stop")


@pytest.mark.parametrize(
    ("word", "reason"),
    {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool_calls",
        "refusal": "content_filter",
    }.items(),
)
async def test_reasons_for_the_end_have_our_names(
    upstream: Upstream, claude: Model, word: str, reason: str
) -> None:
    upstream.play = [[*SAID, stop(word), OVER]]
    assert (await ask(claude)).finish == reason


@pytest.mark.parametrize("end", [[stop()], [OVER], [stop(), CUT], [stop(), RESET], [OVER, SILENCE]])
async def test_either_sign_of_the_end_is_enough_whatever_the_connection_does(
    upstream: Upstream, claude: Model, end: list[Any]
) -> None:
    upstream.play = [[*SAID, *end]]
    heard = await ask(claude)
    assert (heard.text, heard.finish, heard.error) == ("今天推荐", "stop", None)


@pytest.mark.parametrize("end", [[], [CUT], [event("content_block_stop", index=0)], [stop("")]])
async def test_a_stop_is_not_an_end(upstream: Upstream, claude: Model, end: list[Any]) -> None:
    upstream.play = [[*SAID, *end]]
    heard = await ask(claude)
    assert (heard.text, heard.finish) == ("今天推荐", None)
    assert heard.failure[0] == "interrupted"


async def test_an_answer_without_anything_is_none(upstream: Upstream, claude: Model) -> None:
    upstream.play = [[START, *END]]
    heard = await ask(claude)
    assert heard.failure == ("unavailable", "empty")
    assert heard.error is not None
    assert heard.error.finish_reason == "stop"


ERRORS = {
    "overloaded_error": ("unavailable", "overloaded"),
    "rate_limit_error": ("unavailable", "rate_limit"),
    "api_error": ("unavailable", "server"),
    "what_comes_later": ("unavailable", "server"),
    "authentication_error": ("refused", "auth"),
    "permission_error": ("refused", "auth"),
    "invalid_request_error": ("refused", "invalid_request"),
    "not_found_error": ("refused", "unknown_model"),
    "billing_error": ("refused", "quota"),
}


@pytest.mark.parametrize(("type", "failure"), ERRORS.items())
async def test_an_error_inside_an_answer_is_classed(
    upstream: Upstream, claude: Model, type: str, failure: tuple[str, str]
) -> None:
    upstream.play = [[error(type, f"no, {KEY}")], [*SAID, error(type), *END]]
    first, later = await ask(claude), await ask(claude)
    assert first.failure == failure
    assert KEY not in str(first.error)
    kind = "interrupted" if failure[0] == "unavailable" else "refused"
    assert later.failure == (kind, failure[1])
    assert (later.text, later.finish) == ("今天推荐", None)


async def test_an_error_in_other_forms_is_one_too(upstream: Upstream, claude: Model) -> None:
    upstream.play = [
        [frame({"error": {"type": "overloaded_error", "message": "x"}})],
        [b"event: error\ndata: upstream gone\n\n"],
        [frame({"error": "no room"})],
        [error("invalid_request_error", "Your credit balance is too low")],
    ]
    failures = [(await ask(claude)).failure for _ in range(4)]
    passing = [("unavailable", code) for code in ("overloaded", "server", "server")]
    assert failures == [*passing, ("refused", "quota")]


async def test_a_message_that_comes_whole_is_an_answer_too(
    upstream: Upstream, claude: Model
) -> None:
    message = {
        "type": "message",
        "content": [
            {"type": "text", "text": "今天"},
            {"type": "tool_use", "id": "a", "name": "get_weather", "input": {"city": "北京"}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 25, "output_tokens": 15},
    }
    upstream.play = [[Head(body=json.dumps(message).encode())]]
    heard = await ask(claude)
    assert (heard.text, heard.finish, heard.usage) == ("今天", "tool_calls", Usage(25, 15))
    assert heard.calls == [("get_weather", {"city": "北京"})]
    upstream.play = [[Head(body=b'{"type":"error","error":{"type":"overloaded_error"}}')]]
    assert (await ask(claude)).failure == ("unavailable", "overloaded")


async def test_an_event_that_cannot_be_read_is_left_out(upstream: Upstream, claude: Model) -> None:
    upstream.play = [[*SAID[:3], b"data: {oops\n\n", b"data: []\n\n", *SAID[3:], *END]]
    heard = await ask(claude)
    assert (heard.text, heard.skipped, heard.finish) == ("今天推荐", 2, "stop")


async def test_a_message_that_is_more_than_text_is_refused_before_it_is_sent(
    upstream: Upstream, claude: Model
) -> None:
    parts = [{"type": "text", "text": "what"}, {"type": "text", "text": " is it?"}]
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    await ask(claude, Prompt(({"role": "user", "content": parts},)))
    assert upstream.requests[0].question == "what is it?"
    heard = await ask(claude, Prompt(({"role": "user", "content": [*parts, image]},)))
    assert (heard.failure, len(upstream.requests)) == (("refused", "invalid_request"), 1)


async def test_halves_of_a_character_are_joined(upstream: Upstream, claude: Model) -> None:
    halves = rb"a\ud83d", rb"\ude00b"
    upstream.play = [[START, *(delta(text="#").replace(b"#", half) for half in halves), *END]]
    heard = await ask(claude)
    assert (heard.text, heard.skipped, heard.finish) == ("a😀b", 0, "stop")
