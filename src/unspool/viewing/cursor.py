"""A viewer's cursor in a run: one integer, and the events after it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from ..errors import BadCursor
from ..journals import Journal
from ..runs.events import Event


@dataclass(frozen=True, slots=True)
class Cursor:
    """`<seq>` or `<seq>.<frame>`: the last frame that a viewer has."""

    seq: int = 0
    frame: int = 0
    """Frames of event `seq + 1` that the viewer has, if it was cut inside an event."""

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """
        Parse an event id that a client sends back.

        Raises:
            BadCursor: The text is no id of an event or frame.
        """
        seq, dot, frame = text.partition(".")
        # No log needs more than 15 digits; more would attack the parser of integers.
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


async def follow(
    journal: Journal, run_id: str, *, after: int = 0, patience_s: float = 15.0
) -> AsyncGenerator[Sequence[Event]]:
    """
    Yield every event after `after`, old and new, once, until the run ends.

    Events come in batches, as they were committed. An empty batch means that
    `patience_s` passed with nothing new, so that the caller can send a heartbeat.
    There is no queue per viewer: a slow viewer costs one integer and delays no other.

    Raises:
        UnknownRun: The run does not exist.
        BadCursor: `after` is ahead of the log.
    """
    if await is_at_end(journal, run_id, after=after):
        return
    while True:
        events = await journal.read(run_id, after=after)
        if not events:
            await journal.wait(run_id, after=after, timeout_s=patience_s)
            events = await journal.read(run_id, after=after)
        if events:
            assert events[0].seq == after + 1, (after, events[0])
            after = events[-1].seq
        yield events
        if events and events[-1].is_terminal:
            return


async def is_at_end(journal: Journal, run_id: str, *, after: int) -> bool:
    """
    Return whether `after` is the last event of an ended run.

    A viewer may return with that id; without this check it would wait for ever.

    Raises:
        UnknownRun: The run does not exist.
        BadCursor: `after` is ahead of the log.
    """
    head = await journal.head(run_id)
    if after > head.seq:
        # If it waited for the log to catch up, it would skip events silently.
        raise BadCursor(f"event {after} is ahead of run {run_id}, which has {head.seq} so far")
    return head.ended_ms is not None and after == head.seq
