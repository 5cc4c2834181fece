"""Servers of a page's own, in a thread: one with an empty page, and a line that can be cut."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final, Self

PAGE: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n"
    b"Connection: close\r\n\r\n<!doctype html>"
)


class Beside:
    """
    Attributes:
        page: An address that answers with an empty page, an origin of its own.
        line: An address that leads to a server, until it is cut.
    """

    def __init__(self, server_port: int) -> None:
        self.page = self.line = ""
        self._to = server_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._ends: set[asyncio.StreamWriter] = set()
        self._listening: list[asyncio.Server] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self.page = self._do(self._listen(self._answer))
        self.line = self._do(self._listen(self._join))
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def cut(self) -> int:
        """Reset every connection, as a network that is gone does; return how many there were."""

        return int(self._do(self._reset()))

    async def _reset(self) -> int:
        ends, self._ends = self._ends, set()
        for end in ends:
            sock = end.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.transport.abort()
        return len(ends) // 2

    async def _close(self) -> None:
        for listening in self._listening:
            listening.close()
        await self._reset()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.05)  # for the transports to close

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(5)

    async def _listen(self, answer: Any) -> str:
        listening = await asyncio.start_server(answer, "127.0.0.1", 0)
        self._listening.append(listening)
        return f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"

    async def _answer(self, asked: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await asked.readuntil(b"\r\n\r\n")
            answer.write(PAGE)
            await answer.drain()
        answer.close()

    async def _join(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, onward = await asyncio.open_connection("127.0.0.1", self._to)
        self._ends |= {back, onward}
        await asyncio.gather(self._pump(near, onward), self._pump(far, back))
        self._ends -= {back, onward}

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        sink.close()
