"""
Keeps timelines of runs in memory.

We read each log once after its end, and a live log as far as it has come. A timeline is small. One
question reads a bounded number of events; the next question reads the rest.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from ..errors import UnknownRun
from ..formats.tenancy import present_tenant
from ..journals import Journal, read_all
from ..runs.timeline import Timeline

REMEMBERED: Final = 5000
"""Timelines in memory, some 2 KiB each: a month of a busy team in 10 MiB."""

MAX_EVENTS: Final = 100_000
"""Events to read for one request: half a second."""


class Timelines:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known: OrderedDict[tuple[str | None, str], Timeline] = OrderedDict()
        """By tenant and run: the journal says who may see a run, and an ended one is not read."""
        self._reading = asyncio.Lock()
        """One reader at a time folds a timeline: an event read twice would count twice."""

    async def of(self, run_ids: Iterable[str]) -> dict[str, Timeline]:
        """
        Return the present timelines of these runs.

        It leaves out unknown runs, and runs beyond the `MAX_EVENTS` of one request.
        """
        found: dict[str, Timeline] = {}
        left = MAX_EVENTS
        tenant = present_tenant()
        async with self._reading:
            for run_id in run_ids:
                timeline = self._known.get((tenant, run_id)) or Timeline()
                before = timeline.seq
                try:
                    is_whole = await self._read(run_id, timeline, left)
                except UnknownRun:
                    self._known.pop((tenant, run_id), None)
                    continue
                left -= timeline.seq - before
                self._remember((tenant, run_id), timeline)
                if is_whole:
                    found[run_id] = timeline
        return found

    async def _read(self, run_id: str, timeline: Timeline, most: int) -> bool:
        """Fold the new part of a log; return whether that reached its present end."""
        if timeline.end is not None:
            return True
        last = timeline.seq + most
        async for events in read_all(self._journal, run_id, after=timeline.seq, upto=last):
            for event in events:
                timeline.apply(event)
        return timeline.seq < last

    def _remember(self, key: tuple[str | None, str], timeline: Timeline) -> None:
        self._known[key] = timeline
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
