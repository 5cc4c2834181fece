"""Outcomes of runs: `POST /v1/runs/{id}/outcome`."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from unspool.core import Core
from unspool.errors import SpecError
from unspool.journals import read_all
from unspool.runs.run import Run, fold

from ..records.copies import keep_outcome

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
