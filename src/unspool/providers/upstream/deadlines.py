"""
The time limits of one attempt.

One lazy timer keeps them all, so a read arms no timer of its own. The timer rings at the
earliest moment at which a limit could be broken, and then looks at the times of the last reads.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

from .. import Limits
from .http1 import Response

LINGER_S = 2.0
"""
Seconds to keep reading a complete answer for its usage, and an error answer for its message:
both arrive at once or never. A provider that leaves the connection open must not hold us back.
"""


class Timer:
    """Watches one attempt. `http` writes `bytes_at` and `output_at` as bytes and outputs arrive."""

    def __init__(self, limits: Limits) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self.started_at = self._loop.time()
        self.bytes_at = 0.0  # 0: nothing yet
        self.output_at = 0.0
        self.whole_at = 0.0
        self.broken = ""
        self._response: Response | None = None
        self._handle: asyncio.TimerHandle | None = None

    def watch(self, response: Response) -> None:
        self._response = response
        self._look()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def saw_whole(self, *, is_whole: bool) -> None:
        """Note whether the answer is whole: if so, only its usage may follow, and soon."""
        if is_whole and not self.whole_at:
            self.whole_at = self.bytes_at
            self._rearm(self.whole_at + LINGER_S)
        elif not is_whole:
            self.whole_at = 0.0  # that end was not the end

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
            # Bytes that arrive until then start a limit of their own, which may end before `at`.
            soon = now + min(self._limits.idle_s, self._limits.progress_s)
            self._handle = self._loop.call_at(min(at, soon), self._look)
            return
        self.broken = name
        assert self._response is not None
        self._response.close()  # the reader wakes with an error
