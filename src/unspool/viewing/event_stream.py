"""
A run's stream as a response, with heartbeats, for slow viewers and viewers who leave.

A pure ASGI response, because a `StreamingResponse` costs 2.5 times the memory per
open stream. A viewer does not slow its run: it reads committed events at
its own speed, and holds at most one write of `max_write_bytes`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..failpoints import point
from ..formats.sse import RETRY
from .tapes import Push, sent
from .viewers import Viewer, Viewing

log = logging.getLogger(__name__)

_opened = point("streaming.opened")

Write = Callable[[bytes], Awaitable[None]]

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"connection", b"keep-alive"),
    (b"x-accel-buffering", b"no"),  # nginx would otherwise hold tokens back
    (b"x-content-type-options", b"nosniff"),
)

ABORT = "unspool.abort"
"""ASGI extension of our server: drop the connection without flushing what it holds."""

WRITE = "unspool.write"
"""
ASGI extension of our server: write a piece of the body, past the middlewares around us. `write`
waits for room; `push` is a `Push`.
"""

STAGE = "unspool.stage"
"""
Key of a list in the scope. A stream adds itself, and the guard plays it when every frame of the
application has returned: an open stream then holds 15 KiB, not 28.
"""


class EventStream(Response):
    """
    The stream of a run as a response; `show` writes it.

    Attributes:
        viewing: All streams of this process.
        run_id: The run it shows.
    """

    def __init__(self, viewing: Viewing, run_id: str) -> None:
        self.status_code = 200
        self.background = None
        self.viewing = viewing
        self.run_id = run_id
        self._viewer = Viewer(run_id)
        self._write: Write = _not_begun
        self._push: Push | None = None
        self._loop = asyncio.get_running_loop()
        self.raw_headers = [*HEADERS, (b"x-run-id", run_id.encode())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait on the stage: the guard plays us after the application around us has returned."""
        stage = scope.get(STAGE)
        if stage is None:
            await self.play(scope, receive, send)
        else:
            stage.append(self)

    async def show_head(self, send: Send) -> None:
        """Answer a HEAD: as a viewer would be answered, and nobody watches."""
        headers = [(name, value) for name, value in self.raw_headers if name != b"connection"]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def play(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Play until the run ends or the viewer leaves."""
        extensions = scope.get("extensions") or {}
        playing = asyncio.current_task()
        assert playing is not None
        self._viewer.stop = playing.cancel
        self.viewing.enter(self._viewer)
        _opened()
        disconnecting = asyncio.create_task(self._until_gone(receive))
        try:
            writing = extensions.get(WRITE, {})
            self._write = writing.get("write") or partial(_send_body, send)
            self._push = writing.get("push")
            await self._begin(send)
            trailer = await self.show()
            await send({"type": "http.response.body", "body": trailer, "more_body": False})
        except asyncio.CancelledError:
            playing.uncancel()
            # The viewer left, read nothing for too long, or the server stops. In the last two
            # cases we drop the connection, because the run has not ended.
            if not disconnecting.done():
                await self._send_retry()
                extensions.get(ABORT, {}).get("abort", _nothing)()
                await asyncio.sleep(0)  # for the server to notice before we return
        finally:
            self.viewing.leave(self._viewer)
            disconnecting.cancel()

    async def _send_retry(self) -> None:
        viewer = self._viewer
        # A viewer in the middle of a write reads nothing, or is inside a frame.
        if self.viewing.is_ending and viewer.has_begun and not viewer.is_sending:
            await self._write(RETRY)
            await asyncio.sleep(0)  # uvloop writes at the end of a turn

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._viewer.stop()

    async def _begin(self, send: Send) -> None:
        self._viewer.sent_at = self._loop.time()
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        self._viewer.has_begun = True

    async def show(self) -> bytes:
        """
        Write all that the viewer lacks, and return the trailer.

        Each kind of stream has its own, and uses `write` and `is_quiet`.
        """
        raise NotImplementedError

    def is_quiet(self) -> bool:
        """Whether the last write is so long ago that the viewer needs a heartbeat."""
        return self._viewer.sent_at <= self._loop.time() - self.viewing.quiet_s

    async def write(self, data: bytes) -> None:
        """Write a piece of the body when the viewer has room for it."""
        viewer = self._viewer
        viewer.sent_at = self._loop.time()
        viewer.is_sending = True
        await self._write(data)
        sent()
        viewer.is_sending = False


async def _not_begun(data: bytes) -> None:
    raise AssertionError("a stream must not write before its head")


async def _send_body(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


def _nothing() -> None:
    """Replace `ABORT` under other servers."""
