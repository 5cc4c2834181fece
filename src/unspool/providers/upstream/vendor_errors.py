"""
What a vendor's error says, in whatever form it comes.

Every vendor has a form of its own, and the same one comes as the body of an error answer, as
an event of a stream, and as the whole body of an answer of status 200. What is to be done
follows from the code alone; the first of these that says something counts: the error's own
identifiers, its words, its number. The words are the vendor's, so a key that it repeats is
taken out here.

To add a form: a case in `error_in`. To add a word: a row in `WORDS` or `PHRASES`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .. import Model

REFUSED: Final = frozenset(
    {"auth", "quota", "invalid_request", "unknown_model", "redirect", "address"}
)
"""Codes of errors that the same request would meet again."""

MAX_WAIT_S: Final = 86_400.0
"""A provider that asks for more patience than a day has made a mistake."""

MAX_MESSAGE_CHARS: Final = 500
"""So much of a vendor's words is kept: they are for a person, and some send a whole page."""

MAX_NESTED_CHARS: Final = 20_000
"""A message may be the document of another error, of the server behind; a longer one is not."""

OF_STATUS: Final[Mapping[int, str]] = {
    401: "auth",
    402: "quota",
    403: "auth",
    404: "unknown_model",
    408: "timeout",
    425: "server",
    429: "rate_limit",
    529: "overloaded",
}
"""Statuses that say more than "wrong" (4xx) or "broken" (5xx). 529 is Anthropic's."""

WORDS: Final = tuple(
    (code, re.compile(pattern))
    for code, pattern in (
        (
            "quota",
            r"insufficient(quota|balance|funds?|credits?)|(?<!throttling)(?<!rate)quotaexceeded|"
            r"arrear|overdue|billing|paymentrequired|outofcredits?|freetieronly|usagelimit|"
            r"exceededcurrentquota|balancenotenough|lowbalance",
        ),
        (
            "rate_limit",
            r"throttl|ratelimit|toomanyrequests|resourceexhausted|limitrequests|limittokens|"
            r"limitburstrate|concurren|(rpm|tpm|qps|rps)(limit|exceed)|requestlimit|ratequota",
        ),
        ("overloaded", r"overload|atcapacity|capacityexceeded|(engine|server|model|system)busy"),
        (
            "auth",
            r"apikey|authent|authoriz|permission|forbidden|accessdenied|invalidtoken|"
            r"tokenexpired|credential|accountdeactivated",
        ),
        (
            "unknown_model",
            r"(model|endpoint)(is)?not(found|exists?|supported|open)|nosuchmodel|unknownmodel|"
            r"invalidmodel|invalidendpointormodel|notfound",
        ),
        (
            "invalid_request",
            r"invalid|badrequest|context(length|window)|too(long|large|manytokens)|unsupported|"
            r"notsupported|validation|contentfilter|contentpolicy|inspection|sensitive|"
            r"moderation|unprocessable|parameter|failedprecondition",
        ),
    )
)
"""Parts of `type`, `code` and `status`, in small letters and without anything between them."""

PHRASES: Final = tuple(
    (code, re.compile(pattern))
    for code, pattern in (
        (
            "quota",
            r"exceeded your current quota|insufficient[ _](quota|balance|credits?|funds?)|"
            r"(credit )?balance is too low|out of credits?|billing|arrear|overdue payment|"
            r"quota (exceeded|exhausted)|(余额|额度|配额)(不足|已用|用尽|耗尽)|欠费",
        ),
        (
            "rate_limit",
            r"rate.?limit|too many requests|slow down|throttl|(requests|tokens) per "
            r"(second|minute|hour|day)|concurren(t|cy) (request|limit)|"
            r"限流|限速|频率|速率|并发|请求(过于频繁|过多|太多)",
        ),
        (
            "overloaded",
            r"overload|(at|over|out of) capacity|\b(too|currently|very) busy|server (is )?busy|"
            r"high (demand|load|traffic)|过载|繁忙|拥挤|负载过高",
        ),
        (
            "auth",
            r"(invalid|incorrect|missing|expired|wrong|no) (api.?key|access token|credentials?)|"
            r"api.?key (is )?(not valid|invalid|expired|missing)|unauthori[sz]ed|"
            r"authentication|permission denied|access denied|鉴权|认证失败|身份验证|"
            r"密钥(无效|错误)",
        ),
        (
            "unknown_model",
            r"(no such|unknown) model|model\b.{0,80}\b(not found|does not exist|not exist|"
            r"doesn't exist)|模型.{0,40}不存在",
        ),
        (
            "invalid_request",
            r"context (length|window)|maximum.{0,20}(context|length)|"
            r"(prompt|input|request).{0,20}too (long|large)|too many tokens|"
            r"content (filter|policy|management policy)|输入.{0,10}过长|违规|敏感",
        ),
    )
)
"""Parts of messages, in small letters: only such as no message about something else has."""

_SPECIFIC: Final = frozenset({"quota", "auth"})
"""What a message may say of a request that its vendor merely calls wrong."""

_WAIT: Final = re.compile(
    r"(?:retry|try again)[^.;]{0,20}? (?:in|after) (\d+(?:\.\d+)?) ?(ms|m(?:in)?|s)", re.IGNORECASE
)

_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0}

_SHAPES: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:sk|pk|rk|ak|xai|gsk|hf|nvapi|fw|r8|pplx|key|ark|api)[-_](?=[\w-]*\d)[\w-]{12,}"
    r"|AIza[\w-]{20,}|eyJ[\w-]{10,}\.[\w.-]{10,}|[0-9a-fA-F]{32}\.\w{10,})"
    r"|(?<=Bearer )[\w.~+/-]{8,}=*"
)
"""What keys of vendors look like: a server may repeat another key than the one it was sent."""

MIN_KEY_CHARS: Final = 8
"""Less than this of a key tells nobody anything."""


@dataclass(frozen=True, slots=True)
class VendorError:
    """What an error says."""

    code: str
    message: str
    retry_after_s: float | None = None


def error_in(document: Any) -> dict[str, Any] | None:
    """
    Return the error that a document tells of, as one flat document; None where it tells of none.

    An `error` that is there and says nothing (null, false, empty, all fields empty) is none.
    """
    if isinstance(document, list):
        document = document[0] if document else None
    if not isinstance(document, dict):
        return None
    error = document.get("error") or document.get("errors")
    if not error and "choices" not in document:
        error = document.get("detail")
    if isinstance(error, list):
        error = error[0]
    if isinstance(error, dict):
        return {**_around(document), **error} if any(error.values()) else None
    if error:
        fields = {} if isinstance(error, bool) else {"message": str(error)}
        return {**_around(document), **fields}
    return _without_error(document)


def _without_error(document: dict[str, Any]) -> dict[str, Any] | None:
    """Return the error of a document that has no field `error`."""
    if isinstance(status := document.get("base_resp"), dict) and status.get("status_code"):
        return {"code": status["status_code"], "message": status.get("status_msg")}
    if document.get("error_code") or document.get("error_msg"):
        return {"code": document.get("error_code"), "message": document.get("error_msg")}
    return document if _is_error(document) else None


def _around(document: Mapping[str, Any]) -> dict[str, Any]:
    names = ("code", "status", "status_code", "message", "retry_after")
    return {name: document[name] for name in names if document.get(name)}


def _is_error(document: Mapping[str, Any]) -> bool:
    """Whether the document itself is an error, by its own word."""
    kind = f"{document.get('type')} {document.get('object')}".lower()
    is_named = "error" in kind or bool(document.get("code"))
    return is_named and isinstance(document.get("message"), str) and "choices" not in document


def told_by(error: Mapping[str, Any] | str, model: Model, status: int | None = None) -> VendorError:
    """Return what an error (`error_in`) says. `status` is that of the answer, if it has one."""
    fields = {"message": error} if isinstance(error, str) else dict(error)
    words = str(fields.get("message") or fields.get("msg") or fields.get("detail") or "")
    if words.startswith("{") and len(words) < MAX_NESTED_CHARS:
        fields, words = _with_nested(fields, words)
    wait_s = _wait_in(fields, words)
    code = _code_of(fields, words, status)
    if code == "quota" and wait_s is not None:
        code = "rate_limit"  # what comes back by itself in a while is not used up
    message = without_key(words, model)[:MAX_MESSAGE_CHARS]
    return VendorError(code, message, wait_s)


def _with_nested(fields: dict[str, Any], words: str) -> tuple[dict[str, Any], str]:
    try:
        nested = error_in(json.loads(words))
    except (ValueError, RecursionError):
        nested = None
    if nested is None:
        return fields, words
    return {**fields, **{k: v for k, v in nested.items() if v}}, str(nested.get("message") or words)


def _code_of(fields: Mapping[str, Any], words: str, status: int | None) -> str:
    names = ("code", "type", "status", "reason", "error_type")
    named = [value for name in names if isinstance(value := fields.get(name), str)]
    identifiers = " ".join(re.sub(r"[^a-z0-9]", "", name.lower()) for name in named)
    numbers = (status, *(_number(fields.get(n)) for n in ("code", "status", "status_code")))
    number = next((n for n in numbers if n is not None and 400 <= n < 600), None)
    by_word = _first(WORDS, identifiers)
    by_phrase = _first(PHRASES, words.lower())
    if by_word == "invalid_request":
        # Some vendors call everything so that is not their own fault.
        if by_phrase in _SPECIFIC:
            return by_phrase
        return OF_STATUS.get(number or 400, by_word) if (number or 400) < 500 else by_word
    return by_word or by_phrase or ("server" if number is None else of_status(number))


def _first(table: tuple[tuple[str, re.Pattern[str]], ...], text: str) -> str:
    return next((code for code, pattern in table if pattern.search(text)), "")


def _number(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"[1-5]\d\d", value) else None


def of_status(status: int) -> str:
    """Return the code of an error of which nothing but its status is known."""
    if status in OF_STATUS:
        return OF_STATUS[status]
    if status >= 500:
        return "server"
    return "invalid_request" if status >= 400 else "redirect"


def _wait_in(fields: Mapping[str, Any], words: str) -> float | None:
    """Return the patience that an error asks for in its own fields or words, in seconds."""
    for name, factor in (
        ("retry_after", 1.0),
        ("retry_after_s", 1.0),
        ("retry_after_seconds", 1.0),
        ("retryAfter", 1.0),
        ("retry_after_ms", 0.001),
    ):
        if isinstance(value := fields.get(name), int | float) and not isinstance(value, bool):
            return sensible_s(value * factor)
    details = fields.get("details")
    for detail in details if isinstance(details, list) else ():  # Google's RetryInfo
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and re.fullmatch(r"\d{1,6}(\.\d+)?s", delay):
            return sensible_s(float(delay[:-1]))
    if found := _WAIT.search(words[:MAX_NESTED_CHARS]):
        return sensible_s(float(found[1]) * _UNITS_S[found[2].lower()])
    return None


def sensible_s(wait_s: float) -> float | None:
    """Return a time to wait, or None where it is none (negative, endless, no number)."""
    return wait_s if 0 <= wait_s < MAX_WAIT_S else None


def without_key(text: str, model: Model) -> str:
    """
    Take keys out of a text: some providers repeat what they were sent, whole or in part.

    Ours as far as a beginning or an end of it is said, others by what keys look like.
    """
    key = model.api_key
    if len(key) < MIN_KEY_CHARS:
        text = text.replace(key, "[key]") if key else text
    else:
        shortest = max(MIN_KEY_CHARS, len(key) // 2)
        for length in range(len(key), shortest - 1, -1):
            text = text.replace(key[:length], "[key]").replace(key[-length:], "[key]")
    return _SHAPES.sub("[key]", text)
