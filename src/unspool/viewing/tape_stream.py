"""A run's stream from a shared tape: past events at once, then each new one after its commit."""

from __future__ import annotations

import asyncio

from .cursor import START, Cursor
from .event_stream import EventStream
from .tapes import LastWrite, Tape
from .viewers import Viewing


class TapeStream(EventStream):
    """The stream of a run in a dialect, from a cursor on."""

    def __init__(self, viewing: Viewing, run_id: str, dialect: str, cursor: Cursor = START) -> None:
        super().__init__(viewing, run_id)
        self._tape = viewing.tapes.shared(run_id, dialect)
        self._cursor = cursor

    async def show(self) -> bytes:
        after = await self._finish_event()
        tape, viewer = self._tape, self._viewer
        while True:
            if tape is not self._tape or after + 1 < tape.base or after > tape.head:
                tape = await self._tape_at(tape, after)
            data, after = tape.read(after, self.viewing.settings.max_write_bytes)
            if data:
                await self.write(data)
            elif after < tape.head:
                continue  # events that make no frame in this dialect
            elif tape.has_ended:
                return tape.trailer
            elif self.is_quiet():
                await self.write(self.viewing.heartbeat())
            elif (leaving := self._joined(tape)) is not None:
                try:
                    # Here, not in a method of its own: a frame less for each idle viewer.
                    after, viewer.sent_at = await leaving
                finally:
                    tape.leave(leaving)
            else:
                await self._wait(tape)

    async def _finish_event(self) -> int:
        """Write the rest of an event in which the viewer was cut; return the last one it has."""
        after, tapes = self._cursor.seq, self.viewing.tapes
        if self._cursor.frame:
            after += 1
            rest = await tapes.rest_of_event(
                self.run_id, self._tape.dialect, after, self._cursor.frame
            )
            if rest:
                await self.write(rest)
        return after

    async def _wait(self, tape: Tape) -> None:
        """Wait until the log has more than the tape, or long enough for a heartbeat; wind it."""
        if not tape.is_behind:  # do not wait while the log has more
            patience_s = self.viewing.settings.heartbeat_s
            await self.viewing.journal.wait(self.run_id, after=tape.head, timeout_s=patience_s)
        await tape.wind()

    def _joined(self, tape: Tape) -> asyncio.Future[LastWrite] | None:
        if self._push is None or tape is not self._tape:
            return None
        return tape.join(self._push, self._viewer.sent_at)

    async def _tape_at(self, tape: Tape, after: int) -> Tape:
        if tape is not self._tape and after + 1 >= self._tape.base and self._tape.head >= after:
            return self._tape  # caught up: from here on the shared frames are ours too
        if tape.head < after:
            await tape.skip(after)
        if after + 1 < tape.base:
            tape = self.viewing.tapes.own(self.run_id, self._tape.dialect)
            await tape.skip(after)
        return tape
