"""The live stream of a run in the protocol of Durable Streams: events in JSON, and controls."""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import randint
from typing import Any, Final

import msgspec

from ..formats.sse import Frame
from ..journals import READ_EVENTS
from ..runs.events import Event, encode_event
from .event_stream import EventStream
from .viewers import Viewing

EPOCH_S: Final = 1_728_432_000
"""9 October 2024, from which the protocol counts its intervals."""

INTERVAL_S: Final = 20
JITTER_S: Final = 3600

LIFE_S: Final = 60.0
"""The protocol wants streams to end after about so long; clients come back to where they were."""

DIGITS: Final = 16
"""Of an offset: padded, so that offsets sort as texts."""


def offset_of(seq: int) -> str:
    """Return the offset behind event `seq`."""
    return f"{seq:0{DIGITS}d}"


def cursor_after(given: str) -> str:
    """
    Return the cursor of a live answer: the present interval, or a later one than the client has.

    It keeps caches between us from giving the same answer again and again.
    """
    now = int((time.time() - EPOCH_S) // INTERVAL_S)
    seen = int(given) if given.isascii() and given.isdigit() and len(given) < DIGITS else -1
    if seen < now:
        return str(now)
    return str(seen + max(1, randint(1, JITTER_S) // INTERVAL_S))  # noqa: S311 - no secret


def array_of(events: Sequence[Event]) -> bytes:
    """Return events as an array of JSON."""
    return b"[%b]" % b",".join(map(encode_event, events))


class DurableStream(EventStream):
    """It begins behind event `after`."""

    def __init__(self, viewing: Viewing, run_id: str, after: int, cursor: str) -> None:
        super().__init__(viewing, run_id)
        self._after = after
        self._given = cursor
        # To the letter, as the conformance suite of the protocol compares it.
        self.raw_headers[0] = (b"content-type", b"text/event-stream")

    async def show(self) -> bytes:
        journal, after, is_first = self.viewing.journal, self._after, True
        ends_at = self._loop.time() + LIFE_S
        while True:
            events = await journal.read(self.run_id, after=after, limit=READ_EVENTS)
            if events:
                after = events[-1].seq
            is_behind = len(events) == READ_EVENTS
            head = None if is_behind else await journal.head(self.run_id)
            is_closed = head is not None and head.ended_ms is not None and head.seq == after
            if events or is_first:
                data = Frame(array_of(events), event="data").encode() if events else b""
                await self.write(data + self._control(after, is_behind, is_closed))
            is_first = False
            if is_closed or self._loop.time() >= ends_at:
                return b""
            if not events:
                if self.is_quiet():
                    await self.write(self.viewing.heartbeat())
                await journal.wait(
                    self.run_id,
                    after=after,
                    timeout_s=min(self.viewing.settings.heartbeat_s, LIFE_S),
                )

    def _control(self, after: int, is_behind: bool, is_closed: bool) -> bytes:
        facts: dict[str, Any] = {"streamNextOffset": offset_of(after)}
        if not is_closed:
            facts["streamCursor"] = cursor_after(self._given)
        if not is_behind:
            facts["upToDate"] = True
        if is_closed:
            facts["streamClosed"] = True
        # Without the space that SSE allows: the suite looks for it so.
        return b"event: control\ndata:%b\n\n" % msgspec.json.encode(facts)
