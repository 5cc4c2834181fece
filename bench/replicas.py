"""
`python -m bench replicas`: what PostgreSQL costs, and how late a token is at another server.

Rounds in turn: one server over SQLite, then two over PostgreSQL, with the same load. The viewers of
the second server watch the runs of the first one; each token's delay is that beyond its arrival at
the first server's viewer. PostgreSQL comes from the tests' wheel, with its usual settings.
"""

import argparse
import asyncio
import base64
import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

import uvloop
from rich.console import Console
from rich.table import Table

from tests.support.postgres import PostgresServer

from . import figures, load
from .load import Load, Viewer
from .measure import Cores, cpu_s, prepare
from .passes import WARM_UP, measured
from .reading import Outcome
from .systems import SYSTEMS, Model, Running, System, model, running

DURABLE = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "128MB"}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--streams", type=int, default=100, help="runs at once")
    parser.add_argument("--rate", type=float, default=50, help="tokens/s of each")
    parser.add_argument("--tokens", type=int, default=200, help="tokens of each")
    parser.add_argument("--repeat", type=int, default=3, help="rounds")


@dataclass(slots=True)
class Found:
    """Figures of all rounds."""

    sqlite_us: list[float] = field(default_factory=list)
    server_us: list[float] = field(default_factory=list)
    database_us: list[float] = field(default_factory=list)
    wal_bytes: list[float] = field(default_factory=list)
    commits_s: list[float] = field(default_factory=list)
    sqlite_ms: list[float] = field(default_factory=list)
    server_ms: list[float] = field(default_factory=list)
    added_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def run(args: argparse.Namespace) -> int:
    console, cores = figures.console(), prepare()
    wanted, found = Load(args.streams, args.tokens, args.rate), Found()
    for number in range(args.repeat):
        console.print(f"[dim]round {number + 1}")
        with model(cores) as there:
            _sqlite(cores, there, wanted, found)
            with _database(cores) as (postgres, url):
                _postgres(cores, there, wanted, found, postgres=postgres, url=url)
                _elsewhere(cores, there, wanted, found, url=url)
    return _tell(console, cores, vars(args), found)


def _sqlite(cores: Cores, there: Model, wanted: Load, found: Found) -> None:
    with running(SYSTEMS["unspool"], cores, there) as server:
        one = uvloop.run(_pass(server, there, wanted, cores))
    found.sqlite_us.append(one.cpu_us_per_token or 0.0)
    found.sqlite_ms += one.latency_ms
    found.errors += one.errors


def _postgres(
    cores: Cores, there: Model, wanted: Load, found: Found, *, postgres: PostgresServer, url: str
) -> None:
    with running(_over(url), cores, there) as server:
        uvloop.run(load.run(server.target, WARM_UP))
        before, before_s = _written(postgres, url), cpu_s(postgres.pid)
        one = uvloop.run(measured(server, there, wanted, cores))
        used_s, after = cpu_s(postgres.pid) - before_s, _written(postgres, url)
    found.server_us.append(one.cpu_us_per_token or 0.0)
    found.database_us.append(used_s * 1e6 / max(1, len(one.latency_ms)))
    found.wal_bytes.append((after[0] - before[0]) / max(1, len(one.latency_ms)))
    found.commits_s.append((after[1] - before[1]) / wanted.tokens * wanted.per_s)
    found.server_ms += one.latency_ms
    found.errors += one.errors


def _written(postgres: PostgresServer, url: str) -> tuple[int, int]:
    """Return the bytes of the write-ahead log, and the number of commits, so far."""
    query = (
        "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint, "
        "(select sum(n) from (select max(n) n from journal.segments group by writer) w)::bigint"
    )
    wal, commits = postgres.query(query, url).split("|")
    return int(wal), int(commits or 0)


def _elsewhere(cores: Cores, there: Model, wanted: Load, found: Found, *, url: str) -> None:
    with ExitStack() as stack:
        first, second = (stack.enter_context(running(_over(url), cores, there)) for _ in range(2))
        uvloop.run(load.run(first.target, WARM_UP))
        pairs = uvloop.run(_watch_both(first, second, wanted))
    for here, elsewhere in pairs:
        found.errors += [one.error for one in (here, elsewhere) if one.error]
        if not here.error and not elsewhere.error:
            later = zip(here.latencies_ns, elsewhere.latencies_ns, strict=True)
            found.added_ms += [(b - a) / 1e6 for a, b in later]


def _over(url: str) -> System:
    """Return our server over a database."""
    system = SYSTEMS["unspool"]
    key = base64.urlsafe_b64encode(bytes(32)).decode()  # servers of one database share it
    env = {"UNSPOOL_DATABASE_URL": url, "UNSPOOL_SECRET_KEY": key}
    return replace(system, env={**system.env, **env})


@contextmanager
def _database(cores: Cores) -> Iterator[tuple[PostgresServer, str]]:
    """Run PostgreSQL on the server's core; yields it and a database."""
    postgres = PostgresServer(DURABLE)
    try:
        postgres.run_on(cores.server)
        yield postgres, postgres.new_database()
    finally:
        postgres.close()


async def _pass(server: Running, there: Model, wanted: Load, cores: Cores):  # noqa: ANN202
    await load.run(server.target, WARM_UP)
    return await measured(server, there, wanted, cores)


async def _watch_both(
    first: Running, second: Running, wanted: Load
) -> list[tuple[Outcome, Outcome]]:
    """Start runs at the first server and watch each at both."""
    loop = asyncio.get_running_loop()

    async def pair(start_s: float) -> tuple[Outcome, Outcome]:
        await asyncio.sleep(start_s)
        here = Viewer(first.target.request(wanted.order))
        await loop.create_connection(lambda: here, "127.0.0.1", first.target.port)
        await here.begun.wait()
        elsewhere = Viewer(_request(second.target.port, here))
        await loop.create_connection(lambda: elsewhere, "127.0.0.1", second.target.port)
        async with asyncio.timeout(wanted.limit_s):
            await asyncio.gather(here.done.wait(), elsewhere.done.wait())
        return tuple(Outcome.of(v.recording, wanted.tokens) for v in (here, elsewhere))

    starts = (number * 0.618 % 1.0 for number in range(wanted.streams))
    return await asyncio.gather(*map(pair, starts))


def _request(port: int, viewer: Viewer) -> bytes:
    """Ask for the events of a run, in the form in which its own viewer gets them."""
    head = b"".join(viewer.recording.reads).partition(b"\r\n\r\n")[0].decode()
    run_id = next(
        line.partition(":")[2].strip()
        for line in head.split("\r\n")
        if line.lower().startswith("x-run-id:")
    )
    path = f"/v1/runs/{run_id}/events"
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()


def _tell(console: Console, cores: Cores, asked: dict[str, object], found: Found) -> int:
    table = Table(title=f"{asked['streams']} runs at {asked['rate']:g} tokens/s")
    for column in ("", "CPU µs/token", "to SQLite", "latency ms p50 / p99"):
        table.add_column(column)
    base = statistics.median(found.sqlite_us)
    rows = {
        "server, SQLite": (found.sqlite_us, found.sqlite_ms),
        "server, PostgreSQL": (found.server_us, found.server_ms),
        "database": (found.database_us, []),
    }
    for name, (costs, times) in rows.items():
        cost = statistics.median(costs)
        table.add_row(
            name, figures.shown(cost), figures.shown(cost / base, 2), figures.pair(sorted(times))
        )
    added = sorted(found.added_ms)
    table.add_row("viewer at another server, beyond the first", "", "", figures.pair(added))
    console.print(table)
    wal, commits = statistics.median(found.wal_bytes), statistics.median(found.commits_s)
    console.print(f"{wal:.0f} bytes of write-ahead log a token, {commits:.0f} commits/s")
    for error in found.errors[:5]:
        console.print(f"[red]{error}")
    result = {name: statistics.median(costs) for name, (costs, _) in rows.items()} | {
        "added_ms": [figures.quantile(added, share) for share in (0.5, 0.99, 1.0)]
    }
    named = {name: asked[name] for name in ("streams", "rate", "tokens", "repeat")}
    console.print(f"written: {figures.save('replicas', cores, named, result)}")
    return int(bool(found.errors))
