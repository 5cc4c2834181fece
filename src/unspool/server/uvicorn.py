"""
uvicorn with the limits that it lacks.

A request head must arrive within a time and a size, and the server may drop a stream, or a
WebSocket, without waiting for a reader that takes nothing.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from ..settings import Settings
from ..viewing.event_stream import ABORT, WRITE

GC_THRESHOLD = 10_000
"""Young objects before a collection. Tokens leave no garbage; 700 collected too often."""

STOP_S = 1
"""
Seconds to answer plain requests when the server stops. Together with `runner.STOP_S` it
stays well under 5 s, after which a stop is no longer graceful.
"""

KEEP_ALIVE_S = 75
"""
Seconds that a connection stays open between two requests: longer than proxies and load balancers
keep theirs (60), so they close it, and no request meets a connection that we are closing.
"""

FIRST_REQUEST_S = 0.5
"""
How long a new connection may still send its first request when the server stops: the client does
not know yet, and the request may be on its way.
"""

_quiet = logging.getLogger(f"{__name__}.sockets")
_quiet.setLevel(logging.WARNING)  # below this level uvicorn logs every socket, but no other request

HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class BoundedConfig(uvicorn.Config):
    """uvicorn's configuration and ours, which it hands to every connection."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(
            app,
            http=BoundedProtocol,
            ws=BoundedSocket,
            ws_max_size=settings.max_body_bytes,
            ws_ping_interval=settings.heartbeat_s,
            ws_ping_timeout=settings.stalled_viewer_s,
            ws_per_message_deflate=False,  # tens of KiB a viewer, for messages of tens of bytes
            lifespan="off",  # see `_BoundedServer`
            access_log=False,
            proxy_headers=False,  # we never trust a client about its own address
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=STOP_S,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        self.settings = settings


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    config: BoundedConfig
    _head_bytes = 0
    _in_head = True
    _has_ended_head = False
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.access_log = False  # an address may hold a ticket
        settings = self.config.settings
        self._max_head_bytes = settings.max_header_bytes + settings.max_target_bytes
        self._limit_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._has_ended_head = False
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        if self._head_timer is None:  # uvicorn's keep-alive time-out ends with the first byte
            self._limit_head()
        # The bytes that complete a head may hold a body too: we measure only an unfinished head.
        if not self._has_ended_head:
            self._head_bytes += len(data)
            if self._head_bytes > self._max_head_bytes:
                self._refuse_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self.scope["extensions"] = {
            ABORT: {"abort": self.transport.abort},
            WRITE: {"write": self._write, "push": self._push},
        }

    async def _write(self, data: bytes) -> None:
        """Write a piece of a started, chunked answer: like `send`, without its checks."""
        if self.flow.write_paused:
            await self.flow.drain()
        if not self.cycle.disconnected:
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _push(self, data: bytes) -> bool:
        """Write like `_write`, at once; see `viewing.tapes.Push`."""
        if self.flow.write_paused or self.transport.is_closing():
            return False
        self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        return True

    def _push_bare(self, data: bytes) -> bool:
        """Push to a client that knows no chunks."""
        if self.flow.write_paused or self.transport.is_closing():
            return False
        self.transport.write(data)
        return True

    def on_headers_complete(self) -> None:
        self._end_head()
        super().on_headers_complete()
        cycle = self.cycle
        if cycle is None or cycle.scope is not self.scope or cycle.keep_alive:
            return
        closing = _Closing(cycle)
        cycle.send = closing.send  # type: ignore[method-assign]
        if self.scope["http_version"] == "1.0":
            closing.is_bare = True
            extensions = cast("dict[str, Any]", self.scope["extensions"])
            extensions[WRITE] = {"write": closing.write, "push": self._push_bare}

    def on_response_complete(self) -> None:
        self._in_head = True
        super().on_response_complete()

    def shutdown(self) -> None:
        if self._head_timer is None:
            super().shutdown()
        else:
            self.loop.call_later(FIRST_REQUEST_S, super().shutdown)

    def _limit_head(self) -> None:
        wait_s = self.config.settings.request_head_s
        self._head_timer = self.loop.call_later(wait_s, self.transport.close)

    def _end_head(self) -> None:
        self._in_head, self._has_ended_head, self._head_bytes = False, True, 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_head(self) -> None:
        self.transport.write(HEAD_TOO_LARGE)
        self.transport.close()


class _Closing:
    """
    The answers of a request after which the connection closes.

    Attributes:
        is_bare: The client speaks HTTP/1.0. It knows no chunks: a body without a length ends with
            the connection.
    """

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self.is_bare = False
        self._cycle = cycle
        self._send: Callable[[Any], Awaitable[None]] = cycle.send
        self._has_length = True

    async def send(self, message: Any) -> None:
        """Send an ASGI message, as `RequestResponseCycle.send` does."""
        cycle = self._cycle
        if message["type"] == "http.response.start":
            # The application may say `keep-alive`, which is not so.
            headers = [(k, v) for k, v in message.get("headers", ()) if k.lower() != b"connection"]
            message = {**message, "headers": [*headers, (b"connection", b"close")]}
            if self.is_bare and all(name.lower() != b"content-length" for name, _ in headers):
                self._has_length, cycle.chunked_encoding = False, False
            await self._send(message)
        elif self._has_length:
            await self._send(message)
        else:
            await self.write(b"" if cycle.scope["method"] == "HEAD" else message.get("body", b""))
            if not message.get("more_body"):
                message = {**message, "body": b""}
                await self._send(message)

    async def write(self, data: bytes) -> None:
        """Write a piece of a body that has no length."""
        if self._cycle.flow.write_paused:
            await self._cycle.flow.drain()
        if data and not self._cycle.disconnected:
            self._cycle.transport.write(data)


class BoundedSocket(WebSocketsSansIOProtocol):
    """One WebSocket: it reads one message ahead, and sends when the last one has gone."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.logger = self.conn.logger = _quiet

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # If the parser finds a line of a whole head too long, neither it nor uvicorn answers, and
        # the client would wait for ever.
        if not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(HEAD_TOO_LARGE)
            self.transport.close()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # we refused it; uvicorn would log an error

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:  # else uvicorn has answered a broken handshake
            extensions = cast("dict[str, Any]", self.scope["extensions"])
            extensions[ABORT] = {"abort": self.transport.abort}


class _BoundedServer(uvicorn.Server):
    """
    uvicorn, with the application opened around it instead of in its own task.

    So an error of opening reaches our caller; uvicorn would only log its traceback.
    """

    def __init__(self, app: FastAPI, settings: Settings, on_ready: Callable[[], None]) -> None:
        super().__init__(BoundedConfig(app, settings))
        self._app = app
        self._on_ready = on_ready

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Viewers reconnect to the next process by themselves; do not wait for them to leave.
        self._app.state.core.viewing.close()
        await super().shutdown(sockets)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        async with AsyncExitStack() as stack:
            # Before uvicorn catches signals: a signal can still interrupt the opening.
            await stack.enter_async_context(self._app.router.lifespan_context(self._app))
            # Loaded modules stay: the collector need not visit them each time.
            gc.collect()
            gc.freeze()
            gc.set_threshold(GC_THRESHOLD, 20, 50)
            gc.enable()  # the command line loads everything without it
            self._on_ready()
            # `capture_signals` raises the signal again at its end, and SIGTERM then ends the
            # process: close everything first.
            with self.capture_signals():
                await self._serve(sockets)
                await stack.aclose()


def serve(
    app: FastAPI,
    sock: socket.socket,
    settings: Settings,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """
    Serve until a signal; call `on_ready` when the application is open.

    Raises:
        SetupError: The application cannot open its files.
        KeyboardInterrupt: After an orderly end by Ctrl-C.
    """
    _BoundedServer(app, settings, on_ready).run(sockets=[sock])
