"""Connections to PostgreSQL that come back by themselves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from unspool.errors import JournalError

from ..live.clock import elapsed_s

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

log = logging.getLogger(__name__)

T = TypeVar("T")

DOWN: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,  # the server that we knew is a standby now
    asyncpg.QueryCanceledError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""Errors of a server that is away for a while; another connection may reach it, or the next one."""

ANSWER_S: Final = 10.0
"""A statement that takes longer is lost, with its connection: ours take milliseconds."""

CONNECT_S: Final = 5.0

FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0
"""Pauses between tries to connect again double from the first to the longest."""

READS: Final = 4
"""Connections for reading; each serves thousands of reads a second."""

READ_S: Final = 5.0
"""Seconds to try a read again while the server is away; a restart takes one or two."""

SETTINGS: Final = {
    "application_name": "unspool",
    "default_transaction_isolation": "read committed",  # a claim must see what it waited for
    "jit": "off",
    "search_path": "journal",
    "idle_in_transaction_session_timeout": "5000",
    "client_min_messages": "warning",
}


def plain_url(url: str) -> str:
    """Return the URL without the name of a Python driver, as in `postgresql+asyncpg://`."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(scheme="postgresql"))


def where_of(url: str) -> str:
    """Return a name for messages: the URL without user and password, as far as they are certain."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    port = host.rpartition(":")[2] if ":" in host else "0"
    is_certain = host and port.isdigit() and "@" not in url.partition(host)[2]
    return f"postgresql://{host}{parts.path}" if is_certain else "in PostgreSQL"


async def connect(url: str, **settings: str) -> Connection:
    """Open a connection; see `DOWN` for its errors."""
    db: Connection = await asyncpg.connect(
        url,
        timeout=CONNECT_S,
        command_timeout=ANSWER_S,
        server_settings={**SETTINGS, **settings},
    )
    return db


class OneConnection:
    """
    One connection for one kind of work, opened again when it breaks.

    Attributes:
        down_since: Time (`elapsed_s`) since which the server is away; None: it is there.
        generation: Counts the connections.
    """

    def __init__(
        self,
        url: str,
        *,
        prepare: Callable[[Connection], Awaitable[None]] | None = None,
        **settings: str,
    ) -> None:
        """`prepare` makes a new connection ready; `settings` are for the server."""
        self._url = url
        self._settings = settings
        self._prepare = prepare
        self._db: Connection | None = None
        self._lock = asyncio.Lock()
        self.down_since: float | None = None
        self.generation = 0

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do some work on the connection, alone; raises one of `DOWN` if that breaks."""
        async with self._lock:
            db = await self.open()
            try:
                return await work(db)
            except DOWN:
                self.break_off()
                raise

    async def open(self) -> Connection:
        """Return the connection; raises one of `DOWN` if there is none to be had."""
        if self._db is not None and not self._db.is_closed():
            return self._db
        db: Connection | None = None
        try:
            db = await connect(self._url, **self._settings)
            if self._prepare is not None:
                await self._prepare(db)
        except BaseException as error:
            if isinstance(error, DOWN):
                self.down_since = self.down_since or elapsed_s()
            if db is not None:
                db.terminate()
            raise
        self._db, self.down_since = db, None
        self.generation += 1
        return db

    def break_off(self) -> None:
        """Drop the connection: what it was doing may have happened or not."""
        self.down_since = self.down_since or elapsed_s()
        if self._db is not None:
            self._db.terminate()
            self._db = None

    async def close(self) -> None:
        if self._db is not None:
            with suppress(*DOWN):
                await self._db.close(timeout=1)
            self._db = None


class Reads:
    """A few connections for reading."""

    def __init__(self, url: str, where: str) -> None:
        self._url = url
        self._where = where
        self._idle: list[Connection] = []
        self._room = asyncio.Semaphore(READS)

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """
        Do some work that may be done twice.

        Raises:
            JournalError: The server is away.
        """
        until = elapsed_s() + READ_S
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                async with self.connection() as db:
                    return await work(db)
            except DOWN as error:
                if elapsed_s() + pause_s > until:
                    raise self.failure(error) from error
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def failure(self, error: BaseException) -> JournalError:
        """Return the error to raise while the server is away."""
        reason = str(error) or type(error).__name__
        return JournalError(
            f"The journal {self._where} cannot be reached: {reason}. Nothing is lost; try again "
            "when the database is back."
        )

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """Lend a connection; raises one of `DOWN` if the server is away."""
        async with self._room:
            db = self._idle.pop() if self._idle else await connect(self._url)
            try:
                yield db
            except BaseException as error:
                # A cancelled statement may still run, and a broken connection stays broken.
                if isinstance(error, (*DOWN, asyncio.CancelledError)) or db.is_in_transaction():
                    db.terminate()
                raise
            finally:
                if not db.is_closed():
                    self._idle.append(db)

    async def close(self) -> None:
        for db in self._idle:
            with suppress(*DOWN):
                await db.close(timeout=1)
        self._idle.clear()
