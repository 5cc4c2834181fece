"""
The limits of time of one attempt.

They are kept by one lazy timer for the attempt, not by a timer for each read: a timer is armed
for the earliest moment at which a limit could be broken, and when it rings it looks at the
times that reading has left behind.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

import aiohttp

from .. import Limits

LINGER_S = 2.0
"""
How long an answer that is whole is read on for its usage, and an error answer for its words:
they come at once or never. A provider that leaves the connection open must not hold us back.
"""


class Timer:
    """Watches one attempt. `bytes_at` and `output_at` are written by whoever reads."""

    def __init__(self, limits: Limits) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self.started_at = self._loop.time()
        self.bytes_at = 0.0  # 0: nothing yet
        self.output_at = 0.0
        self.whole_at = 0.0
        self.broken = ""
        self._response: aiohttp.ClientResponse | None = None
        self._handle: asyncio.TimerHandle | None = None

    def watch(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._look()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def saw(self, *, output: bool, whole: bool) -> None:
        """Note that bytes came, whether with output, and whether the answer is whole now."""
        self.bytes_at = self._loop.time()
        if output:
            self.output_at = self.bytes_at
        if whole and not self.whole_at:
            self.whole_at = self.bytes_at
            self._rearm(self.whole_at + LINGER_S)
        elif not whole:
            self.whole_at = 0.0  # an end that was none after all

    def _rearm(self, at: float) -> None:
        self.stop()
        self._handle = self._loop.call_at(at, self._look)

    def _deadlines(self) -> Mapping[str, float]:
        limits, start = self._limits, self.started_at
        deadlines = {"total_s": start + (limits.total_s or math.inf)}
        if self.whole_at:
            return {**deadlines, "linger_s": self.whole_at + LINGER_S}
        if self.output_at:
            deadlines["progress_s"] = self.output_at + limits.progress_s
        else:
            deadlines["first_event_s"] = start + limits.first_event_s
        if self.bytes_at:
            deadlines["idle_s"] = self.bytes_at + limits.idle_s
        return deadlines

    def _look(self) -> None:
        name, at = min(self._deadlines().items(), key=lambda item: item[1])
        if (now := self._loop.time()) < at:
            # What comes until then starts a limit of its own, which may end before `at`.
            soon = now + min(self._limits.idle_s, self._limits.progress_s)
            self._handle = self._loop.call_at(min(at, soon), self._look)
            return
        self.broken = name
        assert self._response is not None
        self._response.close()  # wakes the reader with an error
