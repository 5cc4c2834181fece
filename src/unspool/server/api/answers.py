"""`/v1/runs/{id}/answers`: people answer runs that wait for them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from unspool.core import Core
from unspool.dialects import Options

from .runs import whole


class AnswerRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    step: str = Field("", max_length=256)
    """That of the question; empty: of the only open one."""
    value: Any = Field(None, examples=["the blue ones"])
    """A text, or an object that fits the question's `schema`; an approval needs none."""
    declined: bool = False
    reason: str = Field("", max_length=4000)
    """Why it is declined; the flow, or the model, gets it."""


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/v1/runs", tags=["runs"])

    @router.post("/{run_id}/answers")
    async def answer_run(run_id: str, given: AnswerRequest, options: Options) -> JSONResponse:
        """
        Answer a question of a run, or decline it, and return the run.

        The first answer counts, later ones are 409. The same `Idempotency-Key` is the same answer.
        """
        await core.answers.give(run_id, given, options.key)
        return JSONResponse(await whole(core, run_id))

    return router
