"""A limit on a wait, for a machine that may stand still."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

from unspool.providers.upstream.standstill import Standstill

_standstill = Standstill()


def within(seconds: float) -> AbstractAsyncContextManager[None]:
    """
    Limit a wait; the time in which this process stood still does not count.

    Raises:
        TimeoutError: It has lasted that long.
    """
    return _standstill.timeout(asyncio.get_running_loop().time(), seconds)
