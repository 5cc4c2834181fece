"""
Sends a tool's call as an HTTP request to an allowed host.

It goes out through the pool of the providers, whose sockets are guarded (`upstream.addresses`), and
within its own origin alone. What a service repeats of the headers it was sent is taken out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.message import Message
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from yarl import URL

from unspool.providers.upstream.addresses import check_url
from unspool.providers.upstream.http1 import Client, Response, TransportError

MAX_REDIRECTS: Final = 3
"""A moved service redirects once, or twice if it adds a slash; more is a loop."""

MAX_BYTES: Final = 256 * 1024
"""Read of an answer, unpacked: more than a model ever gets of one."""

MAX_URL_CHARS: Final = 8 * 1024
"""Of an address with its parameters: the common limit of servers."""

MIN_SECRET_CHARS: Final = 8
"""Of a header's value to remove from answers: shorter ones are ordinary words."""

CONNECT_S: Final = 10.0
"""The caller limits the whole call; this ends an attempt at an address that never answers."""

AGAIN: Final = frozenset({301, 302, 303, 307, 308})


class Failed(Exception):
    """The tool gave no answer; the message is for the model."""


async def fetch(
    http: Client,
    answer: Mapping[str, Any],
    headers: Mapping[str, str],
    arguments: Mapping[str, Any],
    key: str,
) -> str:
    """
    Return the service's answer as text.

    The header `Idempotency-Key` carries `key`, because after a crash the call may come again.

    Raises:
        Failed: An error status, or no answer. The caller limits the time.
    """
    url, body = answer["url"], None
    facts = {"Accept": "application/json, text/*;q=0.9", **headers, "Idempotency-Key": key}
    try:
        if answer["arguments_in"] == "query":
            url = _with_query(url, arguments)
        else:
            facts["Content-Type"] = "application/json"
            body = json.dumps(arguments, ensure_ascii=False).encode()
        status, text = await _follow(http, (answer["method"], url, body), facts)
    except (TransportError, ValueError) as error:
        # Its message may contain the whole request, headers included.
        raise Failed(f"the service cannot be reached ({type(error).__name__})") from None
    for value in headers.values():
        for secret in {value, value.rpartition(" ")[2]}:
            if len(secret) >= MIN_SECRET_CHARS:
                text = text.replace(secret, "[secret]")
    if not 200 <= status < 300:
        raise Failed(f"the service answered {status}: {text}" if text else f"it answered {status}")
    return text


async def _follow(
    http: Client, request: tuple[str, str, bytes | None], headers: dict[str, str]
) -> tuple[int, str]:
    method, url, body = request
    origin = urlsplit(url)[:2]
    for _ in range(1 + MAX_REDIRECTS):
        check_url(url, allow_private=True)  # private ones are refused where sockets are made
        response = await http.send(method, url, headers, body, connect_s=CONNECT_S)
        try:
            if response.status not in AGAIN:
                return response.status, await _text(response)
            url = urljoin(url, response.headers.get("Location", ""))
            if response.status == 303:  # the standard: fetch the answer there with GET
                method, body = "GET", None
        finally:
            response.release()
        if urlsplit(url)[:2] != origin:
            raise Failed("the service redirects to another origin, which is not allowed")
    raise Failed(f"the service redirected the request more than {MAX_REDIRECTS} times")


async def _text(response: Response) -> str:
    raw = bytearray()
    while len(raw) < MAX_BYTES and (piece := await response.read()):
        raw += piece
    try:
        return raw[:MAX_BYTES].decode(_charset(response), "replace")
    except LookupError:  # an unknown charset
        return raw[:MAX_BYTES].decode("utf-8", "replace")


def _charset(response: Response) -> str:
    """Return the charset that the answer names, else UTF-8."""
    kind = Message()
    kind["content-type"] = response.headers.get("content-type", "")
    return kind.get_content_charset() or "utf-8"


def _with_query(url: str, arguments: Mapping[str, Any]) -> str:
    """Add arguments as parameters: texts unchanged, anything else as JSON."""
    fields = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in arguments.items()
    }
    whole = str(URL(url).extend_query(fields))
    if len(whole) > MAX_URL_CHARS:
        raise Failed(f"the arguments make an address of more than {MAX_URL_CHARS} characters")
    return whole
