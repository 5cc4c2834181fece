"""
An answer whose head has come, and how its body is read.

Two ways, one for each response. `read_to` pushes: bytes go to `feed` in plain calls as they
arrive. `read` pulls, for error bodies and small answers. Until a reader is there, and while
it pauses, bytes are held as they came from the socket; beyond `MAX_HELD_BYTES` nothing more
is read from it.

`ended` is called once, and `feed` never after it: with None for a body that is whole by its
framing, with the reason where it is not, with `Closed` where `close` or `release` came first,
and with the exception that `feed` raised.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from .decoding import REGISTERED, Inflater
from .errors import BadEncoding, Closed

MAX_HELD_BYTES = 64 * 1024
"""Bytes that wait for a reader, not decoded; one more read of the socket may come on top."""

Feed = Callable[[bytes], None]
Ended = Callable[[Exception | None], None]


class Headers(Mapping[str, str]):
    """Headers by name in any case; the first of several with one name, or all of them."""

    def __init__(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            key = name.decode("latin-1").strip().lower()
            self._values.setdefault(key, []).append(value.decode("latin-1").strip())

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def get_all(self, name: str) -> list[str]:
        return list(self._values.get(name.lower(), ()))

    def words(self, name: str) -> list[str]:
        """Return the members of a comma-separated list, in lower case."""
        parts = ",".join(self._values.get(name, ())).split(",")
        return [word.strip().lower() for word in parts if word.strip()]


class Wire(Protocol):
    """
    The connection, as a response needs it.

    Attributes:
        sink: Takes the next bytes of the body.
    """

    sink: Feed

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def abort(self) -> None: ...
    def give_back(self) -> None: ...


class Response:
    """
    An answer.

    Attributes:
        status: Of the final answer, 200 or more.
        headers: Of the head; trailers are dropped.
        is_framed: Whether the head says where the body ends. Where it does not, the end of the
            connection ends the body, and a stop is not an end: the reader must judge.
    """

    def __init__(self, wire: Wire, status: int, headers: Headers, *, is_framed: bool) -> None:
        self.status = status
        self.headers = headers
        self.is_framed = is_framed
        self._wire = wire
        self._codings = [w for w in headers.words("content-encoding") if w in REGISTERED]
        self._decoder: Inflater | None = None
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._feed: Feed | None = None
        self._ended: Ended | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._is_paused = False
        self._is_draining = False
        self._is_over = False  # nothing more will come
        self._error: Exception | None = None
        self._is_left = False  # the connection is no longer ours

    # The reader's side

    def read_to(self, feed: Feed, ended: Ended) -> None:
        """Hand the body to `feed` from now on; bytes that have come already at once."""
        assert self._ended is None, "a response is read once"
        self._feed, self._ended = feed, ended
        if self._is_left:
            self._tell(self._error or Closed("the response was closed"))
        else:
            self.resume()

    def pause(self) -> None:
        """Hold back the bytes that come; the reader is not called until `resume`."""
        self._is_paused = True
        if not self._is_over:
            self._wire.sink = self.hold
            self._wire.pause_reading()

    def resume(self) -> None:
        """Hand over the bytes that were held back, and read on."""
        self._is_paused = False
        self._drain()
        if self._is_paused or self._is_over:
            return
        if self._feed is not None and not self._codings:
            self._wire.sink = self._feed
        self._wire.resume_reading()

    def rest(self) -> None:
        """Read nothing from the socket until `read_on`; bytes read already are handed over."""
        self._wire.pause_reading()

    def read_on(self) -> None:
        """End a `rest`."""
        if not (self._is_paused or self._is_over):
            self._wire.resume_reading()

    async def read(self) -> bytes:
        """
        Return the next bytes; empty at the end of a body that is whole.

        Raises:
            TransportError: It is not whole; all bytes before the break have been returned.
        """
        assert self._ended is None, "a response that is pushed is not pulled"
        try:
            while not (piece := self._pull()):
                if self._is_over:
                    if (error := self._reason()) is not None:
                        raise error
                    return b""
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
        except BadEncoding as error:
            self.stop(error)
            raise
        return piece

    def close(self) -> None:
        """Drop the connection. A reader that has not heard of an end hears `Closed` now."""
        self.stop(Closed("the response was closed"))

    def release(self) -> None:
        """Give the connection back if the body came whole and it may be kept; else close."""
        if self._is_over and self._error is None and not self._is_left:
            self._is_left = True
            self._wire.give_back()
        self.close()

    # The connection's side

    def hold(self, raw: bytes) -> None:
        """Take bytes that go to no reader directly."""
        self._held.append(raw)
        self._held_bytes += len(raw)
        self._drain()
        self._wake()
        if self._held_bytes > MAX_HELD_BYTES and not self._is_over:
            self._wire.pause_reading()

    def finish(self, error: Exception | None) -> None:
        """Nothing more will come: the body is whole, or `error` says why not."""
        if self._is_over:
            return
        self._is_over, self._error = True, error
        self._drain()
        self._wake()

    def stop(self, error: Exception) -> None:
        """End the exchange from our side, and drop the bytes that are held back."""
        self._is_over, self._error = True, self._error or error
        self._held.clear()
        self._held_bytes = 0
        if not self._is_left:
            self._is_left = True
            self._wire.abort()
        self._tell(error)
        self._wake()

    def _drain(self) -> None:
        """Hand over the bytes that are held, and the end after them."""
        if self._is_draining or self._feed is None:
            return
        self._is_draining = True
        try:
            while not self._is_paused and self._feed is not None and (piece := self._pull()):
                self._feed(piece)
        except Exception as error:  # noqa: BLE001 - whatever a reader raises ends its exchange
            self.stop(error)
        finally:
            self._is_draining = False
        if self._is_over and not self._is_paused:
            self._tell(self._reason())

    def _pull(self) -> bytes:
        """Return the next piece of the bytes that are held; empty if they make none."""
        while self._held:
            raw = self._held.popleft()
            self._held_bytes -= len(raw)
            piece, rest = raw, None
            if self._codings:
                self._decoder = self._decoder or Inflater(self._codings)
                piece, rest = self._decoder.decode(raw)
            if rest is not None:
                self._held.appendleft(rest)
                self._held_bytes += len(rest)
            if self._held_bytes <= MAX_HELD_BYTES and not (self._is_paused or self._is_over):
                self._wire.resume_reading()
            if piece:
                return piece
        return b""

    def _reason(self) -> Exception | None:
        if self._error is None and self._decoder is not None and not self._decoder.is_whole:
            return BadEncoding("the compressed body ends before its end")
        return self._error

    def _tell(self, error: Exception | None) -> None:
        if (ended := self._ended) is not None:
            self._ended, self._feed = _nobody, None
            try:
                ended(error)
            except Exception as failed:  # noqa: BLE001 - other exchanges are no part of it
                what = {"message": "a reader failed when it heard of the end", "exception": failed}
                asyncio.get_running_loop().call_exception_handler(what)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _nobody(_error: Exception | None) -> None:
    """Hear of an end that has been told already."""
