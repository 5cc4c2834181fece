"""Opens every stream: from a cursor on, at once or at a pace."""

from __future__ import annotations

from ..runs.options import RunOptions
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


async def first_stream_of(
    viewing: Viewing, run_id: str, dialect: str, options: RunOptions
) -> EventStream:
    """
    Return the stream that answers the request for a run.

    It begins at the first event. A request that comes again under its key, with the last id that
    its client got, begins behind that.
    """
    cursor = START
    if options.key and options.after:
        cursor = Cursor.parse(options.after)
        # The key may have a new run, if the old one was deleted: then it has nothing of this one.
        if cursor.seq > (await viewing.journal.head(run_id)).seq:
            cursor = START
    return stream_of(viewing, run_id, dialect, cursor, options.pace)
