"""
The file of the index: its tables, and one writing and some reading connections.

All of it comes from the journal. A file of another version, or a damaged one, is deleted and built
again.

`runs.no` grows with the age of a run: a run that is found late, after all others, gets the next
smaller number. So the newest runs with a word are the first that the full text yields.

`runs.change` is the number of the last change to the row; `state` holds the last one given.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

VERSION: Final = 4

BUSY_MS: Final = 5000

FIRST_NO: Final = 1 << 40
"""The number of the first run: older ones that are found later go below it."""

SCHEMA: Final = """
create table runs (
    no integer primary key, id text not null unique, flow text not null, model text not null,
    dialect text not null, status text not null, code text not null, last_seq integer not null,
    created_ms integer not null, ended_ms integer, total_ms integer, first_ms integer,
    prompt_tokens integer, completion_tokens integer, tokens integer,
    is_measured integer not null, amount real, currency text not null, unpriced integer not null,
    seams integer not null, recoveries integer not null, warnings integer not null,
    parent text, forked_from text, about text not null, writers text not null,
    bytes integer not null, change integer not null, tenant text not null,
    key text not null, user text not null
);
create index runs_parent on runs (parent) where parent is not null;
create index runs_change on runs (change);
create index runs_created on runs (created_ms, status, seams);
create index runs_totals on runs (status, parent, flow);
create index runs_flow on runs (flow);
create index runs_model on runs (model);
create index runs_live on runs (no) where ended_ms is null;
create table attempts (
    run integer not null, number integer not null, model text not null, status text not null,
    code text not null, first_ms integer, total_ms integer, prompt_tokens integer,
    completion_tokens integer, is_measured integer not null, is_counted integer not null,
    amount real, currency text not null,
    primary key (run, number)
) without rowid;
create index attempts_model on attempts (model, run);
create virtual table texts using fts5(text, tokenize='trigram');
create table state (name text primary key, value integer not null) without rowid;
insert into state values ('change', 0), ('removed', 0);
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection for one thread at a time."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    for pragma in (
        "journal_mode = WAL",
        "synchronous = NORMAL",
        f"busy_timeout = {BUSY_MS}",
        "mmap_size = 268435456",
        "temp_store = memory",
    ):
        db.execute(f"pragma {pragma}").fetchone()
    return db


def show(db: sqlite3.Connection, tenant: str | None) -> None:
    """
    Let a connection see the runs of one tenant alone; None: all.

    A view of its own takes the place of the table, so no query needs to know.
    """
    db.execute("drop view if exists temp.runs")
    if tenant is not None:
        assert tenant.isalnum(), tenant
        db.execute(
            f"create temp view runs as select * from main.runs where tenant = '{tenant}'"  # noqa: S608
        )


def open_file(path: Path) -> sqlite3.Connection:
    """Open the file of the index; delete it first if it cannot be used."""
    db: sqlite3.Connection | None = None
    try:
        db = connect(path)
        (version,) = db.execute("pragma user_version").fetchone()
        if version == VERSION:
            db.execute("select count(*) from state, (select 1 from texts limit 1)").fetchone()
            return db
        is_new = version == 0 and not db.execute("select 1 from sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        log.warning("The index %s is built again: %s", path, error)
        is_new = False
    if not is_new:
        if db is not None:
            db.close()
        delete(path)
        db = connect(path)
    assert db is not None
    db.executescript(f"begin; {SCHEMA} pragma user_version = {VERSION}; commit;")
    return db


def delete(path: Path) -> None:
    """Delete the file and its log."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
