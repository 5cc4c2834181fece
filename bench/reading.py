"""
What a stream's bytes say: its head, its chunks, its stamps, each with the time of its arrival.

The rule: a stream is right when its stamps are exactly as many as were ordered
and ascending, which is "each once, in order". Anything else is an error, and a
server with errors has no figures worth reading.

All of this runs after the load: while it runs, a viewer collects bytes and nothing else.
"""

import re
from array import array
from dataclasses import dataclass, field
from itertools import pairwise

from .upstream import STAMP_DIGITS

_STAMP = re.compile(rb"@(\d{%d})" % STAMP_DIGITS)


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


def _is_new(line: bytes) -> bool:
    """Whether a frame says new text: OpenAI's Responses say the whole of it again when it ends."""
    return b'"type":"response.' not in line or b'.delta"' in line


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
        text = self._text + b"".join(
            [line[6:] for line in lines if line[:6] == b"data: " and _is_new(line)]
        )
        found = _STAMP.findall(text)
        # Two frames may share a stamp; what follows the last `@` may be its start.
        begun = text.rfind(b"@")
        self._text = text[begun:] if begun >= 0 and len(text) - begun <= STAMP_DIGITS else b""
        return found


@dataclass(slots=True)
class Recording:
    """The reads of one stream, as they came. Times are CLOCK_MONOTONIC in nanoseconds."""

    asked_ns: int = 0
    reads: list[bytes] = field(default_factory=list)
    times_ns: array = field(default_factory=lambda: array("q"))
    error: str | None = None
    """Why it ended, where it did not end by itself; None: the server closed or finished it."""


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

    @classmethod
    def of(cls, recording: Recording, tokens: int) -> "Outcome":
        """Read a recording and judge it."""
        outcome = cls()
        try:
            outcome.error = outcome._read(recording) or recording.error
        except ValueError as error:
            outcome.error = f"not HTTP: {error}"
        outcome.judge(tokens)
        return outcome

    def _read(self, recording: Recording) -> str | None:
        """Note what each read brought; return what is wrong with the form of the answer."""
        body, stamps = Body(), Stamps()
        for now_ns, data in zip(recording.times_ns, recording.reads, strict=True):
            text = body.feed(data)
            if body.status not in (None, 200):
                return f"answered {body.status}: {text[:200]!r}"
            if text and self.first_byte_ms is None:
                self.first_byte_ms = (now_ns - recording.asked_ns) / 1e6
            found = stamps.feed(text)
            if found and self.first_token_ms is None:
                self.first_token_ms = (now_ns - recording.asked_ns) / 1e6
            for digits in found:
                self.stamps_ns.append(int(digits))
                self.latencies_ns.append(now_ns - int(digits))
        is_whole = body.ended or body.ends_with_connection
        return None if is_whole or recording.error else "cut off before the end"
