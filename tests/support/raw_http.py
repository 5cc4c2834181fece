"""
A server that plays a script to the byte, on connections that it keeps.

Each request plays the next script, the last one ever after. In a script `bytes` are sent in a
packet of their own, a number is a pause in seconds, `HALF` shuts the server's side, `CUT` and
`RESET` break the connection off, politely or rudely, `RAGGED` ends it without the farewell that
TLS asks for, `SILENCE` lasts until the client leaves.
After a script that ends without any of these, the next request is awaited.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any, Self

from unspool.providers.upstream.http1 import Client, Response

from .patience import within


class End(Enum):
    HALF = "half"
    CUT = "cut"
    RESET = "reset"
    RAGGED = "ragged"
    SILENCE = "silence"


HALF, CUT, RESET, RAGGED, SILENCE = End

Step = bytes | float | End
Script = Sequence[Step]

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def whole(body: bytes, *headers: bytes) -> bytes:
    """A whole answer with its length."""
    lines = [b"Content-Length: %d" % len(body), *headers]
    return OK + b"\r\n".join([*lines, b"", b""]) + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST = b"0\r\n\r\n"


class RawServer:
    """
    The server.

    Attributes:
        requests: The head of each request so far, its body behind it.
        connections: How many there have been.
        open: How many there are.
        sent: How many bytes have gone, as far as the server's own buffers tell.
    """

    def __init__(
        self,
        *scripts: Script,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        reads_bodies: bool = True,
    ) -> None:
        self.scripts = list(scripts)
        self.requests: list[bytes] = []
        self.connections = self.open = self.sent = self.port = 0
        self._tls, self._host, self._reads_bodies = tls, host, reads_bodies
        self._server: asyncio.Server | None = None
        self._talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._changed = asyncio.Condition()

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http{'s' if self._tls else ''}://{host}:{self.port}/"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._talk, self._host, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._talks.values():
            writer.transport.abort()
        await asyncio.gather(*self._talks)
        await self._server.wait_closed()

    async def until(self, is_so: Callable[[], bool], *, within_s: float = 5.0) -> None:
        """Return when `is_so()`, which speaks of this server, has come true."""
        async with within(within_s), self._changed:
            await self._changed.wait_for(is_so)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks[task] = writer
        task.add_done_callback(self._talks.pop)
        self.connections += 1
        await self._count(+1)
        try:
            # uvloop raises RuntimeError for a write to a connection that its peer has dropped.
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, RuntimeError):
                while await self._answer(reader, writer):
                    pass
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
            await self._count(-1)

    async def _count(self, change: int) -> None:
        self.open += change
        async with self._changed:
            self._changed.notify_all()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].split(b"\r")[0]
        body = await reader.readexactly(int(length or 0)) if self._reads_bodies else b""
        self.requests.append(head + body)
        await self._count(0)
        script = self.scripts[min(len(self.requests), len(self.scripts)) - 1]
        for step in script:
            if isinstance(step, End):
                return await self._end(step, reader, writer)
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
                self.sent += len(step)
            await asyncio.sleep(step if isinstance(step, float) else 0)
        return True

    async def _end(
        self, end: End, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if end is RESET:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if end in {RESET, RAGGED}:
            writer.transport.abort()
        if end is HALF:
            writer.write_eof()
        if end in {HALF, SILENCE}:
            await reader.read()
        return False


class Pushed:
    """What a reader that is pushed to has got."""

    def __init__(self, response: Response) -> None:
        self.pieces: list[bytes] = []
        self.ends: list[Exception | None] = []
        self.response = response
        self._over = asyncio.Event()
        response.read_to(self.feed, self.ended)

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def feed(self, data: bytes) -> None:
        assert not self.ends, "fed after the end"
        assert data, "fed nothing"
        self.pieces.append(data)

    def ended(self, error: Exception | None) -> None:
        self.ends.append(error)
        self._over.set()

    async def end(self) -> Exception | None:
        async with within(5):
            await self._over.wait()
        await asyncio.sleep(0.01)  # a second end would come now
        assert len(self.ends) == 1
        return self.ends[0]


async def ask(client: Client, url: str, **changes: Any) -> Response:
    """Ask in five seconds, as a GET unless said otherwise."""
    given = {"method": "GET", "headers": {}, "body": None, "connect_s": 5.0, **changes}
    async with within(5):
        return await client.send(url=url, **given)


async def exchange(client: Client, url: str, **changes: Any) -> tuple[bytes, Exception | None]:
    """Ask, read all of the answer, and give the connection back."""
    response = await ask(client, url, **changes)
    pushed = Pushed(response)
    error = await pushed.end()
    response.release()
    return pushed.body, error
