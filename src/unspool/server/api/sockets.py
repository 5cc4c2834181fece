"""
`/v1/runs/{id}/ws`: a run over a WebSocket; its viewer may cancel or steer it.

It sends the frames of the dialect with the ids of the event stream, so a viewer may switch between
the two at any point. We send a message when the connection has taken the one before: a slow viewer
costs one message and one batch of events, and we disconnect it after the usual time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, Final, TypeVar

import msgspec
from fastapi import APIRouter, WebSocket
from pydantic import BaseModel, ValidationError
from starlette.websockets import WebSocketDisconnect

from unspool.core import Core
from unspool.dialects import encoder_for, open_dialect, with_ids
from unspool.errors import (
    BadCursor,
    JournalError,
    MissingRight,
    RateLimited,
    SpecError,
    UnknownRun,
    UnspoolError,
)
from unspool.runs.events import Event
from unspool.runs.principal import present
from unspool.viewing.cursor import Cursor, follow, is_at_end
from unspool.viewing.event_stream import ABORT
from unspool.viewing.viewers import Viewer

from .answers import AnswerRequest
from .forks import ForkRequest

ModelT = TypeVar("ModelT", bound=BaseModel)

log = logging.getLogger(__name__)

NORMAL: Final = 1000
"""The run ended, and the viewer has all its frames."""

CLOSES: Final[Sequence[tuple[type[UnspoolError], int]]] = (
    (BadCursor, 4400),
    (UnknownRun, 4404),
    (SpecError, 4422),
    (RateLimited, 4429),
    (JournalError, 1011),
)
"""4 and the HTTP status of the same error: a browser shows pages no status of a handshake."""

SERVER_ENDS: Final = 1012
"""The viewer may reconnect, to the next process."""
REVOKED: Final = 1008
"""A rule was broken; RFC 6455, section 7.4.1."""

MAX_REASON_BYTES: Final = 123
"""Room in a close frame; RFC 6455, section 5.5."""

_GONE: Final = (WebSocketDisconnect, RuntimeError, OSError)
"""Errors of sending to a closed connection."""


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/v1/runs")

    @router.websocket("/{run_id}/ws")
    async def watch_run(socket: WebSocket, run_id: str, after: str = "", dialect: str = "") -> None:
        await socket.accept()
        await _Socket(core, socket, run_id).hold(after, dialect)

    return router


class _Socket:
    """One viewer over one connection."""

    def __init__(self, core: Core, socket: WebSocket, run_id: str) -> None:
        self._core = core
        self._socket = socket
        self._run_id = run_id
        self._viewer = Viewer(run_id)
        self._loop = asyncio.get_running_loop()
        self._sending = asyncio.Lock()
        self._answering = asyncio.Lock()
        """We answer a viewer's message before we close at the end of the run."""
        self._has_left = False

    async def hold(self, after: str, dialect: str) -> None:
        """Show the run until it ends or the viewer leaves."""
        try:
            await self._core.journal.head(self._run_id)  # it may be a run of another tenant
        except (UnknownRun, JournalError) as error:
            await self._close(*_told(error))
            return
        showing = asyncio.current_task()
        assert showing is not None
        self._viewer.stop = showing.cancel
        self._core.viewing.enter(self._viewer)
        listening = asyncio.create_task(self._listen(), name=f"socket of {self._run_id}")
        try:
            code, reason = await self._show(after, dialect)
            async with self._answering:
                self._viewer.stop = _nothing  # closing lets the listener see the viewer leave
                await self._close(code, reason)
        except _GONE:
            pass
        except asyncio.CancelledError:
            showing.uncancel()
            if not self._has_left:
                await self._drop()
        finally:
            self._core.viewing.leave(self._viewer)
            listening.cancel()

    async def _show(self, after: str, dialect: str) -> tuple[int, str]:
        try:
            await self._core.check_viewers(besides=1)
            await self._play(Cursor.parse(after or "0"), dialect)
        except UnspoolError as error:
            return _told(error)
        return NORMAL, ""

    async def _play(self, cursor: Cursor, dialect: str) -> None:
        journal, run_id = self._core.journal, self._run_id
        patience_s = self._core.settings.heartbeat_s
        dialect = dialect or (await journal.head(run_id)).dialect
        plug = open_dialect(dialect)
        seen = cursor.seq + bool(cursor.frame)
        if await is_at_end(journal, run_id, after=seen) and not cursor.frame:
            return
        # Encode from the first event on, because the encoder is a fold; send only new frames.
        encoder = encoder_for(dialect, run_id)
        following = follow(journal, run_id, patience_s=patience_s)
        async with aclosing(following) as batches:
            async for events in batches:
                for event in events:
                    frames = encoder.encode(event)
                    if event.seq > cursor.seq:
                        await self._send_frames(event, frames, cursor)
                await asyncio.sleep(0)
        if plug.trailer:
            await self._send({"data": plug.trailer.decode()})

    async def _send_frames(self, event: Event, frames: Sequence[bytes], cursor: Cursor) -> None:
        seen = cursor.frame if event.seq == cursor.seq + 1 else 0
        if seen and seen >= len(frames):
            raise BadCursor(f"event {event.seq} has no frame {seen} to continue from")
        for number, data in with_ids(event.seq, frames)[seen:]:
            await self._send({"id": number, "data": data.decode()})

    async def _send(self, message: Mapping[str, Any]) -> None:
        viewer = self._viewer
        async with self._sending:
            viewer.sent_at = self._loop.time()
            viewer.is_sending = True
            await self._socket.send_text(msgspec.json.encode(message).decode())
            viewer.is_sending = False

    async def _close(self, code: int, reason: str) -> None:
        short = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
        await self._socket.close(code, short)

    async def _drop(self) -> None:
        """Disconnect the viewer: the server stops, or the viewer reads nothing."""
        if self._viewer.is_sending:
            extensions = self._socket.scope.get("extensions") or {}
            extensions.get(ABORT, {}).get("abort", _nothing)()
            return
        with suppress(*_GONE):
            if self._viewer.is_revoked:
                await self._close(REVOKED, "the key holds no more")
            else:
                await self._close(SERVER_ENDS, "the server stops; reconnect with the last id")

    async def _listen(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                break
            async with self._answering:
                answer = await self._answer(message.get("text"))
                if answer is not None:
                    with suppress(*_GONE):
                        await self._send(answer)
        self._has_left = True
        self._viewer.stop()

    async def _answer(self, text: str | None) -> Mapping[str, Any] | None:
        try:
            return await self._do(_read(text))
        except UnspoolError as error:
            return {"type": "error", "code": error.code, "message": str(error)}
        except Exception:
            log.exception("Cannot handle a message to run %s", self._run_id)
            message = "the server failed; see the error in its log"
            return {"type": "error", "code": "internal", "message": message}

    async def _do(self, input: dict[str, Any]) -> Mapping[str, Any] | None:
        if not present.get().may("runs:write"):
            raise MissingRight("this needs the scope runs:write, which the key lacks")
        match input.pop("type", None):
            case "cancel":
                await self._core.runner.cancel(self._run_id)
                return None  # the end of the run is the answer
            case "steer":
                request = _checked(ForkRequest, {"cancel": True, **input})
                fork = await self._core.admission.fork(self._run_id, request.changes())
                return {"type": "forked", "run": fork}
            case "answer":
                given = _checked(AnswerRequest, input)
                await self._core.answers.give(self._run_id, given)
                return None  # its event is the answer
            case _:
                raise SpecError("`type` must be `answer`, `cancel` or `steer`")


def _checked(kind: type[ModelT], facts: dict[str, Any]) -> ModelT:
    try:
        return kind.model_validate(facts)
    except ValidationError as error:
        (first, *_) = error.errors(include_input=False, include_url=False)
        field = ".".join(map(str, first["loc"]))
        raise SpecError(f"{field}: {first['msg']}") from None


def _told(error: UnspoolError) -> tuple[int, str]:
    """Return the code and the reason with which a socket is closed."""
    for kind, code in CLOSES:
        if isinstance(error, kind):
            return code, str(error)
    raise error


def _read(text: str | None) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(text or "")
    except (msgspec.DecodeError, RecursionError):
        request = None
    if not isinstance(request, dict):
        raise SpecError("a message must be text that holds one JSON object")
    return request


def _nothing() -> None:
    """Do nothing: there is no viewer to stop, or the server is not ours and has no `abort`."""
