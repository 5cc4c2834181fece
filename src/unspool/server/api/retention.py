"""`/api/prune`: delete old runs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from unspool.core import Core
from unspool.core.retention import RetentionRules


class PruneRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    older_than_s: float | None = Field(None, ge=0, allow_inf_nan=False)
    """Delete runs that ended longer ago."""
    max_bytes: int | None = Field(None, ge=0)
    """Delete the oldest runs until the journal is this small."""
    dry_run: bool = False


def plug(core: Core) -> APIRouter:
    router = APIRouter(tags=["retention"])

    @router.post("/api/prune")
    async def prune(request: PruneRequest) -> dict[str, Any]:
        """Delete ended runs without viewers, oldest first; without a rule, delete none."""
        rules = RetentionRules(request.older_than_s, request.max_bytes)
        done = await core.retention.prune(rules, is_dry=request.dry_run)
        if not request.dry_run:
            rule = request.model_dump(exclude={"dry_run"})
            await core.audit.note("runs.pruned", "", runs=done.runs, **rule)
        return {
            "runs": done.runs,
            "bytes": done.bytes,
            "dry_run": request.dry_run,
            "used_bytes": await core.journal.used_bytes(),
        }

    return router
