"""
One encoded reading of a run, shared by all its viewers of one dialect.

We encode frames once for any number of viewers; a viewer is a cursor on the tape. A tape keeps the
newest `max_bytes` of frames. A viewer further back (a late one, or a slow one that returned) plays
its own tape until it catches up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from weakref import WeakValueDictionary

from ..dialects import encoder_for, frames_of, trailer_of
from ..errors import BadCursor
from ..journals import READ_EVENTS, Journal, read_all
from ..runs.events import TERMINAL
from .cursor import is_at_end


class Tape:
    """The frames of events `base` … `head` in one dialect."""

    def __init__(
        self, journal: Journal, run_id: str, dialect: str, *, max_bytes: int | None
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
        self._encoder = encoder_for(dialect)
        self._frames: list[bytes] = []
        self._size = 0
        self._max_bytes = max_bytes

    async def wind(self) -> None:
        """Encode the events that the log has and the tape lacks."""
        head = self.head
        events = await self._journal.read(self.run_id, after=head, limit=READ_EVENTS)
        self.is_behind = len(events) == READ_EVENTS
        if not events or self.head != head:  # nothing new, or another viewer was faster
            return
        assert events[0].seq == head + 1, (head, events[0])
        if self._max_bytes is None:
            self._drop(len(self._frames))
        for event in events:
            datas = self._encoder.encode(event)
            if len(datas) == 1 and b"\n" not in datas[0] and b"\r" not in datas[0]:
                frame = b"id: %d\ndata: %b\n\n" % (event.seq, datas[0])
            else:
                frame = b"".join(frames_of(event.seq, datas))
            self._frames.append(frame)
            self._size += len(frame)
        self.head = events[-1].seq
        self.has_ended = events[-1].type in TERMINAL
        if self._max_bytes is not None and self._size > 2 * self._max_bytes:
            self._forget(self._max_bytes)

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
            self._drop(min(after, self.head) + 1 - self.base)

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

    def __init__(self, journal: Journal, *, max_bytes: int) -> None:
        self._journal = journal
        self._max_bytes = max_bytes
        self._shared: WeakValueDictionary[tuple[str, str], Tape] = WeakValueDictionary()

    def shared(self, run_id: str, dialect: str) -> Tape:
        """Return the tape that all viewers of a run in a dialect play."""
        tape = self._shared.get((run_id, dialect))
        if tape is None:
            tape = Tape(self._journal, run_id, dialect, max_bytes=self._max_bytes)
            self._shared[run_id, dialect] = tape
        return tape

    def own(self, run_id: str, dialect: str) -> Tape:
        """Return a tape for one viewer who is behind the shared one."""
        return Tape(self._journal, run_id, dialect, max_bytes=None)

    async def rest_of_event(self, run_id: str, dialect: str, seq: int, frame: int) -> bytes:
        """
        Return the frames of event `seq` after its `frame`-th, for a viewer cut inside it.

        Raises:
            BadCursor: The event has not so many frames in this dialect.
        """
        encoder = encoder_for(dialect)
        datas: Sequence[bytes] = ()
        last = 0
        async for events in read_all(self._journal, run_id, upto=seq):
            for event in events:
                datas = encoder.encode(event)
            last = events[-1].seq
        if last < seq or frame >= len(datas):
            raise BadCursor(f"event {seq} of run {run_id} has no frame {frame} to go on from")
        return b"".join(frames_of(seq, datas)[frame:])

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
