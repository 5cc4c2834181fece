"""`/v1/conversations/{id}`: its turns as one stream, and the messages that wait for theirs."""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from unspool.core import Core
from unspool.dialects import Options
from unspool.errors import SpecError
from unspool.execution.messages import SentMessage
from unspool.flows.kit.images import Images
from unspool.runs.events import EVENT_TYPES
from unspool.viewing.conversation_stream import TalkSource, TurnFilter, conversation_stream
from unspool.viewing.places import MAX_CURSOR_CHARS

from .conversations import Number
from .json.run import iso
from .models import MAX_NUMBER

MAX_TYPES_CHARS: Final = 1000
"""All types of events together have fewer."""

MessageNumber = Annotated[int, Path(alias="message", ge=1, le=MAX_NUMBER)]


class EventsQuery(BaseModel):
    """What of a conversation to show, and from where on."""

    after: str = Field("", max_length=MAX_CURSOR_CHARS)
    last_event_id: str = Field("", max_length=MAX_CURSOR_CHARS, alias="lastEventId")
    turn: int | None = Field(None, ge=1, le=MAX_NUMBER)
    """This turn alone."""
    path: str = Field("", pattern=r"^(current|[1-9][0-9]{0,8})?$")
    """The turns on the path to this one, or to the current one."""
    types: str = Field("", max_length=MAX_TYPES_CHARS)
    """Types of events, with commas between them; empty: all."""
    follow: bool = True

    @property
    def on_path(self) -> int | None:
        """
        Raises:
            SpecError: `turn` is there, too.
        """
        if self.turn is not None and self.path:
            raise SpecError("`turn` and `path` both choose turns; send one of them")
        return (
            {"": None, "current": 0}.get(self.path)
            if self.path in {"", "current"}
            else int(self.path)
        )


class MessageChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prompt: str = Field("", min_length=1, max_length=200_000)
    system: str = Field("", max_length=50_000)
    model: str = Field("", max_length=128)
    """Name of a model; empty means the default one."""
    params: dict[str, Any] = Field(default_factory=dict)
    tool_ids: list[int] = Field(default_factory=list, max_length=128)
    images: Images = Field(default_factory=list)
    steer: bool = False
    """Stop the current turn, and begin before all that wait."""

    def fields(self) -> dict[str, Any]:
        """Return what was sent, without `steer`."""
        sent = self.model_dump(exclude_unset=True, exclude={"steer"})
        return {name: value for name, value in sent.items() if name in self.model_fields_set}


class MessageInput(MessageChange):
    prompt: str = Field(min_length=1, max_length=200_000)


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/v1/conversations/{id}", tags=["conversations"])
    _add_events(router, core)
    _add_messages(router, core)
    return router


def _add_events(router: APIRouter, core: Core) -> None:
    async def waiting(number: int) -> list[dict[str, Any]]:
        return [message_json(it) for it in await core.messages.waiting(number)]

    source = TalkSource(core.records, core.conversations.bells, waiting)

    @router.get("/events")
    async def follow_conversation(
        request: Request, number: Number, query: Annotated[EventsQuery, Query()]
    ) -> Response:
        """
        Follow all turns of a conversation as one stream, from a place on.

        The place is `Last-Event-ID`, else `lastEventId`, else `after`; `after=now`: only what
        comes. `turn`, `path` and `types` choose. 204: nothing is left, and nothing can come.
        """
        wanted = TurnFilter(query.turn, query.on_path, _types(query.types), query.follow)
        place = request.headers.get("last-event-id") or query.last_event_id or query.after or "0"
        await core.check_viewers()
        stream = await conversation_stream(core.viewing, source, number, place, wanted)
        return Response(status_code=204) if stream is None else stream


def _types(text: str) -> frozenset[str] | None:
    if not text:
        return None
    found = frozenset(text.split(","))
    if unknown := sorted(found - set(EVENT_TYPES)):
        raise SpecError(f"no events have the type {unknown[0]!r}; have: {', '.join(EVENT_TYPES)}")
    return found


def _add_messages(router: APIRouter, core: Core) -> None:
    messages = core.messages

    @router.post("/messages", status_code=201)
    async def send(number: Number, message: MessageInput, options: Options) -> JSONResponse:
        """
        Send a message: 201 and its turn, if that begins now; else 202, and it waits.

        With `steer` it stops the current turn and begins before all that wait. The same
        `Idempotency-Key` is the same message.
        """
        body = message.fields()
        sent = await messages.send(number, body, options, steers=message.steer)
        return _answer(sent, body, 201 if sent.turn else 202)

    @router.get("/messages")
    async def list_waiting(number: Number) -> dict[str, Any]:
        """List the messages that wait, in the order in which they will begin."""
        return {"messages": [message_json(it) for it in await messages.waiting(number)]}

    @router.patch("/messages/{message}")
    async def change(
        number: Number, message_id: MessageNumber, change: MessageChange
    ) -> JSONResponse:
        """Change a message that waits; with `steer`, begin it now. 409 once it has begun."""
        fields = change.fields()
        if not (fields or change.steer):
            raise SpecError("nothing is to change; send a field of a message, or `steer`")
        changed = await messages.change(number, message_id, fields, steers=change.steer)
        return _answer(changed, fields, 200)

    @router.delete("/messages/{message}", status_code=204)
    async def withdraw(number: Number, message_id: MessageNumber) -> Response:
        """Withdraw a message that waits. 409 once it has begun."""
        await messages.withdraw(number, message_id)
        return Response(status_code=204)


def message_json(message: SentMessage, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a message; of one that has begun the row has no `body`."""
    row = message.row
    said = row.body or body or {}
    return {
        "id": row.id,
        "place": message.place or None,
        "turn": message.turn or None,
        "run": row.run_id or None,
        "prompt": said.get("prompt"),
        "system": said.get("system"),
        "model": said.get("model", ""),
        "params": said.get("params", {}),
        "tool_ids": said.get("tool_ids", []),
        "images": [it for it in said.get("images", []) if not isinstance(it, str)],
        "error": row.error or None,
        "created_at": iso(row.created_ms),
    }


def _answer(message: SentMessage, body: dict[str, Any], status: int) -> JSONResponse:
    facts, headers = message_json(message, body), dict[str, str]()
    if run_id := cast("str | None", facts["run"]):
        headers = {"Location": f"/v1/runs/{run_id}", "X-Run-Id": run_id}
    return JSONResponse(facts, status, headers=headers)
