"""A run's stream as lines of JSON, for contracts that know no Server-Sent Events."""

from __future__ import annotations

from contextlib import aclosing

from ..dialects import encoder_for
from .cursor import follow
from .event_stream import EventStream
from .viewers import Viewing


class LineStream(EventStream):
    """
    The stream of a run in a dialect, each frame a line, from its first event on.

    There are no heartbeats: a line is a document for its readers, and no comment.
    """

    def __init__(self, viewing: Viewing, run_id: str, dialect: str) -> None:
        super().__init__(viewing, run_id)
        self._dialect = dialect
        kind = (b"content-type", b"application/x-ndjson")
        self.raw_headers = [kind if it[0] == kind[0] else it for it in self.raw_headers]

    async def show(self) -> bytes:
        encoder = encoder_for(self._dialect, self.run_id)
        patience_s = self.viewing.settings.heartbeat_s
        following = follow(self.viewing.journal, self.run_id, patience_s=patience_s)
        async with aclosing(following) as batches:
            async for events in batches:
                lines = [data + b"\n" for event in events for data in encoder.encode(event)]
                if lines:
                    await self.write(b"".join(lines))
        return b""
