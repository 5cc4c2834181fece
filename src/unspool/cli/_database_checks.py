"""The checks of `unspool doctor` for a PostgreSQL database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final

from ..errors import RecordsError
from ._checks import Check, size

if TYPE_CHECKING:
    from ..records.moving import Connection
    from ..records.shared import Address

CLOCK_S: Final = 2.0
"""Largest difference between two clocks: the times of events at several servers differ by it."""

MESSAGE_S: Final = 3.0
"""For a message to come back; it takes milliseconds."""

ALIVE_S: Final = 5.0
"""Seconds since its last beat for which a server counts as running; it gives two a second."""

OTHERS: Final = 3
"""Connections of a server besides those for reading and for records: to commit, ring and listen."""

_RIGHTS: Final = """
select pg_is_in_recovery() or current_setting('transaction_read_only') = 'on' as is_read_only,
has_database_privilege(current_database(), 'create') and has_schema_privilege('public', 'create')
as may_create, current_setting('synchronous_commit') as commits
"""

_ROOM: Final = """
select least(
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true), '0')::int,
    (select nullif(datconnlimit, -1) from pg_database where datname = current_database()),
    (select nullif(rolconnlimit, -1) from pg_roles where rolname = current_user)
) as most, (
    select count(*) from pg_stat_activity where backend_type = 'client backend'
) as used, (
    select count(*) from pg_stat_activity
    where backend_type = 'client backend' and application_name <> 'unspool'
) as used_by_others
"""

_SERVERS: Final = """
select version, count(*) as count from journal.leases
where beat > clock_timestamp() - $1 * interval '1 second' group by version order by version
"""

_RUNS: Final = """
select count(*) as count, count(*) filter (where ended_ms is null) as live, (
    select sum(pg_total_relation_size(oid))::bigint from pg_class
    where relnamespace = 'journal'::regnamespace and relkind = 'r'
) as bytes from journal.runs
"""


async def database(url: str) -> AsyncGenerator[Check]:
    """Check all that servers need of the database; the first broken step may be the last one."""
    import asyncpg  # with SQLAlchemy below it takes half a second, which `--help` does not wait for

    from ..records.shared import Address, explained_state

    address = Address(url)
    try:
        db = await address.connect()
    except RecordsError as error:
        yield Check("broken", "database", str(error))
        return
    try:
        async with aclosing(_of_open(db, address)) as checks:
            async for check in checks:
                yield check
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        state = getattr(error, "sqlstate", None)
        yield Check("broken", "database", explained_state(state, address.name) or str(error))
    finally:
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await db.close(timeout=1)


async def _of_open(db: Connection, address: Address) -> AsyncGenerator[Check]:
    yield _version(db, address.name)
    row = await db.fetchrow(_RIGHTS)
    assert row is not None
    if row["is_read_only"]:
        advice = "name the primary server"
        yield Check("broken", "writing", "it is a standby, or read-only", advice)
    elif not row["may_create"]:
        advice = "make the user the owner of the database, and of its schema public"
        yield Check("broken", "writing", "the user may not create a schema and tables", advice)
    else:
        yield Check("ok", "writing", "the user may write and create tables")
    yield _commits(row["commits"])
    yield await _encoding(db)
    yield await _messages(db, address)
    yield await _clock(db)
    if await db.fetchval("select to_regclass('journal.leases')") is None:
        yield Check("unset", "runs", "no tables yet", "`unspool serve` creates them")
        live = 0
    else:
        rows = await db.fetch(_SERVERS, ALIVE_S)
        live = sum(row["count"] for row in rows)
        yield _servers({row["version"]: row["count"] for row in rows})
        yield await _runs(db)
    yield await _room(db, live)


def _version(db: Connection, where: str) -> Check:
    from ..journals.postgresql_database.schema import OLDEST_SERVER

    version = db.get_server_version()
    what = f"PostgreSQL {version.major}.{version.minor} answers: {where}"
    if version.major < OLDEST_SERVER:
        return Check("broken", "database", what, f"upgrade it to {OLDEST_SERVER} or newer")
    return Check("ok", "database", what)


def _commits(setting: str) -> Check:
    if setting == "off":
        what = "synchronous_commit is off: a crash takes events that viewers have seen"
        return Check("broken", "commits", what, "set it to on, for this user or database too")
    return Check("ok", "commits", f"wait for the disk (synchronous_commit is {setting})")


async def _encoding(db: Connection) -> Check:
    encoding = await db.fetchval("show server_encoding")
    if encoding != "UTF8":
        advice = "create the database with `encoding 'UTF8'`"
        return Check("broken", "encoding", f"{encoding} lacks characters", advice)
    return Check("ok", "encoding", "UTF8 holds every character")


async def _messages(db: Connection, address: Address) -> Check:
    """Check that LISTEN works, and that a connection stays the same: poolers break both."""
    pids = {await db.fetchval("select pg_backend_pid()") for _ in range(2)}
    heard = asyncio.Event()
    channel = f"unspool_doctor_{time.time_ns()}"
    sender = await address.connect()
    try:
        await db.add_listener(channel, lambda *_: heard.set())
        began = time.monotonic()
        await sender.execute("select pg_notify($1, '')", channel)
        async with asyncio.timeout(MESSAGE_S):
            await heard.wait()
    except TimeoutError:
        pids.clear()
    finally:
        await sender.close(timeout=1)
    if pids != {db.get_server_pid()}:
        what = "messages get lost: a connection pooler in transaction mode stands before it"
        return Check("broken", "messages", what, "give the address of PostgreSQL itself")
    return Check("ok", "messages", f"pass in {(time.monotonic() - began) * 1000:.1f} ms")


async def _clock(db: Connection) -> Check:
    before = time.time()
    there = await db.fetchval("select extract(epoch from clock_timestamp())::float8")
    after = time.time()
    ahead_s = there - (before + after) / 2
    what = f"{abs(ahead_s):.2f} s {'behind' if ahead_s > 0 else 'ahead of'} the database's"
    if abs(ahead_s) > CLOCK_S + (after - before) / 2:
        return Check("broken", "clock", what, "set both clocks by NTP: events have their times")
    return Check("ok", "clock", what)


def _servers(versions: dict[str, int]) -> Check:
    if not versions:
        return Check("unset", "servers", "none uses the database now", "`unspool serve` starts one")
    words = ", ".join(f"{count} of version {version}" for version, count in versions.items())
    advice = "" if len(versions) == 1 else "fine during an upgrade; then all should be the same"
    return Check("ok" if len(versions) == 1 else "unset", "servers", f"{words}", advice)


async def _runs(db: Connection) -> Check:
    row = await db.fetchrow(_RUNS)
    assert row is not None
    return Check("ok", "runs", f"{row['count']} runs, {row['live']} live, {size(row['bytes'])}")


async def _room(db: Connection, live: int) -> Check:
    """Check that the connections are enough for the servers, and for one more."""
    from ..journals.postgresql_database.connections import READS
    from ..records.shared import MAX_CONNECTIONS

    row = await db.fetchrow(_ROOM)
    assert row is not None
    each = READS + OTHERS + MAX_CONNECTIONS
    servers = max(0, row["most"] - row["used_by_others"]) // each
    what = (
        f"{row['most']} connections, {row['used']} in use; a server takes up to {each}, so there "
        f"is room for {servers} servers"
    )
    if servers < max(live, 1):
        advice = "raise max_connections of PostgreSQL (or the limit of the database or the user)"
        return Check("broken", "room", what, advice)
    return Check("ok", "room", what)
