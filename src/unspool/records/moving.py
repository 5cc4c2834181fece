"""
Copies the rows of all tables between a file and a schema of a PostgreSQL database, and compares
them. So the records of the operator move, and those of each tenant.

Both must have the tables of this version. Files that wait for their import stay behind.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg

from unspool.errors import RecordsError, SetupError

from . import shared
from .migrations import revisions
from .tenant_records import file_of

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

LEFT_OUT: Final = {"alembic_version", "sqlite_sequence", "uploads", "upload_parts"}

FETCHED: Final = 100
"""Rows in one answer of PostgreSQL, and in one statement to the file; an image may have 5 MB."""

OnCopied: TypeAlias = Callable[[int], object]
"""Told now and then how many rows more are copied."""


@dataclass(frozen=True, slots=True)
class TableForm:
    """
    A table, as the file has it.

    Attributes:
        schema: Its place in the database.
        columns: Each column, and its type in upper case.
        key: The columns of the primary key.
    """

    schema: str
    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.columns]

    @property
    def in_database(self) -> str:
        return f'{self.schema}."{self.name}"'

    def select(self, schema: str = "") -> str:
        """Return a query for all rows, in the order of their keys."""
        key = ", ".join(f'"{name}"' for name in self.key)
        columns = ", ".join(f'"{name}"' for name in self.names)
        return f'select {columns} from {schema}"{self.name}" order by {key}'  # noqa: S608


class _Digest:
    """Counts rows and takes a digest of them, the same for both databases."""

    def __init__(self) -> None:
        self.count = 0
        self._found = hashlib.sha256()

    def add(self, row: Sequence[Any]) -> None:
        self.count += 1
        self._found.update(repr(row).encode("utf-8", "surrogatepass"))

    @property
    def value(self) -> tuple[int, bytes]:
        return self.count, self._found.digest()


def tables_of(file: sqlite3.Connection, schema: str = "public") -> list[TableForm]:
    """Return the tables of a file, each after those that it refers to."""
    query = "select name from sqlite_master where type = 'table' order by name"
    names = [name for (name,) in file.execute(query) if name not in LEFT_OUT]
    order: TopologicalSorter[str] = TopologicalSorter()
    for name in names:
        others = file.execute('select distinct "table" from pragma_foreign_key_list(?)', (name,))
        order.add(name, *(other for (other,) in others if other != name))
    return [_form(file, schema, name) for name in order.static_order()]


def _form(file: sqlite3.Connection, schema: str, name: str) -> TableForm:
    query = "select name, upper(type), pk from pragma_table_info(?)"
    columns = file.execute(query, (name,)).fetchall()
    keys = sorted((place, column) for column, _, place in columns if place)
    return TableForm(
        schema,
        name,
        tuple((column, kind) for column, kind, _ in columns),
        tuple(column for _, column in keys),
    )


def count_in_file(file: sqlite3.Connection, tables: Sequence[TableForm]) -> int:
    """Return the rows of all tables."""
    counts = [file.execute(f'select count(*) from "{table.name}"') for table in tables]  # noqa: S608
    return sum(found.fetchone()[0] for found in counts)


async def count_in_database(db: Connection, tables: Sequence[TableForm]) -> int:
    """Return the rows of all tables."""
    counts = [
        await db.fetchval(f"select count(*) from {table.in_database}")  # noqa: S608
        for table in tables
    ]
    return sum(counts)


async def hold_empty(db: Connection, tables: Sequence[TableForm]) -> None:
    """
    Keep servers from starting over the database up to the transaction's end.

    Raises:
        SetupError: A table has rows.
    """
    await db.execute(
        "select pg_advisory_xact_lock($1::int, $2::int)",
        shared.LOCKS,
        shared.number_of("migrations"),
    )
    for table in tables:
        if await db.fetchval(f"select exists (select from {table.in_database})"):  # noqa: S608
            raise SetupError(f"The database has {table.name} already; name an empty one.")


def tenants_of_file(path: Path) -> list[str]:
    """Return the tenants that the operator's records name and that have records."""
    with closing(sqlite3.connect(path)) as file:
        found = file.execute("select id from tenants order by id").fetchall()
    return [tenant for (tenant,) in found if file_of(path, tenant).exists()]


async def tenants_of_database(db: Connection) -> list[str]:
    """Do the same with a database."""
    # Not `to_regclass`, which sees more than the transaction does.
    found = await db.fetch(
        "select id from public.tenants where exists (select from pg_tables where schemaname = "
        "'tenant_' || id and tablename = 'alembic_version') order by id"
    )
    return [row["id"] for row in found]


async def is_current(db: Connection, schema: str) -> bool:
    """Whether a schema has the tables of this version."""
    query = f"select version_num from {schema}.alembic_version"  # noqa: S608
    return bool(await db.fetchval(query) == revisions()[-1])


async def check_version(db: Connection, schema: str = "public") -> None:
    """
    Check that a schema has the tables of this version.

    Raises:
        SetupError: It has others, or none.
    """
    if await db.fetchval("select to_regclass($1)", f"{schema}.alembic_version") is None:
        raise SetupError("The database has no tables of Unspool; correct UNSPOOL_DATABASE_URL.")
    if not await is_current(db, schema):
        raise SetupError(
            "Another version of unspool has made the tables of the database; use that one."
        )


async def to_database(
    file: sqlite3.Connection, db: Connection, tables: Sequence[TableForm], on_copied: OnCopied
) -> None:
    """
    Copy all rows of a file, in the transaction that the caller has begun.

    Raises:
        RecordsError: A copy is not as its original.
    """
    for table in tables:
        digest = _Digest()
        rows = _counted(_rows_of_file(file, table, digest), on_copied)
        await db.copy_records_to_table(
            table.name, schema_name=table.schema, columns=table.names, records=rows
        )
        await _set_next_id(file, db, table)
        copied = _Digest()
        async for row in _rows_of_database(db, table):
            copied.add(row)
        _compare(table, digest, copied)


async def to_file(
    db: Connection, file: sqlite3.Connection, tables: Sequence[TableForm], on_copied: OnCopied
) -> None:
    """
    Copy all rows of a database, in the transaction that the caller has begun.

    Raises:
        RecordsError: A copy is not as its original.
    """
    for table in tables:
        digest, copied = _Digest(), _Digest()
        signs = ", ".join("?" for _ in table.columns)
        insert = f'insert into "{table.name}" values ({signs})'  # noqa: S608
        batch: list[tuple[Any, ...]] = []
        async for row in _rows_of_database(db, table):
            digest.add(row)
            batch.append(tuple(map(_for_file, row)))
            if len(batch) == FETCHED:
                file.executemany(insert, batch)
                on_copied(len(batch))
                batch.clear()
        file.executemany(insert, batch)
        on_copied(len(batch))
        await _note_given_ids(db, file, table)
        for _ in _rows_of_file(file, table, copied):
            pass
        _compare(table, digest, copied)


def _compare(table: TableForm, digest: _Digest, copied: _Digest) -> None:
    if digest.value != copied.value:
        raise RecordsError(
            f"The copy of the table {table.name} differs from it ({digest.count} rows, "
            f"{copied.count} in the copy)."
        )


def _counted(rows: Iterator[Any], on_copied: OnCopied) -> Iterator[Any]:
    count = 0
    for row in rows:
        yield row
        count += 1
        if count % FETCHED == 0:
            on_copied(FETCHED)
    on_copied(count % FETCHED)


def _rows_of_file(
    file: sqlite3.Connection, table: TableForm, digest: _Digest
) -> Iterator[tuple[Any, ...]]:
    kinds = [kind for _, kind in table.columns]
    for row in file.execute(table.select()):
        clean = tuple(map(_clean, row, kinds))
        digest.add(clean)
        yield clean


async def _rows_of_database(db: Connection, table: TableForm) -> AsyncIterator[tuple[Any, ...]]:
    kinds = [kind for _, kind in table.columns]
    async for row in db.cursor(table.select(f"{table.schema}."), prefetch=FETCHED):
        yield tuple(map(_clean, row, kinds))


def _clean(value: Any, kind: str) -> Any:
    """Return a value as PostgreSQL takes it, the same from both databases."""
    if value is None:
        return None
    if (convert := _CONVERSIONS.get(kind.partition("(")[0])) is not None:
        return convert(value)
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def _json_text(value: Any) -> str:
    # SQLite makes a number of a text that is one, and PostgreSQL keeps the text.
    if isinstance(value, str) and not (value[:1].isdigit() or value[:1] == "-"):
        return value
    number = float(value)
    return str(int(number)) if number.is_integer() else repr(number)


_CONVERSIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "BOOLEAN": bool,
    "DOUBLE": float,
    "FLOAT": float,
    "JSON": _json_text,
    # The file has prices as binary fractions.
    "NUMERIC": lambda value: Decimal(f"{value:.2f}"),
}
"""By the file's type. Texts lose NUL, which PostgreSQL cannot store."""


def _for_file(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


async def _set_next_id(file: sqlite3.Connection, db: Connection, table: TableForm) -> None:
    """Let new rows have ids after those that the file has given, also to rows since deleted."""
    sequence = await _sequence(db, table)
    if sequence is None:
        return
    query = f'select max("{table.key[0]}") from "{table.name}"'  # noqa: S608
    (highest,) = file.execute(query).fetchone()
    if _gives_ids_once(file, table):
        query = "select max(seq) from sqlite_sequence where name = ?"
        (given,) = file.execute(query, (table.name,)).fetchone()
        highest = max(highest or 0, given or 0)
    if highest:
        await db.execute("select setval($1::text::regclass, $2)", sequence, highest)


async def _note_given_ids(db: Connection, file: sqlite3.Connection, table: TableForm) -> None:
    """Do the same in the other direction, where the file gives no id twice."""
    sequence = await _sequence(db, table)
    if sequence is None or not _gives_ids_once(file, table):
        return
    given = await db.fetchval("select pg_sequence_last_value($1::text::regclass)", sequence)
    file.execute("delete from sqlite_sequence where name = ?", (table.name,))
    file.execute("insert into sqlite_sequence values (?, ?)", (table.name, given or 0))


async def _sequence(db: Connection, table: TableForm) -> str | None:
    query = "select pg_get_serial_sequence($1, $2)"
    found: str | None = await db.fetchval(query, table.in_database, table.key[0])
    return found


def _gives_ids_once(file: sqlite3.Connection, table: TableForm) -> bool:
    query = "select sql like '%AUTOINCREMENT%' from sqlite_master where name = ?"
    return bool(file.execute(query, (table.name,)).fetchone()[0])
