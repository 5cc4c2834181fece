"""`/healthz` (the process answers) and `/readyz` (it can write runs)."""

from __future__ import annotations

from fastapi import APIRouter

from unspool.core import Core


def plug(core: Core) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz")
    async def readyz() -> dict[str, object]:
        """503 where the journal cannot be read."""
        await core.journal.heads(limit=1)
        return {"status": "ok", "models": core.catalog.names(), "live_runs": core.runner.live_count}

    return router
