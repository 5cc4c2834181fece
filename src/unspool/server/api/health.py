"""`/healthz` (the process answers) and `/readyz` (it can read and write runs)."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from unspool.core import Core
from unspool.errors import JournalError
from unspool.server.guard import error_answer


def plug(core: Core) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Answer while the process runs."""
        return {"status": "ok"}

    @router.get("/readyz", response_model=None)
    async def readyz() -> Response | dict[str, object]:
        """Check the journal: 503 while the server cannot read or write it."""
        try:
            core.journal.check()
            await core.journal.heads(limit=1)
        except JournalError as error:
            return error_answer(503, error.code, str(error))
        return {"status": "ok", "models": core.catalog.names(), "live_runs": core.runner.live_count}

    return router
