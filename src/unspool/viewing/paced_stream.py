"""
Replays a run at its original speed, or faster: to watch it again, or to show a reused answer as if
it were new.

Times come from the log. A viewer who loses the connection resumes as on any stream.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Final

from ..dialects import encoder_for, frames_of, names_frames, trailer_of
from ..runs.events import Event
from .cursor import Cursor, follow
from .event_stream import EventStream
from .viewers import Viewing

MAX_PAUSE_S: Final = 10.0
"""Longest wait between two events, in seconds."""


class PacedStream(EventStream):
    """`pace` 1 is the original speed, 4 is four times as fast."""

    def __init__(
        self, viewing: Viewing, run_id: str, dialect: str, cursor: Cursor, pace: float
    ) -> None:
        super().__init__(viewing, run_id)
        self._cursor = cursor
        self._dialect = dialect
        self._pace = pace
        self._last_ms: int | None = None

    async def show(self) -> bytes:
        encoder, cursor = encoder_for(self._dialect, self.run_id), self._cursor
        is_named = names_frames(self._dialect)
        patience_s = self.viewing.settings.heartbeat_s
        following = follow(self.viewing.journal, self.run_id, patience_s=patience_s)
        async with aclosing(following) as batches:
            async for events in batches:
                if not events:
                    await self.write(self.viewing.heartbeat())
                for event in events:
                    frames = frames_of(event.seq, encoder.encode(event), is_named=is_named)
                    if event.seq == cursor.seq + 1:
                        frames = frames[cursor.frame :]
                    if frames and event.seq > cursor.seq:
                        await self._wait_for(event)
                        await self.write(b"".join(frames))
        return trailer_of(self._dialect)

    async def _wait_for(self, event: Event) -> None:
        since_ms = 0 if self._last_ms is None else event.at_ms - self._last_ms
        self._last_ms = event.at_ms
        left_s = min(max(0.0, since_ms / 1000 / self._pace), MAX_PAUSE_S)
        heartbeat_s = self.viewing.settings.heartbeat_s
        while left_s > heartbeat_s:
            await asyncio.sleep(heartbeat_s)
            await self.write(self.viewing.heartbeat())
            left_s -= heartbeat_s
        await asyncio.sleep(left_s)
