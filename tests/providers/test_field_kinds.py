"""Kinds of answers that users of many vendors have reported, by their bytes, cut anywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from providers.test_readers import Heard, bytewise, model_for, read
from support import messages_wire as messages
from support import responses_wire as responses
from support.upstream import DONE, END, chunk, counted, frame
from unspool.providers import Finish, Reasoning, ToolCall, Usage


def told(provider: str, *pieces: bytes, quirks: frozenset[str] = frozenset()) -> Heard:
    """What an answer says, which must be the same in one piece and byte by byte."""
    model = replace(model_for(provider), quirks=quirks)
    whole, body = read(model, pieces), b"".join(pieces)
    assert read(model, bytewise(body)) == whole
    assert read(model, [body]) == whole
    return whole


def finish(heard: Heard) -> str | None:
    return next((it.reason for it in heard.outputs if isinstance(it, Finish)), None)


def usage(heard: Heard) -> Usage | None:
    return next((it for it in heard.outputs if isinstance(it, Usage)), None)


def thought(heard: Heard) -> str:
    return "".join(it.text for it in heard.outputs if isinstance(it, Reasoning))


SAID = (chunk("Hello"), chunk(" wor"))
BOOM = b'{"code":500,"message":"slot is gone","type":"server_error"}'

OUTSIDE = {
    "a field": b"error: %b\n\n" % BOOM,
    "a field without a blank": b"error:%b\n\n" % BOOM,
    "a field, and nothing behind it": b"error: %b\n" % BOOM,
    "a field in words": b"error: the slot is gone\n\n",
    "a field in capitals": b"ERROR: the slot is gone\n\n",
    "several errors": b"errors: [%b]\n\n" % BOOM,
    "an exception": b"exception: RuntimeError('slot')\n",
    "bare JSON": b'{"error": %b}\n\n' % BOOM,
    "bare JSON of another form": b'{"code": 500, "msg": "slot is gone", "success": false}\n',
    "JSON under an event": b'event: error\n{"message": "slot is gone"}\n\n',
}


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("behind", [(DONE,), END, ()])
def test_an_error_outside_of_any_data_is_no_end(name: str, behind: tuple[bytes, ...]) -> None:
    heard = told("openai", *SAID, OUTSIDE[name], *behind)
    assert (heard.said, finish(heard)) == ("Hello wor", None)
    assert heard.error == ("ProviderInterrupted", "server")


def test_an_error_outside_of_any_data_may_come_first() -> None:
    full = b'error: {"code":400,"message":"exceeds the context size","type":"server_error"}\n\n'
    assert told("openai", full, DONE).error == ("ProviderRefused", "invalid_request")


def test_fields_that_are_no_errors_are_left_out() -> None:
    odd = (
        b"error: null\n",
        b"error:\n",
        b"errors: {}\n\n",
        b"errorless: x\n\n",
        b"retry: 5\n\n",
        b"x-y: error\n\n",
        b": error: ping\n\n",
    )
    heard = told("openai", SAID[0], *odd, SAID[1], *END)
    assert (heard.said, finish(heard)) == ("Hello wor", "stop")


ENVELOPES: dict[str, tuple[str, bytes]] = {
    "code and msg": ("auth", b'{"code":401,"msg":"token expired","success":false}'),
    "code as text": ("auth", b'{"code":"401","msg":"token expired"}'),
    "success alone": ("server", b'{"success":false,"errMsg":"try later"}'),
    "errno": ("server", b'{"errno":336100,"errmsg":"try later"}'),
    "base_resp": ("auth", b'{"base_resp":{"status_code":1004,"status_msg":"invalid api key"}}'),
    "base_resp with usage": (
        "quota",
        b'{"choices":null,"usage":{"total_tokens":0},'
        b'"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}',
    ),
    "base_resp beside a choice": (
        "rate_limit",
        b'{"choices":[{"delta":{}}],"base_resp":{"status_code":1002,"status_msg":"rate limit"}}',
    ),
    "Volcengine's": (
        "auth",
        b'{"ResponseMetadata":{"Error":{"Code":"AccessDenied","Message":"no permission"}}}',
    ),
    "a gateway's": ("rate_limit", b'{"fault":{"faultstring":"Rate limit quota violation"}}'),
    "a status in words": ("server", b'{"status":"error","message":"try later"}'),
    "FastAPI's": ("invalid_request", b'{"status":422,"detail":[{"loc":["a"],"msg":"bad"}]}'),
}


@pytest.mark.parametrize("name", ENVELOPES)
@pytest.mark.parametrize("form", [b"%b", b"data: %b\n\n"])
def test_an_error_in_an_envelope_is_an_error(name: str, form: bytes) -> None:
    code, body = ENVELOPES[name]
    heard = told("openai", form % body)
    assert heard.error is not None
    assert heard.error[1] == code
    assert finish(heard) is None


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "responses", "ollama"])
def test_an_envelope_is_read_whatever_the_provider_speaks(provider: str) -> None:
    body = b'{"code":401,"msg":"token expired","success":false}\n'
    assert told(provider, body).error == ("ProviderRefused", "auth")


GOOD = b'{"code":0,"msg":"success","success":true}'


def test_an_envelope_that_tells_of_success_is_no_error() -> None:
    fine = b'"base_resp":{"status_code":0,"status_msg":""}'
    pieces = [piece.replace(b'{"choices"', b'{%b, "choices"' % fine) for piece in SAID]
    heard = told("openai", b"data: %b\n\n" % GOOD, *pieces, *END)
    assert (heard.said, finish(heard), heard.error) == ("Hello wor", "stop", None)


IN_BAND: dict[str, Any] = {
    "in the chunk": {"error": {"code": 502, "message": "boom"}, "choices": []},
    "beside a choice": {
        "error": {"code": 502, "message": "boom"},
        "choices": [{"delta": {"content": ""}, "finish_reason": "error"}],
    },
    "in the choice": {"choices": [{"error": {"message": "boom"}, "finish_reason": "stop"}]},
    "in the delta": {"choices": [{"delta": {"error": {"message": "boom"}}}]},
    "as the reason": {"choices": [{"delta": {}, "finish_reason": "error"}]},
    "of Groq": {"choices": [], "x_groq": {"error": "boom"}},
}


@pytest.mark.parametrize("name", IN_BAND)
def test_an_error_within_an_answer_is_never_an_end(name: str) -> None:
    heard = told("openai", *SAID, frame(IN_BAND[name]), *END)
    assert (heard.said, finish(heard)) == ("Hello wor", None)
    assert heard.error is not None


def filtered(is_filtered: bool, **more: Any) -> bytes:
    found = {"hate": {"filtered": is_filtered, "severity": "safe"}}
    return frame({"choices": [{"index": 0, "content_filter_results": found, **more}]})


def test_a_filter_beside_the_answer_is_told_as_the_reason() -> None:
    harmless = told("openai", SAID[0], filtered(False), SAID[1], filtered(False), *END)
    assert (harmless.said, finish(harmless)) == ("Hello wor", "stop")
    late = told("openai", *SAID, chunk(finish="stop"), filtered(True), DONE)
    assert finish(late) == "content_filter"
    ended = told("openai", *SAID, filtered(True, finish_reason="content_filter"), DONE)
    assert finish(ended) == "content_filter"


def test_a_chunk_without_a_delta_is_a_chunk() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a": 1}'}}
    last = frame(
        {
            "choices": [{"index": 0, "finish_reason": "tool_calls"}],
            "usage": {
                "prompt_tokens": 20,
                "completion_tokens": 4,
                "total_tokens": 24,
                "cache_read_input_tokens": 0,
                "prompt_tokens_details": {"cached_tokens": 16},
            },
        }
    )
    heard = told("openai", frame({"choices": None}), chunk(tool_calls=[call]), last, DONE)
    assert [it.arguments for it in heard.outputs if isinstance(it, ToolCall)] == [{"a": 1}]
    assert (usage(heard), finish(heard)) == (Usage(20, 4, 16), "tool_calls")


@pytest.mark.parametrize("word", ["pause_turn", "compaction", "something_new"])
def test_a_turn_that_is_not_over_has_no_end(word: str) -> None:
    heard = told("anthropic", *messages.SAID, messages.stop(word), messages.OVER)
    assert (heard.said, finish(heard)) == ("今天推荐", None)
    assert heard.error == ("ProviderInterrupted", "paused" if word == "pause_turn" else "aborted")


def gone_on(first: dict[str, int], last: dict[str, int]) -> Usage | None:
    heard = told(
        "anthropic",
        messages.event("message_start", message={"usage": first}),
        messages.delta(text="Hello"),
        messages.event("message_delta", delta={"stop_reason": "end_turn"}, usage=last),
        messages.OVER,
    )
    return usage(heard)


CACHE = {"cache_read_input_tokens": 1000, "cache_creation_input_tokens": 200}
NO_CACHE = {"cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
REPORTS: list[tuple[dict[str, int], dict[str, int], Usage]] = [
    ({"input_tokens": 15}, {"input_tokens": 0, "output_tokens": 9}, Usage(15, 9)),
    ({"input_tokens": 0}, {"input_tokens": 15, "output_tokens": 9}, Usage(15, 9)),
    ({"input_tokens": 15}, {"output_tokens": 9}, Usage(15, 9)),
    ({}, {"input_tokens": 15, "output_tokens": 9}, Usage(15, 9)),
    *(
        (
            {"input_tokens": 3, **CACHE},
            {"input_tokens": 3, "output_tokens": 9, **more},
            Usage(1203, 9, 1000, written_tokens=200),
        )
        for more in ({}, NO_CACHE, CACHE)
    ),
]  # fmt: skip


@pytest.mark.parametrize(("first", "last", "counts"), REPORTS)
def test_a_poorer_report_takes_nothing_back(
    first: dict[str, int], last: dict[str, int], counts: Usage
) -> None:
    found = gone_on(first, last)
    assert found is not None
    assert replace_none(found) == replace_none(counts)


def replace_none(it: Usage) -> tuple[int | None, ...]:
    return it.prompt_tokens, it.completion_tokens, it.cached_tokens or 0, it.written_tokens or 0


def report(prompt: int, completion: int, total: int = 0, **details: Any) -> bytes:
    facts = {"prompt_tokens": prompt, "completion_tokens": completion, **details}
    return frame({"choices": [], "usage": {**facts, **({"total_tokens": total} if total else {})}})


def of_thought(tokens: int) -> dict[str, Any]:
    return {"completion_tokens_details": {"reasoning_tokens": tokens}}


COUNTS: dict[str, tuple[Usage, bytes]] = {
    "reasoning beside": (Usage(12, 387), report(12, 1, 399, **of_thought(386))),
    "reasoning beside, more said": (Usage(12, 500), report(12, 300, 512, **of_thought(200))),
    "reasoning beside, no total": (Usage(12, 387), report(12, 1, **of_thought(386))),
    "reasoning inside": (Usage(12, 387), report(12, 387, 399, **of_thought(386))),
    "reasoning inside, no total": (Usage(12, 387), report(12, 387, **of_thought(386))),
    "reasoning known by the sum alone": (Usage(12, 108), report(12, 5, 120)),
    "all of it reasoning": (Usage(12, 386), report(12, 386, 398, **of_thought(386))),
    "cache inside": (
        Usage(20, 4, 16),
        report(20, 4, 24, prompt_tokens_details={"cached_tokens": 16}),
    ),
    "cache beside": (Usage(19, 4, 16), report(3, 4, 23, prompt_cache_hit_tokens=16)),
    "cache written": (
        Usage(20, 4, 6, written_tokens=10),
        report(20, 4, prompt_tokens_details={"cached_tokens": 6, "cache_write_tokens": 10}),
    ),
    "a poorer one behind": (Usage(10, 20), counted(10, 20) + report(0, 0)),
    "half a poorer one behind": (Usage(10, 21), counted(10, 20) + report(0, 21)),
    "an impossible one behind": (Usage(10, 20), counted(10, 20) + report(-1, 5)),
}


@pytest.mark.parametrize("name", COUNTS)
def test_tokens_are_counted_once_and_all_of_them(name: str) -> None:
    counts, pieces = COUNTS[name]
    assert usage(told("openai", chunk("4"), chunk(finish="stop"), pieces, DONE)) == counts


def item(place: int, **facts: Any) -> tuple[str, dict[str, Any]]:
    return "response.output_item.done", {"output_index": place, "item": facts}


def part(event: str, place: int = 1, content: int = 0, **facts: Any) -> tuple[str, dict[str, Any]]:
    where = {"item_id": f"i{place}", "output_index": place, "content_index": content}
    return f"response.{event}", {**where, **facts}


MIND = {"id": "i0", "type": "reasoning", "summary": [{"type": "summary_text", "text": "想"}]}
WHOLE = {"id": "i1", **responses.message("你好")}
TWO = {"id": "i1", **responses.message("你", "好")}
DELTAS = (part("output_text.delta", delta="你"), part("output_text.delta", delta="好"))
CLOSING: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "text done": (item(0, **MIND), part("output_text.done", text="你好"), responses.ended()),
    "text and item done": (
        item(0, **MIND),
        part("output_text.done", text="你好"),
        part("content_part.done", part={"type": "output_text", "text": "你好"}),
        item(1, **WHOLE),
        responses.ended(output=[]),
    ),
    "item done": (item(0, **MIND), item(1, **WHOLE), responses.ended(output=[WHOLE])),
    "two parts of an item": (item(0, **MIND), item(1, **TWO), responses.ended()),
    "two parts done": (
        item(0, **MIND),
        part("output_text.done", text="你"),
        part("output_text.done", content=1, text="好"),
        item(1, **TWO),
        responses.ended(),
    ),
    "the response alone": (responses.ended(output=[MIND, WHOLE]),),
    "all of it": (
        part("reasoning_summary_text.delta", 0, delta="想", summary_index=0),
        part("reasoning_summary_text.done", 0, text="想", summary_index=0),
        item(0, **MIND),
        *DELTAS,
        part("output_text.done", text="你好"),
        part("content_part.done", part={"type": "output_text", "text": "你好"}),
        item(1, **WHOLE),
        responses.ended(output=[MIND, WHOLE]),
    ),
    "text done too early": (
        item(0, **MIND),
        DELTAS[0],
        part("output_text.done", text="你"),
        item(1, **responses.message("你")),
        DELTAS[1],
        responses.ended(output=[responses.message("你")]),
    ),
    "the response without the thought": (
        item(0, **MIND),
        *DELTAS,
        responses.ended(output=[WHOLE]),
    ),
    "raw thoughts, and a summary of them": (
        part("reasoning_text.delta", 0, delta="想"),
        item(0, **MIND),
        *DELTAS,
        responses.ended(),
    ),
}


@pytest.mark.parametrize("name", CLOSING)
def test_an_answer_may_come_only_when_it_is_done_and_counts_once(name: str) -> None:
    heard = told("responses", *responses.numbered(responses.CREATED, *CLOSING[name]))
    assert (thought(heard), heard.said, finish(heard)) == ("想", "你好", "stop")


@pytest.mark.parametrize("state", ["failed", "cancelled", "incomplete"])
def test_a_response_that_is_called_completed_and_is_not(state: str) -> None:
    facts = {"incomplete_details": {"reason": "crashed"}} if state == "incomplete" else {}
    last = "response.completed", {"response": {"status": state, "error": {"message": "x"}, **facts}}
    heard = told("responses", *responses.numbered(responses.CREATED, *DELTAS, last))
    assert (heard.said, finish(heard)) == ("你好", None)


def test_parts_of_a_summary_stand_apart() -> None:
    summary = (
        part("reasoning_summary_text.delta", 0, delta=text, summary_index=number)
        for number, text in ((0, "**First** "), (0, "a"), (1, "**Second** b"))
    )
    events = responses.numbered(responses.CREATED, *summary, *DELTAS, responses.ended())
    assert thought(told("responses", *events)) == "**First** a\n\n**Second** b"


def test_thoughts_of_two_blocks_stand_apart() -> None:
    blocks = (
        messages.block(0, type="thinking", thinking=""),
        messages.delta(0, thinking="a"),
        messages.block(1, type="thinking", thinking=""),
        messages.delta(1, thinking="b"),
    )
    heard = told("anthropic", messages.START, *blocks, messages.delta(2, text="好"), *messages.END)
    assert (thought(heard), heard.said) == ("a\n\nb", "好")
