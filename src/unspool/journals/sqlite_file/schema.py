"""
The tables of a journal file, and how the file is opened.

`runs` has a row for each run. Events of runs that go on are in `segments`, one row
for each commit with the new events of all runs, appended and never sought by run:
that is what makes a commit cheap. Events of ended runs are in `pages`, one row for a
run, or several where it is long; then their segments are deleted.

`fence` counts the claims of runs that went on, so that a commit need not look at the epoch
of each run: as long as nobody has claimed anything, all epochs are as they were.

`key` is what a client called its request; no two runs have the same, so that a request that
is sent again finds its run. `asked` tells whether it is the same request.

`parent` is the run whose flow has started a run, `forked_from` the run that it goes on from.

A record in a segment is a line `run epoch first-seq bytes` and so many bytes of
events, one JSON document a line. `crc` is CRC-32 of `data`.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from unspool.errors import JournalError, SetupError
from unspool.failpoints import point

_migrating = point("journal.migrating")

VERSION = 3

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

_STEPS = {1: _SCHEMA, 2: _FROM_1_TO_2, 3: _FROM_2_TO_3}
"""What makes a file of each version out of one of the version before."""


def connect(path: Path, *, synchronous: str = "NORMAL") -> sqlite3.Connection:
    """Open one more connection to the file; statements outside a transaction commit alone."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    db.execute(f"pragma synchronous={synchronous}")
    db.execute("pragma foreign_keys=off")
    # Checkpoints are made by a thread of their own: copying pages back into the file
    # in the middle of a commit was seen to hold up every stream for 70 ms.
    db.execute("pragma wal_autocheckpoint=0")
    # Until here another process may be making the file; from here on nobody waits asleep.
    db.execute("pragma busy_timeout=0")
    return db


def open_file(path: Path, *, synchronous: str) -> sqlite3.Connection:
    """
    Open the journal file, making it if it is new.

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
            # Another process may have been quicker by a moment.
            (version,) = db.execute("pragma user_version").fetchone()
            _bring_up_to_date(db, version)
            db.execute("commit")
            version = max(version, VERSION)
        # A commit on the event loop must not sleep; it is tried again later instead.
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


def _bring_up_to_date(db: sqlite3.Connection, version: int) -> None:
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
