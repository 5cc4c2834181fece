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
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError

from unspool.errors import ProviderError, ProviderInterrupted, ProviderRefused, ProviderUnavailable

from .. import Limits, Model
from .addresses import ForbiddenAddress, check_url, guarded
from .deadlines import LINGER_S, Timer
from .vendor_errors import REFUSED, error_in, of_status, sensible_s, told_by, without_key

MAX_ERROR_BYTES = 64 * 1024
"""We read this much of an error answer, and keep far less of its message."""

MAX_REDIRECTS = 3
"""A service that moved redirects once, and twice if it adds a slash; more is a loop."""

MAX_STALE = 4
"""Kept connections to try before a failure counts; servers close them in groups."""

MAX_HEADER_BYTES = 64 * 1024
"""Size of one header. aiohttp allows 8 KiB; gateways that add a trace send more."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to send. A body (JSON) makes it a POST."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


def open_http(*, allow_private: bool = True) -> aiohttp.ClientSession:
    """
    Return a pool of connections to providers; `addresses` says where it opens none.

    The pool has no limit of its own: the number of live runs bounds the requests. It keeps no
    cookies, so a provider cannot link two requests by them.
    """
    connector = aiohttp.TCPConnector(limit=0, socket_factory=guarded(allow_private=allow_private))
    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(_note_reuse)
    return aiohttp.ClientSession(
        connector=connector,
        trace_configs=[trace],
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
    )


@dataclass(slots=True)
class _Exchange:
    """One request and its answer."""

    is_reused: bool = False
    """The connection had been used before."""


async def _note_reuse(_http: Any, context: Any, _params: Any) -> None:
    if isinstance(context.trace_request_ctx, _Exchange):
        context.trace_request_ctx.is_reused = True


class Reply:
    """A provider's answer, after its head has arrived."""

    def __init__(self, response: aiohttp.ClientResponse, timer: Timer, model: Model) -> None:
        self.response = response
        self.timer = timer
        self.content_type = response.content_type
        self._model = model
        self._broken: ProviderInterrupted | None = None
        protocol = response.connection.protocol if response.connection is not None else None
        self._lost = protocol.closed if protocol is not None else None
        if self._lost is not None:
            self._lost.add_done_callback(self._wake)

    def leave(self) -> None:
        """Stop reading; the connection may serve the next request."""
        if self._lost is not None:
            self._lost.remove_done_callback(self._wake)

    def _wake(self, lost: asyncio.Future[None]) -> None:
        """End a wait for bytes that cannot arrive: after bad framing aiohttp wakes no reader."""
        if not lost.cancelled():
            lost.exception()  # mark it as seen; the read raises the same
        content = self.response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("its framing is not as it should be"))

    async def read(self) -> bytes:
        """
        Return the bytes of the body that have arrived; empty at its end.

        Raises:
            ProviderInterrupted: It broke, or a time limit was reached; `code` says which.
        """
        if self._broken is not None:
            raise self._broken
        try:
            return await self.response.content.readany()
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            self._broken = self._told(error)
        if rest := _unread(self.response.content):
            return rest
        raise self._broken

    def _told(self, error: Exception) -> ProviderInterrupted:
        if limit := self.timer.broken:
            return ProviderInterrupted(f"the provider was too slow (limit {limit})", code="timeout")
        if isinstance(error.__cause__ or error, ContentEncodingError):
            return ProviderInterrupted(
                "the provider's answer is not compressed as it says", code="protocol"
            )
        what = without_key(_short(error), self._model)
        return ProviderInterrupted(
            f"the connection to the provider broke: {what}", code="connection"
        )


def _unread(content: aiohttp.StreamReader) -> bytes:
    """
    Return the bytes that arrived before the connection broke and are still unread.

    aiohttp's reader raises first and would lose them: text, and perhaps the end of the answer.
    Reaches into aiohttp; tests/providers/upstream/test_breaks.py
    holds it.
    """
    buffer, offset = content._buffer, content._buffer_offset  # noqa: SLF001
    rest = b"".join(buffer)[offset:]
    buffer.clear()
    return rest


@asynccontextmanager
async def send(
    http: aiohttp.ClientSession, request: Request, model: Model
) -> AsyncGenerator[Reply]:
    """
    Send a request and yield the answer once its head has arrived with a status of 2xx.

    Leaving the context closes the connection unless the body was read to its end.

    Raises:
        ProviderRefused: Sending the request again cannot help: its address or its status.
        ProviderUnavailable: No connection, no answer in time, or a status that may pass.
    """
    timer = Timer(model.limits)
    response = await _ask(http, request, model)
    reply = Reply(response, timer, model)
    try:
        timer.watch(response)
        yield reply
    finally:
        timer.stop()
        reply.leave()
        # Only a body read to its end gives the connection back for the next request.
        if response.content.at_eof():
            response.release()
        else:
            response.close()


async def _ask(
    http: aiohttp.ClientSession, request: Request, model: Model
) -> aiohttp.ClientResponse:
    """Send a request; translate transport errors into ours, without the vendor's bytes."""
    limits = model.limits
    try:
        return await _follow(http, request, model)
    except aiohttp.ConnectionTimeoutError:  # a TimeoutError too, but of another limit
        error = _unavailable(f"no connection to the provider within {limits.connect_s:g} s")
    except TimeoutError:
        error = _unavailable(f"the provider did not answer within {limits.first_event_s:g} s")
    except aiohttp.ClientConnectorError as failed:
        if isinstance(failed.os_error, ForbiddenAddress):
            raise ProviderRefused(str(failed.os_error), code="address") from None
        error = _unavailable(f"no connection to the provider: {_short(failed)}", "connection")
    except (aiohttp.ClientResponseError, aiohttp.ClientPayloadError, ContentEncodingError):
        # Its message holds the vendor's bytes, and its `repr` the whole request.
        error = _unavailable("the provider's answer is not HTTP as it should be", "protocol")
    except (aiohttp.ClientError, OSError, ValueError) as failed:
        error = _unavailable(f"no connection to the provider: {_short(failed)}", "connection")
    raise error from None


def _unavailable(message: str, code: str = "timeout") -> ProviderUnavailable:
    return ProviderUnavailable(message, code=code)


async def _follow(
    http: aiohttp.ClientSession, request: Request, model: Model
) -> aiohttp.ClientResponse:
    """
    Send a request, follow redirects within its origin, and return the answer.

    Raises:
        ProviderError: The status is an error, or a redirect leads elsewhere.
    """
    url = request.url
    deadline = asyncio.get_running_loop().time() + model.limits.first_event_s
    for _ in range(1 + MAX_REDIRECTS):
        check_url(url, allow_private=True)
        async with asyncio.timeout_at(deadline):
            response = await _post(http, url, request, model.limits)
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


async def _post(
    http: aiohttp.ClientSession, url: str, request: Request, limits: Limits
) -> aiohttp.ClientResponse:
    """Send a request; send it again if the server had closed the kept connection."""
    body = None if request.body is None else msgspec.json.encode(request.body)
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
    for left in range(MAX_STALE, -1, -1):
        trip = _Exchange()
        try:
            return await http.request(
                "GET" if body is None else "POST",
                url,
                data=body,
                headers={**headers, **request.headers},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_s),
                allow_redirects=False,
                trace_request_ctx=trip,
            )
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # A server may close a kept connection at the moment we use it again (RFC 9112,
            # 9.3.1): the request did not fail.
            if not (trip.is_reused and left):
                raise
    raise AssertionError("the last one has returned or raised")


def _elsewhere(url: str, response: aiohttp.ClientResponse) -> str:
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


async def _refusal(response: aiohttp.ClientResponse, model: Model) -> ProviderError:
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
    if told.code in REFUSED:
        return ProviderRefused(text, status=status, code=told.code)
    wait_s = retry_after_s(response.headers)
    wait_s = told.retry_after_s if wait_s is None else wait_s
    return ProviderUnavailable(text, status=status, retry_after_s=wait_s, code=told.code)


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    """Return the part of an error answer that arrives; its status counts either way."""
    raw = bytearray()
    with suppress(TimeoutError, aiohttp.ClientError, HttpProcessingError, OSError):
        async with asyncio.timeout(LINGER_S):
            while len(raw) < MAX_ERROR_BYTES and (chunk := await response.content.readany()):
                raw += chunk
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


def _short(error: BaseException) -> str:
    return str(error)[:200] or type(error).__name__
