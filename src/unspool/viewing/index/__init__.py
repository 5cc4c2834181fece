"""
WHICH RUNS THERE ARE: an index of the journal, to search, filter, sort and count runs.

The journal decides; the index holds nothing of its own. Its file may be deleted at any time, and
the server builds it again from the logs (`core/indexing.py`). It is one SQLite file with a full
text of trigrams, which finds Chinese too.

To add a fact of a run: a field of `facts.RunRow`, a column in `tables.SCHEMA`, and the next
`tables.VERSION`, so that older files are built again.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from unspool.formats.tenancy import present_tenant

from . import listing, tables, usage, writing
from .facts import RunRow
from .listing import Criteria, Search

__all__ = ["Criteria", "Listed", "RunIndex", "Search", "Totals"]

P = ParamSpec("P")
T = TypeVar("T")

READERS: Final = 2
"""Questions that are answered at once; others wait, so that they cannot take all of a machine."""


@dataclass(frozen=True, slots=True)
class Listed:
    """
    One page of the list.

    Attributes:
        change: The last change of the index; ask for what has `changed` since then.
        is_stale: Runs were removed since `Criteria.changed`: read the list again.
        others: Runs that changed and are not in `runs`.
    """

    runs: list[dict[str, Any]]
    change: int
    is_stale: bool
    others: list[str]


@dataclass(frozen=True, slots=True)
class Totals:
    """Runs per status, and how far the search looked; the flows that there are."""

    statuses: dict[str, int]
    search: Search
    flows: list[str]


class RunIndex:
    """The open index. Reading waits for no writing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = tables.open_file(path)
        self._writing = asyncio.Lock()
        self._threads = ThreadPoolExecutor(READERS + 1, thread_name_prefix="unspool-index")
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []

    async def put(self, rows: Sequence[RunRow], *, older: bool = False) -> None:
        """Write rows; see `writing.put`."""
        await self._write(writing.put, rows, older=older)

    async def erase(self, run_ids: Iterable[str]) -> None:
        """Remove runs and their children."""
        await self._write(writing.erase, list(run_ids))

    async def unknown(self, run_ids: Sequence[str]) -> list[str]:
        """Return those of `run_ids` that the index does not have, in their order."""
        return await self._read(_unknown, run_ids)

    async def live(self) -> dict[str, str]:
        """Return the status of the runs that had not ended when they were last written."""
        return await self._read(_live)

    async def between(self, older: str, newer: str) -> list[str]:
        """Return the runs from `older` up to `newer`, by id; an empty one is no bound."""
        where = "where id >= ? and (? = '' or id < ?)"
        return await self._read(_ids, where, older, newer, newer)

    async def oldest(self, limit: int) -> list[str]:
        return await self._read(_ids, "order by no limit ?", limit)

    async def is_filled(self) -> bool:
        """Whether `note_filled` was called for this file."""
        return await self._read(_is_filled)

    async def note_filled(self) -> None:
        """Remember that all runs of the journal were in the index once."""
        await self._write(writing.note_filled)

    async def listed(self, wanted: Criteria) -> Listed:
        """Return one page of runs."""
        return await self._read(_listed, wanted)

    async def totals(self, wanted: Criteria) -> Totals:
        """Count the runs per status, whatever status is wanted."""
        return await self._read(_totals, wanted)

    async def minutes(self, since_ms: int) -> list[dict[str, int]]:
        """Count the runs of each minute since then; see `listing.minutes_of`."""
        return await self._read(listing.minutes_of, since_ms)

    async def usage(self, zone: tzinfo, since_ms: int, until_ms: int) -> dict[str, Any]:
        """Sum usage by day, flow and model; see `usage.usage_of`."""
        return await self._read(usage.usage_of, zone, since_ms, until_ms)

    async def owners(self, since_ms: int, until_ms: int) -> list[dict[str, Any]]:
        """Sum usage by tenant, key and end user; see `usage.owners_of`."""
        return await self._read(usage.owners_of, since_ms, until_ms)

    async def aclose(self) -> None:
        async with self._writing:
            await asyncio.to_thread(self._threads.shutdown)
            for db in (*self._readers, self._writer):
                db.close()

    async def _write(
        self,
        work: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        async with self._writing:
            doing = partial(work, self._writer, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(self._threads, doing)

    async def _read(
        self,
        work: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        tenant = present_tenant()

        def doing() -> T:
            return work(self._reader(tenant), *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._threads, doing)

    def _reader(self, tenant: str | None) -> sqlite3.Connection:
        """Return a connection of this thread, which sees the runs of one tenant, or all."""
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = tables.connect(self._path)
            self._local.tenant = None
            self._readers.append(db)
        if tenant != self._local.tenant:
            tables.show(db, tenant)
            self._local.tenant = tenant
        return db


def _unknown(db: sqlite3.Connection, run_ids: Sequence[str]) -> list[str]:
    marks = ",".join("?" * len(run_ids))
    rows = db.execute(f"select id from runs where id in ({marks})", list(run_ids))  # noqa: S608
    known = {run_id for (run_id,) in rows}
    return [run_id for run_id in run_ids if run_id not in known]


def _is_filled(db: sqlite3.Connection) -> bool:
    return db.execute("select 1 from state where name = 'filled'").fetchone() is not None


def _live(db: sqlite3.Connection) -> dict[str, str]:
    rows = db.execute("select id, status from runs where ended_ms is null order by no")
    return dict(rows.fetchall())


def _ids(db: sqlite3.Connection, rest: str, *values: object) -> list[str]:
    return [run_id for (run_id,) in db.execute(f"select id from runs {rest}", values)]  # noqa: S608


def _listed(db: sqlite3.Connection, wanted: Criteria) -> Listed:
    rows = db.execute("select name, value from state").fetchall()
    state = {name: int(value) for name, value in rows}
    since = wanted.changed
    if since is not None and since >= state["change"]:
        return Listed([], state["change"], is_stale=False, others=[])
    found = listing.page_of(db, wanted)
    others = [] if since is None else listing.changes_of(db, wanted, found)
    is_stale = since is not None and state["removed"] > since
    return Listed(found, state["change"], is_stale, others)


def _totals(db: sqlite3.Connection, wanted: Criteria) -> Totals:
    counts, search = listing.totals_of(db, wanted)
    return Totals(counts, search, listing.flows_of(db))
