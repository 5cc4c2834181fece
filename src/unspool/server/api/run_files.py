"""`/v1/runs/{id}/export`: a run as a file, its events or its text."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from unspool.core import Core
from unspool.journals import Head, Journal, read_all
from unspool.runs.events import encode_event
from unspool.runs.run import Run

from .json.run import run_json

Format = Literal["jsonl", "md"]

MEDIA = {"jsonl": "application/x-ndjson", "md": "text/markdown; charset=utf-8"}


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/v1/runs", tags=["runs"])

    @router.get("/{run_id}/export")
    async def export_run(
        run_id: str, form: Annotated[Format, Query(alias="format")] = "jsonl"
    ) -> StreamingResponse:
        """
        Read a run as a file, up to its present end.

        `jsonl`: an event per line, as the native stream has them. `md`: the texts of its steps,
        with the facts of the run in front (YAML).
        """
        head = await core.journal.head(run_id)
        pieces = _lines(core.journal, head) if form == "jsonl" else _document(core.journal, head)
        name = f"unspool-{head.run_id}.{form}"
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "X-Run-Id": head.run_id,
        }
        return StreamingResponse(pieces, headers=headers, media_type=MEDIA[form])

    return router


async def _lines(journal: Journal, head: Head) -> AsyncGenerator[bytes]:
    async for events in read_all(journal, head.run_id, upto=head.seq):
        yield b"".join(encode_event(event) + b"\n" for event in events)


async def _document(journal: Journal, head: Head) -> AsyncGenerator[bytes]:
    """Yield the facts, and each step under its name if there are several."""
    run, asked = Run(), dict[str, Any]()
    async for events in read_all(journal, head.run_id, upto=head.seq):
        for event in events:
            run.apply(event)
            if event.seq == 1:
                asked = dict(event.data["input"])
    told = run_json(head, run)
    names = ("id", "flow", "model", "status", "created_at", "ended_at", "usage", "cost", "error")
    # A line of JSON is YAML too.
    facts = {**{name: told[name] for name in names}, "input": asked}
    front = "".join(f"{name}: {_json(value)}\n" for name, value in facts.items())
    yield f"---\n{front}---\n".encode("utf-8", "replace")
    steps = [step for step in run.steps.values() if not step.is_unseen]
    for step in steps:
        heading = f"\n## {step.name}\n" if len(steps) > 1 else ""
        yield f"{heading}\n{step.text.rstrip()}\n".encode("utf-8", "replace")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
