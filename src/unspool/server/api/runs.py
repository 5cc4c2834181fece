"""`/v1/runs`: start a run, list runs, read one, follow its events, cancel it."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from unspool.core import Core
from unspool.dialects import Options, open_dialect
from unspool.journals import read_all
from unspool.runs.options import MAX_PACE, MIN_PACE
from unspool.runs.run import Run, RunSpec
from unspool.server.headers import wants_stream
from unspool.viewing.cursor import Cursor
from unspool.viewing.streams import first_stream_of, stream_of

from .json.listed import RunQuery, indexed_list, plain_list
from .json.progress import ProgressFold, ProgressFolds
from .json.run import run_json
from .json.ticket import ticket_of, wanted_s

MAX_FORKS = 100
"""Forks to show with a run, newest first."""


class RunRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    flow: str = Field("chat", max_length=64, examples=["chat", "copywriting"])
    input: dict[str, Any] = Field(default_factory=dict, examples=[{"prompt": "请介绍运动鞋的特点"}])
    model: str = Field("", max_length=128)
    """Name of a model; empty means the default one."""
    dialect: str = Field("native", max_length=64)
    """The dialect of its stream for viewers that name no other."""


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/v1/runs", tags=["runs"])
    journal, viewing = core.journal, core.viewing
    folds = ProgressFolds(journal)

    @router.post("", status_code=201)
    async def start_run(
        request: RunRequest,
        options: Options,
        accept: Annotated[str, Header()] = "",
        unspool_ticket: Annotated[str, Header()] = "",
    ) -> Response:
        """
        Start a run: 201 and its JSON, or its stream if `Accept` is `text/event-stream`.

        With `Unspool-Ticket: 60` the JSON has a `ticket` too, for a page to follow the run with.
        """
        ticket_s = wanted_s(unspool_ticket)
        spec = RunSpec(request.flow, request.input, model=request.model, dialect=request.dialect)
        run_id = await core.admission.admit(spec, options)
        if wants_stream(accept):
            return await first_stream_of(viewing, run_id, request.dialect, options)
        location = f"/v1/runs/{run_id}"
        headers = {"Location": location, "X-Run-Id": run_id, "Cache-Control": "no-store"}
        facts = await whole(core, run_id) | ticket_of(core, run_id, ticket_s)
        return JSONResponse(facts, 201, headers=headers)

    @router.get("")
    async def list_runs(query: Annotated[RunQuery, Query()]) -> dict[str, Any]:
        """List runs; `next` is the `before` of the next page."""
        if query.before:
            await journal.head(query.before)
        return await (plain_list if query.is_plain else indexed_list)(core, query)

    @router.get("/{run_id}")
    async def read_run(run_id: str) -> JSONResponse:
        """Read a run after all its events so far."""
        await core.eta.learn((await journal.head(run_id)).flow)
        facts = await whole(core, run_id) | await _forks_and_viewers(core, run_id)
        return JSONResponse(facts, headers={"Cache-Control": "no-store"})

    @router.get("/{run_id}/progress")
    async def read_progress(run_id: str) -> JSONResponse:
        """
        Read the time left, the forks and the viewers of a run.

        Pages that follow the events may poll it often: the server reads no event twice.
        """
        head = await journal.head(run_id)
        await core.eta.learn(head.flow)
        facts = await folds.left_json(head, core.eta, int(time.time() * 1000))
        facts = {
            "status": head.status,
            "last_seq": head.seq,
            **facts,
            **await _forks_and_viewers(core, run_id),
        }
        return JSONResponse(facts, headers={"Cache-Control": "no-store"})

    @router.get("/{run_id}/events")
    async def follow_run(
        run_id: str,
        options: Options,
        cursor: Annotated[Cursor, Depends(_cursor)],
        dialect: Annotated[str, Query(max_length=64)] = "",
        pace: Annotated[float | None, Query(ge=MIN_PACE, le=MAX_PACE)] = None,
    ) -> Response:
        """
        Follow the events of a run as a stream, from a cursor on; 204 if none are left.

        The cursor is `Last-Event-ID` (which an EventSource sends by itself), else `lastEventId`
        (which stand-ins for it send), else `after`. The default dialect is that of the run.
        `pace` 1 replays at the original speed, 4 four times as fast.
        """
        head = await journal.head(run_id)
        name = dialect or head.dialect
        open_dialect(name)
        await core.check_viewers()
        if not await viewing.tapes.has_more(run_id, name, cursor.seq, cursor.frame):
            return Response(status_code=204, headers={"X-Run-Id": run_id})
        return stream_of(viewing, run_id, name, cursor, pace or options.pace)

    @router.post("/{run_id}/cancel")
    async def cancel_run(run_id: str) -> JSONResponse:
        """Cancel a run and return it. Idempotent: an ended run does not change."""
        await journal.head(run_id)
        await core.runner.cancel(run_id)
        return JSONResponse(await whole(core, run_id))

    return router


def _cursor(
    request: Request,
    after: Annotated[str, Query(max_length=64)] = "",
    last_event_id: Annotated[str, Query(alias="lastEventId", max_length=64)] = "",
) -> Cursor:
    # What comes with each request wins: on a reconnect it is newer than a fixed URL.
    return Cursor.parse(request.headers.get("last-event-id") or last_event_id or after or "0")


async def _forks_and_viewers(core: Core, run_id: str) -> dict[str, Any]:
    """Return the forks and the number of viewers of a run."""
    forks = await core.journal.heads(forked_from=run_id, limit=MAX_FORKS)
    return {"forks": [head.run_id for head in forks], "viewers": core.viewing.count(run_id)}


async def whole(core: Core, run_id: str) -> dict[str, Any]:
    """Return the JSON of a run after all its events so far."""
    journal = core.journal
    head = await journal.head(run_id)
    run, watched = Run(), ProgressFold()
    async for events in read_all(journal, run_id):
        for event in events:
            run.apply(event)
            watched.apply(event)
    progress = watched.json(head, run, core.eta, int(time.time() * 1000))
    return run_json(head, run) | {"progress": progress}
