"""
Follows the changes that other servers over the same database make to models and routes.

It asks for one number, once a second; a change is there after two seconds at the latest.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from ..errors import RecordsError
from .registry import ModelRegistry

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0


class Following:
    """Follows until it is closed. Where no other server can be, it does nothing."""

    def __init__(self, registry: ModelRegistry, *, every_s: float = EVERY_S) -> None:
        self._registry = registry
        self._every_s = every_s
        self._task = asyncio.create_task(self._follow()) if registry.is_shared else None

    async def _follow(self) -> None:
        is_lost = False
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self._registry.refresh()
            except RecordsError as error:
                if not is_lost:
                    log.warning("Changes to models cannot be seen: %s", error)
                is_lost = True
            except Exception:
                log.exception("Changes to models cannot be read")
            else:
                is_lost = False

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
