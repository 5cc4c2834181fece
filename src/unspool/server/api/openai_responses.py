"""`/v1/responses/{id}`: read, follow, cancel and delete a response; `dialects` has the rest."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse, Response

from unspool.core import Core
from unspool.dialects import encoder_for
from unspool.dialects.openai_responses import NAME, response_after, run_id_of
from unspool.errors import BadCursor, NotReady
from unspool.journals import read_all
from unspool.viewing.cursor import START, Cursor
from unspool.viewing.streams import stream_of


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/v1/responses", tags=["OpenAI"])

    @router.get("/{id}", response_model=None)
    async def read_response(
        id: str,
        stream: Annotated[bool, Query()] = False,
        starting_after: Annotated[int | None, Query(ge=0, lt=2**53)] = None,
    ) -> Response:
        """Read a response, or follow its events after the one of a number."""
        run_id = run_id_of(id)
        await core.journal.head(run_id)
        if not stream:
            return JSONResponse(await _response(core, run_id), headers=_headers(run_id))
        await core.check_viewers()
        cursor = START if starting_after is None else await _after(core, run_id, starting_after)
        return stream_of(core.viewing, run_id, NAME, cursor)

    @router.post("/{id}/cancel")
    async def cancel_response(id: str) -> JSONResponse:
        """Cancel a response and return it; one that has ended does not change."""
        run_id = run_id_of(id)
        await core.journal.head(run_id)
        await core.runner.cancel(run_id)
        return JSONResponse(await _response(core, run_id), headers=_headers(run_id))

    @router.delete("/{id}")
    async def delete_response(id: str) -> dict[str, Any]:
        """Delete a response that has ended, with its run, once a newer run has begun."""
        run_id = run_id_of(id)
        head = await core.journal.head(run_id)
        if head.ended_ms is None:
            raise NotReady("the response is still being written; cancel it first")
        if not await core.retention.forget(run_id):
            raise NotReady("the newest run stays until another one begins")
        return {"id": id, "object": "response", "deleted": True}

    return router


def _headers(run_id: str) -> dict[str, str]:
    return {"X-Run-Id": run_id, "Cache-Control": "no-store"}


async def _response(core: Core, run_id: str) -> dict[str, Any]:
    events = [event async for batch in read_all(core.journal, run_id) for event in batch]
    return response_after(run_id, events)


async def _after(core: Core, run_id: str, number: int) -> Cursor:
    """
    Return the cursor of a viewer who has the frame with this `sequence_number`.

    Raises:
        BadCursor: The run has no such frame yet.
    """
    encoder, count = encoder_for(NAME, run_id), 0
    async for events in read_all(core.journal, run_id):
        for event in events:
            frames = len(encoder.encode(event))
            if number < count + frames:
                had = number - count + 1
                return Cursor(event.seq) if had == frames else Cursor(event.seq - 1, had)
            count += frames
    raise BadCursor(f"starting_after: the response has the events 0 to {count - 1} so far")
