"""
One connection: a socket, the parser, and one exchange at a time.

httptools reads the framing (RFC 9112) and calls the methods that begin with `on_`. It refuses
messages that could be mistaken for others (both framing headers, two lengths, a bad chunk
size); harmless mistakes are forgiven. It sets no limits: this file bounds the bytes that come
without a byte of body.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import Final, Protocol, cast

import httptools

from .errors import BadFraming, Broken, Closed, Stale
from .proxies import Place
from .response import Headers, Response

MAX_HEADER_BYTES = 64 * 1024
"""Of one header; gateways that add a trace of themselves send much."""

MAX_HEADERS = 256
"""In one head, or in the trailers."""

MAX_HEAD_BYTES = 256 * 1024
"""Of everything before the body, interim answers too."""

MAX_BETWEEN_BYTES = 64 * 1024
"""Between two bytes of a body: the line of a chunk's size; and after the last one, trailers."""

PIECE_BYTES = 256 * 1024
"""Of a request's body so much is written at once; the rest waits until the socket takes it."""

_BAD: Final = "the answer is not HTTP as it should be"


class Keeper(Protocol):
    """Hears when a connection opens, is free again, and is lost."""

    def opened(self, connection: Connection) -> None: ...
    def freed(self, connection: Connection) -> None: ...
    def lost(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """
    A connection to one server, or through one proxy.

    Attributes:
        place: Where it leads.
        sink: Takes the next bytes of the body; set by the response.
        uses: How many requests were sent on it.
    """

    transport: asyncio.Transport

    def __init__(self, place: Place, keeper: Keeper) -> None:
        self.place = place
        self.sink: Callable[[bytes], None] = _ignore
        self.uses = 0
        self.is_open = False
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._parser: httptools.HttpResponseParser | None = None
        self._head: asyncio.Future[Response] | None = None
        self._response: Response | None = None
        self._method = ""
        self._headers: list[tuple[bytes, bytes]] = []
        self._between = 0  # bytes since the last byte of a body
        self._max_between = MAX_HEAD_BYTES
        self._has_begun = self._is_interim = self._is_whole = False
        self._may_keep = False
        self._unsent = memoryview(b"")
        self._may_write = self._is_reading = True

    async def ask(self, method: str, head: bytes, body: bytes | None = None) -> Response:
        """
        Send a request and return the final answer once its head has come.

        Raises:
            Stale: The connection had been used, and was closed before any byte of an answer.
            Broken: It broke before the head had come.
            BadFraming: The bytes that came are no answer.
        """
        self.uses += 1
        self._method, self._headers = method, []
        self._between, self._max_between = 0, MAX_HEAD_BYTES
        self._has_begun = self._is_interim = self._is_whole = self._may_keep = False
        self._parser = httptools.HttpResponseParser(self)
        # As lenient as aiohttp is with servers, which have always sent this: old-style folding,
        # bytes that are no text in a header, a lone LF, a blank after a chunk's size.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._head = self._loop.create_future()
        try:
            self._send(head, body or b"")
            return await self._head
        except BaseException:
            self.abort()
            raise
        finally:
            self._head = None  # it holds the response, which holds us

    # The response's side

    def pause_reading(self) -> None:
        if self._is_reading and not self.transport.is_closing():
            self._is_reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._is_reading and not self.transport.is_closing():
            self._is_reading = True
            self.transport.resume_reading()

    def give_back(self) -> None:
        """Make it free for the next request, or close it where no other may follow."""
        if self._may_keep and not self.transport.is_closing():
            self.resume_reading()
            self._keeper.freed(self)
        else:
            self.abort()

    def abort(self, error: Exception | None = None) -> None:
        """Close the socket now. The request or the reader that waits hears `error`."""
        self.sink = _ignore
        self._may_keep = False
        self._unsent = memoryview(b"")
        self._parser = None
        if self.is_open:
            self.transport.abort()
        error = error or Closed("the connection was closed")
        response, self._response = self._response, None
        if self._head is not None and not self._head.done():
            self._head.set_exception(error)
        elif response is not None:
            response.finish(error)

    # The request

    def _send(self, head: bytes, body: bytes) -> None:
        if self.transport.is_closing():
            self.abort(self._broken(None))
        elif len(body) <= PIECE_BYTES:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self._unsent = memoryview(body)
            self._send_more()

    def _send_more(self) -> None:
        while self._unsent and self._may_write and not self.transport.is_closing():
            piece, self._unsent = self._unsent[:PIECE_BYTES], self._unsent[PIECE_BYTES:]
            self.transport.write(piece)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.is_open = True
        self._keeper.opened(self)

    def pause_writing(self) -> None:
        self._may_write = False

    def resume_writing(self) -> None:
        self._may_write = True
        self._send_more()

    def data_received(self, data: bytes) -> None:
        if self._parser is None:  # no request is open: these bytes belong to no answer
            self.abort()
            return
        self._between += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._stumble(error)
        if self._is_whole:
            self._finish()
        elif self._between > self._max_between:
            self.abort(BadFraming("the answer has too many bytes that are not of its body"))

    def eof_received(self) -> None:
        response = self._response
        if response is not None and not response.is_framed and self._is_farewell():
            self._may_keep = False
            self._finish()
        else:
            self.abort(self._broken(None))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.is_open:
            return
        self.is_open = False
        self._keeper.lost(self)
        self.abort(self._broken(error))

    def _is_farewell(self) -> bool:
        """Whether the server ended the connection itself; under TLS anybody can cut it."""
        tls = self.transport.get_extra_info("ssl_object")
        try:
            return tls is None or tls.read(1) == b""
        except ssl.SSLError as error:
            return isinstance(error, ssl.SSLZeroReturnError)

    def _broken(self, error: Exception | None) -> Broken:
        if self.uses > 1 and not self._has_begun:
            return Stale("the server closed the connection")
        if error is None:
            return Broken("the server closed the connection before its answer was whole")
        if isinstance(error, ssl.SSLError):
            return Broken(f"TLS ended: {error.reason}")
        number = error.errno if isinstance(error, OSError) else None
        return Broken(os.strerror(number) if number else "the connection broke")

    def _stumble(self, error: Exception) -> None:
        """Deal with bytes that the parser, or a reader, does not take."""
        if self._is_whole:  # junk after the answer
            self._may_keep = False
            return
        cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else None
        if isinstance(cause, BadFraming):
            self.abort(cause)
        elif isinstance(cause, Exception) and self._response is not None:
            self._response.stop(cause)  # it is the reader's own
        elif cause is None or isinstance(cause, Exception):
            self.abort(BadFraming(_BAD))
        else:
            self.abort()
            raise cause

    def _finish(self) -> None:
        """Say that the answer is whole."""
        response, self._response, self._parser = self._response, None, None
        self.sink = _ignore
        self._may_keep = self._may_keep and not self._unsent
        if not self._may_keep and self._method != "CONNECT":
            self.transport.abort()
        if response is not None:
            response.finish(None)

    # The parser

    def on_message_begin(self) -> None:
        if self._is_whole:
            raise BadFraming(_BAD)  # a second answer to one request
        self._has_begun = True
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) + len(value) > MAX_HEADER_BYTES:
            raise BadFraming(f"the answer has a header of more than {MAX_HEADER_BYTES} bytes")
        if len(self._headers) >= MAX_HEADERS:
            raise BadFraming(f"the answer has more than {MAX_HEADERS} headers")
        if b"\0" in value:
            raise BadFraming(_BAD)
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        assert self._head is not None
        status = self._parser.get_status_code()
        self._is_interim = 100 <= status < 200 and status != 101
        if self._is_interim:
            return
        version = self._parser.get_http_version()
        if status < 200 or version not in {"1.0", "1.1"} or self._head.done():
            raise BadFraming(_BAD)
        headers, self._headers = Headers(self._headers), []
        has_body = not (self._method == "HEAD" or (self._method == "CONNECT" and status < 300))
        is_framed = not has_body or status in {204, 304} or _is_framed(headers)
        # HTTP/1.0 has no chunks: a server that sends them may not mean their end.
        is_sure = version == "1.1" or "transfer-encoding" not in headers
        self._may_keep = is_sure and self._parser.should_keep_alive()
        self._between, self._max_between = 0, MAX_BETWEEN_BYTES
        self._response = Response(self, status, headers, is_framed=is_framed)
        self.sink = self._response.hold if has_body else self._junk
        self._is_whole = not has_body
        self._head.set_result(self._response)

    def on_body(self, body: bytes) -> None:
        self._between = 0
        self.sink(body)

    def on_message_complete(self) -> None:
        self._is_whole = not self._is_interim

    def _junk(self, _body: bytes) -> None:
        """Take a body where there is none."""
        self._may_keep = False


def _is_framed(headers: Headers) -> bool:
    """
    Whether a head says where the body ends. The parser has refused two framings at once.

    Raises:
        BadFraming: A transfer coding that was not asked for.
    """
    codings = headers.words("transfer-encoding")
    if codings not in ([], ["chunked"], ["identity"]):
        raise BadFraming("the answer has a transfer coding that was not asked for")
    return codings == ["chunked"] or "content-length" in headers


def _ignore(_body: bytes) -> None:
    """Take bytes that nobody reads any more."""
