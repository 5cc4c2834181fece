"""
The viewers: many streams at once, each token's delay read from its own stamp.

The rule: a stream is right when its stamps are exactly as many as were ordered
and ascending, which is "each once, in order". Anything else is an error, and a
server with errors has no figures worth reading.

The harness shares one core with the model, so this reads bytes and never JSON.
"""

import asyncio
import gc
import json
import re
import time
from array import array
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, cast

from .upstream import STAMP_DIGITS

Contract = Literal["text", "openai"]
"""What is asked and answered: `/ai/stream` with raw text, or the provider's own API."""

_STAMP = re.compile(rb"@(\d{%d})" % STAMP_DIGITS)

_GOLDEN = 0.6180339887498949
"""Its multiples, taken modulo any period, spread evenly over that period."""

GRACE_S = 30.0
"""How long a pass may take beyond the time its tokens need."""


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

    def request(self, load: Load) -> bytes:
        """The whole HTTP request of one stream."""
        if self.contract == "text":
            path, body = "/ai/stream", {"prompt": load.order}
        else:
            messages = [{"role": "user", "content": load.order}]
            path = "/v1/chat/completions"
            body = {"model": "bench", "stream": True, "messages": messages}
        content = json.dumps(body)
        return (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Content-Type: application/json\r\nAccept: text/event-stream\r\n"
            f"Authorization: Bearer bench\r\nContent-Length: {len(content)}\r\n\r\n{content}"
        ).encode()


class Body:
    """Takes a response apart: head, chunked coding; it may be cut anywhere."""

    __slots__ = ("_chunked", "_left", "_rest", "ended", "status")

    def __init__(self) -> None:
        self.status: int | None = None
        self.ended = False
        self._chunked = False
        self._rest = b""
        self._left = 0  # bytes of the open chunk, its closing CRLF included

    def feed(self, data: bytes) -> bytes:
        """
        The body's bytes in `data`.

        Raises:
            ValueError: This is no HTTP.
        """
        if self.ended:
            return b""  # the empty line after the last chunk
        if self._rest:
            data = self._rest + data
            self._rest = b""
        if self.status is None:
            head, whole, data = data.partition(b"\r\n\r\n")
            if not whole:
                self._rest = head
                return b""
            self.status = int(head[9:12])
            self._chunked = b"\r\ntransfer-encoding: chunked" in head.lower()
        return self._decoded(data) if self._chunked else data

    @property
    def ends_with_connection(self) -> bool:
        """Whether a closed connection is how this body says that it is whole."""
        return self.status is not None and not self._chunked

    def _decoded(self, data: bytes) -> bytes:
        parts, at = [], 0
        while True:
            if self._left:
                if self._left > 2:
                    parts.append(data[at : at + self._left - 2])
                step = min(self._left, len(data) - at)
                at += step
                self._left -= step
                if self._left:
                    break
            line_end = data.find(b"\r\n", at)
            if line_end < 0:
                self._rest = data[at:]
                break
            size = int(data[at:line_end].partition(b";")[0], 16)
            at = line_end + 2
            if size == 0:
                self.ended = True
                break
            self._left = size + 2
        return b"".join(parts)


class Stamps:
    """Finds the stamps in the text of server-sent events; it may be cut anywhere."""

    __slots__ = ("_line", "_text")

    def __init__(self) -> None:
        self._line = b""
        self._text = b""

    def feed(self, body: bytes) -> list[bytes]:
        """The stamps that became whole with `body`, as digits."""
        lines = (self._line + body).split(b"\n")
        self._line = lines.pop()
        # Ids, event names and heartbeats are not text: only `data: ` counts.
        text = self._text + b"".join([line[6:] for line in lines if line[:6] == b"data: "])
        found = _STAMP.findall(text)
        # Two frames may share a stamp; what follows the last `@` may be its start.
        begun = text.rfind(b"@")
        self._text = text[begun:] if begun >= 0 and len(text) - begun <= STAMP_DIGITS else b""
        return found


@dataclass(slots=True)
class Outcome:
    """What one stream saw. Times count from the moment the request was written."""

    first_byte_ms: float | None = None
    first_token_ms: float | None = None
    latencies_ns: array = field(default_factory=lambda: array("q"))
    stamps_ns: array = field(default_factory=lambda: array("q"))
    error: str | None = None

    def judge(self, tokens: int) -> None:
        """Name the error, if the stamps are not `tokens` ascending ones."""
        stamps = self.stamps_ns
        if self.error is None and len(stamps) != tokens:
            self.error = f"{len(stamps)} tokens instead of {tokens}"
        if self.error is None and any(a >= b for a, b in pairwise(stamps)):
            self.error = "a token came twice or out of order"


class Viewer(asyncio.Protocol):
    """One stream, from its request to its end."""

    def __init__(self, request: bytes, tokens: int, watch: Callable[[int], None] | None) -> None:
        self.outcome = Outcome()
        # An event, not a future: giving up cancels a future that is waited for,
        # and a cancelled one looks as done as a finished stream.
        self.done = asyncio.Event()
        self._request = request
        self._tokens = tokens
        self._watch = watch
        self._body = Body()
        self._stamps = Stamps()
        self._asked_ns = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Said, not asked: uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._asked_ns = time.monotonic_ns()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        outcome = self.outcome
        try:
            body = self._body.feed(data)
        except ValueError as error:
            self.end(f"not HTTP: {error}")
            return
        if self._body.status not in (None, 200):
            self.end(f"answered {self._body.status}: {body[:200]!r}")
            return
        if body and outcome.first_byte_ms is None:
            outcome.first_byte_ms = (now_ns - self._asked_ns) / 1e6
        found = self._stamps.feed(body)
        if found:
            self._note(found, now_ns)
        if self._body.ended:
            self.end(None)

    def _note(self, found: list[bytes], now_ns: int) -> None:
        outcome = self.outcome
        if outcome.first_token_ms is None:
            outcome.first_token_ms = (now_ns - self._asked_ns) / 1e6
        for digits in found:
            stamp_ns = int(digits)
            outcome.stamps_ns.append(stamp_ns)
            outcome.latencies_ns.append(now_ns - stamp_ns)
        if self._watch is not None:
            self._watch(len(outcome.stamps_ns))

    def connection_lost(self, _error: Exception | None) -> None:
        self.end(None if self._body.ends_with_connection else "cut off before the end")

    def end(self, error: str | None) -> None:
        """Close the stream with what is known; the first call decides."""
        if self.done.is_set():
            return
        self.done.set()
        self.outcome.error = error
        self.outcome.judge(self._tokens)
        if self._transport is not None:
            self._transport.close()


async def run(
    target: Target, load: Load, watch: Callable[[int], None] | None = None
) -> list[Outcome]:
    """
    Open all streams of `load` within a second and see them to their end.

    `watch` is told a stream's count of tokens each time some have arrived.
    """
    loop = asyncio.get_running_loop()
    request = target.request(load)
    viewers = [Viewer(request, load.tokens, watch) for _ in range(load.streams)]

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
    return [viewer.outcome for viewer in viewers]
