"""
Several servers in bad weather: one is frozen or cut off, the database goes, all are replaced.

Every run goes on, and its viewers have it once. `CRASHES=long` has three servers and more time.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support import nginx
from support.harness.cluster import Cluster, cluster_in, middle, now_ms
from support.harness.figures import note
from support.harness.programs import Program
from support.harness.proxy import Cable
from support.harness.sandbox import IS_LONG
from support.postgres import PostgresServer, shared_server
from support.upstream import SILENCE, chunk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 if IS_LONG else 120)]

SERVERS = 3 if IS_LONG else 2
RUNS = 20 if IS_LONG else 4
FROZEN_S = 20.0 if IS_LONG else 0.0
AWAY_S = 30.0 if IS_LONG else 6.0
CUT_S = 10.0 if IS_LONG else 6.5
"""Long enough for the others to take the runs."""

PATIENCE_S = 90.0 if IS_LONG else 30.0

CANCELS = 20 if IS_LONG else 3
CANCEL_S = 1.0


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    with closing(PostgresServer()) as server:
        yield server


def begin_runs(cluster: Cluster, first: Program) -> None:
    """Let runs begin at one server, each watched there and at the others."""
    others = [program for program in cluster.programs if program is not first]
    for _ in range(RUNS):
        cluster.begin(2 * SERVERS, at=[first, *others], cuts=False)


def takeovers(url: str) -> int:
    return int(shared_server().query("select count(*) from journal.runs where epoch > 1", url))


def writers(url: str) -> set[str]:
    query = "select id from journal.writers where id > 0"
    return set(shared_server().query(query, url).split())


async def until_taken(url: str) -> float:
    """Return when every run has another owner, and after how long."""
    began = time.monotonic()
    while takeovers(url) < RUNS:  # noqa: ASYNC110 - another process does it
        await asyncio.sleep(0.1)
    return time.monotonic() - began


async def serves(cluster: Cluster, program: Program) -> None:
    """A server carries none of its old runs, and new ones."""
    _, facts = await cluster.call("GET", f"{program.url}/readyz")
    assert facts["live_runs"] == 0
    cluster.begin(SERVERS, at=[program])
    assert await cluster.finish(PATIENCE_S) == []


async def test_a_server_that_was_frozen_shows_nothing_of_its_old_runs_and_serves_again(
    tmp_path: Path,
) -> None:
    url = shared_server().new_database()
    async with cluster_in(tmp_path, [url] * SERVERS, pieces=600 if IS_LONG else 200) as cluster:
        frozen = cluster.programs[0]
        begin_runs(cluster, frozen)
        await cluster.begun()
        await asyncio.sleep(0.5)
        frozen.send(signal.SIGSTOP)
        cluster.deaths.append(now_ms())
        taken_s = await until_taken(url)
        await asyncio.sleep(max(0.0, FROZEN_S - taken_s))
        while len(writers(url)) == SERVERS:  # noqa: ASYNC110 - others bury it, some time
            await asyncio.sleep(0.1)
        before = writers(url)
        frozen.send(signal.SIGCONT)
        assert await cluster.finish(PATIENCE_S) == []
        epochs = [[e for e in case.log if e["type"] == "run.recovered"] for case in cluster.cases]
        assert {len(each) for each in epochs} == {1}
        await serves(cluster, frozen)
        assert len(writers(url) - before) == 1
        gaps = cluster.gaps_s()
        note("frozen", runs=RUNS, stood_still_p50_s=middle(gaps), stood_still_s=max(gaps))


async def test_while_the_database_is_away_runs_wait_viewers_are_told_and_new_runs_refused(
    database: PostgresServer, tmp_path: Path
) -> None:
    url = database.new_database()
    settings = {"pieces": 600 if IS_LONG else 200, "UNSPOOL_HEARTBEAT_S": "1"}
    async with cluster_in(tmp_path, [url] * SERVERS, **settings) as cluster:  # type: ignore[arg-type]
        begin_runs(cluster, cluster.programs[0])
        await cluster.begun()
        await asyncio.sleep(0.5)
        await asyncio.to_thread(database.stop)
        began = time.monotonic()
        for program in cluster.programs:
            asked = {"flow": "chat", "input": {"prompt": "你好"}}
            status, facts = await cluster.call("POST", f"{program.url}/v1/runs", json=asked)
            assert (status, facts["error"]["code"]) == (503, "journal_unavailable"), facts
            status, _ = await cluster.call("GET", f"{program.url}/readyz")
            assert status == 503
        refused_s = time.monotonic() - began
        await asyncio.sleep(max(0.0, AWAY_S - refused_s))
        await asyncio.to_thread(database.start)
        assert await cluster.finish(PATIENCE_S) == []
        viewers = [viewer for case in cluster.cases for viewer in case.viewers]
        assert all(viewer.heartbeats for viewer in viewers)
        assert {len(viewer.seen.connections) for viewer in viewers} == {1}
        kinds = {event["type"] for case in cluster.cases for event in case.log}
        assert "run.recovered" not in kinds, "nobody had died"
        note("away", runs=RUNS, away_s=time.monotonic() - began, refused_s=refused_s)


async def test_a_standby_takes_over_and_nothing_is_lost(tmp_path: Path) -> None:
    with closing(PostgresServer({"synchronous_standby_names": "'*'"})) as first:
        alone = {"synchronous_standby_names": "''"}
        with closing(PostgresServer(alone, copied_from=first.url())) as second:
            name = first.new_database().rpartition("/")[2]
            hosts = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
            url = f"postgresql://unspool@{hosts}/{name}?target_session_attrs=read-write"
            async with cluster_in(tmp_path, [url] * SERVERS, pieces=150) as cluster:
                begin_runs(cluster, cluster.programs[0])
                await cluster.begun()
                await asyncio.sleep(1)
                began = time.monotonic()
                await asyncio.to_thread(first.stop)
                await asyncio.to_thread(second.promote)
                assert await cluster.finish(PATIENCE_S) == []
                note("failover", runs=RUNS, ended_s=time.monotonic() - began)


async def test_a_server_that_is_cut_off_from_the_database_loses_its_runs_and_comes_back(
    tmp_path: Path,
) -> None:
    url = shared_server().new_database()
    async with Cable(shared_server().port) as cable:
        far = url.replace(f":{shared_server().port}/", f":{cable.port}/")
        urls = [far, *[url] * (SERVERS - 1)]
        async with cluster_in(tmp_path, urls, pieces=400 if IS_LONG else 250) as cluster:
            begin_runs(cluster, cluster.programs[0])
            await cluster.begun()
            await asyncio.sleep(0.5)
            cable.cut()
            cluster.deaths.append(now_ms())
            taken_s = await until_taken(url)
            await asyncio.sleep(max(0.0, CUT_S - taken_s))
            cable.mend()
            assert await cluster.finish(PATIENCE_S) == []
            await serves(cluster, cluster.programs[0])
            gaps = cluster.gaps_s()
            note("cut", runs=RUNS, stood_still_p50_s=middle(gaps), stood_still_s=max(gaps))


@pytest.mark.skipif(nginx.PROGRAM is None, reason="nginx is not installed")
async def test_servers_are_replaced_one_after_the_other_and_hand_their_runs_over(
    tmp_path: Path,
) -> None:
    url = shared_server().new_database()
    async with cluster_in(tmp_path, [url] * SERVERS, pieces=100, has_nginx=True) as cluster:
        going_on = asyncio.create_task(begin_often(cluster))
        await asyncio.sleep(1)
        for program in cluster.programs:
            await replace(cluster, program)
        going_on.cancel()
        assert await cluster.finish(PATIENCE_S) == []
        gaps = cluster.gaps_s("stopped")
        kinds = [e["data"].get("reason") for case in cluster.cases for e in case.log]
        assert gaps, "no run was met by a stop"
        assert "died" not in kinds
        figures = {"runs": len(cluster.cases), "handed_over": len(gaps)}
        note("rolling", **figures, stood_still_p50_s=middle(gaps), stood_still_s=max(gaps))


async def begin_often(cluster: Cluster) -> None:
    while True:
        cluster.begin()
        await asyncio.sleep(0.3 if IS_LONG else 1.0)


async def replace(cluster: Cluster, program: Program) -> None:
    """Stop a server as an upgrade does, start the next one, and wait until that is ready."""
    program.send(signal.SIGTERM)
    assert await program.has_died(20.0)
    assert program.wait() in {0, -signal.SIGTERM}
    assert await program.start()
    status = 0
    while status != 200:
        status, _ = await cluster.call("GET", f"{program.url}/readyz")


async def test_a_cancel_from_another_server_reaches_the_provider_within_a_second(
    tmp_path: Path,
) -> None:
    url = shared_server().new_database()
    async with cluster_in(tmp_path, [url] * 2) as cluster:
        writes, asks = cluster.programs
        upstream = cluster.upstream
        upstream.play = [[chunk("今天"), SILENCE]]
        took = []
        for number in range(1, CANCELS + 2):
            asked = {"flow": "chat", "input": {"prompt": "你好"}}
            _, run = await cluster.call("POST", f"{writes.url}/v1/runs", json=asked)
            await upstream.until(lambda n=number: len(upstream.requests) == n)
            began = time.monotonic()
            cancel = cluster.call("POST", f"{asks.url}/v1/runs/{run['id']}/cancel")
            cancelling = asyncio.create_task(cancel)
            await upstream.until(lambda n=number: upstream.left == n)
            took.append(time.monotonic() - began)
            assert (await cancelling)[1]["status"] == "cancelled"
        del took[0]  # it makes connections that stay
        note("far", cancels=CANCELS, took_p50_s=middle(sorted(took)), took_s=max(took))
        assert max(took) <= CANCEL_S
