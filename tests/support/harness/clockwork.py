"""
An event loop whose time is its own: where nothing is ready, it is the next timer's turn at once.

Hours pass in a moment, the same way every time. Where nothing is ready and no timer runs, nothing
will ever happen: that is a hang, and it is raised as one. Threads do not fit in: whoever waits
for one sees time fly. Time stands still while others, in real time, have something to do for us.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

LOOK_S = 0.05
"""Real seconds until we ask again whether others are busy."""

PATIENCE = 600
"""So often; then they hang."""


class Hang(BaseException):
    """All wait for each other. No `Exception`: nobody in between may swallow it."""


class _Jumping(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Does not wait, but says that it has."""

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        super().__init__()
        self.now = 0.0
        self._is_busy = is_busy

    def select(self, timeout: float | None = None) -> list[Any]:
        ready: list[Any] = super().select(0)
        if timeout == 0:
            return ready
        looks = 0
        while not ready and self._is_busy():
            looks += 1
            if looks > PATIENCE:
                raise Hang("others are busy and never ready")
            ready = super().select(LOOK_S)
        if not ready:
            if timeout is None:
                raise Hang("nothing is ready and no timer runs")
            self.now += timeout
        return ready


class Clockwork(asyncio.SelectorEventLoop):
    def __init__(self, is_busy: Callable[[], bool]) -> None:
        self._jumping = _Jumping(is_busy)
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def play(work: Coroutine[Any, Any, Result], is_busy: Callable[[], bool] = lambda: False) -> Result:
    """Run to the end, in no time; `is_busy` says whether others do something for us now."""
    # Not in debug mode: a thousand runs a second are the point.
    with asyncio.Runner(debug=False, loop_factory=lambda: Clockwork(is_busy)) as runner:
        return runner.run(work)
