"""A run's stream up to where the run waits for a person, for contracts that end a stream there."""

from __future__ import annotations

from typing import Final

from ..dialects import encoder_for, frames_of, names_frames, trailer_of
from ..journals import READ_EVENTS
from .cursor import START, Cursor
from .event_stream import EventStream
from .viewers import Viewing

BOTH: Final = {"question.asked": 1, "question.answered": -1}
"""What each does to the number of open questions."""


class TurnStream(EventStream):
    """
    It ends when the log has no more and a question of it is open, and where the run ends.

    Each viewer encodes for itself: such a stream has one viewer as a rule.
    """

    def __init__(self, viewing: Viewing, run_id: str, dialect: str, cursor: Cursor = START) -> None:
        super().__init__(viewing, run_id)
        self._dialect = dialect
        self._cursor = cursor

    async def show(self) -> bytes:
        journal, run_id = self.viewing.journal, self.run_id
        encoder, is_named = encoder_for(self._dialect, run_id), names_frames(self._dialect)
        cursor, seq, questions = self._cursor, 0, 0
        while True:
            events = await journal.read(run_id, after=seq, limit=READ_EVENTS)
            frames: list[bytes] = []
            for event in events:
                datas = encoder.encode(event)
                questions += BOTH.get(event.type, 0)
                if event.seq > cursor.seq:
                    seen = cursor.frame if event.seq == cursor.seq + 1 else 0
                    frames += frames_of(event.seq, datas, is_named=is_named)[seen:]
            if frames:
                await self.write(b"".join(frames))
            if events:
                seq = events[-1].seq
                if events[-1].is_terminal:
                    break
            elif questions > 0:
                break
            else:
                if self.is_quiet():
                    await self.write(self.viewing.heartbeat())
                patience_s = self.viewing.settings.heartbeat_s
                await journal.wait(run_id, after=seq, timeout_s=patience_s)
        return trailer_of(self._dialect)
