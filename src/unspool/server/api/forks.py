"""`/v1/runs/{id}/fork`: a run that continues another run with changes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from unspool.core import Core
from unspool.dialects import Options
from unspool.runs.fork import Changes, EditedText
from unspool.server.headers import wants_stream
from unspool.viewing.streams import first_stream_of

from .runs import whole


class EditedTextInput(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str
    finished: bool = False
    """Whether the text is complete; if not, the fork continues it."""


class ForkRequest(BaseModel):
    """The changes; a missing field does not change."""

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
    """By step: the text that the step begins with."""
    cancel: bool = False
    """Cancel the old run first."""

    def changes(self) -> Changes:
        texts = {
            step: EditedText(text) if isinstance(text, str) else EditedText(**text.model_dump())
            for step, text in self.texts.items()
        }
        return Changes(self.after, self.input, self.model, self.dialect, texts, self.cancel)


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/v1/runs", tags=["runs"])

    @router.post("/{run_id}/fork", status_code=201)
    async def fork_run(
        run_id: str, request: ForkRequest, options: Options, accept: Annotated[str, Header()] = ""
    ) -> Response:
        """Continue a run after one of its events, with changes, as a new run: 201 and its JSON."""
        fork = await core.admission.fork(run_id, request.changes(), options)
        if wants_stream(accept):
            dialect = (await core.journal.head(fork)).dialect
            return await first_stream_of(core.viewing, fork, dialect, options)
        location = f"/v1/runs/{fork}"
        headers = {"Location": location, "X-Run-Id": fork, "Cache-Control": "no-store"}
        return JSONResponse(await whole(core, fork), 201, headers=headers)

    return router
