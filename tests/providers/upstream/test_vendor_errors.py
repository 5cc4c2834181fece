"""What vendors' errors mean, and what of them is told on."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from faults.writing import STOP, Steps, body, event, head, meet, say, sent, stream
from unspool import Model
from unspool.providers.upstream.vendor_errors import error_in, of_status, told_by, without_key

MODEL = Model("m", "openai", "m", "http://x", "8WZ01CM1-no-known-shape-22")

ERRORS: list[tuple[str, int | None, Any]] = [
    # As vendors document them, or as their users have reported them
    ("auth", 401, {"error": {"message": "Incorrect API key", "type": "invalid_request_error"}}),
    ("auth", 400, {"error": {"status": "INVALID_ARGUMENT", "message": "API key not valid."}}),
    ("auth", 403, {"error": {"message": "Your account has been deactivated"}}),
    ("auth", 200, {"error_code": 110, "error_msg": "Access token invalid: authentication failed"}),
    ("auth", 401, {"error": {"code": "1002", "message": "身份验证失败"}}),
    ("quota", 402, {"error": {"message": "Insufficient Balance", "type": "unknown_error"}}),
    ("quota", 400, {"code": "Arrearage", "message": "Access denied, please settle"}),
    ("quota", 403, {"code": "AllocationQuota.FreeTierOnly", "message": "The free tier is used up"}),
    ("quota", 400, {"error": {"type": "invalid_request_error", "message": "balance is too low"}}),
    ("quota", 429, {"error": {"message": "You exceeded your current quota, please check"}}),
    ("quota", 403, {"error": {"code": "AccountOverdueError", "message": "overdue"}}),
    ("quota", 429, {"error": {"code": "1113", "message": "您的账户已欠费，请充值后重试"}}),
    ("rate_limit", 429, {"code": "Throttling.AllocationQuota", "message": "quota exceeded"}),
    ("rate_limit", 429, {"error": {"code": "limit_requests", "type": "limit_requests"}}),
    ("rate_limit", 429, {"error": {"code": "RateLimitExceeded.EndpointTPMExceeded"}}),
    ("rate_limit", 400, {"error": {"message": "Rate limit reached for gpt-4 on tokens per min"}}),
    ("rate_limit", 200, {"base_resp": {"status_code": 1002, "status_msg": "rate limit(RPM)"}}),
    ("rate_limit", 429, {"error": {"code": "1302", "message": "您当前使用该API的并发数过高"}}),
    ("rate_limit", 429, ""),
    ("overloaded", 503, {"error": {"status": "UNAVAILABLE", "message": "It is overloaded."}}),
    ("overloaded", 429, {"error": {"type": "engine_overloaded_error", "message": "try later"}}),
    ("overloaded", 529, ""),
    ("overloaded", 503, {"error": {"code": "ServerOverloaded"}}),
    ("unknown_model", 404, {"error": {"type": "not_found_error", "message": "model: x"}}),
    ("unknown_model", 400, {"error": {"code": "model_not_found", "type": "invalid_request_error"}}),
    ("unknown_model", 400, {"error": {"message": "The model `x` does not exist"}}),
    ("unknown_model", 404, {"code": "InvalidEndpointOrModel.NotFound", "message": "x"}),
    ("invalid_request", 400, {"error": {"code": "context_length_exceeded"}}),
    ("invalid_request", 422, {"detail": [{"loc": ["body"], "msg": "required"}]}),
    ("invalid_request", 400, {"object": "error", "message": "too long", "code": 400}),
    ("invalid_request", 400, {"code": "DataInspectionFailed", "message": "inappropriate content"}),
    ("invalid_request", 400, {"error": {"code": "content_filter", "message": "filtered"}}),
    ("invalid_request", None, {"error": {"message": "maximum context length is 32768 tokens"}}),
    ("server", 500, {"error": {"type": "api_error", "message": "Internal server error"}}),
    ("server", None, {"error": {"type": "GatewayTimeout", "code": 504, "message": "TimeoutError"}}),
    ("server", None, {"error": "an error was encountered while running the model"}),
    ("server", None, {"error": {"code": 502, "message": "Provider returned error"}}),
    ("server", 502, ""),
    ("timeout", 408, ""),
]  # fmt: skip


@pytest.mark.parametrize(("code", "status", "document"), ERRORS)
def test_an_error_means_what_its_vendor_means_by_it(
    code: str, status: int | None, document: Any
) -> None:
    error = error_in(document) if document else ""
    assert error is not None
    assert told_by(error, MODEL, None if status == 200 else status).code == code


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        None,
        "text",
        7,
        {"error": None},
        {"error": {}},
        {"error": ""},
        {"error": False},
        {"error": {"code": 0, "message": "", "type": None}},
        {"errors": []},
        {"object": "ping"},
        {"object": "trace", "latency_ms": 12},
        {"code": 0, "message": "success"},
        {"base_resp": {"status_code": 0, "status_msg": "success"}},
        {"choices": [], "code": 200, "message": "ok"},
        {"choices": [], "detail": "cached"},
    ],
)
def test_what_is_no_error_is_none(document: Any) -> None:
    assert error_in(document) is None


def test_every_status_has_a_code() -> None:
    assert {of_status(status) for status in range(500, 600)} == {"server", "overloaded"}
    assert of_status(418) == "invalid_request"
    assert of_status(304) == "redirect"


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: 8WZ01CM1-no-known-shape-22.",
        "key 8WZ01CM1-no-known-shape-2 (cut)",
        "key 8WZ01CM1-no-known…",
        "key …no-known-shape-22",
        "another one: sk-proj-abcdef1234567890ABCD",
        "Authorization: Bearer 8f14e45fceea167a5a36dedd4bea2543",
        "Google's: AIzaSyA-1234567890abcdefghijk",
        "a token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    ],
)
def test_keys_are_taken_out_of_what_vendors_say(text: str) -> None:
    told = without_key(text, MODEL)
    assert "[key]" in told
    for secret in (
        "8WZ01CM1-no-known",
        "known-shape-22",
        "abcdef1234",
        "8f14e45f",
        "AIzaSy",
        "eyJ",
    ):
        assert secret not in told


@pytest.mark.parametrize(
    "text",
    [
        "see https://example.com/account/api-keys for your keys",
        "model gpt-4o-mini-2024-07-18 is not there",
        "sk-***********22",
        "request req_011CSHoEeqs5C35K2UUqR7Fy failed",
    ],
)
def test_what_is_no_key_stays(text: str) -> None:
    assert without_key(text, MODEL) == text


@pytest.mark.parametrize("key", ["x", "none", "EMPTY", "sk-1234"])
def test_a_key_that_is_a_word_is_not_looked_for(key: str) -> None:
    text = "none of the 1234 examples is EMPTY"
    assert without_key(text, replace(MODEL, api_key=key)) == text


SECRET = "tok/8WZ01CM1+secret=secret"
ECHO: dict[str, Steps] = {
    "in a refusal": body({"error": {"message": f"bad key {SECRET}"}}),
    "in a refusal of text": sent(head(status="400 No"), f'"{SECRET}"'.encode()),
    "in an error of the stream": stream(event({"error": {"message": f"key {SECRET} is used up"}})),
    "in an error event of text": stream(f"event: error\ndata: {SECRET}\n\n".encode()),
    "as the error itself": stream(say("好"), event({"error": SECRET})),
    "in an error inside an error": stream(
        event({"error": {"message": f'{{"error": {{"message": "{SECRET}"}}}}'}})
    ),
    "in a page": body(f"<html>{SECRET}</html>".encode(), "text/html"),
    "in a line of its own": stream(say("好"), f"Bad gateway: {SECRET}\n".encode()),
    "in a chunk that is broken": stream(say("好"), f"data: {{{SECRET}\n\n".encode(), STOP),
    "in a field that is of another type": stream(event({"choices": SECRET}), say("好"), STOP),
    "as a reason for the end": stream(say("好"), say(finish=f"error {SECRET}")),
    "in a head that is none": sent(f"HTTP/1.1 200 OK\r\nX\x00: {SECRET}\r\n\r\n".encode()),
    "in the first line": sent(f"HTTP/9 {SECRET}\r\n\r\n".encode()),
    "in the place of a redirect": sent(
        head(f"Location: http://127.0.0.1:1/?key={SECRET}", status="307 No")
    ),
    "in the length of the body": sent(
        head("Content-Type: text/event-stream", f"Content-Length: {SECRET}")
    ),
}


@pytest.mark.parametrize("name", ECHO)
async def test_a_key_that_a_server_repeats_is_told_to_nobody(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    result = await meet(ECHO[name], secret=SECRET)
    assert any("POST" in line for line in result.pop("heads"))
    assert "secret" not in str(result) + caplog.text


def test_a_model_does_not_show_its_key() -> None:
    assert MODEL.api_key not in repr(MODEL) + str(MODEL)
