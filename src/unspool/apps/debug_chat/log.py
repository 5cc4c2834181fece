"""
The server's log lines at the end of a debug chat (S2.13): how it went, and its figures.

They come from the run's own log, once, when its ending is there: a run may end under another
viewer, or under none.
"""

from __future__ import annotations

import asyncio
import logging

from unspool.errors import UnspoolError
from unspool.journals import Journal, read_all
from unspool.runs.run import RunSpec

from .dialects import debug_chat

log = logging.getLogger(__name__)

DIALECT = "debug_chat"


class EndLog:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._writing: set[asyncio.Task[None]] = set()

    def note(self, run_id: str, spec: RunSpec) -> None:
        """Log the end of a run, if it is a debug chat."""
        if spec.dialect != DIALECT:
            return
        writing = asyncio.create_task(self._write(run_id), name=f"log of {run_id}")
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def close(self) -> None:
        """Drop unwritten lines."""
        for writing in self._writing:
            writing.cancel()
        if self._writing:
            await asyncio.wait(self._writing)

    async def _write(self, run_id: str) -> None:
        try:
            encoder = debug_chat.ChatEncoder()
            async for events in read_all(self._journal, run_id):
                for event in events:
                    frame = encoder.frame(event)
        except UnspoolError as error:  # pruned, or the journal is closing
            log.warning("Run %s cannot be told of: %s", run_id, error)
            return
        assert frame is not None, "the last event of a run makes the last frame"
        debug_chat.log_end(frame, event)


plug = EndLog
