"""
A place on a tape, as a response: heartbeats, slow readers, viewers who leave.

A pure ASGI response, because a `StreamingResponse` costs 2.5 times the memory per
open stream. Nothing joins a writer to a viewer: a viewer reads what is committed,
at its own speed, and holds one write of `max_write_bytes` at the most.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..errors import BadCursor
from ..failpoints import point
from ..formats.sse import HEARTBEAT, RETRY
from ..journals import Journal
from ..settings import Settings
from .tapes import Tape, Tapes

log = logging.getLogger(__name__)

_opened = point("streaming.opened")
_sent = point("streaming.sent")

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
"""ASGI extension of our server: write a piece of the body, past the middlewares around us."""

STAGE = "unspool.stage"
"""
Key of a list in the scope. A stream puts itself there and is played when every frame of the
application has returned: an open stream then holds 15 KiB, not 28.
"""


@dataclass(frozen=True, slots=True)
class Cursor:
    """`<seq>` or `<seq>.<frame>`: what a viewer has."""

    seq: int = 0
    frame: int = 0
    """Frames of event `seq + 1` that the viewer has, where it was cut inside an event."""

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """
        Read an event id as a client gives it back.

        Raises:
            BadCursor: It is not one that we give out.
        """
        seq, dot, frame = text.partition(".")
        # 15 digits hold any log there can be; more is an attack on the parser of integers.
        digits = (seq, frame) if dot else (seq,)
        is_number = all(d.isascii() and d.isdigit() and len(d) <= 15 for d in digits)
        if not is_number or (dot and not (int(seq) and int(frame))):
            raise BadCursor(
                "not an event id of a run: send the last `id` you received, or leave it out "
                "to begin at the first event"
            )
        if dot:
            return cls(int(seq) - 1, int(frame))
        return cls(int(seq))


START = Cursor()
"""Before the first event."""


@dataclass(slots=True, eq=False)
class Viewer:
    """An open stream, as the watch over slow readers sees it."""

    run_id: str
    sent_at: float = 0.0
    """Loop time at which the last write began."""
    is_sending: bool = False
    has_begun: bool = False
    """The head of its answer is sent."""
    stop: Callable[[], object] = lambda: None


class Viewing:
    """All open streams of this process."""

    def __init__(self, journal: Journal, settings: Settings) -> None:
        self.journal = journal
        self.settings = settings
        self.tapes = Tapes(journal, max_bytes=settings.max_tape_bytes)
        self.viewers: set[Viewer] = set()
        self._counts: Counter[str] = Counter()  # of viewers, by run: thousands may leave at once
        self.on_left: Callable[[str], object] = _nobody_asks
        """Called with the id of a run whose last viewer has gone."""
        self.is_ending = False
        """The server stops: every stream is left to the next process."""
        self._watch: asyncio.TimerHandle | None = None

    def count(self, run_id: str) -> int:
        """Return how many streams of a run are open in this process."""
        return self._counts[run_id]

    def enter(self, viewer: Viewer) -> None:
        self.viewers.add(viewer)
        self._counts[viewer.run_id] += 1
        if self.is_ending:  # its request was on its way when the others were told
            viewer.stop()
        if self._watch is None:
            self._look()

    def leave(self, viewer: Viewer) -> None:
        self.viewers.remove(viewer)
        self._counts[viewer.run_id] -= 1
        if not self._counts[viewer.run_id]:
            del self._counts[viewer.run_id]
            self.on_left(viewer.run_id)

    def close(self) -> None:
        """End all streams; their viewers resume where they were, at the next process."""
        self.is_ending = True
        if self._watch is not None:
            self._watch.cancel()
        for viewer in self.viewers:
            viewer.stop()

    def _look(self) -> None:
        # One timer for all viewers, not one per write.
        loop = asyncio.get_running_loop()
        patience_s = self.settings.stalled_viewer_s
        self._watch = loop.call_later(patience_s / 4, self._look) if self.viewers else None
        for viewer in self.viewers:
            if viewer.is_sending and loop.time() - viewer.sent_at > patience_s:
                log.info("A viewer of run %s took nothing for %s s", viewer.run_id, patience_s)
                viewer.stop()


class EventStream(Response):
    """The stream of a run in a dialect, from a place on."""

    def __init__(self, viewing: Viewing, run_id: str, dialect: str, place: Cursor = START) -> None:
        self.status_code = 200
        self.background = None
        self._viewing = viewing
        self._tape = viewing.tapes.shared(run_id, dialect)
        self._place = place
        self._viewer = Viewer(run_id)
        self._loop = asyncio.get_running_loop()
        self.raw_headers = [*HEADERS, (b"x-run-id", run_id.encode())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Go on stage: the guard plays us when the application around us has let go."""
        stage = scope.get(STAGE)
        if stage is None:
            await self.play(scope, receive, send)
        else:
            stage.append(self)

    async def play(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Play until the run has ended or the viewer has left."""
        extensions = scope.get("extensions") or {}
        playing = asyncio.current_task()
        assert playing is not None
        self._viewer.stop = playing.cancel
        self._viewing.enter(self._viewer)
        _opened()
        leaving = asyncio.create_task(self._until_gone(receive))
        try:
            write = extensions.get(WRITE, {}).get("write") or partial(_send_body, send)
            await self._play(send, write)
        except asyncio.CancelledError:
            playing.uncancel()
            # The viewer left, took nothing for too long, or the server ends. In the latter
            # cases the connection is dropped; a clean end would be a lie.
            if not leaving.done():
                await self._say_when_to_come_again(write)
                extensions.get(ABORT, {}).get("abort", _nothing)()
                await asyncio.sleep(0)  # for the server to notice before we return
        finally:
            self._viewing.leave(self._viewer)
            leaving.cancel()

    async def _say_when_to_come_again(self, write: Write) -> None:
        viewer = self._viewer
        # Who is being written to takes nothing, or is in the middle of a frame.
        if self._viewing.is_ending and viewer.has_begun and not viewer.is_sending:
            await write(RETRY)
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

    async def _play(self, send: Send, write: Write) -> None:
        await self._begin(send)
        run_id, settings = self._viewer.run_id, self._viewing.settings
        after = self._place.seq
        if self._place.frame:
            tapes = self._viewing.tapes
            after += 1
            rest = await tapes.rest_of_event(run_id, self._tape.dialect, after, self._place.frame)
            if rest:
                await self._write(write, rest)
        tape, journal = self._tape, self._viewing.journal
        while True:
            if tape is not self._tape or after + 1 < tape.base or after > tape.head:
                tape = await self._tape_at(tape, after)
            data, after = tape.read(after, settings.max_write_bytes)
            if data:
                await self._write(write, data)
            elif after < tape.head:
                continue  # events that make no frame in this dialect
            elif tape.has_ended:
                break
            else:
                head = tape.head
                if not tape.is_behind:  # a long log that is there already is not waited for
                    await journal.wait(run_id, after=head, timeout_s=settings.heartbeat_s)
                await tape.wind()
                # The head moves by our doing or another viewer's of this tape.
                if tape.head == head and self._is_quiet():
                    await self._write(write, HEARTBEAT)
        await send({"type": "http.response.body", "body": tape.trailer, "more_body": False})

    async def _tape_at(self, tape: Tape, after: int) -> Tape:
        if tape is not self._tape and after + 1 >= self._tape.base and self._tape.head >= after:
            return self._tape  # caught up: from here on the shared frames are ours too
        if after + 1 < tape.base:
            tape = self._viewing.tapes.own(self._viewer.run_id, self._tape.dialect)
            await tape.skip(after)
        elif tape.head < after:
            await tape.skip(after)
        return tape

    def _is_quiet(self) -> bool:
        # Waiting may end early for no reason; a heartbeat a little early harms nobody.
        quiet_s = self._loop.time() - self._viewer.sent_at
        return quiet_s > 0.9 * self._viewing.settings.heartbeat_s

    async def _write(self, write: Write, data: bytes) -> None:
        viewer = self._viewer
        viewer.sent_at = self._loop.time()
        viewer.is_sending = True
        await write(data)
        _sent()
        viewer.is_sending = False


async def _send_body(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


def _nobody_asks(run_id: str) -> None:
    """Stand in for `Viewing.on_left` where runs go on alone."""


def _nothing() -> None:
    """Stand in for `ABORT` under servers that are not ours."""
