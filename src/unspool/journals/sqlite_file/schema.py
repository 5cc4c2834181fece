"""
The tables of a journal file, and the opening of the file.

`runs` has a row for each run; its `status` changes in the commit of the event that changes it, and
is `waiting` while a question has no answer. `segments` holds the events of live runs, one row for
each commit with the new events of all runs. We only append to it and never search it by run, so a
commit is cheap. `pages` holds the events of ended runs, one row for a run, or several for a long
one; we then delete the segments.

`fence` counts the claims of live runs, so that a commit need not read the epoch of each run: while
the count stays, no epoch has changed.

`key` is the key of a request; no two runs share one, so a repeated request finds its run. `asked`
is the digest of the request, to detect a different one.

`tenant` is the owner of a run, `parent` is the run whose flow started it, `forked_from` the run
that a fork continues.

`live/segments` has the form of a segment. `crc` is CRC-32 of `data`.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from unspool.errors import JournalError, SetupError
from unspool.failpoints import point

_migrating = point("journal.migrating")

VERSION = 4

_SCHEMA = """
create table runs (
    no integer primary key, id text not null unique, flow text not null, model text not null,
    dialect text not null, digest text not null, epoch integer not null, status text not null,
    seq integer not null, created_ms integer not null, ended_ms integer
);
create index runs_unended on runs (no) where ended_ms is null;
create table fence (claims integer not null);
insert into fence values (0);
create table segments (id integer primary key, crc integer not null, data blob not null);
create table pages (
    run integer not null, first integer not null, crc integer not null, data blob not null,
    primary key (run, first)
);
"""

_FROM_1_TO_2 = """
alter table runs add column key text;
alter table runs add column asked text;
create unique index runs_key on runs (key) where key is not null;
create index runs_digest on runs (digest, no);
"""

_FROM_2_TO_3 = """
alter table runs add column parent text;
alter table runs add column forked_from text;
create index runs_parent on runs (parent, no) where parent is not null;
create index runs_forked_from on runs (forked_from, no) where forked_from is not null;
"""

_FROM_3_TO_4 = """
alter table runs add column tenant text not null default 'default';
create index runs_tenant on runs (tenant, no) where tenant <> 'default';
"""

_STEPS = {1: _SCHEMA, 2: _FROM_1_TO_2, 3: _FROM_2_TO_3, 4: _FROM_3_TO_4}
"""By version: the statements that migrate a file from the version before."""


def connect(path: Path, *, synchronous: str = "NORMAL") -> sqlite3.Connection:
    """Open one more connection to the file; statements outside a transaction commit alone."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    db.execute(f"pragma synchronous={synchronous}")
    db.execute("pragma foreign_keys=off")
    # A thread makes the checkpoints: when a commit copied pages back into the file, we saw
    # every stream wait for 70 ms.
    db.execute("pragma wal_autocheckpoint=0")
    # Until here another process may be creating the file; from here on we must not sleep.
    db.execute("pragma busy_timeout=0")
    return db


def open_file(path: Path, *, synchronous: str) -> sqlite3.Connection:
    """
    Open the journal file; create it if it is new.

    Raises:
        SetupError: One sentence that says what to mend.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = connect(path, synchronous=synchronous)
        db.execute("pragma busy_timeout=5000")
        db.execute("pragma auto_vacuum=incremental")  # of a new file only; see `pruning`
        db.execute("pragma journal_mode=wal")
        (version,) = db.execute("pragma user_version").fetchone()
        if version < VERSION:
            db.execute("begin immediate")
            # Another process may have migrated the file meanwhile.
            (version,) = db.execute("pragma user_version").fetchone()
            _migrate(db, version)
            db.execute("commit")
            version = max(version, VERSION)
        # A commit on the event loop must not sleep; we retry it later.
        db.execute("pragma busy_timeout=0")
    except (OSError, sqlite3.Error) as error:
        raise SetupError(
            f"The journal {path} cannot be opened: {error}. Make its directory writable and "
            "give it space, or choose another with --data-dir."
        ) from error
    if version > VERSION:
        raise SetupError(
            f"The journal {path} was written by a newer unspool (format {version}, this one "
            f"knows {VERSION}). Install the newer unspool, or choose another --data-dir."
        )
    return db


def _migrate(db: sqlite3.Connection, version: int) -> None:
    for step in range(version + 1, VERSION + 1):
        for statement in _STEPS[step].strip().split(";\n"):
            db.execute(statement)
            _migrating()
        db.execute(f"pragma user_version={step}")


def damaged(path: Path, what: str) -> JournalError:
    return JournalError(
        f"The journal {path} is damaged: {what}. Restore it from a backup; runs beside the "
        "damage can still be read."
    )
