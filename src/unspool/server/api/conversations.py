"""`/api/conversations`: begin, list, read, rename and delete conversations."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from unspool.core import Core
from unspool.execution.conversations import MAX_TURNS, Turn
from unspool.records.conversations import (
    MAX_NAME_CHARS,
    ConversationCount,
    Sought,
    add_conversation,
    find_conversation,
    list_conversations,
    number_of_turn,
    remove_conversation,
    rename_conversation,
)
from unspool.viewing.index.listing import Criteria

from .json.places import place
from .json.run import iso
from .models import MAX_NUMBER

MAX_QUERY_CHARS: Final = 200

MAX_RUNS: Final = 500
"""With the words of a search; of more, the newest ones count."""

Number = Annotated[int, Path(alias="id", ge=1, le=MAX_NUMBER)]
Before = Annotated[int, Query(ge=1, le=MAX_NUMBER)]


class ConversationInput(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field("", max_length=MAX_NAME_CHARS, pattern=r"^\P{Cc}*$")
    """Empty: the beginning of the first question becomes its name."""


class ConversationChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=MAX_NAME_CHARS, pattern=r"^\P{Cc}*$")
    current: int | None = Field(None, ge=1, le=MAX_NUMBER)
    """A turn; the newest one that follows from it becomes the current one."""


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/conversations", tags=["conversations"])
    records, conversations = core.records, core.conversations

    @router.post("", status_code=201)
    async def begin(definition: ConversationInput | None = None) -> JSONResponse:
        """Begin a conversation. Send its turns to `/api/debug/chat` with `conversation_id`."""
        number = await add_conversation(records, definition.name if definition is not None else "")
        facts = counted_json(await find_conversation(records, number))
        headers = {"Location": place("/api/conversations", number)}
        return JSONResponse(facts, 201, headers=headers)

    @router.get("")
    async def list_all(
        before: Before = MAX_NUMBER,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        q: Annotated[str, Query(max_length=MAX_QUERY_CHARS)] = "",
    ) -> dict[str, Any]:
        """
        List conversations, the newest first; `next` is the `before` of the next page. `q` is looked
        for in names, and in the questions and answers of the newest runs that have it.
        """
        sought = None
        if words := " ".join(q.split()):
            await core.indexing.catch_up()
            hits = (await core.index.listed(Criteria(q=words, flow="chat", limit=MAX_RUNS))).runs
            sought = Sought(words, [str(run["id"]) for run in hits])
        found = await list_conversations(records, before=before, limit=limit, sought=sought)
        more = found[-1].row.id if len(found) == limit else None
        return {"conversations": [counted_json(it) for it in found], "next": more}

    @router.get("/{id}")
    async def read(
        number: Number,
        before: Before = MAX_NUMBER,
        limit: Annotated[int, Query(ge=1, le=MAX_TURNS)] = 50,
        turn: Annotated[int | None, Query(ge=0, le=MAX_NUMBER)] = None,
        run: Annotated[str, Query(max_length=64)] = "",
    ) -> dict[str, Any]:
        """
        Read a conversation and its last turns, up to the current one, to `turn` or to that of
        `run`; `before` a turn number, earlier ones.
        """
        if run:
            turn = await number_of_turn(records, number, run)
        counted = await find_conversation(records, number)
        turns = await conversations.turns(number, before=before, limit=limit, upto=turn)
        return {**counted_json(counted), "last_turns": [turn_json(turn) for turn in turns]}

    @router.patch("/{id}")
    async def change(number: Number, change: ConversationChange) -> dict[str, Any]:
        """Rename a conversation, or go to the branch through another turn."""
        if change.current is not None:
            await conversations.choose(number, change.current)
        if change.name is not None:
            await rename_conversation(records, number, change.name)
        return counted_json(await find_conversation(records, number))

    @router.delete("/{id}", status_code=204)
    async def forget(number: Number) -> Response:
        """Delete a conversation. Its runs stay until retention deletes them."""
        await remove_conversation(records, number)
        conversations.bells.ring(number)
        return Response(status_code=204)

    return router


def counted_json(counted: ConversationCount) -> dict[str, Any]:
    row = counted.row
    return {
        "id": row.id,
        "name": row.name,
        "turns": counted.turns,
        "current": row.current,
        "created_at": iso(row.created_ms),
        "updated_at": iso(row.updated_ms),
    }


def turn_json(turn: Turn) -> dict[str, Any]:
    """Return a turn; if its run was deleted, what its log held is null."""
    head, run = turn.head, turn.run
    has_run = head is not None and run is not None
    return {
        "number": turn.number,
        "run": turn.run_id,
        "parent": turn.parent,
        "siblings": turn.siblings,
        "status": run.status if run is not None else None,
        "model": head.model if head is not None else None,
        "prompt": turn.prompt if has_run else None,
        "images": turn.images if has_run else None,
        "text": run.text if run is not None else None,
        "error": run.error if run is not None else None,
        "created_at": iso(head.created_ms) if head is not None else None,
    }
