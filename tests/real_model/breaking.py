"""A way to an engine that breaks the first answer to each prompt, and passes on the rest."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

MAX_TOKENS = 160
"""Of an answer: enough for a text that can be cut in three places, and quick to read."""


class Breaker:
    """
    A server in front of an engine. `break_after` chunks of the next answer to a prompt pass.

    Attributes:
        engine: The address of the engine.
        asked: The messages of every request, by prompt.
        on_break: Awaited when an answer breaks; `kill -9` of the engine, for example.
        is_down: Refuse all later requests with the broken prompt: the engine does not come back.
    """

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.asked: dict[str, list[list[dict[str, Any]]]] = {}
        self.on_break: Callable[[], Awaitable[None]] | None = None
        self.is_down = False
        self._break_after: dict[str, int] = {}
        self._passed: dict[str, str] = {}
        self._broken: set[str] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Begin to listen; return the address."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 22)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    def break_next(self, prompt: str, after: int) -> None:
        """Let the next answer to `prompt` break after so many chunks of text."""
        self._break_after[prompt] = after
        self._passed.pop(prompt, None)
        self.asked.pop(prompt, None)

    def passed(self, prompt: str) -> str:
        """Return the text that came before the break."""
        return self._passed.get(prompt, "")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._exchange(reader, writer)
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        body = json.loads(await reader.readexactly(int(length[1]))) if length else {}
        messages = body.get("messages", [])
        prompt = next((m["content"] for m in messages if m["role"] == "user"), "")
        if self.is_down and prompt in self._broken:
            return
        self.asked.setdefault(prompt, []).append(messages)
        # Spaces alone tell the runs of one prompt apart; the model does not get them.
        sent = [
            {**m, "content": prompt.rstrip()} if m["content"] == prompt else m for m in messages
        ]
        body |= {"messages": sent} if messages else {}
        body |= {"temperature": 0, "seed": 1}
        body["max_tokens"] = min(body.get("max_tokens") or MAX_TOKENS, MAX_TOKENS)
        await self._pass_on(head.split(b" ")[1], body, prompt, writer)

    async def _pass_on(
        self, path: bytes, body: dict[str, Any], prompt: str, writer: asyncio.StreamWriter
    ) -> None:
        there = urlsplit(self.engine)
        up, down = await asyncio.open_connection(there.hostname, there.port)
        sent = json.dumps(body).encode()
        down.write(
            b"POST %b HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n" % (path, len(sent)) + sent
        )
        head = await up.readuntil(b"\r\n\r\n")
        writer.write(head.replace(b"Keep-Alive", b"close"))
        most, chunks, text = self._break_after.pop(prompt, 0), 0, ""
        while line := await up.readline():
            writer.write(line)
            await writer.drain()
            said = _text_in(line)
            text += said
            chunks += bool(said)
            if most and chunks >= most:
                self._passed[prompt] = text
                self._broken.add(prompt)
                down.close()
                writer.transport.abort()
                if self.on_break is not None:
                    await self.on_break()
                return
        down.close()


def _text_in(line: bytes) -> str:
    if not line.startswith(b"data: {"):
        return ""
    choices = json.loads(line[6:]).get("choices") or [{}]
    return (choices[0].get("delta") or {}).get("content") or ""
