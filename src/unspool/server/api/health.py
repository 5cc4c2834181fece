"""`/healthz` (the process answers) and `/readyz` (it can read and write runs)."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from unspool.core import Core
from unspool.errors import JournalError, JournalFull
from unspool.server.guard import error_answer

MIN_FREE_BYTES: Final = 8 * 1024 * 1024
"""On the disk of the data directory: some commits and a checkpoint of the journal need as much."""


def plug(core: Core) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Answer while the process runs."""
        return {"status": "ok"}

    @router.get("/readyz", response_model=None)
    async def readyz() -> Response | dict[str, object]:
        """Check the journal and its disk: 503 while the server cannot read or write."""
        try:
            core.journal.check()
            _check_disk(core)
            await core.journal.heads(limit=1)
        except JournalError as error:
            return error_answer(503, error.code, str(error))
        facts: dict[str, object] = {"status": "ok", "live_runs": core.runner.live_count}
        if core.access.is_open:
            return {**facts, "access": "open", "models": core.catalog.names()}
        return {**facts, "access": "keys"}  # this path needs none, so it tells no names

    return router


def _check_disk(core: Core) -> None:
    """
    Raises:
        JournalFull: The next commits will not fit. The journal itself notices only when one fails.
    """
    with suppress(OSError):
        free = shutil.disk_usage(core.settings.data_dir).free
        if free < MIN_FREE_BYTES:
            raise JournalFull(f"the disk of the data directory has {free} bytes left; make room")
