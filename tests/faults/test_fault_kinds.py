"""Faults of the same kinds as those in `conformance/faults`, that nobody has written down yet."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from faults.writing import DONE, EVENTS, STOP, Steps, body, event, head, meet, say, sent, stream

TEXT = "今天推荐这款鞋"
PIECES = (say("今天"), say("推荐"), say("这款鞋"))
WHOLE = b"".join(PIECES) + STOP
PLAIN: dict[str, Steps] = {
    # How an answer is framed
    "[DONE] in quotes": stream(*PIECES, event('"[DONE]"')),
    "[DONE] in small letters": stream(*PIECES, event("[done]")),
    "an event called done": stream(*PIECES, b"event: done\ndata: {}\n\n"),
    "junk behind [DONE], in the same read": stream(WHOLE + say("GHOST") + b"junk\n\n"),
    "an error behind [DONE]": stream(WHOLE + event({"error": "late"})),
    "a byte order mark in the middle": stream(
        PIECES[0], b"\xef\xbb\xbf" + PIECES[1], PIECES[2], STOP
    ),
    "a byte order mark that is cut": stream(b"\xef", b"\xbb\xbf" + WHOLE),
    "named events and ids": stream(
        *(b"event: message\nid: 7\n" + piece for piece in PIECES), b"event: message\n" + STOP
    ),
    "only the first line break is missing": stream(b": hi\n", WHOLE),
    # What else a server sends in place of a stream
    "a stream as JSON": sent(head("Content-Type: application/json"), WHOLE),
    "a stream as a page": sent(head("Content-Type: text/html"), WHOLE),
    "a stream without a type": sent(head(), WHOLE),
    "status 201": sent(head(EVENTS, status="201 Created"), WHOLE),
    "hints before the answer": sent(
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n", head(EVENTS), WHOLE
    ),
    "HTTP/1.0": sent(head(EVENTS, version="1.0"), WHOLE),
    "a completion as an event stream": body(
        {"choices": [{"message": {"content": TEXT}, "finish_reason": "stop"}]}, "text/event-stream"
    ),
    "a completion behind blank lines": sent(
        head("Content-Type: application/json"),
        b"\n \n",
        json.dumps({"choices": [{"message": {"content": TEXT}, "finish_reason": "stop"}]}).encode(),
    ),
    "a completion of a completions endpoint": body(
        {"object": "text_completion", "choices": [{"text": TEXT, "finish_reason": "stop"}]}
    ),
    "chunks as lines of JSON": body(WHOLE.replace(DONE, b"").replace(b"data: ", b"")),
    # Payloads
    "the whole message once more at the end": stream(
        *PIECES,
        event(
            {
                "choices": [
                    {"delta": {}, "message": {"content": TEXT}, "finish_reason": "stop"},
                ]
            }
        ),
        DONE,
    ),
    "the whole message alone at the end": stream(
        *PIECES,
        event({"choices": [{"message": {"content": TEXT}, "finish_reason": "stop"}]}),
    ),
    "messages in place of deltas": stream(
        *(event({"choices": [{"message": {"content": part}}]}) for part in ("今天", "推荐这款鞋")),
        event({"choices": [{"message": {}, "finish_reason": "stop"}]}),
    ),
    "choices that are null": stream(*PIECES, event({"choices": None, "object": "x"}), STOP),
    "parts of several types": stream(
        say([{"type": "text", "text": "今天"}, {"type": "text", "text": "推荐"}]),
        say([{"type": "output_text", "text": "这款鞋"}]),
        STOP,
    ),
    "one part without a list": stream(say({"type": "text", "text": TEXT}), STOP),
    "a refusal in words": stream(say(None, refusal="今天推荐"), say(refusal="这款鞋"), STOP),
    "'null' for no reason yet": stream(
        say("今天", "null"), say("推荐", "None"), say("这款鞋", ""), STOP
    ),
    "an error that says nothing": stream(
        *(
            piece.replace(b"}]}", b'}], "error": {"code": "", "message": null}}')
            for piece in PIECES
        ),
        STOP,
    ),
    "error: false and code: 0": stream(
        *(piece.replace(b"}]}", b'}], "error": false, "code": 0}') for piece in PIECES), STOP
    ),
    "a usage that is a word": stream(
        *(piece.replace(b"}]}", b'}], "usage": "n/a"}') for piece in PIECES), STOP
    ),
    "the second of two choices ends first": stream(
        PIECES[0],
        event({"choices": [{"index": 1, "delta": {"content": "别"}, "finish_reason": "error"}]}),
        *PIECES[1:],
        STOP,
    ),
    # Compressed
    "gzip at once": sent(
        head(EVENTS, "Content-Encoding: gzip"),
        gzip.compress(WHOLE),
    ),
    "deflate": sent(head(EVENTS, "Content-Encoding: deflate"), zlib.compress(WHOLE)),
    "an encoding that nobody knows": sent(head(EVENTS, "Content-Encoding: x-own"), WHOLE),
    "a complaint in plain words that was not the end": stream(
        PIECES[0], event("upstream error"), *PIECES[1:], DONE
    ),
    "words that complain of nothing": stream(*PIECES, event("bye"), DONE),
    # A connection that breaks when all was said
    "a length that is too long": sent(head(EVENTS, "Content-Length: 90000"), WHOLE),
    "a chunk that is none, behind the end": sent(
        head(EVENTS, "Transfer-Encoding: chunked"),
        0.02,  # in one read with the head, aiohttp takes the head for broken
        b"%x\r\n%b\r\n" % (len(WHOLE), WHOLE) + b"zz\r\n",
    ),
    "a reset behind the end": [*stream(WHOLE), {"pause_ms": 20}, {"reset": True}],
}


@pytest.mark.parametrize("name", PLAIN)
async def test_an_answer_that_is_whole_is_told_whole(name: str) -> None:
    result = await meet(PLAIN[name])
    assert (result["outcome"], result["text"]) == ("ok", TEXT), result
    assert result["finish_reason"] == "stop"


def flushed(data: bytes) -> bytes:
    """Compressed so that all of it can be read, but without an end."""
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)


CUT: dict[str, Steps] = {
    "a chunk size that is none, in the same read": sent(
        head(EVENTS, "Transfer-Encoding: chunked"),
        0.02,
        b"%x\r\n%b\r\n" % (len(say("今天推荐")), say("今天推荐")) + b"zz\r\n",
    ),
    "too little for its length, in the same read": sent(
        head(EVENTS, "Content-Length: 9000") + say("今天推荐")
    ),
    "gzip that is cut": sent(head(EVENTS, "Content-Encoding: gzip"), flushed(say("今天推荐"))),
    "a [DONE] that is cut": stream(say("今天推荐"), b"data: [DO"),
    "a finish that is cut": stream(say("今天推荐"), say(finish="stop")[:-9]),
    "a page in the middle": stream(say("今天推荐"), b"<html>Bad Gateway</html>\n"),
    "a role and no more": stream(say("今天推荐"), say("", role="assistant")),
    "a finish of another choice": stream(
        say("今天推荐"),
        event({"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]}),
    ),
    "reasons that are none": stream(say("今天推荐", "null"), say(finish="")),
}


@pytest.mark.parametrize("name", CUT)
async def test_an_answer_that_is_cut_is_told_cut_and_nothing_of_it_is_lost(name: str) -> None:
    result = await meet(CUT[name])
    assert (result["outcome"], result["text"]) == ("truncated", "今天推荐"), result


def broken(kind: str, *parts: bytes, text: str = "") -> tuple[str, str, Steps]:
    return kind, text, stream(*parts)


ERRORS: dict[str, tuple[str, str, Steps]] = {
    "rate limit by type": broken("rate_limit", event({"error": {"type": "rate_limit_error"}})),
    "rate limit by number": broken("rate_limit", event({"error": {"code": 429, "message": "x"}})),
    "rate limit of Google": broken(
        "rate_limit", event([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}])
    ),
    "rate limit of DashScope": broken(
        "rate_limit",
        b'event: error\ndata: {"code":"Throttling.AllocationQuota","message":"quota exceeded"}\n\n',
    ),
    "rate limit of MiniMax": broken(
        "rate_limit", event({"base_resp": {"status_code": 1002, "status_msg": "rate limit"}})
    ),
    "rate limit of Groq": broken(
        "rate_limit",
        event({"choices": [], "x_groq": {"error": "rate limit reached"}}),
    ),
    "overloaded in words": broken("overloaded", event({"error": "The model is overloaded"})),
    "busy in Chinese": broken("overloaded", event({"error": {"message": "系统繁忙，请稍后再试"}})),
    "overloaded in the middle": broken(
        "overloaded", say("今天"), event({"error": {"type": "overloaded_error"}}), text="今天"
    ),
    "no money": broken("quota", event({"error": {"code": "insufficient_quota"}})),
    "no money in Chinese": broken("quota", event({"error": {"message": "账户余额不足"}})),
    "the key": broken("auth", event({"error": {"message": "no", "code": "invalid_api_key"}})),
    "too long": broken(
        "invalid_request", event({"error": {"code": "context_length_exceeded", "message": "x"}})
    ),
    "what vLLM says": broken(
        "invalid_request",
        event({"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}),
    ),
    "no such model": broken("unknown_model", event({"error": {"code": "model_not_found"}})),
    "a number that is text": broken("server", event({"error": {"code": "502", "message": "x"}})),
    "a list of errors": broken("server", event({"errors": [{"message": "boom"}]})),
    "true": broken("server", event({"error": True, "message": "boom"})),
    "an error in a choice": broken(
        "server",
        say("今天"),
        event({"choices": [{"delta": {}, "error": {"code": 502}, "finish_reason": "error"}]}),
        text="今天",
    ),
    "an error inside an error": broken(
        "rate_limit",
        event({"error": {"message": json.dumps({"error": {"code": 429, "message": "slow"}})}}),
    ),
    "an error event in words": broken("server", b"event: error\ndata: it broke\n\n"),
    "a complaint in plain words, then an end": broken(
        "server", say("今天"), event("Internal Server Error"), DONE, text="今天"
    ),
    "nothing that can be read": broken("protocol", event("hello"), event("{")),
    "an encoding that is not had": (
        "protocol",
        "",
        sent(head(EVENTS, "Content-Encoding: zstd"), WHOLE),
    ),
    "too many headers": (
        "protocol",
        "",
        sent(head(*(f"X-{n}: 1" for n in range(999)))),
    ),
    "an error, then an end": broken("server", event({"error": "boom"}), STOP),
    "an error glued to half a chunk": broken(
        "rate_limit",
        say("今天"),
        b'data: {"id":"x","choices":[{"delta":{"cont{"error":{"code":429}}\n\n',
        text="今天",
    ),
    "an error as a bare line": broken(
        "rate_limit", say("今天"), b'{"error":{"code":429}}\n', text="今天"
    ),
    "an error as the whole body": ("rate_limit", "", body({"error": {"code": 429}}, EVENTS[14:])),
    "a detail as the whole body": ("auth", "", body({"detail": "Unauthorized"})),
    "an error in a list": ("server", "", body([{"error": {"code": 500, "message": "x"}}])),
    "a page": ("protocol", "", body(b"<!DOCTYPE html><p>Sign in</p>", "text/html")),
    "a page as a stream": ("protocol", "", body(b"\n <html></html>", EVENTS[14:])),
    "words": ("protocol", "", body(b"upstream connect error or disconnect", "text/plain")),
    "half a document": ("protocol", "", body(b'{"choices": [{"mess')),
    "an empty document": ("empty", "", body({})),
    "no content": ("empty", "", sent(head(status="204 No Content"))),
    "an encoding that is not there": (
        "protocol",
        "",
        sent(head(EVENTS, "Content-Encoding: deflate"), b"\xff" * 50),
    ),
    "no HTTP": ("protocol", "", sent(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")),
    "a header that does not end": (
        "protocol",
        "",
        [*sent(b"HTTP/1.1 200 OK\r\nX: "), {"send_text": "a" * 1024, "repeat": 1024}],
    ),
    "reset before the head": ("connection", "", [{"reset": True}]),
    "given up": broken(
        "server", say("今天"), say(finish="insufficient_system_resource"), text="今天"
    ),
    "given up by the engine": broken("server", say(finish="abort"), DONE),
    "thoughts and no answer": broken("empty", say(reasoning_content="想"), STOP),
}

FATAL = {"quota", "auth", "invalid_request", "unknown_model"}


@pytest.mark.parametrize("name", ERRORS)
async def test_an_error_is_classed_by_what_it_says_wherever_it_stands(name: str) -> None:
    kind, text, steps = ERRORS[name]
    result = await meet(steps)
    wide = "invalid_request" if kind == "unknown_model" else kind
    assert (result["error"] or {}).get("kind") == wide, result
    assert result["outcome"] == ("fatal_error" if kind in FATAL else "retryable_error")
    assert result["text"] == text


WAITS: dict[str, tuple[float | None, dict[str, Any]]] = {
    "a field": (3.0, {"type": "rate_limit_error", "retry_after": 3}),
    "milliseconds": (1.5, {"type": "rate_limit_error", "retry_after_ms": 1500}),
    "Google's": (
        12.0,
        {
            "code": 429,
            "message": "You exceeded your current quota",
            "details": [{"@type": "RetryInfo", "retryDelay": "12s"}],
        },
    ),
    "words": (0.02, {"code": 429, "message": "Rate limit reached. Please try again in 20ms."}),
    "nonsense": (None, {"code": 429, "retry_after": -5}),
    "endless": (None, {"code": 429, "retry_after": 1e300}),
}


@pytest.mark.parametrize("name", WAITS)
async def test_an_error_inside_an_answer_may_say_when_to_come_again(name: str) -> None:
    wait_s, error = WAITS[name]
    result = await meet(stream(event({"error": error})))
    assert result["error"]["kind"] == "rate_limit"
    assert result["error"]["retry_after_s"] == wait_s


STATUSES: dict[str, tuple[str, Steps]] = {
    "402": ("quota", sent(head(status="402 Payment Required"))),
    "404 of a model": ("invalid_request", sent(head(status="404 Not Found"))),
    "408": ("timeout", sent(head(status="408 Request Timeout"))),
    "413": ("invalid_request", sent(head(status="413 Content Too Large"))),
    "500": ("server", sent(head(status="500 Oops"))),
    "503 with nothing": ("overloaded", sent(head("Content-Length: 0", status="503 No"))),
    "524 of a proxy": ("server", sent(head(status="524 A Timeout Occurred"))),
    "301": ("protocol", sent(head("Location: /v2/x", status="301 Moved Permanently"))),
    "302 to a login": ("protocol", sent(head("Location: /login", status="302 Found"))),
    "307 without a place": ("protocol", sent(head(status="307 Temporary Redirect"))),
    "308 to another scheme": (
        "protocol",
        sent(head("Location: https://127.0.0.1/v1", status="308 Permanent Redirect")),
    ),
}


@pytest.mark.parametrize("name", STATUSES)
async def test_a_status_is_classed_without_a_word_of_a_body(name: str) -> None:
    kind, steps = STATUSES[name]
    result = await meet(steps)
    assert result["error"]["kind"] == kind
    passing = kind in {"timeout", "server", "overloaded"}
    assert result["outcome"] == ("retryable_error" if passing else "fatal_error")
    assert len(result["heads"]) == 1
