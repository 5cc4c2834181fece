"""
Cancels runs without viewers, where the request wants that; by default they continue.

A request with `Unspool-When-Left: cancel` limits how long its run may continue unwatched. Streams
and runs do not know each other; this module connects them.
"""

from __future__ import annotations

import asyncio
from typing import Final

from ..execution.runner import Runner
from ..viewing.viewers import Viewing

FIRST_S: Final = 30.0
"""Seconds beyond its own limit for the first viewer of a new or recovered run."""


class AbandonedRuns:
    """Cancels runs that must not continue without viewers."""

    def __init__(self, runner: Runner, viewing: Viewing) -> None:
        self._runner = runner
        self._viewing = viewing
        self._patience_s: dict[str, float] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._loop = asyncio.get_running_loop()
        self._cancelling: set[asyncio.Task[None]] = set()
        viewing.on_left = self._left
        runner.on_begun.append(self._begun)

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()

    def _begun(self, run_id: str, after_s: float) -> None:
        self._patience_s[run_id] = after_s
        self._arm(run_id, after_s + FIRST_S)

    def _left(self, run_id: str) -> None:
        after_s = self._patience_s.get(run_id)
        if after_s is not None:
            self._arm(run_id, after_s)

    def _arm(self, run_id: str, wait_s: float) -> None:
        if (timer := self._timers.get(run_id)) is not None:
            timer.cancel()
        self._timers[run_id] = self._loop.call_later(wait_s, self._ring, run_id)

    def _ring(self, run_id: str) -> None:
        del self._timers[run_id]
        if self._viewing.count(run_id) and self._runner.is_live(run_id):
            return  # its last viewer will arm it again
        after_s = self._patience_s.pop(run_id)
        if self._runner.is_live(run_id):
            reason = f"nobody watched it for {after_s:g} s"
            cancelling = asyncio.create_task(self._runner.cancel(run_id, reason=reason))
            self._cancelling.add(cancelling)
            cancelling.add_done_callback(self._cancelling.discard)
