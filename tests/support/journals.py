"""What the tests of journals share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from unspool import Draft, Journal, RunSpec, open_journal
from unspool.journals import Tuning, sqlite_url
from unspool.journals.sqlite import SQLiteJournal

SPEC = RunSpec("chat", {"prompt": "你好"})
DONE = Draft("run.completed")


def text(words: str = "字") -> Draft:
    return Draft("text.delta", {"step": "s", "text": words})


@asynccontextmanager
async def opened(path: Path, **tuning: object) -> AsyncIterator[SQLiteJournal]:
    journal = open_journal(sqlite_url(path), Tuning(**tuning))  # type: ignore[arg-type]
    assert isinstance(journal, SQLiteJournal)
    try:
        yield journal
    finally:
        async with asyncio.timeout(5):
            await journal.aclose()


async def words(journal: Journal, run_id: str) -> list[str]:
    """The text of a run so far, checked for gaps."""
    events = []
    while batch := await journal.read(run_id, after=len(events)):
        events += batch
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return [event.data["text"] for event in events if event.type == "text.delta"]
