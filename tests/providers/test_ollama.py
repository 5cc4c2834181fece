"""Ollama's own API: what is sent, and what each line says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from support.provider_probe import TALK, WEATHER, ask, at, bytewise
from support.upstream import CUT, KEY, RESET, Head, Upstream, refusal
from unspool import Model, Prompt
from unspool.formats.sse import EventTooLong
from unspool.providers import Usage
from unspool.providers.ollama import JsonLines, endpoint


def line(**document: Any) -> bytes:
    return json.dumps({"model": "m-1", **document}, ensure_ascii=False).encode() + b"\n"


def said(content: str = "", **more: Any) -> bytes:
    return line(message={"role": "assistant", "content": content, **more}, done=False)


def done(reason: str | None = "stop", **more: Any) -> bytes:
    message = {"role": "assistant", "content": ""}
    counts = {"prompt_eval_count": 12, "eval_count": 6, **more}
    return line(message=message, done=True, done_reason=reason, total_duration=10**9, **counts)


def calls(*arguments: Any, **more: Any) -> bytes:
    function = [{"name": "get_weather", "arguments": it} for it in arguments]
    return said(tool_calls=[{"function": it, **more} for it in function])


ANSWER = (said("今天"), said("推荐"), done())


@pytest.fixture
def llama(upstream: Upstream) -> Model:
    upstream.play = [ANSWER]
    return replace(at(upstream, "ollama", ""), prefill="assistant")


@pytest.mark.parametrize("path", ["", "/", "/api", "/api/", "/api/chat", "/api/chat/"])
def test_the_root_the_folder_and_the_whole_address_are_the_same_place(path: str) -> None:
    assert endpoint(f"http://127.0.0.1:11434{path}") == "http://127.0.0.1:11434/api/chat"


async def test_settings_of_the_model_are_told_from_those_of_the_request(
    upstream: Upstream, llama: Model
) -> None:
    params = {
        "temperature": 0,
        "max_tokens": 9,
        "seed": 7,
        "stop": "END",
        "num_ctx": 4096,
        "think": False,
        "keep_alive": "5m",
        "options": {"top_k": 3},
    }
    heard = await ask(llama, Prompt.of("你好", system="be brief", **params))
    assert (heard.text, heard.finish, heard.usage) == ("今天推荐", "stop", Usage(12, 6))
    (asked,) = upstream.requests
    assert (asked.path, asked.headers["authorization"]) == ("/api/chat", f"Bearer {KEY}")
    options = {"temperature": 0, "num_predict": 9, "seed": 7, "stop": ["END"], "num_ctx": 4096}
    assert asked.body == {
        "model": "m-1",
        "stream": True,
        "think": False,
        "keep_alive": "5m",
        "options": {**options, "top_k": 3},
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "你好"},
        ],
    }


async def test_a_local_one_is_asked_without_a_key(upstream: Upstream, llama: Model) -> None:
    await ask(replace(llama, api_key=""))
    assert "authorization" not in upstream.requests[0].headers
    assert "options" not in upstream.requests[0].body


SCHEMA = {"type": "object"}
FORMS = (
    ({"type": "json_object"}, "json"),
    ({"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}, SCHEMA),
    (SCHEMA, SCHEMA),
)


@pytest.mark.parametrize(("form", "told"), FORMS)
async def test_a_form_is_taken_in_openai_s_words_too(
    upstream: Upstream, llama: Model, form: Any, told: Any
) -> None:
    await ask(llama, Prompt.of("你好", response_format=form))
    assert upstream.requests[0].body["format"] == told


async def test_a_talk_with_tools_has_arguments_as_objects(upstream: Upstream, llama: Model) -> None:
    await ask(llama, Prompt(TALK, tools=(WEATHER,)))
    body = upstream.requests[0].body
    assert body["tools"][0]["function"]["parameters"] == WEATHER.parameters
    _, _, called, first, second, _ = body["messages"]
    assert [it["function"]["arguments"]["city"] for it in called["tool_calls"]] == ["北京", "上海"]
    assert first == {"role": "tool", "tool_name": "get_weather", "content": '{"celsius": 3}'}
    assert second["content"] == "雨"


async def test_a_text_is_gone_on_from_as_the_last_message(upstream: Upstream, llama: Model) -> None:
    prompt = replace(Prompt.of("你好"), prefix="从前 ")
    assert (await ask(llama, prompt)).text == "今天推荐"
    assert upstream.requests[0].body["messages"][-1] == {"role": "assistant", "content": "从前 "}
    heard = await ask(replace(llama, prefill=""), prompt)
    assert (heard.failure, len(upstream.requests)) == (("refused", "prefill"), 1)


async def test_thinking_is_no_text(upstream: Upstream, llama: Model) -> None:
    upstream.play = [[said(thinking="想"), said(thinking="一想"), said("好"), done()]]
    heard = await ask(llama)
    assert (heard.reasoning, heard.text) == ("想一想", "好")


async def test_calls_without_ids_get_one_each(upstream: Upstream, llama: Model) -> None:
    upstream.play = [[calls({"city": "北京"}, {"city": "上海"}), calls({}), calls(None), done()]]
    heard = await ask(llama)
    assert heard.calls == [
        ("get_weather", {"city": "北京"}),
        ("get_weather", {"city": "上海"}),
        ("get_weather", {}),
        ("get_weather", {}),
    ]
    assert len(set(heard.ids)) == 4
    assert heard.finish == "tool_calls"


async def test_an_id_that_comes_again_makes_another_call(upstream: Upstream, llama: Model) -> None:
    upstream.play = [[calls({"a": 1}, id="c"), calls('{"a": 2}', id="c"), done()]]
    heard = await ask(llama)
    assert [it for _, it in heard.calls] == [{"a": 1}, {"a": 2}]
    assert heard.ids[0] == "c" != heard.ids[1]


@pytest.mark.parametrize("script", [ANSWER, (calls({"city": "北京"}), done())])
async def test_an_answer_cut_between_any_two_bytes_is_the_same(
    upstream: Upstream, llama: Model, script: tuple[bytes, ...]
) -> None:
    upstream.play = [script, bytewise(script)]
    whole, cut = await ask(llama), await ask(llama)
    assert (whole.text, whole.calls, whole.finish) == (cut.text, cut.calls, cut.finish)
    assert (whole.usage, cut.error) == (Usage(12, 6), None)


@pytest.mark.parametrize(
    "script",
    [
        [b"".join(ANSWER)],
        [b"".join(ANSWER).removesuffix(b"\n")],
        [b"".join(ANSWER).replace(b"\n", b"\r\n")],
        [b"\n\n", *ANSWER, b"\n"],
        [*ANSWER, CUT],
        [*ANSWER, RESET],
        [said("今天"), b"{oops\n", b"[]\n", said("推荐"), done()],
    ],
)
async def test_lines_may_be_cut_joined_empty_or_unreadable(
    upstream: Upstream, llama: Model, script: Any
) -> None:
    upstream.play = [script]
    heard = await ask(llama)
    assert (heard.text, heard.finish, heard.error) == ("今天推荐", "stop", None)
    assert heard.skipped == (2 if b"{oops\n" in script else 0)


@pytest.mark.parametrize(
    ("reason", "told"), [("length", "length"), (None, "stop"), ("", "stop"), ("stop", "stop")]
)
async def test_reasons_for_the_end_have_our_names(
    upstream: Upstream, llama: Model, reason: str | None, told: str
) -> None:
    upstream.play = [[said("好"), done(reason)]]
    assert (await ask(llama)).finish == told


async def test_a_prompt_from_the_cache_is_not_counted_by_old_versions(
    upstream: Upstream, llama: Model
) -> None:
    upstream.play = [[said("好"), done(prompt_eval_count=None)]]
    assert (await ask(llama)).usage == Usage(None, 6)


@pytest.mark.parametrize("end", [[], [CUT], [said("")], [line(done=False)]])
async def test_a_stop_is_not_an_end(upstream: Upstream, llama: Model, end: list[Any]) -> None:
    upstream.play = [[*ANSWER[:2], *end]]
    heard = await ask(llama)
    assert (heard.text, heard.finish) == ("今天推荐", None)
    assert heard.failure[0] == "interrupted"


@pytest.mark.parametrize("end", [[done()], [done("load")], [b"\n"], []])
async def test_an_answer_without_anything_is_none(
    upstream: Upstream, llama: Model, end: list[bytes]
) -> None:
    upstream.play = [[b"", *end]]
    assert (await ask(llama)).failure == ("unavailable", "empty")


ERRORS = {
    "an error was encountered while running the model": ("unavailable", "server"),
    "server busy, please try again": ("unavailable", "overloaded"),
    "rate limit exceeded": ("unavailable", "rate_limit"),
    "model 'm-1' not found, try pulling it first": ("refused", "unknown_model"),
    "the input is too long": ("refused", "invalid_request"),
    "unauthorized": ("refused", "auth"),
}


@pytest.mark.parametrize(("message", "failure"), ERRORS.items())
async def test_an_error_inside_an_answer_is_classed_by_its_words(
    upstream: Upstream, llama: Model, message: str, failure: tuple[str, str]
) -> None:
    upstream.play = [
        [line(error=f"{message} {KEY}")],
        [*ANSWER[:2], line(error=message)],
        [line(error={"message": message})],
    ]
    first, later, other = await ask(llama), await ask(llama), await ask(llama)
    assert first.failure == other.failure == failure
    assert KEY not in str(first.error)
    kind = "interrupted" if failure[0] == "unavailable" else "refused"
    assert (later.failure, later.text) == ((kind, failure[1]), "今天推荐")


async def test_an_unknown_model_is_told_by_status(upstream: Upstream, llama: Model) -> None:
    body = b'{"error":"model \\"m-1\\" not found, try pulling it first"}'
    upstream.play = [[Head(404, body=body)], refusal(503)]
    heard = await ask(llama)
    assert heard.failure == ("refused", "unknown_model")
    assert "try pulling it" in str(heard.error)
    assert (await ask(llama)).failure == ("unavailable", "overloaded")


async def test_a_line_without_an_end_is_not_read_for_ever(upstream: Upstream, llama: Model) -> None:
    upstream.play = [[said("今天"), *([b"x" * 500] * 10)]]
    heard = await ask(replace(llama, limits=replace(llama.limits, max_event_bytes=1000)))
    assert (heard.text, heard.failure) == ("今天", ("interrupted", "protocol"))


@pytest.mark.parametrize("size", range(1, 12))
def test_lines_are_the_same_wherever_they_are_cut(size: int) -> None:
    body = "一\n二二\r\n\n\n三".encode()
    lines = JsonLines(max_event_bytes=8)
    cut = [frame for n in range(0, len(body), size) for frame in lines.feed(body[n : n + size])]
    assert [frame.data for frame in [*cut, *lines.flush()]] == body.split(b"\n")
    pieces = [b"123456789"[n : n + size] for n in range(0, 9, size)]
    with pytest.raises(EventTooLong, match="more than 8 bytes"):
        _ = [lines.feed(piece) for piece in pieces]
    with pytest.raises(EventTooLong, match="more than 8 bytes"):
        JsonLines(max_event_bytes=8).feed(b"123456789\n")


async def test_halves_of_a_character_are_joined(upstream: Upstream, llama: Model) -> None:
    halves = rb"a\ud83d", rb"\ude00b"
    upstream.play = [[*(said("#").replace(b"#", half) for half in halves), done()]]
    heard = await ask(llama)
    assert (heard.text, heard.skipped, heard.finish) == ("a😀b", 0, "stop")
