"""Outcomes of runs: `POST /v1/runs/{id}/outcome`, and the log of sales copy."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from unspool.core import Core
from unspool.errors import SpecError
from unspool.journals import read_all
from unspool.runs.run import Run, fold
from unspool.server.api.json.run import iso

from ..records.copies import CopyRow, OutcomeRow, keep_outcome, list_copies

MAX_NAMED: Final = 10
"""Steps that an error names."""


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
        run = Run()
        async for events in read_all(core.journal, run_id):
            fold(events, run)
        if definition.step:
            _check_shown(run, definition.step)
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


def _check_shown(run: Run, name: str) -> None:
    """
    Raises:
        SpecError: Nobody has seen the whole of such a step.
    """
    step = run.steps.get(name)
    if step is None or step.is_unseen or not step.finished:
        names = [each.name for each in run.steps.values() if each.finished and not each.is_unseen]
        known = ", ".join(names[:MAX_NAMED]) or "none yet"
        raise SpecError(f"the run has shown no step {name!r}; finished steps: {known}")


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
