"""`/v1/runs/{id}/fork`: a run that continues another run with changes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from unspool.core import Core
from unspool.dialects import Options
from unspool.runs.fork import Changes, EditedText
from unspool.viewing.streams import stream_of

from .runs import whole


class EditedTextInput(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str
    finished: bool = False
    """Whether it is whole; if not, it will be continued."""


class ForkRequest(BaseModel):
    """The changes; a missing field stays as it was."""

    model_config = ConfigDict(extra="forbid")

    after: int | None = None
    """Number of the last event to take over; the newest one by default."""
    input: dict[str, Any] | None = Field(None, examples=[{"prompt": "请再短一点"}])
    """Fields that replace those of the old input."""
    model: str | None = Field(None, max_length=128)
    dialect: str | None = Field(None, max_length=64)
    texts: dict[str, str | EditedTextInput] = Field(
        default_factory=dict, examples=[{"answer": "今天"}]
    )
    """Texts for steps to begin with, by their names."""
    cancel: bool = False
    """Cancel the old run first."""

    def changes(self) -> Changes:
        texts = {
            step: EditedText(said) if isinstance(said, str) else EditedText(**said.model_dump())
            for step, said in self.texts.items()
        }
        return Changes(self.after, self.input, self.model, self.dialect, texts, self.cancel)


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/v1/runs", tags=["runs"])

    @router.post("/{run_id}/fork", status_code=201)
    async def fork_run(
        run_id: str, request: ForkRequest, options: Options, accept: Annotated[str, Header()] = ""
    ) -> Response:
        """Continue from a place in a run, with changes, in a new run: 201 and its JSON."""
        fork = await core.admission.fork(run_id, request.changes(), options)
        if "text/event-stream" in accept:
            dialect = (await core.journal.head(fork)).dialect
            return stream_of(core.viewing, fork, dialect, pace=options.pace)
        place = f"/v1/runs/{fork}"
        headers = {"Location": place, "X-Run-Id": fork, "Cache-Control": "no-store"}
        return JSONResponse(await whole(core, fork), 201, headers=headers)

    return router
