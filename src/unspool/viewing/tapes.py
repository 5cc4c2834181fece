"""
One encoded reading of a run, shared by all its viewers of one dialect.

We encode frames once for any number of viewers; a viewer is a cursor on the tape. A tape keeps the
newest `max_bytes` of frames. A viewer further back (a late one, or a slow one that returned) plays
its own tape until it catches up.

A viewer who has every frame may join the tape: from then on each commit calls the tape, which
writes to all its viewers at once. A viewer without room for a write goes back to reading.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple
from weakref import WeakValueDictionary

from ..dialects import encoder_for, frames_of, names_frames, trailer_of
from ..errors import BadCursor
from ..failpoints import point
from ..journals import READ_EVENTS, Journal, read_all
from ..runs.events import TERMINAL, Event
from .cursor import is_at_end

log = logging.getLogger(__name__)

sent = point("streaming.sent")

Push = Callable[[bytes], bool]
"""Writes to a viewer at once. False: it has no room or has left, and nothing is written."""


class LastWrite(NamedTuple):
    """Where a viewer is when a tape writes to it no more."""

    seq: int
    """The last event that it has."""
    sent_at: float
    """Loop time of the last write."""


class Tape:
    """The frames of events `base` … `head` in one dialect."""

    def __init__(
        self,
        journal: Journal,
        run_id: str,
        dialect: str,
        *,
        max_bytes: int | None,
        max_write_bytes: int,
    ) -> None:
        """`max_bytes` None: for one viewer, who reads all frames before it winds on."""
        self.run_id = run_id
        self.dialect = dialect
        self.base = 1
        self.head = 0
        self.has_ended = False
        self.is_behind = True
        """The log may have more: the last read returned a full batch."""
        self.trailer = trailer_of(dialect)
        self._journal = journal
        self._encoder = encoder_for(dialect, run_id)
        self._is_named = names_frames(dialect)
        self._frames: list[bytes] = []
        self._size = 0
        self._max_bytes = max_bytes
        self._max_write_bytes = max_write_bytes
        self._viewers: dict[asyncio.Future[LastWrite], Push] = {}
        self._pushed_at = 0.0
        self._stop_listening: Callable[[], None] | None = None

    def join(self, push: Push, sent_at: float) -> asyncio.Future[LastWrite] | None:
        """
        Write each commit to a viewer who has event `head` and was last written to at `sent_at`.

        The future that this returns tells the viewer to go on by itself, from its place: the run
        has ended, the viewer has no room, or the journal calls us no more. None: the tape is not
        at the head of a run that this process writes.
        """
        if self._stop_listening is None:
            stop = self._journal.listen(self.run_id, after=self.head, heard=self._heard)
            if stop is None:
                return None
            self._stop_listening = stop
            self._pushed_at = sent_at
        self._pushed_at = min(self._pushed_at, sent_at)
        leaving: asyncio.Future[LastWrite] = asyncio.get_running_loop().create_future()
        self._viewers[leaving] = push
        return leaving

    def leave(self, leaving: asyncio.Future[LastWrite]) -> None:
        """Write no more to the viewer who got this future from `join`."""
        self._viewers.pop(leaving, None)
        if not self._viewers and self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None

    def beat(self, since: float, heartbeat: bytes) -> None:
        """Send a heartbeat to those who joined, if they got nothing since that loop time."""
        if self._viewers and self._pushed_at <= since:
            self._push(heartbeat, self.head)

    def _heard(self, events: Sequence[Event]) -> None:
        """Write the events of a commit to those who joined; see `Journal.listen`."""
        head = self.head
        if not 0 < len(events) <= READ_EVENTS:
            # Another owner has the run, or there is so much that viewers read it turn by turn.
            self._send_away(head)
            return
        try:
            data = b"".join(self._encode(events))
        except BaseException:
            self._send_away(head)
            raise
        if len(data) > self._max_write_bytes:
            self._send_away(head)
            return
        if data:
            self._push(data, head)
        if self.has_ended:
            self._send_away(self.head)

    def _push(self, data: bytes, seq: int) -> None:
        """Write to all who joined; those without room stay at event `seq` and leave."""
        refused = []
        for leaving, push in self._viewers.items():
            try:
                is_written = push(data)
            except Exception:
                log.exception("A viewer of run %s cannot be written to", self.run_id)
                is_written = False
            if is_written:
                sent()
            else:
                refused.append(leaving)
        for leaving in refused:
            self._release(leaving, seq)
        self._pushed_at = asyncio.get_running_loop().time()

    def _send_away(self, seq: int) -> None:
        for leaving in tuple(self._viewers):
            self._release(leaving, seq)

    def _release(self, leaving: asyncio.Future[LastWrite], seq: int) -> None:
        self.leave(leaving)
        if not leaving.done():
            leaving.set_result(LastWrite(seq, self._pushed_at))

    async def wind(self) -> None:
        """Encode the events that the log has and the tape lacks."""
        if self._stop_listening is not None:  # each commit winds it
            return
        head = self.head
        events = await self._journal.read(self.run_id, after=head, limit=READ_EVENTS)
        if self.head != head or self._stop_listening is not None:  # another viewer was faster
            return
        self.is_behind = len(events) == READ_EVENTS
        if not events:
            return
        if self._max_bytes is None:
            self._drop(len(self._frames))
        self._encode(events)

    def _encode(self, events: Sequence[Event]) -> list[bytes]:
        """Add the frames of the next events, and return them."""
        assert events[0].seq == self.head + 1, (self.head, events[0])
        frames: list[bytes] = []
        for event in events:
            datas = self._encoder.encode(event)
            if self._is_named:
                frame = b"".join(frames_of(event.seq, datas, is_named=True))
            elif len(datas) == 1 and b"\n" not in datas[0] and b"\r" not in datas[0]:
                frame = b"id: %d\ndata: %b\n\n" % (event.seq, datas[0])
            else:
                frame = b"".join(frames_of(event.seq, datas))
            frames.append(frame)
            self._size += len(frame)
        self._frames += frames
        self.head = events[-1].seq
        self.has_ended = events[-1].type in TERMINAL
        if self._max_bytes is not None and self._size > 2 * self._max_bytes:
            self._forget(self._max_bytes)
        return frames

    def read(self, after: int, max_bytes: int) -> tuple[bytes, int]:
        """
        Return frames of events after `after`, and the number of the last one.

        At most `max_bytes`, but one event at least; `after` must be at or behind `base - 1`.
        """
        start = after + 1 - self.base
        assert start >= 0, (after, self.base)
        frames = self._frames
        if start >= len(frames):
            return b"", after
        if start == len(frames) - 1:
            return frames[start], after + 1
        size, end = 0, start
        while end < len(frames) and (end == start or size + len(frames[end]) <= max_bytes):
            size += len(frames[end])
            end += 1
        return b"".join(frames[start:end]), after + end - start

    async def skip(self, after: int) -> None:
        """Wind past event `after`, and drop its frames and earlier ones."""
        while self.head < after and not self.has_ended:
            await self.wind()
            await asyncio.sleep(0)
            # Another viewer may have wound it further.
            self._drop(max(0, min(after, self.head) + 1 - self.base))

    def _forget(self, max_bytes: int) -> None:
        gone, count = 0, 0
        while self._size - gone > max_bytes and count < len(self._frames) - 1:
            gone += len(self._frames[count])
            count += 1
        self._drop(count)

    def _drop(self, count: int) -> None:
        self._size -= sum(map(len, self._frames[:count]))
        del self._frames[:count]
        self.base += count


class Tapes:
    """The tapes with viewers. A tape goes when its last viewer leaves."""

    def __init__(self, journal: Journal, *, max_bytes: int, max_write_bytes: int) -> None:
        self._journal = journal
        self._max_bytes = max_bytes
        self._max_write_bytes = max_write_bytes
        self._shared: WeakValueDictionary[tuple[str, str], Tape] = WeakValueDictionary()

    def shared(self, run_id: str, dialect: str) -> Tape:
        """Return the tape that all viewers of a run in a dialect play."""
        tape = self._shared.get((run_id, dialect))
        if tape is None:
            tape = self._new(run_id, dialect, self._max_bytes)
            self._shared[run_id, dialect] = tape
        return tape

    def own(self, run_id: str, dialect: str) -> Tape:
        """Return a tape for one viewer who is behind the shared one."""
        return self._new(run_id, dialect, None)

    def beat(self, since: float, heartbeat: bytes) -> None:
        """Send a heartbeat to those on a shared tape who got nothing since that loop time."""
        for tape in tuple(self._shared.values()):
            tape.beat(since, heartbeat)

    def _new(self, run_id: str, dialect: str, max_bytes: int | None) -> Tape:
        limit = self._max_write_bytes
        return Tape(self._journal, run_id, dialect, max_bytes=max_bytes, max_write_bytes=limit)

    async def rest_of_event(self, run_id: str, dialect: str, seq: int, frame: int) -> bytes:
        """
        Return the frames of event `seq` after its `frame`-th, for a viewer cut inside it.

        Raises:
            BadCursor: There is no such event, or it has not so many frames in this dialect.
        """
        await is_at_end(self._journal, run_id, after=seq)
        encoder = encoder_for(dialect, run_id)
        datas: Sequence[bytes] = ()
        async for events in read_all(self._journal, run_id, upto=seq):
            for event in events:
                datas = encoder.encode(event)
        if frame >= len(datas):
            raise BadCursor(f"event {seq} of run {run_id} has no frame {frame} to go on from")
        return b"".join(frames_of(seq, datas, is_named=names_frames(dialect))[frame:])

    async def has_more(self, run_id: str, dialect: str, after: int, frame: int = 0) -> bool:
        """
        Return whether a viewer who has event `after`, and `frame` frames of the next, can get more.

        An ended run with nothing left is answered 204, which stops an EventSource; one whose
        last events make no frame in this dialect has nothing left either.

        Raises:
            UnknownRun, BadCursor
        """
        if frame:
            await self.rest_of_event(run_id, dialect, after + 1, frame)
            return True
        if await is_at_end(self._journal, run_id, after=after):
            return False
        if after == 0 or (await self._journal.head(run_id)).ended_ms is None:
            return True
        tape = self.own(run_id, dialect)
        await tape.skip(after)
        while True:
            data, after = tape.read(after, 1)
            if data:
                return True
            if after >= tape.head:
                if tape.has_ended:
                    return False
                await tape.wind()
