"""
`/v1/streams`: the log of a run in the protocol of Durable Streams, for reading.

A stream is in JSON mode, and its messages are the native events. Source: `PROTOCOL.md` of
durable-streams/durable-streams, draft 1.0 (Apache-2.0). Runs are written by flows, so the
protocol's write path is not offered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from unspool.core import Core
from unspool.errors import BadCursor
from unspool.journals import READ_EVENTS, Head
from unspool.runs.events import Event
from unspool.server.headers import IS_HEAD
from unspool.viewing.durable_stream import (
    DIGITS,
    DurableStream,
    array_of,
    cursor_after,
    offset_of,
)
from unspool.viewing.viewers import Viewer

START: Final = "-1"
TAIL: Final = "now"

LONG_POLL_S: Final = 20.0
"""Longest wait of a long poll: shorter than what proxies allow."""

SECURE: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/v1/streams", tags=["Durable Streams"])

    @router.get("/{run_id}")
    async def read_stream(
        run_id: str,
        request: Request,
        offset: Annotated[str, Query(max_length=64)] = START,
        live: Literal["", "sse", "long-poll"] = "",
        cursor: Annotated[str, Query(max_length=64)] = "",
    ) -> Response:
        """
        Read the events of a run behind an offset: `-1` is the start, `now` the end.

        `live` waits for new ones: in one answer (`long-poll`), or as a stream (`sse`).
        """
        head = await core.journal.head(run_id)
        if request.scope.get(IS_HEAD):
            return _metadata(head)
        if live and "offset" not in request.query_params:
            raise BadCursor("a live read needs an offset: -1, now, or one of this stream")
        after = _place(offset, head)
        if live == "sse":
            await core.check_viewers()
            return DurableStream(core.viewing, run_id, after, cursor)
        if live == "long-poll":
            await core.check_viewers()
            return await _Reading(core, head, after).poll(cursor)
        if offset == TAIL:
            facts = _facts(head, head.seq, head.ended_ms is not None)
            headers = {**facts, "Cache-Control": "no-store"}
            return Response(b"[]", 200, headers, "application/json")
        return await _Reading(core, head, after).catch_up(request.headers.get("if-none-match", ""))

    return router


class _Reading:
    """One request for the events of a run behind event `after`."""

    def __init__(self, core: Core, head: Head, after: int) -> None:
        self._core = core
        self._head = head
        self._after = after

    async def _read(self) -> Sequence[Event]:
        journal = self._core.journal
        return await journal.read(self._head.run_id, after=self._after, limit=READ_EVENTS)

    async def catch_up(self, known: str) -> Response:
        return await self._answer(await self._read(), known)

    async def poll(self, cursor: str) -> Response:
        """Wait for events, and no longer than the server goes on."""
        viewing, run_id, waiting = self._core.viewing, self._head.run_id, asyncio.current_task()
        assert waiting is not None
        events = await self._read()
        ended = self._head.ended_ms is not None
        if not events and not ended:
            # It comes and goes, so it has no say in whether the run goes on.
            viewer = Viewer(run_id, counts=False, stop=waiting.cancel)
            viewing.enter(viewer)
            try:
                await self._core.journal.wait(run_id, after=self._after, timeout_s=LONG_POLL_S)
                events = await self._read()
            except asyncio.CancelledError:
                if not viewing.is_ending:
                    raise
                waiting.uncancel()
            finally:
                viewing.leave(viewer)
        if events:
            answer = await self._answer(events, "")
        else:
            answer = Response(None, 204, _facts(self._head, self._after, ended))
            answer.headers["Cache-Control"] = "no-store"
        if "Stream-Closed" not in answer.headers:
            answer.headers["Stream-Cursor"] = cursor_after(cursor)
        return answer

    async def _answer(self, events: Sequence[Event], known: str) -> Response:
        last = events[-1].seq if events else self._after
        is_whole = len(events) < READ_EVENTS
        is_closed = is_whole and await self._ends_at(events, last)
        headers = _facts(self._head, last, is_closed, is_whole=is_whole)
        tag = f'"{self._head.run_id}:{self._after}:{last}{":closed" if is_closed else ""}"'
        # What lies behind the end may come at any time; what lies before it never changes.
        audience = "public" if self._core.access.is_open else "private"
        lasting = f"{audience}, max-age=60, stale-while-revalidate=300"
        headers |= {"ETag": tag}
        headers["Cache-Control"] = lasting if is_closed or not is_whole else "no-cache"
        if tag in [it.strip().removeprefix("W/") for it in known.split(",")]:
            return Response(None, 304, headers)
        return Response(array_of(events), 200, headers, "application/json")

    async def _ends_at(self, events: Sequence[Event], last: int) -> bool:
        if events:
            return events[-1].is_terminal
        head = await self._core.journal.head(self._head.run_id)
        return head.ended_ms is not None and head.seq == last


def _place(offset: str, head: Head) -> int:
    """
    Return the event that an offset lies behind.

    Raises:
        BadCursor: It is none of this stream.
    """
    if offset == START:
        return 0
    if offset == TAIL:
        return head.seq
    is_number = offset.isascii() and offset.isdigit() and len(offset) == DIGITS
    if not is_number or int(offset) > head.seq:
        raise BadCursor("not an offset of this stream: send the last Stream-Next-Offset, or -1")
    return int(offset)


def _facts(head: Head, last: int, is_closed: bool, *, is_whole: bool = True) -> dict[str, str]:
    """Return the headers that tell where a reader is."""
    facts = {**SECURE, "X-Run-Id": head.run_id, "Stream-Next-Offset": offset_of(last)}
    if is_whole:
        facts["Stream-Up-To-Date"] = "true"
    if is_closed:
        facts["Stream-Closed"] = "true"
    return facts


def _metadata(head: Head) -> Response:
    facts = _facts(head, head.seq, head.ended_ms is not None)
    del facts["Stream-Up-To-Date"]
    facts["Cache-Control"] = "no-store"
    return Response(None, 200, facts, "application/json")
