"""
The model that costs nothing: an OpenAI-compatible provider made for measuring.

The last user message is an order, `{"tokens": 200, "per_s": 50}`; `per_s` 0
means as fast as the socket takes it, `wait_s` is a silence before the first token.
With `--pair` (a certificate and its key) it speaks TLS. Each token is one write of one chunk, and
its text is the moment it was written: whoever receives it, however late and
however wrapped, can tell how long it was under way and whether it is the next.
"""

import argparse
import asyncio
import gc
import heapq
import itertools
import json
import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvloop

STAMP_DIGITS = 19
"""Digits of a stamp; CLOCK_MONOTONIC in nanoseconds fits until year 292."""

_OPENING = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def _coded(frame: bytes) -> bytes:
    """`frame` as one chunk of HTTP's chunked coding."""
    return b"%x\r\n%b\r\n" % (len(frame), frame)


def _frame(choices: list[object], usage: object = None) -> bytes:
    """One server-sent event as the big providers write it, about 290 bytes."""
    chunk = {
        "id": "chatcmpl-0123456789abcdef0123456789",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": "bench",
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
        "choices": choices,
        "usage": usage,
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def _choice(delta: object, finish_reason: str | None) -> object:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


# A token differs from the next only in its stamp, and the stamp has a fixed
# width, so the JSON is made once and cut at the stamp.
_BEFORE_STAMP, _AFTER_STAMP = _coded(
    _frame([_choice({"role": "assistant", "content": f"@{'0' * STAMP_DIGITS} "}, None)])
).split(b"0" * STAMP_DIGITS)


def _closing(tokens: int) -> bytes:
    """What follows the last token: the reason, the usage, `[DONE]`, the end of the body."""
    usage = {"prompt_tokens": 8, "completion_tokens": tokens, "total_tokens": tokens + 8}
    frames = (_frame([_choice({}, "stop")]), _frame([], usage), b"data: [DONE]\n\n")
    return b"".join(map(_coded, frames)) + b"0\r\n\r\n"


_CLOCK_S = 0.001
"""The loop's clock counts whole milliseconds: a timer may come so much too early."""


_AT_ONCE = 32
"""Most tokens of one turn: uvloop takes one new connection between two turns."""


class Refused(Exception):
    """The request is not one this provider knows; the text says why."""


@dataclass(frozen=True, slots=True)
class Order:
    """How many tokens, how many of them per second (0: no pacing), how long before the first."""

    tokens: int
    per_s: float
    wait_s: float = 0.0

    @classmethod
    def read(cls, body: bytes) -> "Order":
        """The order in the last user message of a chat.completions request."""
        try:
            request = json.loads(body)
            spoken = [m["content"] for m in request["messages"] if m["role"] == "user"][-1]
            if isinstance(spoken, list):
                spoken = "".join(part["text"] for part in spoken)
            order = json.loads(spoken)
            tokens, per_s = int(order["tokens"]), float(order["per_s"])
            wait_s = float(order.get("wait_s", 0.0))
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise Refused(f"the last user message is no order: {error!r}") from error
        if not request.get("stream") or tokens < 1 or per_s < 0:
            raise Refused("an order is streamed, has a token at least, and never a negative pace")
        return cls(tokens, per_s, wait_s)


class Wheel:
    """
    One timer for all streams, which are due in the order of a heap.

    A timer for each token costs more than the rest of the token here, and this
    program shares its core with the viewers.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: list[tuple[float, int, Answer]] = []
        self._numbers = itertools.count()  # answers themselves have no order
        self._timer: asyncio.Handle | None = None
        self._turn_s = 0.0
        self._is_turning = False

    def add(self, due_s: float, answer: "Answer") -> None:
        """Let `answer` write when it is due; at once, if that has passed."""
        heapq.heappush(self._due, (due_s, next(self._numbers), answer))
        if not self._is_turning:
            self._wind()

    def _wind(self) -> None:
        due_s = self._due[0][0]
        if self._timer is not None:
            if self._turn_s <= due_s:
                return
            self._timer.cancel()
        self._turn_s = due_s
        self._timer = self._loop.call_at(due_s, self._turn)

    def _turn(self) -> None:
        # One token of a stream per turn, even when late: a transport may join
        # the writes of one turn, and a token has to be a write of its own.
        self._timer, self._is_turning = None, True
        until_s = self._loop.time() + _CLOCK_S
        ready = []
        while self._due and self._due[0][0] <= until_s and len(ready) < _AT_ONCE:
            ready.append(heapq.heappop(self._due)[2])
        for answer in ready:
            answer.write()
        self._is_turning = False
        if self._due:
            self._wind()


class Answer:
    """One stream of tokens by an absolute schedule: no drift."""

    def __init__(
        self,
        transport: asyncio.Transport,
        order: Order,
        wheel: Wheel,
        ended: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._wheel = wheel
        self._order = order
        self._ended = ended
        self._sent = 0
        self._is_paused = self._is_waiting = self._is_over = False
        self._began_s = asyncio.get_running_loop().time() + order.wait_s
        # Past the transport, which joins writes and costs more; TLS needs it.
        is_plain = transport.get_extra_info("sslcontext") is None
        self._file = transport.get_extra_info("socket").fileno() if is_plain else None
        self._send(_OPENING)
        self._plan()

    def _plan(self) -> None:
        pace_s = self._sent / self._order.per_s if self._order.per_s else 0.0
        self._wheel.add(self._began_s + pace_s, self)

    def write(self) -> None:
        """Write a token; the last one with the end."""
        if self._is_over or self._transport.is_closing():
            return  # the descriptor may be another connection's by now
        if self._is_paused:
            self._is_waiting = True
            return
        token = b"%b%0*d%b" % (_BEFORE_STAMP, STAMP_DIGITS, time.monotonic_ns(), _AFTER_STAMP)
        self._sent += 1
        self._send(token)
        if self._sent < self._order.tokens:
            self._plan()
        else:
            self._send(_closing(self._sent))
            self._ended()

    def _send(self, data: bytes) -> None:
        if self._file is not None:
            try:
                data = data[os.write(self._file, data) :]
            except BlockingIOError:
                pass
            except OSError:
                return  # the transport hears of it, too
            if not data:
                return
            # A full socket: from now on by the transport, or bytes would overtake each other.
            self._file = None
        self._transport.write(data)

    def pause(self) -> None:
        self._is_paused = True

    def resume(self) -> None:
        self._is_paused = False
        if self._is_waiting:
            self._is_waiting = False
            self._plan()

    def stop(self) -> None:
        self._is_over = True


class Provider(asyncio.Protocol):
    """One connection: requests with a Content-Length, one answer after another."""

    _transport: asyncio.Transport

    def __init__(self, wheel: Wheel) -> None:
        self._wheel = wheel
        self._received = b""
        self._answer: Answer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Said, not asked: uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._take_request()

    def _take_request(self) -> None:
        head, ended, rest = self._received.partition(b"\r\n\r\n")
        if self._answer is not None or not ended:
            return
        try:
            length = _content_length(head)
            if len(rest) < length:
                return
            self._received = rest[length:]
            if b"/chat/completions " not in head.split(b"\r\n", 1)[0]:
                raise Refused("only POST .../chat/completions is spoken here")
            order = Order.read(rest[:length])
            self._answer = Answer(self._transport, order, self._wheel, self._finished)
        except Refused as refused:
            body = json.dumps({"error": {"message": str(refused), "code": "bench"}}).encode()
            self._transport.write(
                b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
                b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            self._transport.close()

    def _finished(self) -> None:
        self._answer = None
        self._take_request()

    def pause_writing(self) -> None:
        if self._answer is not None:
            self._answer.pause()

    def resume_writing(self) -> None:
        if self._answer is not None:
            self._answer.resume()

    def connection_lost(self, _error: Exception | None) -> None:
        if self._answer is not None:
            self._answer.stop()


def _content_length(head: bytes) -> int:
    """Bytes of the request's body; none is announced for a GET."""
    for line in head.lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"content-length" and value.strip().isdigit():
            return int(value)
        if name == b"transfer-encoding":
            raise Refused("send a Content-Length; a chunked request is not read here")
    return 0


async def serve(port: int, pair: Path | None) -> None:
    """Answer on 127.0.0.1:`port` until somebody ends the process."""
    tls = None
    if pair is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pair)
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop)
    server = await loop.create_server(
        lambda: Provider(wheel), "127.0.0.1", port, backlog=4096, ssl=tls
    )
    gc.disable()  # a pause here would be read as the server's delay; nothing here makes cycles
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pair", type=Path)
    asked = parser.parse_args()
    uvloop.run(serve(asked.port, asked.pair))
