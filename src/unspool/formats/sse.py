"""
Server-Sent Events, both directions: bytes in, bytes out, no I/O.

The same codec reads providers and writes to browsers.
Source: the WHATWG HTML standard, chapter "Server-sent events".
"""

from __future__ import annotations

import re

import msgspec

_EOL = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"
_BOMS = re.compile(rb"^(?:\xef\xbb\xbf)+")

_NAME = re.compile(rb"[a-z][a-z_-]{0,31}")
"""Shape of the name of an unknown field; a line of any other shape is not a field."""

MAX_STRAY_BYTES = 1000
"""Stored of a line that is not a field: enough to recognise its author."""

HEARTBEAT = b": ping\n"
"""A comment. No blank line: after an id, some clients dispatch an empty event on one."""


RETRY = b"retry: 1000\n"
"""
Asks the client to reconnect in a second; a server that stops sends it last. No blank line, for
the same reason: a browser takes the field in with its line.
"""


class EventTooLong(ValueError):
    """The sender does not end its event; reading it whole would fill the memory."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One event on the wire."""

    data: bytes
    id: str | None = None
    event: str | None = None

    def encode(self) -> bytes:
        """Return the bytes of the frame, blank line included; `data` may hold line ends."""
        head = b""
        if self.id is not None:
            head += b"id: %s\n" % self.id.encode()
        if self.event is not None:
            head += b"event: %s\n" % self.event.encode()
        # A line end inside the data would end the field, and text that follows it could
        # forge a field of its own. The client joins the lines again with "\n".
        lines = _EOL.split(self.data)
        return head + b"".join(b"data: %s\n" % line for line in lines) + b"\n"


class Decoder:
    """
    Feed it bytes cut anywhere; it returns the frames they complete.

    It finds lines in bytes, so a character cut between two reads is whole again before
    anybody decodes it.
    """

    def __init__(self, *, max_event_bytes: int = 4 * 1024 * 1024) -> None:
        self._limit = max_event_bytes
        self._line = bytearray()  # of the unfinished line: appending costs no copy of it
        self._data: list[bytes] = []
        self._size = 0
        self._event: str | None = None
        self._id: str | None = None
        self._at_start = True
        self._after_cr = False
        self.stray = b""
        """
        The beginning of the first line that is not part of an event. The standard ignores such
        lines; a server that breaks down in mid-stream writes its error as one.
        """

    def feed(self, chunk: bytes) -> list[Frame]:
        """
        Take in the next bytes and return the frames they complete.

        Raises:
            EventTooLong: One event is larger than `max_event_bytes`.
        """
        if chunk.startswith(b"data: ") and chunk.endswith(b"\n\n") and self.is_between_events:
            # Nearly every read of a stream at a model's speed: one event, whole.
            data = chunk[6:-2]
            if b"\n" not in data and b"\r" not in data and len(data) <= self._limit:
                return [Frame(data, self._id)]
        if self._after_cr and chunk:
            # "\r" ended a line already; this "\n" is the other half of "\r\n".
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = chunk.split(b"\n")
        line = self._line
        if not lines:
            line += rest
            self._check(len(line))
            return []
        if line:
            lines[0] = bytes(line) + lines[0]
            line.clear()
        if rest:
            line += rest
            self._check(len(line))
        frames: list[Frame] = []
        for whole in lines:
            self._take(whole, frames)
        return frames

    def flush(self) -> list[Frame]:
        """
        Return the frames that the end of the stream completes.

        The standard drops an event without its blank line. Some providers forget the blank
        line, and their last event says whether the answer is whole.
        """
        frames: list[Frame] = []
        self._take(bytes(self._line), frames)
        self._line.clear()
        self._take(b"", frames)
        return frames

    @property
    def is_between_events(self) -> bool:
        return not (self._line or self._data or self._event or self._after_cr or self._at_start)

    def _take(self, line: bytes, frames: list[Frame]) -> None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if not line:
            # The standard: a block without data dispatches nothing, even when an id is
            # set. Heartbeats depend on this.
            if self._data:
                data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                frames.append(Frame(data, self._id, self._event))
                self._data = []
                self._size = 0
            self._event = None
        elif line.startswith(b"data:"):
            value = line[6:] if line.startswith(b"data: ") else line[5:]
            self._data.append(value)
            self._size += len(value) + 1  # empty lines without end are an endless event too
            if self._size > self._limit:
                self._check(self._size - 1)
        elif not line.startswith(b":"):
            self._field(line, frames)

    def _field(self, line: bytes, frames: list[Frame]) -> None:
        if line.startswith(_BOM):  # a stream put together from several has more than one
            if line := _BOMS.sub(b"", line):
                self._take(line, frames)
            return
        name, _, raw = line.partition(b":")
        value = raw.removeprefix(b" ").decode("utf-8", "replace")
        if name == b"event":
            self._event = value or None
        elif name == b"id" and "\0" not in value:
            self._id = value
        elif name == b"data":  # "data" without a colon is an empty line of data
            self._data.append(b"")
            self._size += 1
            self._check(self._size - 1)
        elif name != b"retry" and not self.stray and not _NAME.fullmatch(name):
            self.stray = line[:MAX_STRAY_BYTES]

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise EventTooLong(f"an event has more than {self._limit} bytes")
