"""Gemini: what is sent, and what each chunk says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from support.provider_probe import TALK, WEATHER, ask, at, bytewise
from support.upstream import CUT, KEY, RESET, Head, Upstream, frame, refusal
from unspool import Model, Prompt
from unspool.providers import Usage
from unspool.providers.gemini import UNSIGNED, endpoint


def chunk(*parts: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    candidate: dict[str, Any] = {"index": 0}
    if parts:
        candidate["content"] = {"role": "model", "parts": list(parts)}
    if finish:
        candidate["finishReason"] = finish
    return frame({"candidates": [candidate], "modelVersion": "m-1", **more})


def counted(prompt: int = 12, said: int | None = 4, thought: int | None = 2) -> dict[str, Any]:
    counts = {"promptTokenCount": prompt, "totalTokenCount": 99}
    counts |= {"candidatesTokenCount": said} if said is not None else {}
    counts |= {"thoughtsTokenCount": thought} if thought is not None else {}
    return {"usageMetadata": counts}


def text(words: str) -> dict[str, Any]:
    return {"text": words}


def call(city: str, **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": "get_weather", "args": {"city": city}, **more}}


ANSWER = (
    chunk(text("今天"), **counted(said=None, thought=None)),
    chunk(text("推荐"), **counted(said=2)),
    chunk(text(""), finish="STOP", **counted()),
)


@pytest.fixture
def gemini(upstream: Upstream) -> Model:
    upstream.play = [ANSWER]
    return replace(at(upstream, "gemini", "/v1beta"), prefill="assistant")


@pytest.mark.parametrize(
    ("base", "name", "path"),
    [
        ("/v1beta", "gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash"),
        ("/v1/", "gemini-2.5-flash", "/v1/models/gemini-2.5-flash"),
        ("", "models/m", "/v1beta/models/m"),
        ("/v1beta", "tunedModels/m", "/v1beta/tunedModels/m"),
        ("/v1beta", "../up?q#f", "/v1beta//up%3Fq%23f"),
    ],
)
def test_a_model_s_address_stays_in_its_folder(base: str, name: str, path: str) -> None:
    told = endpoint(f"https://g.example{base}", name)
    assert told == f"https://g.example{path}:streamGenerateContent?alt=sse"


async def test_an_answer_is_asked_for_as_the_api_wants_it(
    upstream: Upstream, gemini: Model
) -> None:
    params = {"temperature": 0.5, "max_tokens": 9, "stop": "END", "topK": 3, "seed": 1}
    params |= {"safetySettings": [], "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}
    heard = await ask(gemini, Prompt.of("你好", system="be brief", **params))
    assert (heard.text, heard.finish, heard.error) == ("今天推荐", "stop", None)
    assert heard.usage == Usage(12, 6)
    (asked,) = upstream.requests
    assert asked.path == "/v1beta/models/m-1:streamGenerateContent?alt=sse"
    assert asked.headers["x-goog-api-key"] == KEY
    assert "authorization" not in asked.headers
    assert asked.body == {
        "contents": [{"role": "user", "parts": [{"text": "你好"}]}],
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "safetySettings": [],
        "generationConfig": {
            "temperature": 0.5,
            "maxOutputTokens": 9,
            "stopSequences": ["END"],
            "topK": 3,
            "seed": 1,
            "thinkingConfig": {"thinkingBudget": 0},
        },
    }


async def test_a_form_is_taken_in_openai_s_words_too(upstream: Upstream, gemini: Model) -> None:
    schema = {"type": "object"}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    await ask(gemini, Prompt.of("你好", response_format=form))
    await ask(gemini, Prompt.of("你好", response_format={"type": "json_object"}))
    with_schema, without = (it.body["generationConfig"] for it in upstream.requests)
    assert without == {"responseMimeType": "application/json"}
    assert with_schema == {**without, "responseJsonSchema": schema}


async def test_a_talk_with_tools_alternates(upstream: Upstream, gemini: Model) -> None:
    await ask(gemini, Prompt(TALK, tools=(WEATHER,), params={"tool_choice": "required"}))
    body = upstream.requests[0].body
    (declared,) = body["tools"][0]["functionDeclarations"]
    assert declared["parametersJsonSchema"] == WEATHER.parameters
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}
    question, called, answered = body["contents"]
    assert question == {"role": "user", "parts": [{"text": "北京和上海的天气？"}]}
    assert called == {"role": "model", "parts": [call("北京"), call("上海")]}
    assert answered["role"] == "user"
    first, second, thanks = answered["parts"]
    assert first["functionResponse"] == {"name": "get_weather", "response": {"celsius": 3}}
    assert second["functionResponse"]["response"] == {"result": "雨"}
    assert thanks == {"text": "谢谢"}


async def test_one_tool_may_be_chosen_by_name(upstream: Upstream, gemini: Model) -> None:
    choice = {"type": "function", "function": {"name": "get_weather"}}
    await ask(gemini, Prompt.of("你好", tool_choice=choice))
    config = upstream.requests[0].body["toolConfig"]["functionCallingConfig"]
    assert config == {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}


@pytest.mark.parametrize(("name", "is_signed"), [("gemini-2.5-pro", False), ("gemini-3-pro", True)])
async def test_models_that_want_their_signature_back_get_the_word_for_none(
    upstream: Upstream, gemini: Model, name: str, *, is_signed: bool
) -> None:
    await ask(replace(gemini, upstream_name=name), Prompt(TALK))
    first, second = upstream.requests[0].body["contents"][1]["parts"]
    assert first.get("thoughtSignature") == (UNSIGNED if is_signed else None)
    assert "thoughtSignature" not in second


async def test_a_text_is_gone_on_from_as_the_last_turn(upstream: Upstream, gemini: Model) -> None:
    prompt = replace(Prompt.of("你好"), prefix="从前 ")
    assert (await ask(gemini, prompt)).text == "今天推荐"
    last = upstream.requests[0].body["contents"][-1]
    assert last == {"role": "model", "parts": [{"text": "从前 "}]}
    heard = await ask(replace(gemini, prefill=""), prompt)
    assert (heard.failure, len(upstream.requests)) == (("refused", "prefill"), 1)
    upstream.play = [refusal(400, "Requests that end with a model turn are not supported.")]
    assert (await ask(gemini, prompt)).failure == ("refused", "prefill_refused")


async def test_thoughts_are_no_text_and_are_paid(upstream: Upstream, gemini: Model) -> None:
    thought = {"text": "想一想", "thought": True, "thoughtSignature": "eA=="}
    whole = chunk(thought, text("好"), finish="STOP", **counted(said=3, thought=7))
    upstream.play = [[whole]]
    heard = await ask(gemini)
    assert (heard.reasoning, heard.text, heard.usage) == ("想一想", "好", Usage(12, 10))


async def test_calls_come_whole_and_end_an_answer_as_calls(
    upstream: Upstream, gemini: Model
) -> None:
    bare = {"functionCall": {"name": "get_weather"}}
    upstream.play = [
        [chunk(call("北京", id="a"), call("上海")), chunk(bare, text("好")), chunk(finish="STOP")]
    ]
    heard = await ask(gemini)
    assert [it.get("city") for _, it in heard.calls] == ["北京", "上海", None]
    assert (heard.ids[0], len(set(heard.ids)), heard.finish) == ("a", 3, "tool_calls")


@pytest.mark.parametrize("script", [ANSWER, (chunk(call("北京", id="a"), finish="STOP"),)])
async def test_an_answer_cut_between_any_two_bytes_is_the_same(
    upstream: Upstream, gemini: Model, script: tuple[bytes, ...]
) -> None:
    upstream.play = [script, bytewise(script)]
    whole, cut = await ask(gemini), await ask(gemini)
    assert whole.outputs == cut.outputs
    assert cut.error is None


async def test_the_last_count_wins_and_the_cache_s_share_is_told(
    upstream: Upstream, gemini: Model
) -> None:
    last = {"usageMetadata": {**counted()["usageMetadata"], "cachedContentTokenCount": 8}}
    upstream.play = [[chunk(text("好"), finish="STOP", **counted(said=1)), frame(last)]]
    assert (await ask(gemini)).usage == Usage(12, 6, 8)
    upstream.play = [[chunk(text("好"), finish="STOP", usageMetadata={"promptTokenCount": "x"})]]
    assert (await ask(gemini)).usage is None


ENDS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "IMAGE_SAFETY": "content_filter",
}


@pytest.mark.parametrize(("word", "reason"), ENDS.items())
async def test_reasons_for_the_end_have_our_names(
    upstream: Upstream, gemini: Model, word: str, reason: str
) -> None:
    upstream.play = [[chunk(text("今天")), chunk(finish=word), CUT]]
    heard = await ask(gemini)
    assert (heard.text, heard.finish, heard.error) == ("今天", reason, None)


@pytest.mark.parametrize(
    "word",
    ["MALFORMED_FUNCTION_CALL", "OTHER", "UNEXPECTED_TOOL_CALL", "FINISH_REASON_UNSPECIFIED", "?"],
)
async def test_any_other_reason_is_no_end(upstream: Upstream, gemini: Model, word: str) -> None:
    upstream.play = [[chunk(text("今天")), chunk(finish=word)], [chunk(finish=word)]]
    heard = await ask(gemini)
    assert (heard.text, heard.failure) == ("今天", ("interrupted", "aborted"))
    assert (await ask(gemini)).failure == ("unavailable", "aborted")


@pytest.mark.parametrize("end", [[], [CUT], [RESET], [chunk(text(""))], [frame(counted())]])
async def test_a_stop_is_not_an_end(upstream: Upstream, gemini: Model, end: list[Any]) -> None:
    upstream.play = [[*ANSWER[:2], *end]]
    heard = await ask(gemini)
    assert (heard.text, heard.finish) == ("今天推荐", None)
    assert heard.failure[0] == "interrupted"


async def test_a_question_that_is_blocked_is_an_end_without_text(
    upstream: Upstream, gemini: Model
) -> None:
    blocked = frame({"promptFeedback": {"blockReason": "SAFETY"}, **counted(said=None)})
    upstream.play = [[blocked], [chunk(finish="SAFETY")], [chunk(finish="STOP")]]
    assert (await ask(gemini)).finish == "content_filter"
    assert (await ask(gemini)).finish == "content_filter"
    assert (await ask(gemini)).failure == ("unavailable", "empty")


async def test_only_the_first_of_several_answers_is_read(upstream: Upstream, gemini: Model) -> None:
    other = {"index": 1, "content": {"parts": [text("别的")]}, "finishReason": "OTHER"}
    upstream.play = [[chunk(text("今天")), frame({"candidates": [other]}), chunk(finish="STOP")]]
    assert (await ask(gemini)).text == "今天"


ERRORS = {
    "UNAUTHENTICATED": ("refused", "auth"),
    "PERMISSION_DENIED": ("refused", "auth"),
    "INVALID_ARGUMENT": ("refused", "invalid_request"),
    "NOT_FOUND": ("refused", "unknown_model"),
    "RESOURCE_EXHAUSTED": ("unavailable", "rate_limit"),
    "UNAVAILABLE": ("unavailable", "server"),
    "INTERNAL": ("unavailable", "server"),
}


@pytest.mark.parametrize(("status", "failure"), ERRORS.items())
async def test_an_error_inside_an_answer_is_classed(
    upstream: Upstream, gemini: Model, status: str, failure: tuple[str, str]
) -> None:
    told = {"error": {"code": 0, "message": f"no {KEY}", "status": status}}
    upstream.play = [
        [frame(told)],
        [*ANSWER[:2], frame(told), ANSWER[2]],
        [b"data: [%b]\n\n" % json.dumps(told).encode()],
    ]
    first, later, listed = await ask(gemini), await ask(gemini), await ask(gemini)
    assert first.failure == listed.failure == failure
    assert KEY not in str(first.error)
    kind = "interrupted" if failure[0] == "unavailable" else "refused"
    assert (later.failure, later.text) == ((kind, failure[1]), "今天推荐")


async def test_a_limit_by_the_minute_is_no_empty_purse(upstream: Upstream, gemini: Model) -> None:
    words = "You exceeded your current quota, please check your plan and billing details."
    again = refusal(429, f"{words}\nPlease retry in 8.25s.")
    upstream.play = [again, refusal(429, f"{words} Please retry in 250ms."), refusal(429, words)]
    heard = await ask(gemini)
    assert heard.failure == ("unavailable", "rate_limit")
    assert heard.error is not None
    assert (heard.error.retry_after_s, heard.error.status) == (8.25, 429)
    assert (await ask(gemini)).failure == ("unavailable", "rate_limit")
    assert (await ask(gemini)).failure == ("refused", "quota")


async def test_an_answer_that_comes_as_one_list_is_an_answer_too(
    upstream: Upstream, gemini: Model
) -> None:
    body = b"[%b]" % b",\n".join(it.removeprefix(b"data: ").strip() for it in ANSWER)
    upstream.play = [[Head(body=body)], [Head(body=b'[{"error": {"status": "UNAVAILABLE"}}]')]]
    heard = await ask(gemini)
    assert (heard.text, heard.finish, heard.usage) == ("今天推荐", "stop", Usage(12, 6))
    assert (await ask(gemini)).failure == ("unavailable", "server")


async def test_an_event_that_cannot_be_read_is_left_out(upstream: Upstream, gemini: Model) -> None:
    upstream.play = [[ANSWER[0], b"data: {oops\n\n", b'data: "x"\n\n', *ANSWER[1:]]]
    heard = await ask(gemini)
    assert (heard.text, heard.skipped, heard.finish) == ("今天推荐", 2, "stop")


async def test_a_wrong_key_is_told_by_status_and_not_repeated(
    upstream: Upstream, gemini: Model
) -> None:
    body = json.dumps({"error": {"code": 403, "message": f"bad key {KEY}"}}).encode()
    upstream.play = [[Head(403, body=body)]]
    heard = await ask(gemini)
    assert heard.failure == ("refused", "auth")
    assert KEY not in str(heard.error)


async def test_halves_of_a_character_are_joined(upstream: Upstream, gemini: Model) -> None:
    halves = rb"a\ud83d", rb"\ude00b"
    upstream.play = [
        [*(chunk(text("#")).replace(b"#", half) for half in halves), chunk(finish="STOP")]
    ]
    heard = await ask(gemini)
    assert (heard.text, heard.skipped, heard.finish) == ("a😀b", 0, "stop")
