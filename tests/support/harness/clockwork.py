"""
An event loop whose time is its own: where nothing is ready, it is the next timer's turn at once.

Hours pass in a moment, the same way every time. Where nothing is ready and no timer runs, nothing
will ever happen: that is a hang, and it is raised as one. Threads do not fit in: whoever waits
for one sees time fly.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class Hang(BaseException):
    """All wait for each other. No `Exception`: nobody in between may swallow it."""


class _Jumping(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Does not wait, but says that it has."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready: list[Any] = super().select(0)
        if not ready:
            if timeout is None:
                raise Hang("nothing is ready and no timer runs")
            self.now += timeout
        return ready


class Clockwork(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def play(work: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end, in no time."""
    # Not in debug mode: a thousand runs a second are the point.
    with asyncio.Runner(debug=False, loop_factory=Clockwork) as runner:
        return runner.run(work)
