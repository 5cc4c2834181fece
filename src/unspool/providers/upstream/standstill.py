"""
Time limits that count no time in which we ourselves stood still.

A machine that is moved or overcommitted, and a loop that is kept busy, stand still for seconds. The
bytes that came meanwhile lie in the sockets unread, and a request may not have left at all. A limit
that runs out in such a moment says nothing about the provider; so each limit is put off by the time
lost, and a model is not called dead because we were.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

LOOK_S: Final = 0.1
"""Seconds between two looks at the clock."""

LATE_S: Final = 0.05
"""A look that comes this much later than it should is no standstill: any busy loop has those."""

MAX_KEPT: Final = 1000
"""Standstills that are remembered. Those before count as none: a limit is kept, not put off."""


class Standstill:
    """When and how long one event loop has stood still, measured while somebody waits."""

    def __init__(self) -> None:
        self._lost: deque[tuple[float, float]] = deque(maxlen=MAX_KEPT)
        """When each ended, and its seconds."""
        self._waiting = 0
        self._due_at = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def lost_since(self, at: float) -> float:
        """Return the seconds lost from `at`, a time of the loop's clock, until now."""
        now = asyncio.get_running_loop().time()
        lost_s = self._late_at(now)
        for ended_at, seconds in reversed(self._lost):
            if ended_at <= at:
                break
            lost_s += seconds
        return min(lost_s, max(now - at, 0.0))

    @contextmanager
    def measured(self) -> Generator[None]:
        """Measure until the context is left."""
        if not self._waiting:
            self._arm(asyncio.get_running_loop())
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting and self._handle is not None:
                self._handle.cancel()
                self._handle = None
                self._lost.clear()

    @asynccontextmanager
    async def timeout(self, since: float, limit_s: float) -> AsyncGenerator[None]:
        """
        Limit a wait that began at `since`, a time of the loop's clock.

        Raises:
            TimeoutError: It has lasted `limit_s`, and the time lost in between.
        """
        loop = asyncio.get_running_loop()
        with self.measured():
            handle: asyncio.TimerHandle

            def ring() -> None:
                nonlocal handle
                at = since + limit_s + self.lost_since(since)
                if loop.time() < at:
                    handle = loop.call_at(at, ring)
                else:
                    limit.reschedule(loop.time())

            handle = loop.call_at(since + limit_s, ring)
            try:
                async with asyncio.timeout(None) as limit:
                    yield
            finally:
                handle.cancel()

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due_at = loop.time() + LOOK_S
        self._handle = loop.call_at(self._due_at, self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if late_s := self._late_at(now):
            self._lost.append((now, late_s))
        self._arm(loop)

    def _late_at(self, now: float) -> float:
        late_s = now - self._due_at
        return late_s if late_s > LATE_S else 0.0
