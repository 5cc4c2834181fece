"""
Cuts a body into frames, whatever a server sends: the first character of a body decides what it is,
not the content type.

Some servers break down in the middle of an event stream and write their error as a line that the
standard would ignore: under the field `error` (llama.cpp), or as bare JSON. We read both.
"""

from __future__ import annotations

import json
import re
from typing import Final, Protocol

from unspool.formats.sse import MAX_STRAY_BYTES, Decoder, EventTooLong, Frame

_BLANK: Final = b"\xef\xbb\xbf \t\r\n"
"""White space and the byte order mark: they come before a body begins."""


class Framing(Protocol):
    """Cuts a body into frames; `sse.Decoder` is one."""

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the frames that `chunk` completes."""

    def flush(self) -> list[Frame]:
        """Return what the end of the body completes."""


class Document:
    """
    A body that is not a stream: a JSON document, several of them one per line, or a page.

    Attributes:
        stray: The beginning of a body that is not JSON.
    """

    def __init__(self, *, max_event_bytes: int) -> None:
        self._limit = max_event_bytes
        self._body = bytearray()
        self.stray = b""

    def feed(self, chunk: bytes) -> list[Frame]:
        """
        Raises:
            EventTooLong: It is larger than `max_event_bytes`.
        """
        self._body += chunk
        if len(self._body) > self._limit:
            raise EventTooLong(f"a document of more than {self._limit} bytes")
        return []

    def flush(self) -> list[Frame]:
        """Return the document; its lines where only they are documents."""
        body = bytes(self._body).strip(_BLANK)
        for parts in ([body], body.splitlines()):
            if parts and _is_json(parts[0]):
                return [Frame(part) for part in parts if part.strip()]
        self.stray = body[:MAX_STRAY_BYTES]
        return []


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return False
    return True


_ERROR: Final = re.compile(
    rb"(?:error|errors|exception|fatal|panic)[ \t]*:[ \t]*"
    rb"(?!(?:null|none|false|0|\{\}|\"\")?[ \t]*$)(?=\S)",
    re.IGNORECASE,
)
"""A field of this name is an error, whatever the standard says of fields it does not know."""


class EventDecoder(Decoder):
    """An SSE decoder that also reads errors, and documents, outside of the field `data`."""

    def _field(self, line: bytes, frames: list[Frame]) -> None:
        if found := _ERROR.match(line):
            frames.append(Frame(line[found.end() :], None, "error"))
        elif not self._data and line.startswith(b"{") and line.endswith(b"}"):
            frames.append(Frame(line, None, self._event))
        else:
            super()._field(line, frames)


class FirstBytes:
    """Chooses how to cut a body as soon as its first character has arrived."""

    def __init__(self, *, max_event_bytes: int) -> None:
        self._decoder = EventDecoder(max_event_bytes=max_event_bytes)
        self._document = Document(max_event_bytes=max_event_bytes)
        self.chosen: Decoder | Document | None = None

    def feed(self, chunk: bytes) -> list[Frame]:
        """
        Raises:
            EventTooLong: One event, or the document, is larger than `max_event_bytes`.
        """
        if self.chosen is None:
            start = chunk.lstrip(_BLANK)
            if not start:
                return []
            self.chosen = self._document if start[:1] in b"{[<" else self._decoder
            chunk = start
        return self.chosen.feed(chunk)

    def flush(self) -> list[Frame]:
        return [] if self.chosen is None else self.chosen.flush()

    @property
    def stray(self) -> bytes:
        """The beginning of any bytes that belong to no event."""
        return b"" if self.chosen is None else self.chosen.stray
