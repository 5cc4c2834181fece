"""The clocks of a journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

MAX_BACK_S = 86_400.0
"""
A clock that is further behind the journal's last time was wrong before, and is right now. Up to
this, the journal goes on from that time, so that runs stay in order and no duration is negative.
"""


def never_back(clock: Callable[[], float], latest_ms: int) -> Callable[[], float]:
    """Return the clock, or one that is as far ahead of it as the journal is."""
    ahead_s = latest_ms / 1000 - clock()
    return clock if not 0 < ahead_s <= MAX_BACK_S else lambda: clock() + ahead_s


def elapsed_s() -> float:
    """Return the seconds since some moment: the event loop's clock, which timers go by too."""
    return asyncio.get_running_loop().time()
