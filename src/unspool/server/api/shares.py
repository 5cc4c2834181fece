"""
`/v1/runs/{id}/shares`: links that show one run without a key; `/v1/shared`: what they show.

A link opens the two addresses of the latter and nothing else, and only for reading.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query
from pydantic import Field
from starlette.responses import JSONResponse, Response

from unspool.core import Core
from unspool.core.access import SHARE, present_actor
from unspool.errors import MissingRight, UnknownRecord, UnknownRun
from unspool.formats.tenancy import DEFAULT, present_tenant, working_for
from unspool.formats.written import StrictInput
from unspool.journals import Head, read_all
from unspool.records.shares import ShareRow, add_share, find_share, list_shares, remove_share
from unspool.runs.principal import present
from unspool.runs.run import Run, cut
from unspool.viewing.cursor import Cursor, is_at_end
from unspool.viewing.shared_stream import SharedStream, SharedText

from .json.run import iso, run_json

MAX_DAYS = 3650

ShareId = Annotated[str, Path(alias="share", pattern=r"^[a-z0-9]{12}$")]
Token = Annotated[str, Path(max_length=128)]

MORE = ("flow", "model", "result", "attempts", "usage", "cost", "warnings", "error", "total_ms")
"""Facts that a link shows which is not `text_only`; the input is one more."""


class ShareInput(StrictInput):
    days: float | None = Field(None, gt=0, le=MAX_DAYS)
    """Until it ends; None: it holds until it is revoked."""
    text_only: bool = True
    """Show text and state alone; else input, models, attempts, cost, errors and the result, too."""


def _share_json(row: ShareRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "run": row.run_id,
        "text_only": row.text_only,
        "created_at": iso(row.created_ms),
        "expires_at": None if row.expires_ms is None else iso(row.expires_ms),
    }


def plug(core: Core) -> APIRouter:
    router = APIRouter(tags=["access"])
    _add_links(router, core)
    _add_shown(router, core)
    return router


async def _own(core: Core, run_id: str) -> str:
    """Return the tenant of a run that the caller may share."""
    if present.get().run:
        raise MissingRight("a ticket opens a run; it cannot share it")
    await core.journal.head(run_id)
    return present_tenant() or DEFAULT


def _add_links(router: APIRouter, core: Core) -> None:
    records = core.records.operator

    @router.post("/v1/runs/{run_id}/shares", status_code=201)
    async def share(run_id: str, wanted: ShareInput) -> dict[str, Any]:
        """Make a link to a run. The answer has its `path`, which is nowhere else."""
        tenant = await _own(core, run_id)
        facts = wanted.model_dump()
        row, text = await add_share(records, tenant, run_id, present_actor(), **facts)
        return {**_share_json(row), "path": f"/share/{text}"}

    @router.get("/v1/runs/{run_id}/shares")
    async def shares(run_id: str) -> dict[str, Any]:
        """List the links to a run that hold, without their paths."""
        rows = await list_shares(records, await _own(core, run_id), run_id)
        return {"shares": [_share_json(row) for row in rows]}

    @router.delete("/v1/runs/{run_id}/shares/{share}", status_code=204)
    async def revoke(run_id: str, share_id: ShareId) -> Response:
        """Revoke a link; what it has open ends within a second."""
        tenant = await _own(core, run_id)
        if not await remove_share(records, tenant, run_id, share_id, present_actor()):
            raise UnknownRecord(f"this run has no share link {share_id}")
        return Response(status_code=204)


async def _shared(core: Core, token: str) -> tuple[ShareRow, Head]:
    """Return a link that holds, and its run."""
    row = await find_share(core.records.operator, token)
    if row is not None:
        try:
            with working_for(row.tenant):
                return row, await core.journal.head(row.run_id)
        except UnknownRun:  # the run was deleted
            pass
    raise UnknownRecord("this share link does not hold: it was revoked, or is over")


def _add_shown(router: APIRouter, core: Core) -> None:
    @router.get("/v1/shared/{token}")
    async def read(token: Token) -> JSONResponse:
        """Read the run of a link after all its events so far."""
        row, head = await _shared(core, token)
        with working_for(row.tenant):
            facts = await _facts(core, row, head)
        return JSONResponse(facts, headers={"Cache-Control": "no-store"})

    @router.get("/v1/shared/{token}/events")
    async def follow(
        token: Token,
        after: Annotated[str, Query(max_length=64)] = "",
        last_event_id: Annotated[str, Header(max_length=64)] = "",
    ) -> Response:
        """
        Follow the text and the state of a run as a stream; 204 if nothing is left.

        The cursor is `Last-Event-ID`, else `after`.
        """
        row, _ = await _shared(core, token)
        cursor = Cursor.parse(last_event_id or after or "0")
        with working_for(row.tenant):
            if await is_at_end(core.journal, row.run_id, after=cursor.seq):
                return Response(status_code=204)
        share = f"{SHARE}{row.id}"
        return SharedStream(core.viewing, row.run_id, cursor, share=share, tenant=row.tenant)


async def _facts(core: Core, row: ShareRow, head: Head) -> dict[str, Any]:
    shared, run, asked = SharedText(), Run(), dict[str, Any]()
    parts: dict[int, list[str]] = {}
    async for events in read_all(core.journal, row.run_id):
        for event in events:
            fact = shared.take(event) or {"type": ""}
            if fact["type"] == "text":
                parts.setdefault(fact["part"], []).append(fact["text"])
            elif fact["type"] == "rewound":
                cut(parts.setdefault(fact["part"], []), fact["at"])
            if not row.text_only:
                run.apply(event)
                asked = dict(event.data["input"]) if event.seq == 1 else asked
    facts = {
        "text_only": row.text_only,
        "status": shared.status,
        "parts": ["".join(parts.get(n, ())) for n in range(1, shared.count + 1)],
        "created_at": iso(head.created_ms),
        "ended_at": None if shared.ended_ms is None else iso(shared.ended_ms),
        "expires_at": None if row.expires_ms is None else iso(row.expires_ms),
    }
    if row.text_only:
        return facts
    told = run_json(head, run)
    return facts | {name: told[name] for name in MORE} | {"input": asked}
