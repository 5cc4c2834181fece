"""
What becomes of a run when its viewers leave: by default nothing.

A run that was asked for with `Unspool-When-Left: cancel` is stopped when nobody has watched
it for as long as it allows. Streams and runs know nothing of each other; this joins them.
"""

from __future__ import annotations

import asyncio
import logging

from .journals import Journal, spec_of
from .runner import Runner
from .streaming import Viewing

log = logging.getLogger(__name__)


class Leaving:
    """Watches over the runs that are not to go on alone."""

    def __init__(self, journal: Journal, runner: Runner, viewing: Viewing) -> None:
        self._journal = journal
        self._runner = runner
        self._viewing = viewing
        self._timers: dict[str, asyncio.Task[None]] = {}
        viewing.on_left = self.look

    def look(self, run_id: str) -> None:
        """Begin to wait for a viewer of a run that has none, if it is not to go on alone."""
        if run_id not in self._timers and self._runner.is_live(run_id):
            waiting = asyncio.create_task(self._wait(run_id), name=f"leaving {run_id}")
            self._timers[run_id] = waiting
            waiting.add_done_callback(lambda _: self._timers.pop(run_id, None))

    def close(self) -> None:
        for waiting in list(self._timers.values()):
            waiting.cancel()

    async def _wait(self, run_id: str) -> None:
        events = await self._journal.read(run_id, after=0, limit=1)
        after_s = spec_of(events[0]).cancel_after_s if events else None
        if after_s is None:
            return
        await asyncio.sleep(after_s)
        if not self._viewing.count(run_id):
            await self._runner.cancel(run_id, reason=f"nobody watched it for {after_s:g} s")
