"""What the tests of journals share."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

from unspool import Draft, Journal, Pen, RunSpec, open_journal
from unspool.journals import Tuning, sqlite_url
from unspool.journals.sqlite import SQLiteJournal

from .patience import within

SPEC = RunSpec("chat", {"prompt": "你好👟"}, model="m", dialect="plain")
DONE = Draft("run.completed")

Open = Callable[..., Awaitable[Journal]]
"""Opens one more journal of the same store; see the fixture `opening`."""


def new_store(kind: str, folder: Path) -> str:
    """Return the URL of a new, empty store for journals of a kind."""
    if kind == "postgresql":
        from support.postgres import shared_server

        return shared_server().new_database()
    return f"{kind}://{folder}/journal.db"


def text(words: str = "字") -> Draft:
    return Draft("text.delta", {"step": "s", "text": words})


async def written(journal: Journal, count: int = 3, ending: Draft | None = DONE) -> Pen:
    pen = await journal.create(SPEC)
    for number in range(count):
        pen.append(text(f"{number} "))
    await pen.commit()
    if ending is not None:
        await pen.end(ending)
    return pen


@asynccontextmanager
async def opened(path: Path, **tuning: object) -> AsyncIterator[SQLiteJournal]:
    journal = await open_journal(sqlite_url(path), Tuning(**tuning))  # type: ignore[arg-type]
    assert isinstance(journal, SQLiteJournal)
    try:
        yield journal
    finally:
        async with within(5):
            await journal.aclose()


async def words(journal: Journal, run_id: str) -> list[str]:
    """The text of a run so far, checked for gaps."""
    events = []
    while batch := await journal.read(run_id, after=len(events)):
        events += batch
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return [event.data["text"] for event in events if event.type == "text.delta"]


@contextmanager
def full_disk(journal: SQLiteJournal, path: Path) -> Iterator[None]:
    """The journal's file may not grow any more; the limit is SQLite's own."""
    db = journal._store._db
    with closing(sqlite3.connect(path)) as other:
        other.execute("pragma wal_checkpoint(truncate)")
    (pages,) = db.execute("pragma page_count").fetchone()
    db.execute(f"pragma max_page_count={pages}")
    yield
    db.execute("pragma max_page_count=1000000")


async def fill(pen: Pen) -> None:
    """Write until there is no more room, as a run does that knows nothing of disks."""
    for _ in range(1000):
        pen.append(text("x" * 2_000))
        await pen.commit()


async def appended(pen: Pen, draft: Draft) -> None:
    """Append, and wait for the commit."""
    pen.append(draft)
    await pen.commit()
