"""An answer of an ASGI application that its reader pulls piece by piece, from any thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Message, Receive, Send

Answering = Callable[[Receive, Send], Awaitable[None]]
"""An ASGI application that has its scope already."""


class PulledAnswer:
    """
    Answers one request, and waits whenever its reader has not taken the last piece.

    Use it in the loop in which it was made.
    """

    def __init__(self, answering: Answering, body: bytes = b"") -> None:
        self._body: bytes | None = body
        self._head: Message | None = None
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)
        self._closed = asyncio.Event()
        self._begun = asyncio.Event()
        self._playing = asyncio.ensure_future(answering(self._receive, self._send))

    async def head(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Return status and headers. What the application raises before them passes through."""
        beginning = asyncio.ensure_future(self._begun.wait())
        wanted: list[asyncio.Future[Any]] = [beginning, self._playing]
        await asyncio.wait(wanted, return_when=asyncio.FIRST_COMPLETED)
        beginning.cancel()
        if self._head is None:
            self._playing.result()
            raise RuntimeError("the application ended without an answer")
        return self._head["status"], list(self._head["headers"])

    async def next(self) -> bytes:
        """Return the next bytes; empty at the end."""
        getting = asyncio.ensure_future(self._pieces.get())
        wanted: list[asyncio.Future[Any]] = [getting, self._playing]
        await asyncio.wait(wanted, return_when=asyncio.FIRST_COMPLETED)
        if getting.done():
            return getting.result()
        getting.cancel()
        return b"" if self._pieces.empty() else self._pieces.get_nowait()

    async def close(self) -> None:
        """End the answer: its reader has left, or has everything."""
        self._closed.set()
        while not self._pieces.empty():  # make room, in case `_send` waits for it
            self._pieces.get_nowait()
        await asyncio.wait([self._playing])

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._closed.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head = message
            self._begun.set()
        elif (body := message.get("body")) and not self._closed.is_set():
            await self._pieces.put(body)
