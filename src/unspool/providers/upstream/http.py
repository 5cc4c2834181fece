"""
One streaming request to a provider, bounded in time: the part all HTTP providers share.

A key goes to the origin it belongs to and nowhere else: redirects are followed within that
origin alone, and with the same request.
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
"""Of an error answer so much is read, of the message in it far less is kept."""

MAX_REDIRECTS = 3
"""A service that has moved says so once, and twice where it adds a slash; more is a loop."""

MAX_STALE = 4
"""Kept connections that are tried before a failure counts; servers close them in groups."""

MAX_HEADER_BYTES = 64 * 1024
"""Of one header. aiohttp takes 8 KiB; gateways that add a trace of themselves send more."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to send. A body (JSON) makes it a POST."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


def open_http(*, allow_private: bool = True) -> aiohttp.ClientSession:
    """
    Return a pool of connections to providers; see `_addresses` for where none is opened.

    Without a limit of its own: how many requests go out is bounded by the runs that go on.
    Cookies are not kept: a provider has no business to know two requests as one caller's.
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
    """One way there and back."""

    is_reused: bool = False
    """On a connection that had been used before."""


async def _note_reuse(_http: Any, context: Any, _params: Any) -> None:
    if isinstance(context.trace_request_ctx, _Exchange):
        context.trace_request_ctx.is_reused = True


class Reply:
    """A provider's answer whose head has come."""

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
        """Nothing more is read; the connection may go on to the next request."""
        if self._lost is not None:
            self._lost.remove_done_callback(self._wake)

    def _wake(self, lost: asyncio.Future[None]) -> None:
        """End a wait for bytes that cannot come: after bad framing aiohttp tells nobody."""
        if not lost.cancelled():
            lost.exception()  # seen: what it says, reading says too
        content = self.response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("its framing is not as it should be"))

    async def read(self) -> bytes:
        """
        Return the next bytes of the body, whatever has come; empty at its end.

        Raises:
            ProviderInterrupted: It broke, or a limit of time was reached; `code` says which.
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
    Return what came before a connection broke and was not read yet.

    The reader tells of the break first, and would never give it out: text that was sent, and
    perhaps the end of the answer. Reaches into aiohttp; tests/providers/upstream/test_breaks.py
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
    Send a request and yield the answer once its head has come with a status of 2xx.

    Leaving the context closes the connection unless the body was read to its end.

    Raises:
        ProviderRefused: An address or a status that sending again will not change.
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
    """Send a request; errors of the way there are told as ours, without the vendor's bytes."""
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
        # What it says has the vendor's bytes in it, and in `repr` the whole request.
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
    Send a request, and again where its own origin says; return the answer.

    Raises:
        ProviderError: A status that is no answer, or a way that is not gone.
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
    """Send a request; one that meets a connection its server has given up is sent again."""
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
            # A server may close a connection that it has kept open at the very moment at
            # which it is used again (RFC 9112, 9.3.1): that is no failure of the request.
            if not (trip.is_reused and left):
                raise
    raise AssertionError("the last one has returned or raised")


def _elsewhere(url: str, response: aiohttp.ClientResponse) -> str:
    """
    Return where a redirect leads.

    Raises:
        ProviderRefused: To another origin, which the key is not for.
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
    """Return what comes of an error answer; the status counts also where the rest does not."""
    raw = bytearray()
    with suppress(TimeoutError, aiohttp.ClientError, HttpProcessingError, OSError):
        async with asyncio.timeout(LINGER_S):
            while len(raw) < MAX_ERROR_BYTES and (chunk := await response.content.readany()):
                raw += chunk
    return bytes(raw)


def _error_of(raw: bytes) -> Mapping[str, Any] | str:
    """Return the error in a body; nothing where it is a page or anything else for people."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return ""
    return error_in(body) or (body if isinstance(body, dict | str) else "")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read `Retry-After` (seconds or a date, RFC 9110) or `retry-after-ms`; None if senseless."""
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
