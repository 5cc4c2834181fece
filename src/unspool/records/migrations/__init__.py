"""
Gives a database the tables of this version, or raises a sentence that says why it cannot.

To add a migration: write `versions/NNNN_its_purpose.py` with the next number, `revision =
"NNNN"` and `down_revision` with the previous number. Never change a released migration. The
numbers come from the file names, so a start with nothing to do (nearly every start) need not
import Alembic.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    NullPool,
    create_engine,
    event,
    inspect,
    text,
)
from sqlalchemy.exc import DBAPIError

from unspool.errors import RecordsError, SetupError

from .. import shared

BUSY_S = 5.0
"""Longest wait for another program's write. Ours take milliseconds, also during an import."""

HERE = Path(__file__).parent


def revisions() -> list[str]:
    """Return the numbers of all migrations, oldest first."""
    files = (HERE / "versions").glob("[0-9]*.py")
    return sorted(file.name.partition("_")[0] for file in files)


def bring_up_to_date(url: URL, where: str) -> None:
    """
    Apply the migrations that the database lacks, all or none. Blocks.

    Two programs may do this at once: the second waits, then finds nothing to do.

    Args:
        url: The SQLite database.
        where: Its name in messages.

    Raises:
        SetupError: This version cannot use it, or it cannot be opened at all.
    """
    _make_folder(Path(where).parent)
    engine = create_engine(url.set(drivername="sqlite+pysqlite"), poolclass=NullPool)
    _take_the_write_lock(engine)
    try:
        with engine.connect() as connection:
            _bring(connection, where)
    except DBAPIError as error:
        sentence = explained(error, where)
        raise SetupError(
            sentence or f"{where} cannot be opened: {error.orig}; check it, or name another one"
        ) from error
    finally:
        engine.dispose()


async def bring_up_to_date_shared(address: shared.Address) -> None:
    """
    Do the same with a PostgreSQL database.

    Raises:
        SetupError: See above.
    """
    engine = address.engine(poolclass=NullPool, command_s=None)
    shared.make_types_ours(engine)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_bring_shared, address.name)
    except RecordsError as error:
        raise SetupError(str(error)) from error
    except (DBAPIError, TimeoutError, ConnectionError) as error:
        reason = error.orig if isinstance(error, DBAPIError) else type(error).__name__
        raise SetupError(
            shared.explained(error, address.name)
            or f"{address.name} cannot be opened: {reason}; check it, or name another one"
        ) from error
    finally:
        await engine.dispose()


def _bring_shared(connection: Connection, where: str) -> None:
    shared.check_server(connection, where)
    connection.execute(shared.lock("migrations"))
    _bring(connection, where)


def _bring(connection: Connection, where: str) -> None:
    if _missing(connection, where):
        _upgrade(connection)
        connection.commit()
    else:
        # Never committed. A read-only database opens without an error; a write raises it now
        # instead of during a user's request.
        connection.execute(text("UPDATE alembic_version SET version_num = version_num"))


def explained(error: DBAPIError, where: str) -> str | None:
    """Return a sentence of advice for a known error of SQLite, else None."""
    # The low byte is the kind; the rest is detail that users do not need.
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
    sqlite3.SQLITE_CORRUPT: "{where} is damaged: its pages contradict each other; restore a "
    "copy, or move it away to start empty",
    sqlite3.SQLITE_BUSY: "{where} is busy: another program has been writing to it for "
    f"{BUSY_S:.0f} s; wait for it to end, then try again",
}


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"the folder {folder} cannot be created: {error.strerror}; name another place"
        ) from error


def _take_the_write_lock(engine: Engine) -> None:
    """
    Begin each transaction with the write lock.

    So two programs that start at once create the tables one after the other, inside one
    transaction, all or none.
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
    """Whether there are migrations to apply."""
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
    # Alembic takes half a second to import; a database needs it once per version.
    from alembic import command
    from alembic.config import Config

    config = Config()
    # Alembic reads `%` as the beginning of a substitution.
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
