"""
Reading many answers together when the event loop is busy.

A stream that is read as soon as each token arrives wakes cold caches for it: at some thousand
tokens a second that is half of the cost. So a busy loop reads its streams in rounds. A stream that
has just said something is paused until the next round; then all are read one after another, and
one commit takes them all. A quiet loop has no rounds, and no token waits.

First outputs, errors and new requests never wait: a stream takes part once it is in mid-flow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

MEASURE_S: Final = 0.1
"""Seconds between two measurements of the load."""

SMOOTHING: Final = 4
"""Measurements over which the load is averaged: rounds lower the load that calls for them."""

QUIET: Final = 0.05
"""Share of its time that the loop may work without rounds …"""

BUSY: Final = 0.15
"""… and from which on rounds are as far apart as they may be."""


def share_at(load: float) -> float:
    """Return the share of the longest delay that a load calls for."""
    return min(max((load - QUIET) / (BUSY - QUIET), 0.0), 1.0)


class Rounds:
    """
    The rounds of one event loop.

    Attributes:
        delay_s: From one round to the next, in seconds; 0: streams are read at once.
    """

    def __init__(self, max_delay_s: float) -> None:
        self.delay_s = 0.0
        self._max_delay_s = max_delay_s
        self._streams = 0
        self._waiting: list[Callable[[], object]] = []
        self._load = 0.0
        self._measured_at = 0.0
        self._worked_s = 0.0
        self._measuring: asyncio.TimerHandle | None = None
        self._last_round = 0.0

    def enter(self) -> None:
        """A stream begins; while there is one, the load is measured."""
        self._streams += 1
        if self._max_delay_s and self._measuring is None:
            self._measured_at, self._worked_s = time.monotonic(), time.thread_time()
            self._measuring = asyncio.get_running_loop().call_later(MEASURE_S, self._measure)

    def leave(self) -> None:
        """A stream has ended."""
        self._streams -= 1

    def wait(self, resume: Callable[[], object]) -> None:
        """Call `resume` in the next round."""
        if not self._waiting:
            loop = asyncio.get_running_loop()
            loop.call_at(max(self._last_round + self.delay_s, loop.time()), self._begin)
        self._waiting.append(resume)

    def _begin(self) -> None:
        self._last_round = asyncio.get_running_loop().time()
        waiting, self._waiting = self._waiting, []
        for resume in waiting:
            resume()

    def _measure(self) -> None:
        now, worked_s = time.monotonic(), time.thread_time()
        load = (worked_s - self._worked_s) / max(now - self._measured_at, MEASURE_S / 2)
        self._measured_at, self._worked_s = now, worked_s
        self._measuring = None
        if self._streams:
            self._load += (load - self._load) / SMOOTHING
            self._measuring = asyncio.get_running_loop().call_later(MEASURE_S, self._measure)
        else:
            self._load = 0.0  # whatever comes next begins on a quiet loop
        self.delay_s = share_at(self._load) * self._max_delay_s
