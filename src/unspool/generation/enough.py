"""A reader that has all it wants of a text, so that nobody waits for the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

GRACE_S: Final = 1.0
"""For the provider to end its answer in good order and to report its usage."""


class Enough:
    """
    Attributes:
        is_said: The text is whole, whatever becomes of the request for it.
    """

    def __init__(self) -> None:
        self.is_said = False
        self._limit: asyncio.Timeout | None = None

    def say(self) -> None:
        """Let the request end `GRACE_S` from now at the latest."""
        self.is_said = True
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + GRACE_S)

    def take_back(self) -> None:
        """The text is taken back, and this with it."""
        self.is_said = False
        if self._limit is not None:
            self._limit.reschedule(None)

    async def wait(self, answer: Awaitable[None]) -> bool:
        """Wait for an answer; return whether it came to its own end."""
        try:
            async with asyncio.timeout(None) as self._limit:
                await answer
        except TimeoutError:
            if not self.is_said:
                raise
            return False
        finally:
            self._limit = None
        return True
