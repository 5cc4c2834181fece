"""
A bad line between viewers and a server: bytes late, in dribbles, or not at all.

Each connection draws its own weather: it is delayed, dribbled, cut politely or reset after some
bytes, or left alone. The server behind may move; its address is asked anew each time.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

READ_BYTES = 4096
MAX_BYTES = 6_000
"""Before a cut: about the frames of a post."""


class ChaosProxy:
    """
    Attributes:
        url: Where it listens.
        done: How often each kind of weather was drawn.
    """

    def __init__(self, server: Callable[[], str], dice: random.Random) -> None:
        self.url = ""
        self.done: Counter[str] = Counter()
        self._server = server
        self._dice = dice
        self._listening: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self._line, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listening.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listening is not None
        self._listening.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)
        await self._listening.wait_closed()

    async def _line(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        assert line is not None
        self._lines.add(line)
        try:
            # asyncio would log the traceback of a line that is cancelled at the end.
            with suppress(ConnectionError, asyncio.CancelledError):
                await self._joined(near, back)
        finally:
            self._lines.discard(line)
            back.close()

    async def _joined(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        there = urlsplit(self._server())
        far, forth = await asyncio.open_connection(there.hostname, there.port)
        asking = asyncio.create_task(_pour(near, forth))
        try:
            await self._weather(far, back)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            forth.close()
            with suppress(ConnectionError):
                await forth.wait_closed()

    async def _weather(self, far: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """Bring the answer back as the weather allows."""
        kind = self._dice.choice(("fair", "late", "dribble", "cut", "reset"))
        self.done[kind] += 1
        left = self._dice.randint(0, MAX_BYTES) if kind in {"cut", "reset"} else None
        while data := await far.read(READ_BYTES):
            if kind == "late":
                await asyncio.sleep(self._dice.uniform(0, 0.02))
            for piece in _pieces(data[:left], 7 if kind == "dribble" else READ_BYTES):
                back.write(piece)
                await back.drain()
            if left is not None and (left := left - len(data)) <= 0:
                break
        if kind == "reset":
            linger = struct.pack("ii", 1, 0)
            sock: socket.socket = back.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


class Cable:
    """
    A line to a server that can be cut: then nothing comes through, and neither side notices.

    Attributes:
        port: Where it listens.
        drops: Message types of PostgreSQL's protocol that are left out of answers.
    """

    def __init__(self, to_port: int, drops: bytes = b"") -> None:
        self.port = 0
        self.drops = drops
        self._to_port = to_port
        self._is_whole = asyncio.Event()
        self._is_whole.set()
        self._listening: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self._line, "127.0.0.1", 0)
        self.port = self._listening.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listening is not None
        self._listening.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    def cut(self) -> None:
        self._is_whole.clear()

    def mend(self) -> None:
        self._is_whole.set()

    async def _line(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        assert line is not None
        self._lines.add(line)
        try:
            await self._is_whole.wait()
            far, forth = await asyncio.open_connection("127.0.0.1", self._to_port)
            ways = [self._pour(near, forth), self._pour(far, back, self.drops)]
            tasks = [asyncio.create_task(way) for way in ways]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                forth.close()
        finally:
            self._lines.discard(line)
            back.close()

    async def _pour(
        self, source: asyncio.StreamReader, drain: asyncio.StreamWriter, drops: bytes = b""
    ) -> None:
        while True:
            if drops:
                head = await source.readexactly(5)
                data = head + await source.readexactly(int.from_bytes(head[1:]) - 4)
                if head[:1] in drops:
                    continue
            elif not (data := await source.read(READ_BYTES)):
                return
            await self._is_whole.wait()
            drain.write(data)
            await drain.drain()


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


async def _pour(source: asyncio.StreamReader, drain: asyncio.StreamWriter) -> None:
    while data := await source.read(READ_BYTES):
        drain.write(data)
        await drain.drain()
