"""
A run at the pace at which it happened, or so many times quicker: for watching it again, and
for readers to whom a shared answer is to appear as their own would have.

Times are those of the log. A viewer who is cut off comes back as to any stream.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Final

from starlette.types import Send

from ..dialects import encoder_for, frames_of, open_dialect
from ..formats.sse import HEARTBEAT, Frame
from ..runs.events import Event
from .cursor import follow
from .event_stream import START, Cursor, EventStream, Viewing, Write

MAX_PAUSE_S: Final = 10.0
"""Longest wait between two events: a run that lay still for a night is not watched so long."""


def stream_of(
    viewing: Viewing,
    run_id: str,
    dialect: str,
    cursor: Cursor = START,
    pace: float | None = None,
) -> EventStream:
    """Return the stream of a run from a cursor on: all there is at once, or at a `pace`."""
    if pace is None:
        return EventStream(viewing, run_id, dialect, cursor)
    return PacedStream(viewing, run_id, dialect, cursor, pace)


class PacedStream(EventStream):
    """`pace` 1 is as it happened, 4 four times as quick."""

    def __init__(
        self, viewing: Viewing, run_id: str, dialect: str, place: Cursor, pace: float
    ) -> None:
        super().__init__(viewing, run_id, dialect, place)
        self._plug = open_dialect(dialect)
        self._dialect = dialect
        self._pace = pace
        self._last_ms: int | None = None

    async def _play(self, send: Send, write: Write) -> None:
        await self._begin(send)
        encoder, place = encoder_for(self._dialect), self._place
        patience_s = self._viewing.settings.heartbeat_s
        following = follow(self._viewing.journal, self._viewer.run_id, patience_s=patience_s)
        async with aclosing(following) as batches:
            async for events in batches:
                if not events:
                    await self._write(write, HEARTBEAT)
                for event in events:
                    frames = frames_of(event.seq, encoder.encode(event))
                    if event.seq == place.seq + 1:
                        frames = frames[place.frame :]
                    if frames and event.seq > place.seq:
                        await self._wait_for(event, write)
                        await self._write(write, b"".join(frames))
        trailer = Frame(self._plug.trailer).encode() if self._plug.trailer else b""
        await send({"type": "http.response.body", "body": trailer, "more_body": False})

    async def _wait_for(self, event: Event, write: Write) -> None:
        since_ms = 0 if self._last_ms is None else event.at_ms - self._last_ms
        self._last_ms = event.at_ms
        left_s = min(max(0.0, since_ms / 1000 / self._pace), MAX_PAUSE_S)
        heartbeat_s = self._viewing.settings.heartbeat_s
        while left_s > heartbeat_s:
            await asyncio.sleep(heartbeat_s)
            await self._write(write, HEARTBEAT)
            left_s -= heartbeat_s
        await asyncio.sleep(left_s)
