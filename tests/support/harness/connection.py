"""A viewer's connection without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Connection:
    """One stream as the server sees it; the viewer is gone after so many bytes."""

    cut: int | None
    pause_s: float
    has_room: Callable[[], bool]
    """Whether it takes what is pushed."""
    got: bytearray = field(default_factory=bytearray)
    is_whole: bool = False
    is_aborted: bool = False
    _gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self) -> dict[str, str]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self.pause_s:
            await asyncio.sleep(self.pause_s)
        if self._gone.is_set() or message["type"] != "http.response.body":
            return
        self._take(message["body"])
        if not self._gone.is_set() and not message.get("more_body"):
            self.is_whole = True

    async def write(self, data: bytes) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": True})

    def push(self, data: bytes) -> bool:
        if self._gone.is_set() or not self.has_room():
            return False
        self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        self.got += data
        if self.cut is not None and len(self.got) >= self.cut:
            del self.got[self.cut :]
            self._gone.set()

    def abort(self) -> None:
        self.is_aborted = True
