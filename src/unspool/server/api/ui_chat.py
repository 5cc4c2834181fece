"""
`/v1/ui/chat`: chats of the Vercel AI SDK.

A chat is a conversation named `ui:<id>`, so the server finds its newest run again after a restart,
and the console shows it. The page sends its messages with every request; those count.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from unspool.core import Core
from unspool.dialects import Options
from unspool.dialects.kit.ui_request import UiChatRequest, approvals_in, chat_of, text_in
from unspool.errors import AlreadyRunning, UnknownRecord, UnknownRun
from unspool.journals import Head
from unspool.records.conversations import add_conversation, named_conversation, turns_of
from unspool.runs.options import RunOptions
from unspool.runs.run import Run, RunSpec
from unspool.viewing.cursor import START, Cursor
from unspool.viewing.turn_stream import TurnStream

from .json.waits import Decision, answered, fold_of

DIALECT: Final = "ui_messages"

HEADER: Final = (b"x-vercel-ai-ui-message-stream", b"v1")

REPLAY_S: Final = 300
"""How long after its end a run is still shown to a page that returns: it may lack the last part."""

MAX_NAME_ID: Final = 150

REPLACED: Final = "the chat has sent a new message"


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/v1/ui/chat", tags=["Vercel AI SDK"])
    chats = _Chats(core)

    @router.post("")
    async def send_messages(request: UiChatRequest, options: Options) -> Response:
        """
        Answer a chat, or go on with a run of it that waits for the approval in the last message.

        A new message takes the place of an answer that is still being written: that run is
        cancelled.
        """
        return await chats.answer(request, options)

    @router.get("/{chat_id}/stream")
    async def resume_stream(chat_id: str) -> Response:
        """Replay the newest answer of a chat from its start, and follow it; 204: there is none."""
        newest = await chats.newest(chat_id)
        if newest is None or _is_past(newest):
            return Response(status_code=204)
        await core.check_viewers()
        return _stream(core, newest.run_id, await _turn_of(core, newest.run_id))

    @router.post("/{chat_id}/stop")
    async def stop_chat(chat_id: str) -> JSONResponse:
        """Stop the answer of a chat. Leaving a stream does not stop it. Idempotent."""
        newest = await chats.newest(chat_id)
        if newest is None:
            raise UnknownRecord("no chat with this id has an answer")
        is_live = newest.ended_ms is None
        if is_live:
            await core.runner.cancel(newest.run_id)
        return JSONResponse({"run": newest.run_id, "stopped": is_live})

    return router


class _Chats:
    """The conversations of chats."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def newest(self, chat_id: str) -> Head | None:
        """Return the newest run of a chat; None: it has none, or it was deleted."""
        number = await named_conversation(self._core.records, _name(chat_id))
        rows = await turns_of(self._core.records, number) if number is not None else []
        try:
            return await self._core.journal.head(rows[-1].run_id) if rows else None
        except UnknownRun:
            return None

    async def answer(self, request: UiChatRequest, options: RunOptions) -> Response:
        """Go on with a run that waits for what a request brings, or start the next one."""
        if approvals := approvals_in(request):
            decisions = [Decision(it.id, it.is_approved, it.reason) for it in approvals]
            if (found := await answered(self._core, decisions)) is not None:
                run_id, seq = found
                return _stream(self._core, run_id, Cursor(seq - 1))
        newest = await self.newest(request.id)
        is_live = newest is not None and newest.ended_ms is None
        place = await _as_answer(self._core, newest.run_id, request) if newest and is_live else None
        if newest is not None and place is not None:
            return _stream(self._core, newest.run_id, Cursor(place - 1))
        spec = RunSpec("chat", chat_of(request), model=request.model, dialect=DIALECT)
        try:
            run_id = await self.begin(request, spec, options)
        except AlreadyRunning as busy:
            await self._core.runner.cancel(busy.run_id, reason=REPLACED)
            run_id = await self.begin(request, spec, options)
        if newest is not None and newest.run_id != run_id:  # it is made anew while it goes on
            await self._core.runner.cancel(newest.run_id, reason=REPLACED)
        return _stream(self._core, run_id)

    async def begin(self, request: UiChatRequest, spec: RunSpec, options: RunOptions) -> str:
        """
        Start the next run of a chat and return its id.

        Raises:
            AlreadyRunning: The one before it goes on.
        """
        records, name = self._core.records, _name(request.id)
        async with self._core.journal.exclusive(f"chat {name}"):
            number = await named_conversation(records, name)
            if number is None:
                number = await add_conversation(records, name)
        after: int | None = None
        if request.trigger == "regenerate-message":
            rows = await turns_of(records, number)
            after = rows[-1].parent if rows else None
        options = replace(options, conversation=number, after_turn=after)
        return await self._core.conversations.begin_turn(number, spec, options)


def _name(chat_id: str) -> str:
    is_long = len(chat_id) > MAX_NAME_ID
    return f"ui:{hashlib.sha256(chat_id.encode()).hexdigest() if is_long else chat_id}"


def _stream(core: Core, run_id: str, cursor: Cursor = START) -> Response:
    stream = TurnStream(core.viewing, run_id, DIALECT, cursor)
    stream.raw_headers.append(HEADER)
    return stream


def _is_past(head: Head) -> bool:
    return head.ended_ms is not None and time.time() - head.ended_ms / 1000 > REPLAY_S


async def _turn_of(core: Core, run_id: str) -> Cursor:
    """Return where the newest message of a run begins: behind the last one of the user."""
    _, places = await fold_of(core, run_id)
    return Cursor(max((seq for seq, is_call in places.values() if not is_call), default=1) - 1)


async def _as_answer(core: Core, run_id: str, request: UiChatRequest) -> int | None:
    """
    Take a message as the answer to the question that a run asks in words; return its place.

    None: the run asks none, or one that a text does not answer.
    """
    run, _ = await fold_of(core, run_id)
    last = request.messages[-1]
    question = _in_words(run)
    if question is None or last.role != "user" or not (text := text_in(last)):
        return None
    decision: Any = Decision(f"{run_id}/{question}", True, "", value=text, id=last.id)
    found = await answered(core, [decision])
    return None if found is None else found[1]


def _in_words(run: Run) -> str | None:
    waiting = run.open_questions
    is_text = len(waiting) == 1 and waiting[0].call is None and waiting[0].schema is None
    return waiting[0].step if is_text else None
