"""
Takes runs from a writer.

The statements stay apart, under READ COMMITTED, the fence first and the segments last: as one
statement, or in one snapshot, a claim would miss segments whose commits it waited for.

What a run has in the segments of its old writer moves to a page, so nobody needs these any more.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import asyncpg

from unspool.errors import JournalError
from unspool.failpoints import point

from .. import Head
from ..live.live_run import LiveRun
from ..live.segments import records_of
from .connections import Connection

log = logging.getLogger(__name__)

_fenced = point("postgresql.fenced")
_claimed = point("postgresql.claimed")

LOCK_S: Final = 2.0
"""
Seconds to wait for the fence. A commit holds it for milliseconds; a dead process whose statement
arrived half holds it for ever.
"""

HEAD: Final = (
    "id, flow, model, dialect, digest, status, seq, epoch, created_ms, ended_ms, "
    "parent, forked_from, tenant"
)

_TAKE_ONE = """
update runs set epoch = epoch + 1, writer = $1
where no = $3 and writer = $2 and ended_ms is null
"""

_TAKE_OLDEST = """
update runs set epoch = epoch + 1, writer = $1
where writer = $2 and ended_ms is null and no in (
    select no from runs where writer = $2 and ended_ms is null order by no limit $3
)
"""

_QUESTIONS = """
select run, crc, data from pages
where run = any($1::bigint[]) and position('"question.'::bytea in data) > 0 order by run, first
"""

PAGES: Final = 4
"""Pages with questions in one read: 1 MiB."""

_SEGMENTS = """
select n, crc, data from segments where writer = $1 and runs && $2::bigint[] order by n
"""


@dataclass(frozen=True, slots=True)
class Wish:
    """The runs to take from writer `old`: run number `no`, or the oldest ones."""

    old: int
    no: int | None = None
    most: int = 1


async def take(db: Connection, me: int, wish: Wish) -> list[LiveRun]:
    """Give runs to the writer `me`, and return them; all of their events are in pages then."""
    try:
        return await _take(db, me, wish)
    except asyncpg.LockNotAvailableError:
        log.warning(
            "A half-sent commit of writer %d holds the fence; its connection ends.", wish.old
        )
        await db.execute(
            "select pg_terminate_backend(backend, 5000) from leases where writer = $1", wish.old
        )
        return await _take(db, me, wish)


async def _take(db: Connection, me: int, wish: Wish) -> list[LiveRun]:
    async with db.transaction(isolation="read_committed"):
        await db.execute(f"set local lock_timeout = {LOCK_S * 1000:.0f}")
        await db.execute("update writers set claims = claims + 1 where id = $1", wish.old)
        _fenced()
        which = wish.most if wish.no is None else wish.no
        take = _TAKE_OLDEST if wish.no is None else _TAKE_ONE
        rows = await db.fetch(f"{take} returning no, bytes, {HEAD}", me, wish.old, which)
        live_runs = {row["no"]: live_run_of(row) for row in rows}
        _claimed()
        if live_runs:
            await load(db, wish.old, list(live_runs.values()))
            await _page(db, [run for run in live_runs.values() if run.lines])
            await _find_questions(db, live_runs)
    return sorted(live_runs.values(), key=lambda live_run: live_run.no)


def live_run_of(row: asyncpg.Record) -> LiveRun:
    """Return a run whose events in pages are counted, and whose others are not loaded."""
    live_run = LiveRun(row["no"], Head(*(row[name] for name in HEAD.split(", "))))
    live_run.seq = live_run.visible = row["seq"]
    live_run.base = row["seq"] + 1
    live_run.total_bytes = live_run.committed_bytes = live_run.paged_bytes = row["bytes"]
    return live_run


async def load(db: Connection, writer: int, live_runs: Sequence[LiveRun]) -> None:
    """Load the events of runs from the segments of their writer."""
    by_no = {live_run.no: live_run for live_run in live_runs}
    for row in await db.fetch(_SEGMENTS, writer, list(by_no)):
        apply(by_no, row)


def apply(by_no: Mapping[int, LiveRun], row: asyncpg.Record) -> list[tuple[LiveRun, int]]:
    """
    Load the new events of a segment into its runs; return those, and their last event before.

    Raises:
        JournalError: The segment is damaged, or there is one missing before it.
    """
    if crc32(row["data"]) != row["crc"]:
        raise JournalError(
            f"The journal is damaged: segment {row['n']}. Restore it from a backup; runs beside "
            "the damage can still be read."
        )
    changed = []
    for record in records_of(row["data"]):
        live_run = by_no.get(record.no)
        if live_run is None or record.last <= live_run.visible:
            continue
        before = live_run.visible
        if record.first > before + 1:
            raise JournalError(f"The journal lacks event {before + 1} of {live_run.head.run_id}.")
        live_run.load(record.lines[before + 1 - record.first :])
        changed.append((live_run, before))
    return changed


async def _find_questions(db: Connection, live_runs: Mapping[int, LiveRun]) -> None:
    """Find the open questions of runs whose events are all in pages."""
    waiting = [no for no, live_run in live_runs.items() if live_run.status == "waiting"]
    if waiting:
        async for no, crc, data in db.cursor(_QUESTIONS, waiting, prefetch=PAGES):
            if crc32(data) == crc:  # its reader tells of a damaged one; the other runs are well
                live_runs[no].find_questions(data.split(b"\n"))


async def _page(db: Connection, live_runs: Sequence[LiveRun]) -> None:
    """Move the events of runs from segments to pages."""
    pages = [(run.no, run.base, b"\n".join(run.lines)) for run in live_runs]
    await db.executemany(
        "insert into pages (run, first, crc, data) values ($1, $2, $3, $4)",
        [(no, first, crc32(data), data) for no, first, data in pages],
    )
    await db.executemany(
        "update runs set seq = $2, bytes = $3 where no = $1",
        [(run.no, run.visible, run.committed_bytes) for run in live_runs],
    )
    for run in live_runs:
        run.lines.clear()
        run.base = run.visible + 1
        run.paged_bytes = run.committed_bytes
