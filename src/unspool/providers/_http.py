"""
One streaming request to a provider, bounded in time: the part all HTTP providers share.

Limits are kept by one lazy timer for the attempt, not by a timer for each read: a
timer is armed for the earliest moment at which a limit could be broken, and when it
rings it looks at the times that reading has left behind.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import logging
import math
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

from ..errors import ProviderError, ProviderInterrupted, ProviderRefused, ProviderUnavailable
from . import Limits, Model

log = logging.getLogger(__name__)

MAX_ERROR_BYTES = 64 * 1024
"""Of an error answer so much is read, of the message in it far less is kept."""

MAX_MESSAGE_CHARS = 500

LINGER_S = 2.0
"""
How long an answer that is whole is read on for its usage, which comes at once or never. A
provider that leaves the connection open must not hold the answer back.
"""

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may succeed. 529 is Anthropic's "overloaded"."""

OUT_OF_MONEY = ("insufficient_quota", "Arrearage", "billing", "quota exceeded")
"""Words in an error answer that say what waiting will not mend."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to send. A body (JSON) makes it a POST."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


def open_http() -> aiohttp.ClientSession:
    """
    Return a pool of connections to providers.

    Without a limit of its own: how many requests go out is bounded by the runs that go on.
    Cookies are not kept: a provider has no business to know two requests as one caller's.
    """
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


class Timer:
    """Watches one attempt. `bytes_at` and `output_at` are written by whoever reads."""

    def __init__(self, limits: Limits) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self.started_at = self._loop.time()
        self.bytes_at = 0.0  # 0: nothing yet
        self.output_at = 0.0
        self.whole_at = 0.0
        self.broken = ""
        self._response: aiohttp.ClientResponse | None = None
        self._handle: asyncio.TimerHandle | None = None

    def watch(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._look()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def saw(self, *, output: bool, whole: bool) -> None:
        """Note that bytes came, whether with output, and whether the answer is whole now."""
        self.bytes_at = self._loop.time()
        if output:
            self.output_at = self.bytes_at
        if whole and not self.whole_at:
            self.whole_at = self.bytes_at
            self._rearm(self.whole_at + LINGER_S)

    def _rearm(self, at: float) -> None:
        self.stop()
        self._handle = self._loop.call_at(at, self._look)

    def _deadlines(self) -> Mapping[str, float]:
        limits, start = self._limits, self.started_at
        if self.whole_at:
            return {"linger_s": self.whole_at + LINGER_S}
        deadlines = {"total_s": start + (limits.total_s or math.inf)}
        if self.output_at:
            deadlines["progress_s"] = self.output_at + limits.progress_s
        else:
            deadlines["first_event_s"] = start + limits.first_event_s
        if self.bytes_at:
            deadlines["idle_s"] = self.bytes_at + limits.idle_s
        return deadlines

    def _look(self) -> None:
        name, at = min(self._deadlines().items(), key=lambda item: item[1])
        if (now := self._loop.time()) < at:
            # What comes until then starts a limit of its own, which may end before `at`.
            soon = now + min(self._limits.idle_s, self._limits.progress_s)
            self._handle = self._loop.call_at(min(at, soon), self._look)
            return
        self.broken = name
        assert self._response is not None
        self._response.close()  # wakes the reader with an error


class Reply:
    """A provider's answer whose head has come."""

    def __init__(self, response: aiohttp.ClientResponse, timer: Timer) -> None:
        self.response = response
        self.timer = timer
        self.content_type = response.content_type

    async def read(self) -> bytes:
        """
        Return the next bytes of the body, whatever has come; empty at its end.

        Raises:
            ProviderInterrupted: It broke, or a limit of time was reached; `code` says which.
        """
        try:
            return await self.response.content.readany()
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            if self.timer.broken:
                limit = self.timer.broken
                raise ProviderInterrupted(
                    f"the provider was too slow (limit {limit})", code="timeout"
                ) from None
            raise ProviderInterrupted(
                f"the connection to the provider broke: {_short(error)}", code="connection"
            ) from error


@asynccontextmanager
async def send(
    http: aiohttp.ClientSession, request: Request, model: Model
) -> AsyncGenerator[Reply]:
    """
    Send a request and yield the answer once its head has come with a status of 200.

    Leaving the context closes the connection unless the body was read to its end.

    Raises:
        ProviderRefused: A status that sending again will not change.
        ProviderUnavailable: No connection, no answer in time, or a status that may pass.
    """
    method = "GET" if request.body is None else "POST"
    body = None if request.body is None else msgspec.json.encode(request.body)
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
    limits = model.limits
    timer = Timer(limits)
    client_timeout = aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_s)
    response: aiohttp.ClientResponse | None = None
    try:
        async with asyncio.timeout(limits.first_event_s):
            response = await http.request(
                method,
                request.url,
                data=body,
                headers={**headers, **request.headers},
                timeout=client_timeout,
                allow_redirects=False,
            )
            if response.status != 200:
                raise await _refusal(response, model)
    except aiohttp.ConnectionTimeoutError:  # a TimeoutError too, but of another limit
        raise ProviderUnavailable(
            f"no connection to the provider within {limits.connect_s:g} s", code="timeout"
        ) from None
    except TimeoutError:
        raise ProviderUnavailable(
            f"the provider did not answer within {limits.first_event_s:g} s", code="timeout"
        ) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ProviderUnavailable(
            f"no connection to the provider: {_short(error)}", code="connection"
        ) from error
    finally:
        if response is not None and response.status != 200:
            response.close()
    try:
        timer.watch(response)
        yield Reply(response, timer)
    finally:
        timer.stop()
        # Only a body read to its end gives the connection back for the next request.
        if response.content.at_eof():
            response.release()
        else:
            response.close()


async def _refusal(response: aiohttp.ClientResponse, model: Model) -> ProviderError:
    try:
        raw = await response.content.read(MAX_ERROR_BYTES)
    except (aiohttp.ClientError, OSError):
        raw = b""
    status = response.status
    code, message = _error_in(raw)
    text = f"the provider answered {status}"
    if message:
        text += f": {without_key(message, model)[:MAX_MESSAGE_CHARS]}"
    out_of_money = any(word in f"{code} {message}" for word in OUT_OF_MONEY)
    if status in PASSING and not out_of_money:
        wait_s = retry_after_s(response.headers)
        return ProviderUnavailable(text, status=status, retry_after_s=wait_s, code=_code(status))
    return ProviderRefused(text, status=status, code="quota" if out_of_money else _code(status))


def _code(status: int) -> str:
    known = {401: "auth", 403: "auth", 404: "unknown_model", 408: "timeout", 425: "server"}
    known |= {429: "rate_limit", 529: "overloaded"}
    if status in known:
        return known[status]
    if status >= 500:
        return "server"
    return "invalid_request" if status >= 400 else "redirect"


def _error_in(raw: bytes) -> tuple[str, str]:
    """Find code and message in the JSON that most providers answer errors with."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return "", ""
    error: Any = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        return str(error.get("code") or ""), str(error.get("message") or "")
    return "", str(error)


def without_key(text: str, model: Model) -> str:
    """Take the key out of a text: some providers repeat it in their answer."""
    return text.replace(model.api_key, "[key]") if model.api_key else text


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read `Retry-After` (seconds or a date, RFC 9110) or `retry-after-ms`; None if senseless."""
    try:
        if "retry-after-ms" in headers:
            wait_s = float(headers["retry-after-ms"]) / 1000
        elif (value := headers.get("retry-after", "")).strip().isdigit():
            wait_s = float(value)
        else:
            wait_s = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return wait_s if 0 <= wait_s < 86_400 else None


def _short(error: BaseException) -> str:
    return str(error)[:200] or type(error).__name__
