"""
How a database gets the tables of this version, or a sentence that says why it cannot.

To add a step: `versions/NNNN_what_it_does.py` with the next number, `revision = "NNNN"`
and `down_revision` the number before. Steps that were released are never changed. The
numbers are read from the file names, so that a start with nothing to do (nearly every
start) does not pay for importing Alembic.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError

from unspool.errors import SetupError

BUSY_S = 5.0
"""Longest wait for another program's write. Ours take milliseconds; an import, a few each."""

HERE = Path(__file__).parent


def revisions() -> list[str]:
    """Return the numbers of all steps, oldest first."""
    steps = (HERE / "versions").glob("[0-9]*.py")
    return sorted(step.name.partition("_")[0] for step in steps)


def bring_up_to_date(url: URL, where: str) -> None:
    """
    Carry out the steps that the database lacks, all or none. Blocks.

    Two programs may do this at once: the second waits, then finds nothing to do.

    Args:
        url: The database, with the driver used at run time.
        where: What to call it in messages.

    Raises:
        SetupError: It cannot be used by this version, or not at all.
    """
    if url.get_backend_name() == "sqlite":
        _make_folder(Path(where).parent)
        url = url.set(drivername="sqlite+pysqlite")
    engine = create_engine(url, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        _take_the_write_lock(engine)
    try:
        with engine.connect() as connection:
            if _missing(connection, where):
                _upgrade(connection)
                connection.commit()
            else:
                # Never committed. SQLite opens a read-only file without a word; a write
                # makes it speak now instead of in the middle of somebody's work.
                connection.execute(text("UPDATE alembic_version SET version_num = version_num"))
    except DBAPIError as error:
        sentence = explained(error, where)
        raise SetupError(
            sentence or f"{where} cannot be opened: {error.orig}; check it, or name another one"
        ) from error
    finally:
        engine.dispose()


def explained(error: DBAPIError, where: str) -> str | None:
    """Return what people can do about an error of SQLite, or None if it is not of that sort."""
    # The low byte is the kind; the rest tells apart what people need not.
    kind = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    sentence = _SENTENCES.get(kind)
    return sentence and sentence.format(where=where)


_SENTENCES = {
    sqlite3.SQLITE_CANTOPEN: "{where} cannot be opened: its folder cannot be written or it is "
    "not a file; check who owns the folder, or name another place",
    sqlite3.SQLITE_READONLY: "{where} cannot be written: the file or its folder is read-only; "
    "change that, or name another place",
    sqlite3.SQLITE_PERM: "{where} cannot be opened: access is denied; change that, or name "
    "another place",
    sqlite3.SQLITE_FULL: "{where} cannot grow: the disk is full; make room",
    sqlite3.SQLITE_IOERR: "{where} cannot be read or written: the disk reports an error or is "
    "full; check it",
    sqlite3.SQLITE_NOTADB: "{where} is not a database: some other file has that name; move it "
    "away, or name another place",
    sqlite3.SQLITE_CORRUPT: "{where} is damaged: its pages contradict each other; put back a "
    "copy, or move it away to begin anew",
    sqlite3.SQLITE_BUSY: "{where} is busy: another program has been writing to it for "
    f"{BUSY_S:.0f} s; wait for it to end, then try again",
}


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"the folder {folder} cannot be made: {error.strerror}; name another place"
        ) from error


def _take_the_write_lock(engine: Engine) -> None:
    """
    Begin each transaction with the write lock.

    Two programs that start at once then make the tables one after the other, and tables are
    made inside the transaction, all or none.
    """

    def connected(connection: Any, _record: Any) -> None:
        # Otherwise the driver begins transactions itself, and not before CREATE TABLE.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000:.0f}")

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)


def _missing(connection: Connection, where: str) -> bool:
    """Say whether there are steps to carry out."""
    tables = inspect(connection).get_table_names()
    if "alembic_version" not in tables:
        if tables:
            raise SetupError(
                f"{where} belongs to another program: it holds the table {tables[0][:64]!r} and "
                "none of ours; name another place"
            )
        return True
    stored = connection.scalar(text("SELECT version_num FROM alembic_version"))
    known = revisions()
    if stored is not None and stored not in known:
        raise SetupError(
            f"{where} was written by a newer version of unspool: its tables are at {stored!r}, "
            f"this version knows them up to {known[-1]!r}; upgrade unspool, or name another place"
        )
    return bool(stored != known[-1])


def _upgrade(connection: Connection) -> None:
    # Half a second to import, needed once in the life of a database.
    from alembic import command
    from alembic.config import Config

    config = Config()
    # Alembic reads `%` as the beginning of a substitution.
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
