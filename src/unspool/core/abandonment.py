"""
Cancels runs without viewers, where the request wants that; by default they continue.

A request with `Unspool-When-Left: cancel` limits how long its run may continue unwatched. Without
the header, a run whose viewers have all left may still write `max_unwatched_bytes`: a model that
never ends must not work for nobody. Streams and runs do not know each other; this module connects
them.

A run that waits for a person works for nobody, so it may wait unwatched: its time begins when it
goes on.
"""

from __future__ import annotations

import asyncio
from typing import Final

from ..execution.runner import Runner
from ..journals import Journal
from ..viewing.viewers import Viewing

CHECK_S: Final = 5.0
"""Seconds between two looks at how much the runs without viewers have written."""

TELL_S: Final = 2.0
"""Seconds between two messages to other processes about viewers of their runs here."""

ELSEWHERE_S: Final = 6.0
"""Seconds after the last such message until the viewers elsewhere have left."""

FIRST_S: Final = 30.0
"""Seconds beyond its own limit for the first viewer of a new or recovered run."""


class AbandonedRuns:
    """Cancels runs that must not continue without viewers."""

    def __init__(
        self, journal: Journal, runner: Runner, viewing: Viewing, max_unwatched_bytes: int
    ) -> None:
        self._journal = journal
        self._runner = runner
        self._elsewhere: dict[str, float] = {}
        """Loop time at which another process last had viewers of a run of ours."""
        self._telling = asyncio.create_task(self._tell(), name="viewers of other runs")
        journal.on_viewers = self._watched_elsewhere
        self._most = max_unwatched_bytes
        self._sizes: dict[str, int] = {}
        """Bytes that runs had when their last viewer left."""
        self._checking: asyncio.TimerHandle | None = None
        self._viewing = viewing
        self._patience_s: dict[str, float] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._loop = asyncio.get_running_loop()
        self._cancelling: set[asyncio.Task[None]] = set()
        viewing.on_left = self._left
        runner.on_begun.append(self._begun)
        runner.on_waiting.append(self._waits)

    def close(self) -> None:
        self._telling.cancel()
        for timer in (self._checking, *self._timers.values()):
            if timer is not None:
                timer.cancel()

    def _begun(self, run_id: str, after_s: float) -> None:
        self._patience_s[run_id] = after_s
        self._arm(run_id, after_s + FIRST_S)

    def _waits(self, run_id: str) -> None:
        after_s = self._patience_s.get(run_id)
        if after_s is not None and run_id not in self._runner.waiting:
            self._arm(run_id, after_s + FIRST_S)

    def _left(self, run_id: str) -> None:
        if (size := self._runner.unasked_bytes(run_id)) is not None:
            self._sizes[run_id] = size
            if self._checking is None:
                self._checking = self._loop.call_later(CHECK_S, self._check)
        after_s = self._patience_s.get(run_id)
        if after_s is not None:
            self._arm(run_id, after_s)

    def _arm(self, run_id: str, wait_s: float) -> None:
        if (timer := self._timers.get(run_id)) is not None:
            timer.cancel()
        self._timers[run_id] = self._loop.call_later(wait_s, self._ring, run_id)

    def _ring(self, run_id: str) -> None:
        del self._timers[run_id]
        if self._is_watched(run_id) and self._runner.is_live(run_id):
            return  # its last viewer will arm it again
        if run_id in self._runner.waiting:
            return  # its answer will arm it again
        after_s = self._patience_s.pop(run_id)
        if self._runner.is_live(run_id):
            self._cancel(run_id, f"nobody watched it for {after_s:g} s")

    def _is_watched(self, run_id: str) -> bool:
        return self._viewing.count(run_id) > 0 or run_id in self._elsewhere

    def _watched_elsewhere(self, run_id: str) -> None:
        self._elsewhere[run_id] = self._loop.time()
        if self._checking is None:
            self._checking = self._loop.call_later(CHECK_S, self._check)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TELL_S)
            viewed = {viewer.run_id for viewer in self._viewing.viewers if viewer.counts}
            await self._journal.note_viewers([r for r in viewed if not self._runner.is_live(r)])

    def _check(self) -> None:
        left = self._loop.time() - ELSEWHERE_S
        for run_id in [run_id for run_id, at in self._elsewhere.items() if at < left]:
            del self._elsewhere[run_id]
            if not self._viewing.count(run_id):
                self._left(run_id)
        for run_id, before in list(self._sizes.items()):
            size = self._runner.unasked_bytes(run_id)
            if size is None or self._is_watched(run_id):
                del self._sizes[run_id]
            elif size - before > self._most:
                del self._sizes[run_id]
                self._cancel(run_id, f"it wrote {size - before} bytes after its last viewer left")
        is_busy = self._sizes or self._elsewhere
        again = self._loop.call_later(CHECK_S, self._check) if is_busy else None
        self._checking = again

    def _cancel(self, run_id: str, reason: str) -> None:
        cancelling = asyncio.create_task(self._runner.cancel(run_id, reason=reason))
        self._cancelling.add(cancelling)
        cancelling.add_done_callback(self._cancelling.discard)
