"""
Deletes ended runs, and gives their space back.

Each call has its own connection and runs in a thread: a large file is slow to scan. A deletion is
one short transaction; a commit that collides with it tries again after 20 ms. `auto_vacuum` is
incremental, which costs commits about 5 %: we can then give space back a few pages at a time, while
a `VACUUM` stops all writing for a second per 200 MB.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from unspool.errors import JournalError

from .. import EndedRun
from .schema import connect

BUSY_MS = 2000
"""Wait for the file: a commit holds it under a millisecond, only other programs longer."""

GIVE_BACK_PAGES = 256
"""A megabyte, moved within the file in a few milliseconds; commits wait so long."""

_NEWEST = "no < (select max(no) from runs)"
"""The newest run stays: it gives the next run its number, which must be unique."""

_WHOLE = f"""
ended_ms is not null and {_NEWEST}
and not exists (select 1 from runs c where c.parent = r.id and c.ended_ms is null)
"""  # noqa: S608
"""We delete a parent only when all its children have ended."""

_OLDEST = f"""
select id, ended_ms, (
    select coalesce(sum(length(data)), 0) from pages
    where run = r.no or run in (select no from runs c where c.parent = r.id)
) from runs r
where {_WHOLE} and no > coalesce((select no from runs where id = ?), 0)
and (parent is null or not exists (select 1 from runs p where p.id = r.parent))
and (? is null or ended_ms < ?) order by no limit ?
"""  # noqa: S608

_ONE = f"select no from runs r where id = ? and {_WHOLE}"  # noqa: S608

_CHILDREN = f"select no from runs where parent = ? and {_NEWEST} order by no"  # noqa: S608

CHILDREN = 50
"""Children to delete in one transaction, before their parent."""


def oldest(path: Path, after: str, before_ms: int | None, limit: int) -> list[EndedRun]:
    """Return ended runs, oldest first, after run `after`."""
    with _open(path) as db:
        rows = db.execute(_OLDEST, (after, before_ms, before_ms, limit))
        return [EndedRun(*row) for row in rows]


def forget(path: Path, run_ids: Sequence[str]) -> int:
    """Delete the ended runs of `run_ids`, their children first; return how many."""
    with _open(path) as db:
        whole = {run_id: row for run_id in run_ids for row in db.execute(_ONE, (run_id,))}
        children = [row for run_id in whole for row in db.execute(_CHILDREN, (run_id,))]
        for start in range(0, len(children), CHILDREN):
            _delete(db, children[start : start + CHILDREN])
        _delete(db, list(whole.values()))
    return len(whole) + len(children)


def _delete(db: sqlite3.Connection, nos: list[tuple[int]]) -> None:
    db.execute("begin immediate")
    try:
        db.executemany("delete from pages where run = ?", nos)
        db.executemany("delete from runs where no = ?", nos)
        db.execute("commit")
    except BaseException:
        if db.in_transaction:
            db.execute("rollback")
        raise


def used_bytes(path: Path) -> int:
    """Return the size of the file without its free pages."""
    with _open(path) as db:
        page, pages, free = (_pragma(db, n) for n in ("page_size", "page_count", "freelist_count"))
        return page * (pages - free)


def give_back(path: Path) -> bool:
    """Return some free pages to the disk; True while there are more."""
    with _open(path) as db:
        if not _pragma(db, "freelist_count") or not _pragma(db, "auto_vacuum"):
            return False
        # As a script: `execute` would stop after the first page.
        db.executescript(f"pragma incremental_vacuum({GIVE_BACK_PAGES})")
        return _pragma(db, "freelist_count") > 0


def rebuild(path: Path) -> bool:
    """
    Rewrite the file without its free pages, and return False: no pages are left.

    From then on it can give pages back one by one, even a file of the first versions.
    """
    with _open(path) as db:
        db.execute("pragma auto_vacuum=incremental")
        db.execute("vacuum")
        db.execute("pragma wal_checkpoint(truncate)").fetchone()
    return False


def _pragma(db: sqlite3.Connection, name: str) -> int:
    (value,) = db.execute(f"pragma {name}").fetchone()
    return int(value)


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        db = connect(path)
        try:
            db.execute(f"pragma busy_timeout={BUSY_MS}")
            yield db
        finally:
            db.close()
    except sqlite3.Error as error:
        raise JournalError(
            f"The journal {path} cannot delete runs: {error}; those deleted so far stay deleted"
        ) from error
