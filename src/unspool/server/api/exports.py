"""`/api/exports`: runs as JSON lines, a filter or a selection of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import StreamingResponse

from unspool.core import Core
from unspool.errors import UnknownRun
from unspool.journals import read_all
from unspool.runs.run import Run

from .json.listed import RunFilter
from .json.run import run_json

MAX_RUNS: Final = 10_000
"""Runs in one file."""

MAX_CHOSEN: Final = 500
"""Runs named one by one: the address may have some 16 kB."""

PAGE: Final = 200


class ExportQuery(RunFilter):
    run: list[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=list, max_length=MAX_CHOSEN
    )
    """Only these runs."""


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/exports", tags=["runs"])

    @router.get("/runs.jsonl")
    async def export_runs(query: Annotated[ExportQuery, Query()]) -> StreamingResponse:
        """
        Export runs, one JSON object a line: the run as `GET /v1/runs/{id}` has it, and its input.

        At most 10,000; the header `X-Unspool-Runs` tells how many, `X-Unspool-Whole` whether these
        are all.
        """
        found, is_whole = await _ids(core, query)
        headers = {
            "Content-Disposition": 'attachment; filename="runs.jsonl"',
            "Cache-Control": "no-store",
            "X-Unspool-Runs": str(len(found)),
            "X-Unspool-Whole": "true" if is_whole else "false",
        }
        return StreamingResponse(
            _lines(core, found), media_type="application/x-ndjson", headers=headers
        )

    return router


async def _ids(core: Core, query: ExportQuery) -> tuple[list[str], bool]:
    """Return the runs to export, and whether these are all."""
    await core.indexing.catch_up()
    found: list[str] = []
    before = ""
    while len(found) < MAX_RUNS:
        wanted = query.wanted(ids=tuple(query.run), before=before, limit=PAGE)
        page = [row["id"] for row in (await core.index.listed(wanted)).runs]
        found += page
        if len(page) < PAGE:
            return found, True
        before = page[-1]
    return found, False


async def _lines(core: Core, run_ids: Sequence[str]) -> AsyncIterator[bytes]:
    for run_id in run_ids:
        with suppress(UnknownRun):
            yield msgspec.json.encode(await _whole(core, run_id)) + b"\n"
        await asyncio.sleep(0)


async def _whole(core: Core, run_id: str) -> dict[str, Any]:
    head = await core.journal.head(run_id)
    run = Run()
    asked: object = None
    async for events in read_all(core.journal, run_id):
        for event in events:
            if event.type == "run.started":
                asked = event.data.get("input")
            run.apply(event)
    return {**run_json(head, run), "input": asked}
