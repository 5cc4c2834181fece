"""
What a vendor's error means, in whatever form it arrives.

Each vendor has its own form, and sends it as the body of an error answer, as an event of a
stream, or as the whole body of an answer of status 200. The code alone decides what to do. The
first of these that is known sets the code: the error's own identifiers, its words, its status.
The words are the vendor's, so we remove any key that they repeat.

To add a form, add a case in `error_in`. To add a word, add a row to `WORDS` or `PHRASES`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ...errors import TOO_LONG
from .. import Model

REFUSED: Final = frozenset(
    {"auth", "quota", "invalid_request", "unknown_model", "redirect", "address"}
)
"""Codes of errors that the same request would meet again."""

MAX_WAIT_S: Final = 86_400.0
"""A provider that asks us to wait longer than a day has made a mistake."""

MAX_MESSAGE_CHARS: Final = 500
"""We keep this much of a vendor's words: people read them, and some vendors send a whole page."""

MAX_NESTED_CHARS: Final = 20_000
"""A message may itself be the error document of a server behind; a longer message is not."""

OF_STATUS: Final[Mapping[int, str]] = {
    401: "auth",
    402: "quota",
    403: "auth",
    404: "unknown_model",
    408: "timeout",
    409: "server",
    425: "server",
    429: "rate_limit",
    503: "overloaded",
    529: "overloaded",
}
"""Statuses that say more than "wrong" (4xx) or "broken" (5xx). 529 is Anthropic's."""

WORDS: Final = tuple(
    (code, re.compile(pattern))
    for code, pattern in (
        # The model's own words could not be read there: another sample may do.
        ("unreadable", r"tooluse(failed|error)|(json|tool)\w*validatefailed|outputparsefailed"),
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
"""Parts of `type`, `code` and `status`, in lower case and without separators."""

PHRASES: Final = tuple(
    (code, re.compile(pattern))
    for code, pattern in (
        (
            "unreadable",
            r"failed to (call a function|generate json|parse (the )?(tool|function)[ _]call)|"
            r"tool call (parsing|validation) failed|failed_generation",
        ),
        (
            "loading",
            r"\bloading (the )?model|model\b.{0,80}\b(is|still) (currently |being )?load|"
            r"model.{0,40}warming up|模型.{0,20}(正在)?加载",
        ),
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
            r"context (length|window|size)|maximum.{0,20}(context|length)|"
            r"(prompt|input|request).{0,20}too (long|large)|too many tokens|"
            r"content (filter|policy|management policy)|输入.{0,10}过长|违规|敏感",
        ),
    )
)
"""Parts of messages, in lower case; no message about anything else has them."""

_SPECIFIC: Final = frozenset({"quota", "auth", "unreadable"})
"""Words in the message of an error that its vendor calls a plain bad request."""

_WAIT: Final = re.compile(
    r"(?:retry|try again)[^.;]{0,20}? (?:in|after) (\d+(?:\.\d+)?) ?(ms|m(?:in)?|s)", re.IGNORECASE
)

_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0}

_SHAPES: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:sk|pk|rk|ak|xai|gsk|hf|nvapi|fw|r8|pplx|key|ark|api)[-_](?=[\w-]*\d)[\w-]{12,}"
    r"|AIza[\w-]{20,}|eyJ[\w-]{10,}\.[\w.-]{10,}|[0-9a-fA-F]{32}\.\w{10,})"
    r"|(?<=Bearer )[\w.~+/-]{8,}=*"
)
"""Shapes of vendors' keys: a server may repeat a key other than the one we sent."""

MIN_KEY_CHARS: Final = 8
"""A shorter piece of a key gives nothing away, and a shorter key is no secret."""


ENVELOPES: Final = ("base_resp", "ResponseMetadata", "Response", "fault", "header")
"""Fields in which vendors tell how a request went, beside an answer or in its place."""

_WORD_NAMES: Final = (
    "message",
    "msg",
    "errormessage",
    "errormsg",
    "errmsg",
    "statusmsg",
    "faultstring",
    "detail",
    "title",
)
_CODE_NAMES: Final = ("code", "errorcode", "errcode", "errno", "statuscode")


@dataclass(frozen=True, slots=True)
class VendorError:
    """The meaning of an error."""

    code: str
    message: str
    retry_after_s: float | None = None
    param: str | None = None
    """The parameter that it complains of."""


def error_in(document: Any) -> dict[str, Any] | None:
    """
    Return the error in a document as one flat document; None if it holds none.

    An `error` field that says nothing (null, false, empty, all fields empty) is no error.
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
    if document.get("choices"):
        document = {name: document[name] for name in ENVELOPES if name in document}
    for name in ENVELOPES:
        inner = document.get(name)
        if isinstance(inner, dict):
            told = inner if name == "fault" else inner.get("Error")
            error = _envelope(told or inner, is_error=bool(told))
            if error is not None:
                return error
    return _envelope(document)


def _envelope(document: Mapping[str, Any], *, is_error: bool = False) -> dict[str, Any] | None:
    """
    Return the error that a document is, by its code and its words, under any of their names.

    `{"code": 401, "msg": "…", "success": false}` is one; code 0, 200 or `success` says that there
    is none.
    """
    fields = {re.sub(r"[^a-z]", "", name.lower()): value for name, value in document.items()}
    words = next((text for name in _WORD_NAMES if (text := _words_of(fields.get(name)))), "")
    codes = [fields[name] for name in _CODE_NAMES if fields.get(name) not in (None, "")]
    is_bad = is_error or any(fields.get(name) is False for name in ("success", "ok"))
    is_good = any(fields.get(name) is True for name in ("success", "ok"))
    is_code = any(_is_bad(code) for code in codes) and not is_good
    kind = " ".join(str(fields.get(name, "")) for name in ("type", "object", "status")).lower()
    is_named = re.search(r"error|exception|fail|fault", kind) is not None
    if not (is_bad or ((is_code or is_named) and words)):
        return None
    code = next((code for code in codes if _is_bad(code)), None)
    return {**document, "code": code, "message": words}


def _words_of(value: Any) -> str:
    """Return the words of a message, which may be a list of documents (FastAPI's `detail`)."""
    match value:
        case str():
            return value
        case {"msg": str(words), "loc": list(places)}:
            return f"{'.'.join(map(str, places))}: {words}"
        case list():
            return "; ".join(filter(None, map(_words_of, value)))
        case dict():
            return next((text for it in value.values() if (text := _words_of(it))), "")
        case _:
            return ""


def _is_bad(code: Any) -> bool:
    if isinstance(code, bool):
        return False
    if isinstance(code, str) and re.fullmatch(r"-?\d+", code):
        code = int(code)
    if isinstance(code, int | float):
        return code != 0 and not 200 <= code < 300
    return isinstance(code, str) and not re.fullmatch(r"(?i)ok|success\w*|completed|null", code)


def _around(document: Mapping[str, Any]) -> dict[str, Any]:
    names = ("code", "status", "status_code", "message", "retry_after")
    return {name: document[name] for name in names if document.get(name)}


def told_by(error: Mapping[str, Any] | str, model: Model, status: int | None = None) -> VendorError:
    """Return the meaning of an error (`error_in`). `status` is the answer's, if it has one."""
    fields = {"message": error} if isinstance(error, str) else dict(error)
    names = ("message", "msg", "detail")
    words = next((text for name in names if (text := _words_of(fields.get(name)))), "")
    if words.startswith("{") and len(words) < MAX_NESTED_CHARS:
        fields, words = _with_nested(fields, words)
    wait_s = _wait_in(fields, words)
    code = _code_of(fields, words, status)
    if code == "quota" and wait_s is not None:
        code = "rate_limit"  # an allowance that refills by itself is not used up
    name = _name_in(fields)
    if TOO_LONG.search(name) and not TOO_LONG.search(words):
        words = f"{words} ({name})".strip()  # `ProviderRefused.is_too_long` reads the message
    message = without_key(words or name, model)[:MAX_MESSAGE_CHARS]
    param = fields.get("param")
    return VendorError(code, message, wait_s, param if isinstance(param, str) else None)


def _name_in(fields: Mapping[str, Any]) -> str:
    """Return the name of an error that says nothing else."""
    return next((v for n in ("code", "type") if isinstance(v := fields.get(n), str)), "")


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
    told = (_number(fields.get(n)) for n in ("code", "status", "status_code"))
    numbers = (status, *told)
    number = next((n for n in numbers if n is not None and 400 <= n < 600), None)
    by_word = _first(WORDS, identifiers)
    by_phrase = _first(PHRASES, words.lower())
    if by_word == "invalid_request":
        # Some vendors use this word for every error that is not their own fault.
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
    """Return the code of an error that is known by its status alone."""
    if status in OF_STATUS:
        return OF_STATUS[status]
    if status >= 500:
        return "server"
    return "invalid_request" if status >= 400 else "redirect"


def _wait_in(fields: Mapping[str, Any], words: str) -> float | None:
    """Return the seconds that an error asks us to wait, in its fields or its words."""
    for name, factor in (
        ("retry_after", 1.0),
        ("retry_after_s", 1.0),
        ("retry_after_seconds", 1.0),
        ("retryAfter", 1.0),
        ("retry_after_ms", 0.001),
        ("estimated_time", 1.0),  # Hugging Face, of a model that is being loaded
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
    """Return a time to wait, or None if it is senseless (negative, endless, no number)."""
    return wait_s if 0 <= wait_s < MAX_WAIT_S else None


def without_key(text: str, model: Model) -> str:
    """
    Remove keys from a text: some providers repeat parts of their request.

    We remove our own key as far as its beginning or end appears, and others by their shape. A key
    of fewer than `MIN_KEY_CHARS` characters is a word such as "none": it is not looked for.
    """
    key = model.api_key
    if len(key) >= MIN_KEY_CHARS:
        shortest = max(MIN_KEY_CHARS, len(key) // 2)
        for length in range(len(key), shortest - 1, -1):
            text = text.replace(key[:length], "[key]").replace(key[-length:], "[key]")
    return _SHAPES.sub("[key]", text)
