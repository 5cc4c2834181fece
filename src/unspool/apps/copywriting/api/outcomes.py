"""Outcomes of runs: `POST /v1/runs/{id}/outcome`, and the log of sales copy."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from unspool.core import Core
from unspool.server.api.json.run import iso

from ..records.copies import CopyRow, OutcomeRow, keep_outcome, list_copies


class OutcomeInput(BaseModel):
    model_config = ConfigDict(extra="forbid")

    is_adopted: bool
    step: str = Field("", max_length=128, examples=["post-2"])
    """The adopted part; empty: all of it."""


def plug(core: Core) -> APIRouter:
    router = APIRouter(tags=["outcomes"])
    records = core.records

    @router.post("/v1/runs/{run_id}/outcome")
    async def say_outcome(run_id: str, definition: OutcomeInput) -> dict[str, Any]:
        """Set the outcome of a run; a second call replaces the first."""
        await core.journal.head(run_id)
        await keep_outcome(records, run_id, is_adopted=definition.is_adopted, step=definition.step)
        return {"run": run_id, "is_adopted": definition.is_adopted, "step": definition.step}

    @router.get("/api/copies")
    async def list_all(
        before: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
        experiment: Annotated[str, Query(max_length=64)] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> dict[str, Any]:
        """Runs of sales copy with model, time and outcome, newest first."""
        rows = await list_copies(records, before_ms=before, experiment=experiment, limit=limit)
        more = rows[-1][0].created_ms if len(rows) == limit else None
        return {"copies": [_json(copy, outcome) for copy, outcome in rows], "next": more}

    return router


_FACTS: Final = (
    "sku",
    "style",
    "user_id",
    "experiment",
    "arm",
    "status",
    "models",
    "first_token_ms",
    "total_ms",
)


def _json(copy: CopyRow, outcome: OutcomeRow | None) -> dict[str, Any]:
    return {
        "run": copy.run_id,
        **{name: getattr(copy, name) for name in _FACTS},
        "created_at": iso(copy.created_ms),
        "is_adopted": None if outcome is None else outcome.is_adopted,
        "adopted_step": None if outcome is None else outcome.step,
    }
