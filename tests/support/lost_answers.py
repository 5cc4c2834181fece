"""A relay before a server that loses the answers of requests which the server has taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class LostAnswers:
    """
    Attributes:
        lose: Methods whose next answer is lost, such as `PATCH`; each is taken out when it is.
        lost: Methods whose answers were lost, in order.
    """

    def __init__(self) -> None:
        self.lose: list[str] = []
        self.lost: list[str] = []

    @asynccontextmanager
    async def before(self, port: int) -> AsyncIterator[str]:
        """Relay to the server at `port`; the context is the relay's URL."""
        writers: list[asyncio.StreamWriter] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection("127.0.0.1", port)
            writers.extend((writer, back))
            method = [""]
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(self._ask(reader, back, method))
                await self._answer(there, writer, method)
                asking.cancel()
            writer.transport.abort()
            back.transport.abort()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            try:
                yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            finally:
                for each in writers:
                    each.transport.abort()

    async def _ask(
        self, reader: asyncio.StreamReader, back: asyncio.StreamWriter, method: list[str]
    ) -> None:
        while data := await reader.read(65536):
            if b" HTTP/1.1\r\n" in data:
                method[0] = data.partition(b" ")[0].decode()
            back.write(data)
        back.transport.abort()

    async def _answer(
        self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, method: list[str]
    ) -> None:
        while data := await there.read(65536):
            if method[0] in self.lose:
                self.lose.remove(method[0])
                self.lost.append(method[0])
                return
            writer.write(data)
