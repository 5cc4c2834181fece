"""Those who hear of runs, on loopback: a receiver of webhooks, and one of spans."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Receiver:
    """It keeps all it gets."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    """Headers and body of each request; `:path` is among the headers."""
    statuses: list[int] = field(default_factory=list)
    """The next answers; then 200."""

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            pairs = (line.partition(": ") for line in lines if line)
            headers = {name.lower(): value for name, _, value in pairs}
            body = await reader.readexactly(int(headers["content-length"]))
            self.got.append(({**headers, ":path": first.split()[1]}, body))
            status = self.statuses.pop(0) if self.statuses else 200
            head = f"HTTP/1.1 {status} So\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            writer.write(head.encode())
            await writer.drain()
        writer.close()

    @property
    def bodies(self) -> bytes:
        return b"\n".join(body for _, body in self.got)


@asynccontextmanager
async def receiving(path: str = "") -> AsyncIterator[Receiver]:
    """A receiver for as long as the context is open."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.take, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{path}"
    try:
        yield receiver
    finally:
        server.close()
