"""Writes rows into the index."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from .facts import RunRow
from .tables import FIRST_NO

_RUN = """
insert or replace into runs values (
    :no, :id, :flow, :model, :dialect, :status, :code, :last_seq, :created_ms, :ended_ms,
    :total_ms, :first_ms, :prompt_tokens, :completion_tokens, :tokens, :is_measured, :amount,
    :currency, :unpriced, :seams, :recoveries, :warnings, :parent, :forked_from, :about, :writers,
    :bytes, :change, :tenant, :key, :user
)
"""

_ATTEMPT = "insert into attempts values (?,?,?,?,?,?,?,?,?,?,?,?,?)"


def put(db: sqlite3.Connection, rows: Sequence[RunRow], *, older: bool = False) -> None:
    """
    Write rows in one commit, in the order in which their runs began.

    With `older` the runs are older than all that the index has, the newest of them first.
    """
    db.execute("begin immediate")
    try:
        change = _value(db, "change")
        for row in rows:
            change += 1
            _put(db, row, change, older=older)
        _set(db, "change", change)
        db.execute("commit")
    except BaseException:
        db.execute("rollback")
        raise


def _put(db: sqlite3.Connection, row: RunRow, change: int, *, older: bool) -> None:
    known = db.execute("select no from runs where id = ?", (row.id,)).fetchone()
    if known is not None:
        no = known[0]
        _erase_parts(db, no)
    else:
        no = _next_no(db, older=older)
    tokens = (row.prompt_tokens or 0) + (row.completion_tokens or 0)
    has_tokens = row.prompt_tokens is not None or row.completion_tokens is not None
    db.execute(
        _RUN,
        {
            **msgspec.structs.asdict(row),
            "no": no,
            "total_ms": None if row.ended_ms is None else max(0, row.ended_ms - row.created_ms),
            "tokens": tokens if has_tokens else None,
            "about": msgspec.json.encode(row.about).decode(),
            "writers": msgspec.json.encode(row.writers).decode(),
            "attempts": None,
            "bytes": len(row.text),
            "change": change,
        },
    )
    attempts = [(no, *msgspec.structs.astuple(attempt)) for attempt in row.attempts]
    db.executemany(_ATTEMPT, attempts)
    db.execute("insert into texts (rowid, text) values (?, ?)", (no, row.text))


def _next_no(db: sqlite3.Connection, *, older: bool) -> int:
    # Two questions: SQLite answers one of them from the index, both at once by a scan.
    (least,) = db.execute("select min(no) from runs").fetchone()
    (most,) = db.execute("select max(no) from runs").fetchone()
    if most is None:
        return FIRST_NO
    return int(least - 1 if older else most + 1)


def erase(db: sqlite3.Connection, run_ids: Iterable[str]) -> None:
    """Remove runs and their children."""
    db.execute("begin immediate")
    try:
        removed = 0
        for run_id in run_ids:
            rows = db.execute("select no from runs where id = ?1 or parent = ?1", (run_id,))
            for (no,) in rows.fetchall():
                _erase_parts(db, no)
                db.execute("delete from runs where no = ?", (no,))
                removed += 1
        if removed:
            change = _value(db, "change") + 1
            _set(db, "change", change)
            _set(db, "removed", change)
        db.execute("commit")
    except BaseException:
        db.execute("rollback")
        raise


def note_filled(db: sqlite3.Connection) -> None:
    """Remember that all runs of the journal were in the index once."""
    db.execute("insert or ignore into state values ('filled', 1)")


def _erase_parts(db: sqlite3.Connection, no: int) -> None:
    db.execute("delete from attempts where run = ?", (no,))
    db.execute("delete from texts where rowid = ?", (no,))


def _value(db: sqlite3.Connection, name: str) -> int:
    (value,) = db.execute("select value from state where name = ?", (name,)).fetchone()
    return int(value)


def _set(db: sqlite3.Connection, name: str, value: int) -> None:
    db.execute("update state set value = ? where name = ?", (value, name))
