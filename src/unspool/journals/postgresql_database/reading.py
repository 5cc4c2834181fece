"""Reads what is in the tables: pages, facts of runs, keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple
from zlib import crc32

import asyncpg

from unspool.errors import JournalError
from unspool.runs.run import Status

from .. import AskKind, Head
from ..live.segments import records_of
from .claiming import HEAD
from .connections import Connection, Reads

_PAGES = """
select first, crc, data from pages where run = $1 and first >= coalesce(
    (select max(first) from pages where run = $1 and first <= $2), 0
) order by first limit $3
"""

PAGES: Final = 16
"""Pages in one read: 4 MiB."""

_HEADS = f"""
select no, {HEAD}, case when ended_ms is null then (
    select s.data from segments s where s.writer = r.writer and s.runs @> array[r.no]
    order by s.n desc limit 1
) end as newest from runs r
"""  # noqa: S608

_LATEST = """
select coalesce(max(greatest(created_ms, coalesce(ended_ms, 0))), 0) from
(select created_ms, ended_ms from runs order by no desc limit 1000) newest
"""


_DELETE_ASKS = """
delete from asks where at < clock_timestamp() - interval '1 minute'
and not exists (select from runs where runs.id = asks.run and ended_ms is null)
"""


class RunPlace(NamedTuple):
    """Where the events of a run are."""

    no: int
    writer: int
    has_ended: bool


class TableReader:
    """The queries of one journal. All raise `JournalError` while the server is away."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def place(self, run_id: str) -> RunPlace | None:
        """Return where a run is, or None if there is none."""
        if "\0" in run_id:
            return None
        query = "select no, writer, ended_ms is not null from runs where id = $1"
        row = await self._reads.run(lambda db: db.fetchrow(query, run_id))
        return RunPlace(*row) if row else None

    async def page_lines(self, no: int, after: int, limit: int) -> list[bytes]:
        """Return lines of pages with a number above `after`."""
        lines: list[bytes] = []
        while len(lines) < limit:
            start = after + len(lines)
            rows = await self._reads.run(lambda db, at=start: db.fetch(_PAGES, no, at + 1, PAGES))  # type: ignore[misc]
            found: list[bytes] = []
            for first, crc, data in rows:
                if crc32(data) != crc:
                    raise JournalError(
                        f"The journal is damaged: page {first} of run number {no}. Restore it from "
                        "a backup; runs beside the damage can still be read."
                    )
                found += data.split(b"\n")[max(0, start + 1 - first) :]
            lines += found
            if not found or len(rows) < PAGES:
                break
        return lines[:limit]

    async def heads(self, where: str, args: Sequence[object], limit: int) -> list[Head]:
        """Return runs, newest first. `where` must not hold text from clients."""
        if any("\0" in value for value in args if isinstance(value, str)):
            return []  # PostgreSQL stores no such text, so nothing has it
        query = f"{_HEADS} {where} order by no desc limit {limit:d}"
        rows = await self._reads.run(lambda db: db.fetch(query, *args))
        return [_head_of(row) for row in rows]

    async def unended_of(self, writer: int) -> list[str]:
        """Return the runs of a writer that have not ended."""
        query = "select id from runs where writer = $1 and ended_ms is null"
        return [row["id"] for row in await self._reads.run(lambda db: db.fetch(query, writer))]

    async def unended(self) -> dict[str, Status]:
        """See `Journal.unended`."""
        query = "select id, status from runs where ended_ms is null order by no"
        rows = await self._reads.run(lambda db: db.fetch(query))
        return {row["id"]: row["status"] for row in rows}

    async def keyed(self, key: str) -> tuple[str, str] | None:
        """Return the run under a key, and the digest of its request."""
        query = "select id, asked from runs where key = $1"
        row = await self._reads.run(lambda db: db.fetchrow(query, key))
        return (row["id"], row["asked"]) if row else None

    async def new_no(self) -> int:
        """Return the number of the next run."""
        query = "select nextval('run_numbers')"
        return int(await self._reads.run(lambda db: db.fetchval(query)))

    async def latest_ms(self) -> int:
        """Return the latest time that the newest runs have; 0 if there are none."""
        return int(await self._reads.run(lambda db: db.fetchval(_LATEST)))

    # Requests to owners

    async def ask(self, run_id: str, kind: str, message: str) -> int | None:
        """Leave a request, and return the writer of the run; None: it has ended."""
        statement = """
            insert into asks (run, kind, message) select id, $2, $3 from runs
            where id = $1 and ended_ms is null
            returning (select writer from runs where id = $1)
        """
        writer: int | None = await self._reads.run(
            lambda db: db.fetchval(statement, run_id, kind, message)
        )
        return writer

    async def asked(self, run_ids: Sequence[str]) -> list[tuple[str, AskKind, str]]:
        """Take the requests for some runs, and delete those of runs that have ended."""

        async def work(db: Connection) -> list[asyncpg.Record]:
            if not await db.fetchval("select exists (select from asks)"):
                return []
            rows = await db.fetch(
                "delete from asks where run = any($1::text[]) returning run, kind, message", run_ids
            )
            await db.execute(_DELETE_ASKS)
            return rows

        return [(row["run"], row["kind"], row["message"]) for row in await self._reads.run(work)]


def _head_of(row: asyncpg.Record) -> Head:
    values: dict[str, Any] = {name: row[name] for name in HEAD.split(", ")}
    head = Head(*values.values())
    if row["newest"] is None:
        return head
    last = max(record.last for record in records_of(row["newest"]) if record.no == row["no"])
    return replace(head, seq=max(head.seq, last))
