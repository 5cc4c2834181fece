"""Ends the streams of keys, share links and sessions that hold no more."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from ...errors import RecordsError
from ...viewing.viewers import Viewing
from .requests import Access

log = logging.getLogger(__name__)

LOOK_S: Final = 0.5
"""Seconds between two looks at the keys of open streams."""


class RevokedKeys:
    """Looks at the keys of all open streams, until `close`."""

    def __init__(self, access: Access, viewing: Viewing) -> None:
        self._access = access
        self._viewing = viewing
        # On an open server too: it has share links.
        self._task = asyncio.create_task(self._look(), name="keys")

    def close(self) -> None:
        self._task.cancel()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            keys = {viewer.key for viewer in self._viewing.viewers if viewer.key}
            if not keys:
                continue
            try:
                gone = await self._access.revoked(keys)
            except RecordsError as error:
                log.warning("Keys of open streams cannot be looked at: %s", error)
                continue
            for viewer in [viewer for viewer in self._viewing.viewers if viewer.key in gone]:
                log.info("%s holds no more: a stream ends", viewer.key)
                viewer.is_revoked = True
                viewer.stop()
