"""OpenAI's Responses: what is sent, and what each event says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from support.provider_probe import TALK, WEATHER, ask, at, bytewise
from support.responses_wire import (
    CREATED,
    GOING,
    TEXT,
    Told,
    ended,
    message,
    numbered,
    response,
    said,
)
from support.upstream import CUT, KEY, RESET, Head, Upstream, frame
from unspool import Model, Prompt
from unspool.providers import Usage
from unspool.providers.responses import endpoint


@pytest.fixture
def plain(upstream: Upstream) -> Model:
    upstream.play = [numbered(*TEXT)]
    return at(upstream, "responses", "/v1")


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/responses", "/v1/responses/"])
def test_the_root_and_the_whole_address_are_the_same_place(path: str) -> None:
    assert endpoint(f"https://a.example{path}?v=1") == "https://a.example/v1/responses?v=1"


async def test_an_answer_is_asked_for_as_the_api_wants_it(upstream: Upstream, plain: Model) -> None:
    params = {"max_tokens": 9, "temperature": 0.5, "reasoning_effort": "low"}
    heard = await ask(plain, Prompt.of("你好", system="be brief", **params))
    assert (heard.text, heard.finish, heard.usage) == ("今天推荐", "stop", Usage(12, 6))
    assert heard.accepted == []
    (asked,) = upstream.requests
    assert (asked.method, asked.path) == ("POST", "/v1/responses")
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body == {
        "model": "m-1",
        "stream": True,
        "temperature": 0.5,
        "max_output_tokens": 9,
        "reasoning": {"effort": "low"},
        "instructions": "be brief",
        "input": [{"role": "user", "content": "你好"}],
    }


async def test_a_talk_with_tools_is_a_list_of_items(upstream: Upstream, plain: Model) -> None:
    choice = {"type": "function", "function": {"name": "get_weather"}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    params = {"tool_choice": choice, "response_format": form, "verbosity": "low"}
    await ask(plain, Prompt(TALK, tools=(WEATHER,), params=params))
    body = upstream.requests[0].body
    (tool,) = body["tools"]
    assert (tool["type"], tool["name"]) == ("function", "get_weather")
    assert tool["parameters"] == WEATHER.parameters
    assert body["tool_choice"] == {"type": "function", "name": "get_weather"}
    schema = {"type": "json_schema", "name": "x", "schema": {"type": "object"}}
    assert body["text"] == {"format": schema, "verbosity": "low"}
    assert "verbosity" not in body
    kinds = [item.get("type", item.get("role")) for item in body["input"]]
    results = ["function_call_output"] * 2
    assert kinds == ["user", "function_call", "function_call", *results, "user"]
    called = {"type": "function_call", "call_id": "c:1", "name": "get_weather"}
    assert body["input"][1] == {**called, "arguments": '{"city": "北京"}'}
    assert body["input"][4] == {
        "type": "function_call_output",
        "call_id": "c:2",
        "output": "雨",
    }


async def test_refusals_are_text_and_thoughts_are_not(upstream: Upstream, plain: Model) -> None:
    upstream.play = [
        numbered(
            CREATED,
            ("response.reasoning_text.delta", {"delta": "想"}),
            ("response.reasoning_summary_text.delta", {"delta": "一想"}),
            ("response.refusal.delta", {"delta": "不行"}),
            ("response.later.delta", {"delta": "?"}),
            ("response.output_text.done", {"text": "不行"}),
            ended(),
        )
    ]
    heard = await ask(plain)
    assert (heard.reasoning, heard.text, heard.skipped) == ("想一想", "不行", 0)


def call(id: str, place: int, state: str = "added", arguments: str = "") -> Told:
    item = {"type": "function_call", "id": f"fc_{id}", "call_id": id, "name": "get_weather"}
    placed = {"output_index": place, "item": {**item, "arguments": arguments}}
    return f"response.output_item.{state}", placed


def part(id: str, place: int, delta: str) -> Told:
    where = {"item_id": f"fc_{id}", "output_index": place}
    return "response.function_call_arguments.delta", {**where, "delta": delta}


def whole(id: str, place: int, arguments: str) -> Told:
    where = {"item_id": f"fc_{id}", "output_index": place}
    return "response.function_call_arguments.done", {**where, "arguments": arguments}


A, B = '{"city": "北京"}', '{"city": "上海"}'
CALLS = {
    "mixed": (
        call("a", 0),
        call("b", 1),
        part("a", 0, A[:5]),
        part("b", 1, B[:9]),
        part("a", 0, A[5:]),
        part("b", 1, B[9:]),
        whole("a", 0, A),
        whole("b", 1, B),
        call("a", 0, "done", A),
        call("b", 1, "done", B),
    ),
    "no parts": (call("a", 0), whole("a", 0, A), call("b", 1), call("b", 1, "done", B)),
    "only done": (call("a", 0, "done", A), call("b", 1, "done", B)),
    "one place for all": (
        call("a", 0),
        call("b", 0),
        part("b", 0, B),
        part("a", 0, A),
        call("b", 0, "done", B),
    ),
    "nothing before the end": (),
}


def without(events: Sequence[Told], name: str) -> list[Told]:
    """The same events from a server that leaves a field out."""
    return [(type, {k: v for k, v in it.items() if k != name}) for type, it in events]


CASES = [
    (name, omitted)
    for name in CALLS
    for omitted in ("nothing", "item_id", "output_index")
    if (name, omitted) != ("one place for all", "item_id")  # nothing would tell them apart
]


@pytest.mark.parametrize(("name", "omitted"), CASES)
async def test_calls_side_by_side_are_kept_apart_however_they_are_told(
    upstream: Upstream, plain: Model, name: str, omitted: str
) -> None:
    items = [call("a", 0, "done", A)[1]["item"], call("b", 1, "done", B)[1]["item"]]
    events = without(CALLS[name], omitted)
    upstream.play = [numbered(CREATED, *events, ended(output=items))]
    heard = await ask(plain)
    assert sorted(heard.ids) == ["a", "b"]
    assert sorted(it["city"] for _, it in heard.calls) == ["上海", "北京"]
    assert (heard.finish, heard.skipped) == ("tool_calls", 0)


async def test_a_call_that_was_cut_is_no_call(upstream: Upstream, plain: Model) -> None:
    why = {"incomplete_details": {"reason": "max_output_tokens"}}
    upstream.play = [
        numbered(CREATED, call("a", 0), part("a", 0, A[:7]), ended("incomplete", **why))
    ]
    heard = await ask(plain)
    assert (heard.calls, heard.finish, heard.skipped) == ([], "length", 1)


@pytest.mark.parametrize("events", [TEXT, (CREATED, *CALLS["mixed"], ended())])
async def test_an_answer_cut_between_any_two_bytes_is_the_same(
    upstream: Upstream, plain: Model, events: Sequence[Told]
) -> None:
    upstream.play = [numbered(*events), bytewise(numbered(*events))]
    first, second = await ask(plain), await ask(plain)
    assert first.outputs == second.outputs
    assert second.error is None


async def test_text_that_was_told_only_with_the_end_is_told(
    upstream: Upstream, plain: Model
) -> None:
    upstream.play = [numbered(CREATED, ended(output=[message("今天", "推荐")]))]
    assert (await ask(plain)).text == "今天推荐"
    upstream.play = [numbered(CREATED, said("今天"), ended(output=[message("今天")]))]
    assert (await ask(plain)).text == "今天"


async def test_a_response_that_comes_whole_is_an_answer_too(
    upstream: Upstream, plain: Model
) -> None:
    _, told = ended(output=[message("今天"), call("a", 0, "done", A)[1]["item"]])
    body = {"object": "response", **told["response"]}
    upstream.play = [[Head(body=json.dumps(body).encode())]]
    heard = await ask(plain)
    assert (heard.text, heard.finish, heard.usage) == ("今天", "tool_calls", Usage(12, 6))
    assert heard.ids == ["a"]
    upstream.play = [[Head(body=json.dumps({**body, "status": "in_progress"}).encode())]]
    assert (await ask(plain)).failure[0] == "unavailable"


async def test_the_cache_s_share_of_the_prompt_is_told(upstream: Upstream, plain: Model) -> None:
    usage = {"input_tokens": 9, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 8}}
    upstream.play = [numbered(said("好"), response("completed", usage=usage))]
    assert (await ask(plain)).usage == Usage(9, 2, 8)


@pytest.mark.parametrize(
    ("why", "reason"), [("max_output_tokens", "length"), ("content_filter", "content_filter")]
)
async def test_an_answer_that_was_cut_short_says_why(
    upstream: Upstream, plain: Model, why: str, reason: str
) -> None:
    end = ended("incomplete", incomplete_details={"reason": why})
    upstream.play = [numbered(CREATED, said("今天"), end), numbered(CREATED, end)]
    heard = await ask(plain)
    assert (heard.text, heard.finish, heard.usage) == ("今天", reason, Usage(12, 6))
    assert (await ask(plain)).finish == reason


@pytest.mark.parametrize(("limit", "reason"), [(6, "length"), (7, "stop"), (None, "stop")])
async def test_an_answer_that_is_as_long_as_it_may_be_is_not_called_complete(
    upstream: Upstream, plain: Model, limit: int | None, reason: str
) -> None:
    heard = await ask(plain, Prompt.of("你好", max_tokens=limit))
    assert (heard.text, heard.finish) == ("今天推荐", reason)


GIVEN_UP = {
    "incomplete": response("incomplete", incomplete_details={"reason": "what comes later"}),
    "incomplete for no reason": response("incomplete"),
    "cancelled": response("cancelled"),
}


@pytest.mark.parametrize("name", GIVEN_UP)
async def test_an_answer_that_was_given_up_is_not_whole(
    upstream: Upstream, plain: Model, name: str
) -> None:
    upstream.play = [numbered(CREATED, said("今天"), GIVEN_UP[name])]
    heard = await ask(plain)
    assert (heard.text, heard.failure) == ("今天", ("interrupted", "aborted"))


@pytest.mark.parametrize("end", [[], [CUT], [RESET], [b"data: [DONE]\n\n"]])
async def test_a_stop_is_not_an_end(upstream: Upstream, plain: Model, end: list[Any]) -> None:
    upstream.play = [[*numbered(*TEXT[:-1]), *end]]
    heard = await ask(plain)
    assert (heard.text, heard.finish, heard.failure[0]) == ("今天推荐", None, "interrupted")


@pytest.mark.parametrize("end", [CUT, RESET, b"data: [DONE]\n\n"])
async def test_what_is_whole_stays_whole(upstream: Upstream, plain: Model, end: Any) -> None:
    upstream.play = [[*numbered(*TEXT), end]]
    heard = await ask(plain)
    assert (heard.text, heard.finish, heard.error) == ("今天推荐", "stop", None)


async def test_an_answer_without_anything_is_none(upstream: Upstream, plain: Model) -> None:
    upstream.play = [numbered(CREATED, ended())]
    assert (await ask(plain)).failure == ("unavailable", "empty")


ERRORS = {
    "rate_limit_exceeded": ("unavailable", "rate_limit"),
    "server_error": ("unavailable", "server"),
    "server_is_overloaded": ("unavailable", "overloaded"),
    "what_comes_later": ("unavailable", "server"),
    "insufficient_quota": ("refused", "quota"),
    "invalid_prompt": ("refused", "invalid_request"),
    "context_length_exceeded": ("refused", "invalid_request"),
    "invalid_api_key": ("refused", "auth"),
    "model_not_found": ("refused", "unknown_model"),
}


@pytest.mark.parametrize(("code", "failure"), ERRORS.items())
async def test_errors_in_all_their_forms_are_classed(
    upstream: Upstream, plain: Model, code: str, failure: tuple[str, str]
) -> None:
    error = {"code": code, "message": f"no {KEY}"}
    forms = [("error", error), ("error", {"error": error}), response("failed", error=error)]
    bare = [*numbered(CREATED), frame({"error": error})]
    upstream.play = [bare, *(numbered(CREATED, form) for form in forms)]
    for _ in upstream.play:
        heard = await ask(plain)
        assert heard.failure == failure
        assert KEY not in str(heard.error)
    upstream.play = [numbered(CREATED, said("今天"), forms[0])]
    later = await ask(plain)
    kind = "interrupted" if failure[0] == "unavailable" else "refused"
    assert (later.text, later.failure) == ("今天", (kind, failure[1]))


async def test_an_event_that_cannot_be_read_is_left_out(upstream: Upstream, plain: Model) -> None:
    first, *rest = numbered(*TEXT)
    upstream.play = [[first, b"data: {oops\n\n", b"event: error\ndata: gone\n\n", *rest]]
    heard = await ask(plain)
    assert (heard.text, heard.failure, heard.skipped) == ("", ("unavailable", "server"), 2)
    upstream.play = [[first, b"data: {oops\n\n", b"data: []\n\n", *rest]]
    heard = await ask(plain)
    assert (heard.text, heard.skipped, heard.finish) == ("今天推荐", 2, "stop")


# Numbers


def twice(script: Sequence[bytes]) -> list[bytes]:
    return [event for event in script for _ in range(2)]


async def test_an_event_that_comes_again_is_left_out(upstream: Upstream, plain: Model) -> None:
    events = numbered(*TEXT, first=7)
    upstream.play = [twice(events), [*events[:3], *events[1:4], *events[2:]]]
    for _ in range(2):
        heard = await ask(plain)
        assert (heard.text, heard.finish, heard.usage) == ("今天推荐", "stop", Usage(12, 6))


@pytest.mark.parametrize("number", [0, 3])
async def test_numbers_that_do_not_count_are_no_numbers(
    upstream: Upstream, plain: Model, number: int
) -> None:
    words = said("哈"), said("哈"), said("哈")
    upstream.play = [[numbered(it, first=number)[0] for it in (CREATED, GOING, *words, ended())]]
    assert (await ask(plain)).text == "哈哈哈"


async def test_events_without_numbers_are_read(upstream: Upstream, plain: Model) -> None:
    upstream.play = [[frame({"type": type, **fields}) for type, fields in TEXT]]
    assert (await ask(plain)).text == "今天推荐"


async def test_a_beginning_is_sent_only_to_a_model_that_takes_it(
    upstream: Upstream, plain: Model
) -> None:
    prompt = replace(Prompt.of("你好"), prefix="今天")
    assert (await ask(plain, prompt)).failure == ("refused", "prefill")
    assert upstream.requests == []
    upstream.play = [numbered(CREATED, said("推荐"), ended())]
    assert (await ask(replace(plain, prefill="assistant"), prompt)).text == "推荐"
    last = upstream.requests[0].body["input"][-1]
    assert (last["role"], last["content"]) == ("assistant", message("今天")["content"])


async def test_halves_of_a_character_are_joined(upstream: Upstream, plain: Model) -> None:
    halves = rb"a\ud83d", rb"\ude00b"
    upstream.play = [
        [
            part.replace(b"#", half)
            for part, half in zip(numbered(*[said("#")] * 2, ended()), [*halves, b""], strict=True)
        ]
    ]
    heard = await ask(plain)
    assert (heard.text, heard.skipped, heard.finish) == ("a😀b", 0, "stop")
