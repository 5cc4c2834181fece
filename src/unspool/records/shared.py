"""
Records on PostgreSQL, shared by any number of servers: connections, types, sentences for errors.

The tables lie in the schema `public`, those of other tenants in schemas of their own. Texts are
`text collate "C"` and numbers are `bigint`, so a list has the same order, and a value the same
room, as in SQLite.
"""

from __future__ import annotations

import ssl
import zlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import asyncpg
from sqlalchemy import Executable, PoolProxiedConnection, event, text
from sqlalchemy.dialects.postgresql.base import PGDDLCompiler, PGTypeCompiler
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from unspool.errors import RecordsError, SetupError

if TYPE_CHECKING:
    from sqlalchemy import Connection

SCHEMES: Final = ("postgresql", "postgres", "postgresql+asyncpg")

MAX_CONNECTIONS: Final = 8
"""Of one server. PostgreSQL takes 100 in all by default, and the journal needs some too."""

CONNECT_S: Final = 10.0
"""Longest wait for a connection."""

COMMAND_S: Final = 60.0
"""Longest wait for one statement; ours take milliseconds, the figures over all events seconds."""

SESSION_SETTINGS: Final = {
    "application_name": "unspool",
    "default_transaction_isolation": "read committed",
    # Compiling a query costs more than running one of ours.
    "jit": "off",
    # A server that froze in a transaction must not hold up the others.
    "idle_in_transaction_session_timeout": "60s",
}

LOCKS: Final = 0x756E7370
"""Our space of advisory locks, the first of two keys. The journal uses locks of one key."""

LOST: Final = "{where} does not answer, or is starting again; see that it runs, then try again"

_SENTENCES: Final = {
    "28": "{where} refuses the user or the password; correct the URL",
    "3D000": "{where} does not exist: the server has no database of that name; create it, or "
    "correct the URL",
    "25006": "{where} cannot be written: it is a standby, or read-only; name the primary server",
    "53100": "{where} cannot grow: the disk of PostgreSQL is full; make room",
    "53300": "{where} has no connection left; raise `max_connections` of PostgreSQL, or run fewer "
    "servers",
    "53200": "{where} has run out of memory, or of room for locks: raise "
    "`max_locks_per_transaction` of PostgreSQL",
    "53": "{where} has run out of resources; see the log of PostgreSQL",
    "42501": "{where} refuses a right that we need; make the user the owner of the database",
    "08P01": "{where} refuses our settings, as connection poolers do; give the address of "
    "PostgreSQL itself",
    "57014": "{where} is busy: a statement took too long; try again",
    "55P03": "{where} is busy: another server holds what we need; try again",
    "40": "{where} is busy: two servers changed the same rows at once; try again",
    "25P03": "{where} ended a transaction that took too long; try again",
    "08": LOST,
    "57P": LOST,
    "XX": "{where} reports damage or an error of its own; see the log of PostgreSQL",
    "58": "{where} reports an error of its disk; see the log of PostgreSQL",
}
"""By SQLSTATE or its beginning; the longest one that fits counts."""


def is_url(where: str | Path) -> bool:
    """Whether this is the URL of a PostgreSQL database."""
    return isinstance(where, str) and where.partition("://")[0] in SCHEMES


class Address:
    """
    The database of a URL, which may hold a password.

    Attributes:
        name: Host and database, for messages.
    """

    def __init__(self, url: str, schema: str = "public") -> None:
        self._schema = schema
        scheme, _, rest = url.partition("://")
        self._url = f"postgresql://{rest}" if scheme in SCHEMES else url
        self.name = _name_of(self._url)

    async def connect(
        self, command_s: float | None = COMMAND_S
    ) -> asyncpg.Connection[asyncpg.Record]:
        """
        Connect; `command_s` is the longest wait for one statement.

        Raises:
            RecordsError: It cannot be reached; the message says why and what to do.
        """
        try:
            return await asyncpg.connect(
                self._url,
                timeout=CONNECT_S,
                command_timeout=command_s,
                server_settings={**SESSION_SETTINGS, "search_path": self._schema},
            )
        except asyncpg.PostgresError as error:
            reason = explained_state(error.sqlstate, self.name)
            raise RecordsError(reason or f"{self.name} cannot be opened: {error}") from error
        except OSError as error:  # with it the name of a host that nobody knows, and a time-out
            if isinstance(error, ssl.SSLError) or "SSL" in str(error):
                raise RecordsError(
                    f"{self.name} and we do not agree on encryption; correct `sslmode` of the URL, "
                    "or the certificates"
                ) from error
            raise RecordsError(LOST.format(where=self.name)) from error
        except (asyncpg.InterfaceError, ValueError, TypeError):
            # From None, because these messages quote parts of the URL.
            raise RecordsError(
                f"the URL of {self.name} cannot be understood; write it as "
                "`postgresql://user:password@host/database`, special characters as `%40`"
            ) from None

    def engine(self, *, command_s: float | None = COMMAND_S, **options: Any) -> AsyncEngine:
        """Return an engine; it connects when it is first needed."""
        return create_async_engine(
            "postgresql+asyncpg://",
            async_creator=partial(self.connect, command_s),
            isolation_level="READ COMMITTED",
            hide_parameters=True,
            **options,
        )


def prepare(engine: AsyncEngine) -> None:
    """Replace broken connections before their use, and what PostgreSQL takes for no text."""
    event.listen(engine.sync_engine, "before_cursor_execute", _without_nul, retval=True)
    event.listen(engine.sync_engine, "checkout", _check_open)


def make_types_ours(engine: AsyncEngine) -> None:
    """Let migrations make `text collate "C"` of every text, and `bigint` of every number."""
    dialect: Any = engine.sync_engine.dialect
    dialect.type_compiler_instance = _Types(dialect)
    dialect.ddl_compiler = _Tables


def explained_state(state: str | None, where: str) -> str | None:
    """Return a sentence of advice for a known SQLSTATE, else None."""
    for length in (5, 3, 2):
        if state and (sentence := _SENTENCES.get(state[:length])):
            return sentence.format(where=where)
    return None


def explained(error: Exception, where: str) -> str | None:
    """Return a sentence of advice for a known error of PostgreSQL, else None."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return LOST.format(where=where)
        if type(error.orig).__name__ == "InvalidCachedStatementError":
            return f"{where} has been changed a moment ago; try again"
        return explained_state(getattr(error.orig, "sqlstate", None), where)
    if isinstance(error, NoFreeConnection):
        return f"{where} is busy: no connection became free in time; try again"
    return LOST.format(where=where)


def lock(subject: str) -> Executable:
    """Return a statement that waits for the lock on a subject, up to the transaction's end."""
    locking = "SELECT pg_advisory_xact_lock(CAST(:ours AS integer), CAST(:subject AS integer))"
    return text(locking).bindparams(ours=LOCKS, subject=number_of(subject))


def number_of(subject: str) -> int:
    """Return the number of a subject in our space of locks: 32 bits with a sign."""
    return zlib.crc32(subject.encode()) - 2**31


def check_server(connection: Connection, where: str) -> None:
    """
    Check that this is PostgreSQL itself, with texts that hold every character.

    Raises:
        SetupError: It is not.
    """
    raw: Any = connection.connection.driver_connection
    asked = "SELECT pg_backend_pid(), current_setting('server_encoding')"
    pid, encoding = connection.exec_driver_sql(asked).one()
    if pid != raw.get_server_pid():
        # It would give each transaction another connection: prepared statements, LISTEN and
        # settings of a session then get lost or reach somebody else.
        raise SetupError(
            f"{where} is behind a connection pooler; give the address of PostgreSQL itself, since "
            "each server keeps only a few connections"
        )
    if encoding != "UTF8":
        raise SetupError(
            f"{where} has the encoding {encoding}, which lacks characters; create the database "
            "with `encoding 'UTF8'`"
        )


def _name_of(url: str) -> str:
    """Return host and database, if it is certain that no part of a password is in them."""
    try:
        parts = urlsplit(url)
        host, port = parts.netloc.rpartition("@")[2], parts.port
    except ValueError:
        return "the PostgreSQL database"
    if not host or "@" in url.partition(host)[2] or (":" in host and port is None):
        return "the PostgreSQL database"
    return f"the PostgreSQL database {parts.path.strip('/')[:64]} at {host[:128]}"


def _check_open(connection: Any, _record: Any, _proxy: PoolProxiedConnection) -> None:
    # asyncpg knows that the other side has closed; asking costs no round trip.
    if connection.driver_connection.is_closed():
        broken = DisconnectionError("PostgreSQL closed it")
        broken.invalidate_pool = True
        raise broken


def _without_nul(
    _c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
) -> tuple[str, Any]:
    """Put U+FFFD in the place of NUL: it is the one character that PostgreSQL cannot store."""
    if isinstance(parameters, list):
        return statement, [_clean(row) for row in parameters]
    return statement, _clean(parameters)


def _clean(row: Any) -> Any:
    if not any(isinstance(value, str) and "\0" in value for value in row):
        return row
    return tuple(
        value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in row
    )


class _Types(PGTypeCompiler):
    def visit_VARCHAR(self, type_: Any, **_: Any) -> str:  # noqa: N802 - SQLAlchemy's name
        return 'TEXT COLLATE "C"'

    def visit_TEXT(self, type_: Any, **_: Any) -> str:  # noqa: N802 - SQLAlchemy's name
        return 'TEXT COLLATE "C"'

    def visit_INTEGER(self, type_: Any, **_: Any) -> str:  # noqa: N802 - SQLAlchemy's name
        return "BIGINT"


class _Tables(PGDDLCompiler):
    def get_column_specification(self, column: Any, **options: Any) -> str:
        made: str = super().get_column_specification(column, **options)  # type: ignore[no-untyped-call]
        return made.replace(" SERIAL", " BIGSERIAL")
