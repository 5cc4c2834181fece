"""
Keeps what one attempt sent and what came back, where somebody wants it.

Only bodies: headers and addresses hold keys. Nothing is kept, and no chunk costs anything, unless
`keeping` holds an exchange while the model is asked.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from unspool.errors import ProviderError

from .. import BodyReader

MAX_REQUEST_BYTES: Final = 256 * 1024
"""A long conversation; an image beyond it is cut."""

MAX_END_BYTES: Final = 4 * 1024
"""Of the beginning and of the end of an answer: its first events, and how it ended."""


class KeptExchange:
    """The request of one attempt, and the two ends of its answer."""

    def __init__(self) -> None:
        self.request = b""
        self.status: int | None = None
        self.head = bytearray()
        self.tail = b""
        self.left_out_bytes = 0

    def asked(self, body: bytes | None) -> None:
        """Take a request; one that is sent again counts as the last one."""
        self.request = (body or b"")[:MAX_REQUEST_BYTES]
        self.status, self.head, self.tail, self.left_out_bytes = None, bytearray(), b"", 0

    def take(self, chunk: bytes) -> None:
        """Take a part of the answer."""
        room = MAX_END_BYTES - len(self.head)
        self.head += chunk[:room]
        rest = self.tail + chunk[room:] if room > 0 else self.tail + chunk
        self.left_out_bytes += max(0, len(rest) - MAX_END_BYTES)
        self.tail = rest[-MAX_END_BYTES:]

    def around(self, reader: BodyReader) -> BodyReader:
        """Return a reader that reads the same, and lets this see it."""
        return _Witness(reader, self)


keeping: Final[ContextVar[KeptExchange | None]] = ContextVar("keeping", default=None)
"""Where the request that is sent next is to be kept."""


class _Witness:
    """See `providers.BodyReader`."""

    def __init__(self, reader: BodyReader, kept: KeptExchange) -> None:
        self._reader = reader
        self._kept = kept
        self.traits: frozenset[str] = frozenset()
        self._follow()

    def _follow(self) -> None:
        reader = self._reader
        self.is_whole, self.is_done = reader.is_whole, reader.is_done
        self.traits, self.is_calling = reader.traits, reader.is_calling

    def feed(self, chunk: bytes) -> bool:
        self._kept.take(chunk)
        try:
            return self._reader.feed(chunk)
        finally:
            self._follow()

    def end(self, broken: ProviderError | None) -> None:
        self._reader.end(broken)
