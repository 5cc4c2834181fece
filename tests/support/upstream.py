"""
A provider that does what it is told, byte by byte, over a real socket.

A script is a list of steps: `bytes` are sent as they are, as one chunk and one packet;
a number is a pause in seconds; `Head` is another head than the usual one; `RESET` and
`CUT` break the connection off, rudely or politely; `SILENCE` lasts until the client
leaves. The n-th request plays the n-th script and the last one ever after, or whatever
a function of the request says. Where requests are made side by side their order is chance:
only a function knows them apart.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self

from unspool import Limits, Model

from .patience import within

KEY = "sk-canary-0f3b7c"
"""The key of this provider. It may be seen in one header and nowhere else."""


class Break(Enum):
    RESET = "reset"
    CUT = "cut"
    SILENCE = "silence"


RESET, CUT, SILENCE = Break


@dataclass(frozen=True)
class Head:
    """A whole head and, where the answer is not a stream, its body."""

    status: int = 200
    headers: tuple[str, ...] = ()
    body: bytes | None = None

    def encode(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} So", "Connection: close", *self.headers]
        if self.body is None:
            lines += ["Content-Type: text/event-stream", "Transfer-Encoding: chunked"]
        else:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + (self.body or b"")


Step = bytes | float | Head | Break
Script = Sequence[Step]


@dataclass
class UpstreamRequest:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def question(self) -> str:
        return str(self.body["messages"][-1]["content"])


def frame(document: object) -> bytes:
    """One document as providers frame it."""
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"


def chunk(content: str | None = None, finish: str | None = None, **delta: Any) -> bytes:
    """One chunk of a completion."""
    said = {**({} if content is None else {"content": content}), **delta}
    return frame({"choices": [{"index": 0, "delta": said, "finish_reason": finish}]})


def counted(prompt: int, completion: int) -> bytes:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    return frame({"choices": [], "usage": usage})


DONE = b"data: [DONE]\n\n"
END: tuple[bytes, ...] = (chunk(finish="stop"), counted(10, 20), DONE)
"""What a whole answer ends with."""


def answer(*pieces: str) -> list[Step]:
    """A whole answer in so many pieces."""
    return [*(chunk(piece) for piece in pieces), *END]


def refusal(status: int, message: str = "no", *headers: str) -> list[Step]:
    body = json.dumps({"error": {"message": message}}).encode()
    return [Head(status, ("Content-Type: application/json", *headers), body)]


class Upstream:
    """
    The provider.

    Attributes:
        url: Its `/v1` root.
        asked: Every request so far.
        left: How many clients went before their script had ended.
        play: What is played: scripts in turn, or a function from request to script.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[UpstreamRequest] = []
        self.left = 0
        self.open = 0
        self.play: list[Script] | Callable[[UpstreamRequest], Script] = [answer("你好")]
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Condition()
        self._talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._talks.values():
            writer.transport.abort()
        await asyncio.gather(*self._talks)
        await self._server.wait_closed()

    def model(self, **limits: Any) -> Model:
        return Model("tested", "openai", "m-1", self.url, KEY, Limits(**limits))

    async def until(self, is_so: Callable[[], bool], *, within_s: float = 5.0) -> None:
        """Return when `is_so()`, which speaks of this upstream, has come true."""
        async with within(within_s), self._changed:
            await self._changed.wait_for(is_so)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks[task] = writer
        task.add_done_callback(lambda _: self._talks.pop(task))
        talk = _Talk(reader, writer)
        try:
            with suppress(ConnectionError):
                asked = await _read_request(reader)
                if asked is None:
                    return
                self.requests.append(asked)
                # Before anything is awaited: the next request would move the place in the list.
                script = self._script(asked)
                self.open += 1
                await self._tell()
                await talk.perform(script)
                self.open -= 1
                self.left += talk.was_left
                await self._tell()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def _script(self, asked: UpstreamRequest) -> Script:
        if callable(self.play):
            return self.play(asked)
        return self.play[min(len(self.requests), len(self.play)) - 1]

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@dataclass
class _Talk:
    """One answer on one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    was_left: bool = False
    is_headed: bool = field(default=False, init=False)

    async def perform(self, script: Script) -> None:
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A client that has asked has nothing more to say: what comes next is its leaving.
        leaving = asyncio.create_task(self.reader.read(1))
        try:
            for step in script:
                if await self._step(step, leaving):
                    return
            if self.is_headed:
                self.writer.write(b"0\r\n\r\n")
                await self.writer.drain()
        except ConnectionError:
            self.was_left = True
        finally:
            leaving.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await leaving

    async def _step(self, step: Step, leaving: asyncio.Task[bytes]) -> bool:
        """Take one step; true where nothing may come after it."""
        match step:
            case Head(body=body):
                self.writer.write(step.encode())
                self.is_headed = body is None
            case bytes():
                if not self.is_headed:
                    self.writer.write(Head().encode())
                    self.is_headed = True
                if step:  # a chunk of nothing would be the end
                    self.writer.write(b"%x\r\n%b\r\n" % (len(step), step))
            case Break.RESET:
                linger = struct.pack("ii", 1, 0)
                sock = self.writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return True
            case Break.CUT:
                return True
            case _:
                pause_s = None if step is SILENCE else float(step)
                done, _ = await asyncio.wait([leaving], timeout=pause_s)
                self.was_left = bool(done)
                return self.was_left
        await self.writer.drain()
        await asyncio.sleep(0)
        return False


async def _read_request(reader: asyncio.StreamReader) -> UpstreamRequest | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    raw = await reader.readexactly(int(headers.get("content-length", 0)))
    return UpstreamRequest(method, path, headers, json.loads(raw or b"{}"))
