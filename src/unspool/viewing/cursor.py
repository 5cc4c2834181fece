"""A viewer's place in a run: one integer, and how to go on from it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from ..errors import BadCursor
from ..journals import Journal
from ..runs.events import Event


@dataclass(frozen=True, slots=True)
class Cursor:
    """`<seq>` or `<seq>.<frame>`: the last thing a viewer has."""

    seq: int = 0
    frame: int = 0
    """Frames of event `seq + 1` that the viewer has, if it was cut inside an event."""

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """
        Parse an event id that a client sends back.

        Raises:
            BadCursor: We never gave it out.
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


async def follow(
    journal: Journal, run_id: str, *, after: int = 0, patience_s: float = 15.0
) -> AsyncGenerator[Sequence[Event]]:
    """
    Yield every event after `after`, old and new, once, until the run ends.

    Events come in batches, as they were committed. An empty batch means that
    `patience_s` passed with nothing new, so that the caller can send a heartbeat.
    There is no queue per viewer: a slow viewer costs one integer, and cannot hold
    anything up.

    Raises:
        UnknownRun: There is no such run.
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
    Tell whether nothing can come after `after`: the run has ended and this was its last event.

    A viewer may come back holding the last event's id. Without this look it would wait for
    a successor that cannot come.

    Raises:
        UnknownRun: There is no such run.
        BadCursor: `after` is ahead of the log.
    """
    head = await journal.head(run_id)
    if after > head.seq:
        # Waiting for the log to catch up would skip events in silence.
        raise BadCursor(f"event {after} is ahead of run {run_id}, which has {head.seq} so far")
    return head.ended_ms is not None and after == head.seq
