"""Wakes the readers of live runs: when there is news, or their time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from .live_run import LiveRun

SWEEPS = 8
"""A waiter wakes at most an eighth of its time-out late."""


class Waiters:
    """The time-outs of all waiters: one timer, not one for each token."""

    def __init__(self, live_runs: Callable[[], Iterable[LiveRun]]) -> None:
        self._live_runs = live_runs
        self._loop = asyncio.get_running_loop()
        self._sweeping: asyncio.TimerHandle | None = None
        self._sweep_s = 1.0

    def wait(self, live_run: LiveRun, after: int, timeout_s: float) -> asyncio.Future[None]:
        """Return a future that is done when the run has an event after `after`, or on time-out."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        if live_run.visible > after:
            waiter.set_result(None)
            return waiter
        if timeout_s < self._sweep_s * SWEEPS:
            self._sweep_s = timeout_s / SWEEPS
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._sweep_s, self._sweep)
        # A waiter that gives up leaves a cancelled future behind, until the next ring.
        live_run.waiters[waiter] = self._loop.time() + timeout_s
        return waiter

    def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()

    def _sweep(self) -> None:
        now = self._loop.time()
        is_waited_for = False
        for live_run in self._live_runs():
            is_waited_for = is_waited_for or bool(live_run.waiters)
            for waiter in [w for w, until in live_run.waiters.items() if until <= now or w.done()]:
                del live_run.waiters[waiter]
                if not waiter.done():
                    waiter.set_result(None)
        self._sweeping = None
        if is_waited_for:
            self._sweeping = self._loop.call_later(self._sweep_s, self._sweep)
