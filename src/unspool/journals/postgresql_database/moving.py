"""Reads and writes whole runs over a connection, in a transaction that the caller has begun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from zlib import crc32

from unspool.errors import SetupError

from ..moving import FACTS, CopiedRun, Page, checked, with_newest
from .claiming import HEAD, live_run_of, load
from .connections import Connection
from .schema import LOCK, VERSION

NOBODY: Final = 0
"""The writer of runs that wait for an owner."""

LIVE_S: Final = 10.0
"""Seconds since its last beat for which a server counts as running."""

_COLUMNS: Final = (*FACTS, "seq", "bytes", "writer")

_RUNS: Final = f"select no, bytes, key, asked, writer, {HEAD} from runs where no = any($1)"  # noqa: S608

_PAGES: Final = "select run, first, crc, data from pages where run = any($1) order by run, first"

_NUMBERS: Final = """
select setval('run_numbers', coalesce(max(no), 1), max(no) is not null) from runs
"""


class DatabaseRuns:
    """See `moving.RunStore`. The schema `journal` comes first in the connection's path."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    async def sizes(self) -> list[tuple[int, int]]:
        rows = await self._db.fetch("select no, bytes from runs order by no")
        return [(row["no"], row["bytes"]) for row in rows]

    async def read(self, numbers: Sequence[int]) -> list[CopiedRun]:
        rows = await self._db.fetch(f"{_RUNS} order by no", numbers)
        pages: dict[int, list[Any]] = {row["no"]: [] for row in rows}
        for no, *page in await self._db.fetch(_PAGES, numbers):
            pages[no].append(page)
        newest = await self._newest(rows)
        return [
            CopiedRun(
                tuple(row[name] for name in FACTS),
                _all_pages(row["no"], pages[row["no"]], newest.get(row["no"], ())),
            )
            for row in rows
        ]

    async def _newest(self, rows: Sequence[Any]) -> Mapping[int, Sequence[bytes]]:
        """Return the events of live runs that are in segments."""
        by_writer: dict[int, list[Any]] = {}
        for row in rows:
            if row["ended_ms"] is None:
                by_writer.setdefault(row["writer"], []).append(live_run_of(row))
        for writer, live_runs in by_writer.items():
            await load(self._db, writer, live_runs)
        return {run.no: run.lines for live_runs in by_writer.values() for run in live_runs}

    async def write(self, runs: Sequence[CopiedRun]) -> None:
        pages = [(run.no, first, crc32(data), data) for run in runs for first, data in run.pages]
        await self._db.copy_records_to_table(
            "pages", records=pages, columns=("run", "first", "crc", "data"), schema_name="journal"
        )
        rows = [(*run.facts, run.seq, run.size, NOBODY) for run in runs]
        await self._db.copy_records_to_table(
            "runs", records=rows, columns=_COLUMNS, schema_name="journal"
        )

    async def finish(self) -> None:
        """Let new runs have numbers after those of the copied ones."""
        await self._db.execute(_NUMBERS)


def _all_pages(no: int, rows: Sequence[Any], newest: Sequence[bytes]) -> list[Page]:
    return with_newest(checked(no, rows), newest)


async def hold_empty(db: Connection) -> None:
    """
    Keep servers from starting over the database up to the transaction's end.

    Raises:
        SetupError: It has runs, or a server uses it.
    """
    await db.execute("select pg_advisory_xact_lock($1)", LOCK)
    if await db.fetchval("select exists (select from runs)"):
        raise SetupError("The database has runs already; name an empty one.")
    beating = (
        "select exists (select from leases where beat > clock_timestamp() - $1 * interval '1 s')"
    )
    if await db.fetchval(beating, LIVE_S):
        raise SetupError("A server uses the database; stop it until the copy is whole.")


async def check_format(db: Connection) -> None:
    """
    Check that this version of Unspool has made the tables.

    Raises:
        SetupError: Another one has, or none.
    """
    if await db.fetchval("select to_regclass('journal.format')") is None:
        raise SetupError("The database has no runs of Unspool; correct UNSPOOL_DATABASE_URL.")
    if await db.fetchval("select version from journal.format") != VERSION:
        raise SetupError(
            "Another version of unspool has made the tables of the database; use that one."
        )
