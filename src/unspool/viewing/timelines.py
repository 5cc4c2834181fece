"""
Sketches of runs, remembered.

Each log is read once after its end, and as far as it has come while it goes on. What is
remembered is small; what one question may read is bounded, and what was not reached is told by
the next one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from ..errors import UnknownRun
from ..journals import Journal, read_all
from ..runs.timeline import Timeline

REMEMBERED: Final = 5000
"""Sketches in memory, some 2 KiB each: a month of a busy team in 10 MiB."""

MAX_EVENTS: Final = 100_000
"""Events read for one question: half a second."""


class Timelines:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known: OrderedDict[str, Timeline] = OrderedDict()
        self._reading = asyncio.Lock()
        """A timeline is folded by one reader at a time: an event taken twice would count twice."""

    async def of(self, run_ids: Iterable[str]) -> dict[str, Timeline]:
        """
        Return the timelines of these runs, as they are now.

        Runs that are unknown are left out, and those that could not be reached within
        `MAX_EVENTS` events too.
        """
        found: dict[str, Timeline] = {}
        left = MAX_EVENTS
        async with self._reading:
            for run_id in run_ids:
                timeline = self._known.get(run_id) or Timeline()
                before = timeline.seq
                try:
                    is_whole = await self._read(run_id, timeline, left)
                except UnknownRun:
                    self._known.pop(run_id, None)
                    continue
                left -= timeline.seq - before
                self._remember(run_id, timeline)
                if is_whole:
                    found[run_id] = timeline
        return found

    async def _read(self, run_id: str, timeline: Timeline, most: int) -> bool:
        """Fold what is new of a log; whether its present end was reached."""
        if timeline.end is not None:
            return True
        last = timeline.seq + most
        async for events in read_all(self._journal, run_id, after=timeline.seq, upto=last):
            for event in events:
                timeline.apply(event)
        return timeline.seq < last

    def _remember(self, run_id: str, timeline: Timeline) -> None:
        self._known[run_id] = timeline
        self._known.move_to_end(run_id)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
