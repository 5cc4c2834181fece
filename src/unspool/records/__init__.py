"""
The database of everything besides runs: one SQLite file, or a PostgreSQL database that several
servers share. One module here per table.

To add a table: write a module here with a subclass of `Base` and its queries, plain async
functions that take `Records` first; and, by hand, a migration in `migrations/versions` with the
next number, which creates the table. `tests/records/test_records.py` imports every module here
and fails while the migrations and the classes differ.

Replace columns of JSON, never change them in place: SQLAlchemy does not look inside.

Other servers write at the same time. Read and then write in one transaction that begins with
`hold`, or leave the decision to one statement (`on_conflict_…`, `update … where`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from sqlalchemy import (
    JSON,
    URL,
    BigInteger,
    ColumnElement,
    Dialect,
    Integer,
    MetaData,
    PoolProxiedConnection,
    Table,
    event,
    func,
    make_url,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase

from ..errors import RecordsError, SetupError
from ..settings import Settings
from . import shared
from .migrations import BUSY_S, bring_up_to_date, bring_up_to_date_shared, explained

MAX_CONNECTIONS: Final = 6
"""
Connections to a file, each with a thread of its own; opened when first needed.

Sessions queue for them in order. Transactions poll for the one write lock of SQLite without any
order, so one of many may be unlucky for `BUSY_S`, and its request fails.
"""


class Base(DeclarativeBase):
    """Base class of all tables."""

    # Every constraint has a name, because a later migration can only drop a named one.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's name
        dict[str, Any]: JSON,
        list[str]: JSON,
        int: BigInteger().with_variant(Integer(), "sqlite"),
    }


class Records:
    """
    The open database. Make one with `await Records.open(...)`; end it with `aclose()`.

    Attributes:
        where: Its name in messages: the path of the file, or host and database.
        is_shared: Whether other servers may use it at the same time.
    """

    def __init__(self, engine: AsyncEngine, where: str) -> None:
        self.where = where
        self.is_shared = engine.dialect.name == "postgresql"
        self._engine = engine
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        self._watching = asyncio.Lock()
        self._watch: AsyncConnection | None = None

    @classmethod
    async def open(
        cls, url_or_path: str | Path, *, schema: str = "public", most: int | None = None
    ) -> Records:
        """
        Open the database with the tables of this version; create it if there is none.

        Args:
            url_or_path: A file, whose folder is created too; `sqlite:///<path>`; or
                `postgresql://user:password@host/database`.
            schema: The schema of the tables in PostgreSQL; it must be there.
            most: Connections; None: as many as a server needs.

        Raises:
            SetupError: It cannot be used; the message says why and what to do.
        """
        if shared.is_url(url_or_path):
            address = shared.Address(str(url_or_path), schema)
            await bring_up_to_date_shared(address)
            engine = _shared_engine(address, most or shared.MAX_CONNECTIONS)
            return Records(engine, address.name)
        url = _url_of(url_or_path)
        where = str(url.database)
        await asyncio.to_thread(bring_up_to_date, url, where)
        return Records(_engine_of(url, most or MAX_CONNECTIONS), where)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """
        Open a database session. Nothing is stored without `await session.commit()`.

        Raises:
            RecordsError: The disk is full, the file cannot be written, or the like.
        """
        try:
            async with self._sessions() as session:
                yield session
        except DBAPIError as error:
            sentence = (shared.explained if self.is_shared else explained)(error, self.where)
            if sentence is None:
                raise
            raise RecordsError(sentence) from error
        except (NoFreeConnection, TimeoutError, ConnectionError) as error:
            if not self.is_shared:
                raise
            raise RecordsError(shared.explained(error, self.where)) from error

    @asynccontextmanager
    async def turn(self, subject: str) -> AsyncIterator[None]:
        """
        Be the only server that works on a subject, for work of several transactions.

        A file has one server alone, so there this waits for nobody.
        """
        if not self.is_shared:
            yield
            return
        async with self.session() as session:
            await hold(session, subject)
            yield

    async def version(self) -> int | None:
        """
        Return a number that differs after every commit, by whatever process; None: unknown.

        What was computed under the same number still holds. PostgreSQL has no such number: one of
        ours would make every writer wait for the one before.
        """
        if self.is_shared:
            return None
        async with self._watching:
            # SQLite counts, for each connection, the commits of all others: this one only looks.
            self._watch = self._watch or await self._engine.connect()
            found = (await self._watch.exec_driver_sql("PRAGMA data_version")).scalar_one()
            await self._watch.rollback()
        return int(found)

    async def aclose(self) -> None:
        """Close every connection; may be called twice."""
        if self._watch is not None:
            await self._watch.close()
            self._watch = None
        await self._engine.dispose()


def place_of(settings: Settings) -> str | Path:
    """Return where these settings want the records, for `Records.open`."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return settings.data_dir / "records.db"


def now_ms() -> int:
    """Return the time in Unix milliseconds, the unit of every table."""
    return int(time.time() * 1000)


def insert_into(session: AsyncSession, table: type[Base]) -> sqlite.Insert:
    """Return an INSERT with `on_conflict_…`, the same for SQLite and PostgreSQL."""
    inserts = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
    insert = inserts[session.get_bind().dialect.name]
    return cast("sqlite.Insert", insert(cast("Table", table.__table__)))


async def hold(session: AsyncSession, subject: str) -> None:
    """
    Make others that hold the same subject wait, up to the end of this transaction.

    Call it first: what is read after it is the newest. Hold one subject only, so that no two wait
    for each other.
    """
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(shared.lock(subject))
    else:
        # Any write takes the lock of the file; this one changes nothing.
        await session.execute(text("UPDATE alembic_version SET version_num = '' WHERE 0"))


def holds(column: Any, words: str) -> ColumnElement[bool]:
    """Return whether a text column holds these words; the case of A to Z does not matter."""
    # Databases differ in the case of other letters, some even between a column and a parameter.
    lowered = "".join(sign.lower() if sign.isascii() else sign for sign in words)
    return func.lower(column).contains(lowered, autoescape=True)


def _url_of(url_or_path: str | Path) -> URL:
    """Make a URL of a path; give a SQLite URL the asynchronous driver."""
    if isinstance(url_or_path, Path) or "://" not in url_or_path:
        # Absolute, so that a later change of the working directory does not change the file.
        return URL.create("sqlite+aiosqlite", database=str(Path(url_or_path).absolute()))
    try:
        url = make_url(url_or_path)
    except ArgumentError as error:
        raise _unusable() from error
    except ValueError:  # From None, because it may quote a part of a password.
        raise _unusable() from None
    if url.get_backend_name() != "sqlite":
        raise _unusable()
    if url.database in (None, "", ":memory:"):
        raise SetupError("a database in memory loses its data; give the path of a file")
    return url.set(drivername="sqlite+aiosqlite")


def _unusable() -> SetupError:
    return SetupError(
        "this is not the URL of a database that we can use; give a path, `sqlite:///<path>`, or "
        "`postgresql://user:password@host/database`"
    )


_JSON: Final[dict[str, Any]] = {
    # Chinese stays readable in the database, and a lone surrogate is refused here.
    "json_serializer": lambda value: msgspec.json.encode(value).decode(),
    "json_deserializer": msgspec.json.decode,
}


def _engine_of(url: URL, most: int) -> AsyncEngine:
    engine = create_async_engine(
        url,
        # Each transaction takes the write lock at its beginning, because SQLite waits for the
        # lock there; a lock taken half-way fails at once.
        connect_args={"isolation_level": "IMMEDIATE", "timeout": BUSY_S},
        # As many as its default lets be open, but none is closed and opened again under load.
        pool_size=most,
        max_overflow=0,
        **_JSON,
    )
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    _roll_back_only_writes(engine.sync_engine.dialect)
    return engine


def _shared_engine(address: shared.Address, most: int) -> AsyncEngine:
    engine = address.engine(pool_size=most, max_overflow=0, **_JSON)
    shared.prepare(engine)
    return engine


def _roll_back_only_writes(dialect: Dialect) -> None:
    """Spare a session that only read two hops to the thread of its connection, 0.1 ms each."""
    roll_back = dialect.do_rollback

    def roll_back_writes(connection: PoolProxiedConnection) -> None:
        driver: Any = connection.driver_connection
        with suppress(ValueError):  # it is closed
            if driver.in_transaction:
                roll_back(connection)

    dialect.do_rollback = roll_back_writes  # type: ignore[assignment, method-assign]


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    # With WAL, readers do not wait for a writer, and NORMAL survives the death of the
    # process; a power loss may take the last commits, never the file.
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
