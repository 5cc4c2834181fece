"""Opens every stream: from a cursor on, at once or at a pace."""

from __future__ import annotations

from .cursor import START, Cursor
from .event_stream import EventStream
from .paced_stream import PacedStream
from .tape_stream import TapeStream
from .viewers import Viewing


def stream_of(
    viewing: Viewing,
    run_id: str,
    dialect: str,
    cursor: Cursor = START,
    pace: float | None = None,
) -> EventStream:
    """Return the stream of a run from a cursor on: all events at once, or at a `pace`."""
    if pace is None:
        return TapeStream(viewing, run_id, dialect, cursor)
    return PacedStream(viewing, run_id, dialect, cursor, pace)
