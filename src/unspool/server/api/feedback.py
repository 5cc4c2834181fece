"""`/v1/runs/{id}/feedback`: whether a run was good, and why."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from unspool.core import Core
from unspool.records.feedback import (
    MAX_NOTE_CHARS,
    Verdict,
    feedback_of,
    remove_feedback,
    save_feedback,
)

from .json.run import feedback_json


class FeedbackInput(BaseModel):
    model_config = ConfigDict(extra="forbid")

    verdict: Verdict | None
    """`null` withdraws what was said."""
    note: str = Field("", max_length=MAX_NOTE_CHARS)


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/v1/runs", tags=["runs"])
    records = core.records

    async def stored(run_id: str) -> dict[str, Any]:
        row = (await feedback_of(records, [run_id])).get(run_id)
        return {"run": run_id, "feedback": feedback_json(row)}

    @router.get("/{run_id}/feedback")
    async def read_feedback(run_id: str) -> dict[str, Any]:
        """Read what somebody thinks of a run; `null` if nobody has said."""
        await core.journal.head(run_id)
        return await stored(run_id)

    @router.post("/{run_id}/feedback")
    async def give_feedback(run_id: str, given: FeedbackInput) -> dict[str, Any]:
        """Say whether a run is good, in place of what was said before."""
        await core.journal.head(run_id)
        if given.verdict is None:
            await remove_feedback(records, run_id)
        else:
            await save_feedback(records, run_id, given.verdict, given.note)
        return await stored(run_id)

    return router
