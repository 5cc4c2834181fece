"""
One streaming request to a provider, bounded in time: the part that all HTTP providers share.

A key goes to the origin it belongs to and nowhere else: we follow redirects only within that
origin, and send the same request again.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec

from unspool.errors import ProviderError, ProviderInterrupted, ProviderRefused, ProviderUnavailable
from unspool.formats.tracing import to_send

from .. import BodyReader, Model, Request, Silent, Sink
from .addresses import check_url
from .deadlines import LINGER_S, Timer
from .engines import engine_in
from .http1 import (
    BadEncoding,
    BadFraming,
    Client,
    ConnectTimeout,
    Forbidden,
    Response,
    TransportError,
)
from .kept import keeping
from .rounds import Rounds
from .vendor_errors import REFUSED, error_in, of_status, sensible_s, told_by

MAX_ERROR_BYTES = 64 * 1024
"""We read this much of an error answer, and keep far less of its message."""

MAX_REDIRECTS = 3
"""A service that moved redirects once, and twice if it adds a slash; more is a loop."""

HEADERS = {"Content-Type": "application/json", "Accept": "text/event-stream"}
"""Of every request; an adapter may replace them."""


def open_http(*, allow_private: bool = True, max_delay_s: float = 0.0) -> Client:
    """
    Return a client for requests to providers; `addresses` says where it opens no connection.

    When the loop is busy, a chunk waits for others up to `max_delay_s` (`rounds`).

    The number of live runs bounds its requests. It keeps no cookies, so a provider cannot link
    two requests by them. Close it with `aclose`, or use it as a context.
    """
    return Client(allow_private=allow_private, max_delay_s=max_delay_s)


class Reply:
    """A provider's answer, after its head has arrived."""

    def __init__(self, response: Response, timer: Timer, rounds: Rounds) -> None:
        self._response = response
        self._timer = timer
        self._rounds = rounds

    async def read_to(self, reader: BodyReader, sink: Sink) -> None:
        """
        Push the body into `reader`, until it is done or the body ends.

        Raises:
            ProviderInterrupted: It broke, or a time limit was reached; `code` says which.
            Exception: `reader` or `sink` raised it.
        """
        self._timer.watch(self._response, reader)
        pushing = _Pushing(self._response, self._timer, self._rounds, reader, sink)
        self._rounds.enter()
        try:
            await pushing.until_end()
        except TransportError as error:
            raise _translated(error, self._timer.broken) from None
        finally:
            self._rounds.leave()


class _Pushing:
    """A body on its way: `_take` runs for each chunk, the coroutine only when something changes."""

    def __init__(
        self, response: Response, timer: Timer, rounds: Rounds, reader: BodyReader, sink: Sink
    ) -> None:
        self._response = response
        self._timer = timer
        self._rounds = rounds
        self._is_resting = False
        self._reader = reader
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._has_ended = False
        self._error: Exception | None = None
        self._wake: asyncio.Future[None] = self._loop.create_future()

    async def until_end(self) -> None:
        self._response.read_to(self._take, self._ended)
        while True:
            await self._wake
            if self._reader.is_done:
                return
            if self._has_ended:
                if self._error is not None:
                    raise self._error
                return
            self._wake = self._loop.create_future()
            await self._sink.drain()
            self._timer.bytes_at = self._timer.output_at = self._now()
            self._response.resume()

    def _take(self, chunk: bytes) -> None:
        timer, reader = self._timer, self._reader
        timer.bytes_at = now = self._now()
        if reader.feed(chunk):
            timer.output_at = now
            if self._rounds.delay_s and not self._is_resting:
                self._is_resting = True
                self._response.rest()
                self._rounds.wait(self._read_on)
        if reader.is_whole or timer.whole_at:
            timer.saw_whole(is_whole=reader.is_whole)
            if reader.is_done:
                self._rouse()
        if self._sink.is_full:
            self._response.pause()
            self._rouse()

    def _read_on(self) -> None:
        self._is_resting = False
        self._response.read_on()

    def _ended(self, error: Exception | None) -> None:
        self._has_ended, self._error = True, error
        self._rouse()

    def _rouse(self) -> None:
        if not self._wake.done():
            self._wake.set_result(None)


def _translated(error: TransportError, limit: str) -> ProviderInterrupted:
    if limit:
        return ProviderInterrupted(f"the provider was too slow (limit {limit})", code="timeout")
    if isinstance(error, BadEncoding):
        return ProviderInterrupted(
            "the provider's answer is not compressed as it says", code="protocol"
        )
    return ProviderInterrupted(f"the connection to the provider broke: {error}", code="connection")


@asynccontextmanager
async def send(
    http: Client, request: Request, model: Model, tell: Callable[[Silent], None]
) -> AsyncGenerator[Reply]:
    """
    Send a request and yield the answer once its head has arrived with a status of 2xx.

    Until the context is left, `tell` hears of each long silence.

    Leaving the context closes the connection unless the body was read to its end.

    Raises:
        ProviderRefused: Sending the request again cannot help: its address or its status.
        ProviderUnavailable: No connection, no answer in time, or a status that may pass.
    """
    with http.standstill.measured():
        timer = Timer(model, http.standstill, tell)
        try:
            response = await _ask(http, request, model, timer.patience.first_event_s)
            if engine := engine_in(response.headers.get("Server", "")):
                http.learned.engines[model.base_url] = engine
            try:
                yield Reply(response, timer, http.rounds)
            finally:
                response.release()
        finally:
            timer.stop()


async def _ask(http: Client, request: Request, model: Model, first_event_s: float) -> Response:
    """Send a request; translate transport errors into ours."""
    try:
        return await _follow(http, request, model, first_event_s)
    except ConnectTimeout:
        within = f"within {model.limits.connect_s:g} s"
        error = _unavailable(f"no connection to the provider {within}")
    except TimeoutError:
        error = _unavailable(f"the provider did not answer within {first_event_s:g} s")
    except Forbidden as failed:
        raise ProviderRefused(str(failed), code="address") from None
    except BadFraming:
        error = _unavailable("the provider's answer is not HTTP as it should be", "protocol")
    except TransportError as failed:
        error = _unavailable(f"no connection to the provider: {failed}", "connection")
    raise error from None


def _unavailable(message: str, code: str = "timeout") -> ProviderUnavailable:
    return ProviderUnavailable(message, code=code)


async def _follow(http: Client, request: Request, model: Model, first_event_s: float) -> Response:
    """
    Send a request, follow redirects within its origin, and return the answer.

    Raises:
        ProviderError: The status is an error, or a redirect leads elsewhere.
    """
    url = request.url
    body = None if request.body is None else msgspec.json.encode(request.body)
    headers = {**HEADERS, **request.headers}
    if traceparent := to_send.get():
        headers["traceparent"] = traceparent
    method = "GET" if body is None else "POST"
    kept = keeping.get()
    if kept is not None:
        kept.asked(body)
    asked_at = asyncio.get_running_loop().time()
    for _ in range(1 + MAX_REDIRECTS):
        check_url(url, allow_private=True)
        async with http.standstill.timeout(asked_at, first_event_s):
            response = await http.send(method, url, headers, body, connect_s=model.limits.connect_s)
        if kept is not None:
            kept.status = response.status
        if 200 <= response.status < 300:
            return response
        try:
            if response.status not in {307, 308}:
                raise await _refusal(response, model)
            url = _elsewhere(url, response)
        finally:
            response.close()
    raise ProviderRefused(
        f"the provider redirected the request more than {MAX_REDIRECTS} times; check the address",
        code="redirect",
    )


def _elsewhere(url: str, response: Response) -> str:
    """
    Return where a redirect leads.

    Raises:
        ProviderRefused: It leads to another origin, which must not get the key.
    """
    target = urljoin(url, response.headers.get("Location", ""))
    if "Location" not in response.headers or _origin(target) != _origin(url):
        raise ProviderRefused(
            "the provider redirected the request to another place, where it is not sent; "
            "if it has moved, register its new address",
            code="redirect",
            status=response.status,
        )
    return target


def _origin(url: str) -> tuple[str, str, int | None] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return parts.scheme, parts.hostname or "", port


async def _refusal(response: Response, model: Model) -> ProviderError:
    status = response.status
    if status < 400:
        return ProviderRefused(
            f"the provider answered {status}, which is neither an answer nor an error; check "
            "the address",
            status=status,
            code=of_status(status),
        )
    told = told_by(_error_of(await _error_body(response)), model, status)
    text = f"the provider answered {status}" + (f": {told.message}" if told.message else "")
    should_retry = response.headers.get("x-should-retry", "").strip().lower()
    is_refused = told.code in REFUSED
    if should_retry == "false" or (is_refused and should_retry != "true"):
        refused = ProviderRefused(text, status=status, code=told.code)
        refused.param = told.param
        return refused
    wait_s = retry_after_s(response.headers)
    wait_s = told.retry_after_s if wait_s is None else wait_s
    code = "server" if is_refused else told.code
    return ProviderUnavailable(text, status=status, retry_after_s=wait_s, code=code)


async def _error_body(response: Response) -> bytes:
    """Return the part of an error answer that arrives; its status counts either way."""
    raw = bytearray()
    with suppress(TimeoutError, TransportError):
        async with asyncio.timeout(LINGER_S):
            while len(raw) < MAX_ERROR_BYTES and (chunk := await response.read()):
                raw += chunk
    if kept := keeping.get():
        kept.take(bytes(raw))
    return bytes(raw)


def _error_of(raw: bytes) -> Mapping[str, Any] | str:
    """Return the error in a body; empty if the body is a page for people."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return ""
    return error_in(body) or (body if isinstance(body, dict | str) else "")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return seconds from `Retry-After` (RFC 9110) or `retry-after-ms`; None if senseless."""
    value = headers.get("retry-after", "").strip()
    try:
        if "retry-after-ms" in headers:
            return sensible_s(float(headers["retry-after-ms"]) / 1000)
        return sensible_s(float(value))
    except ValueError:
        pass
    try:
        return sensible_s(email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
