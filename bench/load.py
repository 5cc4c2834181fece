"""
The viewers: many streams at once, whose bytes are collected with the time of each read.

The harness shares one core with the model, so a viewer does nothing for a token but keep
the bytes: what they say is read from them when the load is over (`reading.py`).
"""

import asyncio
import gc
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, cast

from .reading import Outcome, Recording

Contract = Literal["text", "openai"]
"""What is asked and answered: `/ai/stream` with raw text, or the provider's own API."""

_GOLDEN = 0.6180339887498949
"""Its multiples, taken modulo any period, spread evenly over that period."""

GRACE_S = 30.0
"""How long a pass may take beyond the time its tokens need."""

_LAST_CHUNK = b"0\r\n\r\n"
"""Ends an answer in chunked coding; a token's chunk never ends so, since its text does not."""


@dataclass(frozen=True, slots=True)
class Load:
    """How many streams, and what each of them orders."""

    streams: int
    tokens: int
    per_s: float

    @property
    def order(self) -> str:
        return json.dumps({"tokens": self.tokens, "per_s": self.per_s})

    @property
    def limit_s(self) -> float:
        """After this the pass is given up and what is open counts as an error."""
        return (self.tokens / self.per_s if self.per_s else 0.0) + GRACE_S


@dataclass(frozen=True, slots=True)
class Target:
    """Where the load goes and how it asks."""

    port: int
    contract: Contract
    key: str = "bench"
    """What the system wants to be sent as a bearer key; most look at none."""

    def request(self, order: str) -> bytes:
        """The whole HTTP request of one stream."""
        if self.contract == "text":
            path, body = "/ai/stream", {"prompt": order}
        else:
            messages = [{"role": "user", "content": order}]
            path = "/v1/chat/completions"
            body = {"model": "bench", "stream": True, "messages": messages}
        content = json.dumps(body)
        return (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Content-Type: application/json\r\nAccept: text/event-stream\r\n"
            f"Authorization: Bearer {self.key}\r\nContent-Length: {len(content)}\r\n\r\n{content}"
        ).encode()


class Viewer(asyncio.Protocol):
    """One stream, from its request to its end."""

    def __init__(self, request: bytes, watch: Callable[[int], None] | None = None) -> None:
        self.recording = Recording()
        # An event, not a future: giving up cancels a future that is waited for,
        # and a cancelled one looks as done as a finished stream.
        self.done = asyncio.Event()
        self.begun = asyncio.Event()
        self._request = request
        self._watch = watch
        self._seen = 0
        self._reads = self.recording.reads
        self._times_ns = self.recording.times_ns
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Said, not asked: uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self.recording.asked_ns = time.monotonic_ns()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._times_ns.append(time.monotonic_ns())
        self._reads.append(data)
        if len(self._reads) == 1:
            self.begun.set()
            if not data.startswith(b"HTTP/1.1 200"):
                self.end(None)  # how it was answered is read later
                return
        if self._watch is not None:
            self._seen += data.count(b"@")
            self._watch(self._seen)
        # A read may hold the end of the end alone.
        tail = data if len(data) >= len(_LAST_CHUNK) else b"".join(self._reads[-len(_LAST_CHUNK) :])
        if tail.endswith(_LAST_CHUNK):
            self.end(None)

    def connection_lost(self, _error: Exception | None) -> None:
        self.end(None)

    def end(self, error: str | None) -> None:
        """Close the stream; the first call decides."""
        if self.done.is_set():
            return
        self.done.set()
        self.begun.set()
        self.recording.error = error
        if self._transport is not None:
            self._transport.close()


async def run(
    target: Target, load: Load, watch: Callable[[int], None] | None = None
) -> list[Recording]:
    """
    Open all streams of `load` within a second and see them to their end.

    `watch` is told a stream's count of tokens each time some have arrived.
    """
    loop = asyncio.get_running_loop()
    request = target.request(load.order)
    viewers = [Viewer(request, watch) for _ in range(load.streams)]

    async def view(viewer: Viewer, start_s: float) -> None:
        await asyncio.sleep(start_s)
        try:
            await loop.create_connection(lambda: viewer, "127.0.0.1", target.port)
            await viewer.done.wait()
        except OSError as error:
            viewer.end(f"no connection: {error}")

    # Evenly spaced starts would meet again in every period of the pace (100
    # streams at 50/s: two bursts); golden steps never do.
    starts_s = [number * _GOLDEN % 1.0 for number in range(load.streams)]
    gc.collect()
    gc.disable()  # a collection here would be read as the server's delay
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(load.limit_s):
                await asyncio.gather(*map(view, viewers, starts_s))
    finally:
        gc.enable()
        for viewer in viewers:
            viewer.end("not finished in time")
    return [viewer.recording for viewer in viewers]


def outcomes(recordings: list[Recording], load: Load) -> list[Outcome]:
    """Read and judge what `run` has collected; not while something is measured."""
    return [Outcome.of(recording, load.tokens) for recording in recordings]
