"""
Copies a data directory into a PostgreSQL database, and a database into a new data directory.

The first is how runs and records move; the second is a backup of the database, and the two together
restore one. Each copy is compared with its original, run by run and table by table.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import asyncpg

from ..errors import SetupError
from ..journals.moving import copy_runs
from ..journals.postgresql_database import moving as database_runs
from ..journals.postgresql_database.schema import migrate as make_journal
from ..journals.sqlite_file.moving import FileRuns
from ..records import Records, shared
from ..records import moving as rows
from ..records.tenant_records import file_of, prepare, schema_of
from . import owned
from .backup import DATABASES, KEY, CopiedFile, files_of, new_folder

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

OnProgress: TypeAlias = Callable[[int, int], object]
"""Told how many runs and rows are copied, and of how many."""


@dataclass(frozen=True, slots=True)
class Moved:
    """
    The contents of a copy.

    Attributes:
        unended: Runs that the next server continues.
        rows: Rows of records.
    """

    runs: int
    unended: int
    rows: int


class _Tally:
    def __init__(self, total: int, tell: OnProgress) -> None:
        self._total = total
        self._done = 0
        self._tell = tell

    def add(self, count: int) -> None:
        if count:
            self._done += count
            self._tell(self._done, self._total)


async def migrate(data_dir: Path, url: str, on_progress: OnProgress) -> Moved:
    """
    Copy all runs and records of a data directory into an empty database: all, or nothing.

    Files that wait for their import stay behind, and so does the sealing key.

    Raises:
        SetupError: A server uses one of them, the database is not empty, or it cannot be used.
        RecordsError, JournalError: The same, or the directory is damaged.
    """
    if not (data_dir / DATABASES[0]).exists():
        raise SetupError(f"There is no journal.db in {data_dir}; name the directory: --data-dir")
    with owned(data_dir), _files_explained():
        place = data_dir / DATABASES[1]
        await prepare(place)
        tenants = rows.tenants_of_file(place)
        await prepare(place, tenants)
        async with _connected(url) as db:
            await make_journal(db)
            await prepare(url, tenants)
            with closing(FileRuns(data_dir / DATABASES[0])) as runs:
                async with db.transaction(isolation="read_committed"):
                    return await _fill(db, runs, _stores(place, tenants), on_progress)


@dataclass(frozen=True, slots=True)
class _TenantStore:
    """The records of the operator or a tenant: a file, and a schema of the database."""

    path: Path
    schema: str

    @contextmanager
    def opened(self) -> Iterator[tuple[sqlite3.Connection, list[rows.TableForm]]]:
        """Open the file; there may be more tenants than files that a process may have open."""
        with closing(sqlite3.connect(self.path)) as file:
            yield file, rows.tables_of(file, self.schema)


def _stores(place: Path, tenants: Sequence[str]) -> list[_TenantStore]:
    """Return the store of the operator, whose file is `place`, and those of tenants."""
    others = [_TenantStore(file_of(place, tenant), schema_of(tenant)) for tenant in tenants]
    return [_TenantStore(place, "public"), *others]


async def _fill(
    db: Connection, runs: FileRuns, stores: Sequence[_TenantStore], on_progress: OnProgress
) -> Moved:
    await database_runs.hold_empty(db)
    count = 0
    for store in stores:
        with store.opened() as (file, tables):
            await rows.hold_empty(db, tables)
            count += rows.count_in_file(file, tables)
    progress = _Tally(len(await runs.sizes()) + count, on_progress)
    target = database_runs.DatabaseRuns(db)
    copied = await copy_runs(runs, target, progress.add)
    await target.finish()
    for store in stores:
        with store.opened() as (file, tables):
            await rows.to_database(file, db, tables, progress.add)
    return Moved(copied.runs, copied.unended, count)


async def back_up_database(
    url: str, target: Path, on_progress: OnProgress, key: Path | None = None
) -> list[CopiedFile]:
    """
    Copy runs and records of a database, as of one moment, into the new data directory `target`.

    Servers go on meanwhile. `key` is a sealing key to copy too, if it exists.

    Raises:
        SetupError: `target` is not empty or cannot be written, or the database cannot be used.
        RecordsError, JournalError: The same, or the database is damaged.
    """
    with new_folder(target):
        async with _connected(url) as db, _connected(url) as other:
            await _check(db)
            old = [
                tenant
                for tenant in await rows.tenants_of_database(db)
                if not await rows.is_current(db, schema_of(tenant))
            ]
            if old:  # no server has opened them since the upgrade
                await prepare(url, old)
            async with db.transaction(isolation="repeatable_read", readonly=True):
                await _copy(db, other, target, on_progress)
        if key is not None and key.exists():  # noqa: ASYNC240 - nothing else runs here
            shutil.copy(key, target / KEY)
    return files_of(target)


async def _copy(db: Connection, other: Connection, target: Path, on_progress: OnProgress) -> None:
    """Copy what the transaction of `db` sees; `other` is one more connection."""
    await _check(db)
    snapshot = await db.fetchval("select pg_export_snapshot()")
    parts = [target / f"{name}.part" for name in DATABASES]
    stores = _stores(parts[1], await rows.tenants_of_database(db))
    source = database_runs.DatabaseRuns(db)
    total = len(await source.sizes())
    for store in stores:
        await (await Records.open(store.path)).aclose()
        with store.opened() as (_, tables):
            async with _as_of(snapshot, other):
                await rows.check_version(other, store.schema)
                total += await rows.count_in_database(other, tables)
    progress = _Tally(total, on_progress)
    with closing(FileRuns(parts[0])) as runs:
        await copy_runs(source, runs, progress.add)
        runs.commit()
    for store in stores:
        with store.opened() as (file, tables):
            async with _as_of(snapshot, other):
                await rows.to_file(other, file, tables, progress.add)
            file.commit()
    for part in parts:
        part.rename(part.with_suffix(""))


async def _check(db: Connection) -> None:
    await database_runs.check_format(db)
    await rows.check_version(db)


@asynccontextmanager
async def _as_of(snapshot: str, db: Connection) -> AsyncGenerator[None]:
    """
    See the database as another transaction does, in one of our own.

    PostgreSQL keeps a lock on each table up to the transaction's end, and has room for those of
    some sixty tenants.
    """
    async with db.transaction(isolation="repeatable_read", readonly=True):
        await db.execute(f"set transaction snapshot '{snapshot}'")
        yield


@asynccontextmanager
async def _connected(url: str) -> AsyncGenerator[Connection]:
    """
    Connect for statements of any length.

    Raises:
        SetupError: The database cannot be used.
    """
    address = shared.Address(url)
    db = await address.connect(command_s=None)
    try:
        with _explained(address.name):
            await db.execute(_SESSION)
            yield db
    finally:
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await db.close(timeout=CLOSE_S)


_SESSION: Final = """
set search_path = journal, public; set statement_timeout = 0;
set idle_in_transaction_session_timeout = 0
"""

CLOSE_S: Final = 5.0
"""To say goodbye; then the connection is cut."""


@contextmanager
def _explained(where: str) -> Iterator[None]:
    try:
        yield
    except asyncpg.PostgresError as error:
        reason = shared.explained_state(error.sqlstate, where) or f"{where} refuses it: {error}"
        raise SetupError(reason) from error
    except (asyncpg.InterfaceError, ConnectionError, TimeoutError) as error:
        raise SetupError(shared.LOST.format(where=where)) from error


@contextmanager
def _files_explained() -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise SetupError(
            f"The data directory cannot be read: {error}. Nothing was copied; correct that, then "
            "begin again."
        ) from error
