"""
Three servers behind nginx over one PostgreSQL: servers are killed, frozen and replaced.

Viewers come back to any server. `CRASHES=long` has 60 runs, 200 viewers, 100 kills and 10 crashes
of the database.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import nginx
from support.harness.cluster import Cluster, cluster_in, middle
from support.harness.figures import note
from support.harness.programs import Program
from support.harness.sandbox import IS_LONG
from support.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900 if IS_LONG else 120)]

RUNS, VIEWERS, KILLS, CRASHES = (60, 200, 100, 10) if IS_LONG else (6, 15, 4, 1)
SPAN_S = 200.0 if IS_LONG else 8.0
"""Seconds over which runs begin, servers are killed and the database crashes."""

STAND_STILL_S = 6.0
"""From the death of a server to the next event of its runs."""


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.close()


async def kill_some(cluster: Cluster, dice: random.Random) -> None:
    """Kill servers at random moments, each of which is started again after a moment."""
    starting: dict[asyncio.Task[None], Program] = {}
    for _ in range(KILLS):
        await asyncio.sleep(dice.uniform(0.4, 1.6) * SPAN_S / KILLS)
        if len(starting) == len(cluster.programs):
            await asyncio.wait(starting, return_when=asyncio.FIRST_COMPLETED)
        starting = {task: program for task, program in starting.items() if not task.done()}
        up = [each for each in cluster.programs if each not in starting.values()]
        program = dice.choice(up)
        cluster.kill(program)
        starting[asyncio.create_task(again(program, dice.uniform(0.1, 1.5)))] = program
    await asyncio.gather(*starting)


async def again(program: Program, after_s: float) -> None:
    await asyncio.sleep(after_s)
    # The database may be away just then.
    while not await program.start():  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.5)


async def crash_some(database: PostgresServer, dice: random.Random) -> None:
    for _ in range(CRASHES):
        await asyncio.sleep(dice.uniform(0.5, 1.5) * SPAN_S / (CRASHES + 1))
        await asyncio.to_thread(database.stop, "immediate")
        await asyncio.to_thread(database.start)


async def begin_some(cluster: Cluster, dice: random.Random) -> None:
    viewers = VIEWERS // RUNS
    for number in range(RUNS):
        cluster.begin(viewers + (number < VIEWERS % RUNS))
        await asyncio.sleep(dice.uniform(0, 2) * SPAN_S / RUNS)


@pytest.mark.skipif(nginx.PROGRAM is None, reason="nginx is not installed")
async def test_whatever_dies_every_viewer_has_every_run_once(
    database: PostgresServer, tmp_path: Path
) -> None:
    pieces = 200 if IS_LONG else 100
    async with cluster_in(
        tmp_path, database.new_database(), pieces=pieces, has_nginx=True
    ) as cluster:
        dice = random.Random(16)
        await asyncio.gather(
            begin_some(cluster, dice), kill_some(cluster, dice), crash_some(database, dice)
        )
        assert await cluster.finish(120.0 if IS_LONG else 30.0) == []
        gaps = cluster.gaps_s()
        seen = [viewer.seen for case in cluster.cases for viewer in case.viewers]
        note(
            "chaos",
            runs=RUNS,
            viewers=len(seen),
            connections=sum(len(each.connections) for each in seen),
            frames=sum(len(each.frames) for each in seen),
            kills=len(cluster.deaths),
            crashes=CRASHES,
            takeovers=len(gaps),
            stood_still_p50_s=middle(gaps),
            stood_still_s=max(gaps, default=0.0),
        )
        assert gaps
        assert max(gaps) <= STAND_STILL_S
