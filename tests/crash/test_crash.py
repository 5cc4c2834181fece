"""
A server that dies at every named point and at random moments, and what becomes of its runs.

Every kill has runs with three viewers each (more where the same is asked for again), in our own
dialect and in another, who cut their connections besides. `CRASHES=long` kills oftener.
"""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from support.harness.plans import PLANS
from support.harness.sandbox import IS_LONG, USUAL, Plan, ordeal_in, tell
from unspool.failpoints import POINTS

ROOMS = Path(__file__).parent.parent.parent / "src" / "unspool"

KILLS = 200 if IS_LONG else 4
KILLS_PER_TEST = 5 if IS_LONG else 4

PLAIN = [name for name in POINTS if name not in PLANS]

OURS = [name for name in POINTS if PLANS.get(name, USUAL).store == "sqlite"]
"""`test_crash_replicas.py` has the others."""

CHAIN = 4
"""Deaths in a row; the sixth that a run has seen would end it."""


def rounds() -> list[Any]:
    """Points, for the n-th passing up to the fifth where it is passed so often."""
    most = 5 if IS_LONG else 1
    return [
        pytest.param(name, min(n, PLANS.get(name, USUAL).most), id=f"{name}-{n}")
        for name in OURS
        if IS_LONG or name in PLANS
        for n in range(1, most + 1)
    ]


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("first", range(0, len(PLAIN), CHAIN))
async def test_servers_that_die_one_after_the_other_at_other_points_lose_nothing(
    first: int, tmp_path: Path, filled_records: Path
) -> None:
    names = PLAIN[first : first + CHAIN]
    async with ordeal_in(tmp_path, filled_records, f"chain {first}") as ordeal:
        program = ordeal.program
        for name in names:
            # Where a run of an earlier server is taken over, it may die before it is ready.
            if await program.start(crash_at=name):
                ordeal.begin(1)
            assert await program.has_died(), f"{name} was not passed"
            program.kills += 1
        assert await program.start()
        assert await ordeal.finish() == []
        assert program.kills == len(names)
        tell("chained", ordeal)


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize(("name", "times"), rounds())
async def test_a_server_that_dies_at_a_point_loses_nothing_and_says_nothing_twice(
    name: str, times: int, tmp_path: Path, filled_records: Path
) -> None:
    plan = PLANS.get(name, USUAL)
    async with ordeal_in(tmp_path, filled_records, f"{name}:{times}", plan) as ordeal:
        program = ordeal.program
        if plan.is_killed_first:
            assert await program.start()
            ordeal.begin(times)
            await ordeal.begun()
            await asyncio.sleep(0.05)
            program.kill()
            program.kills += 1
        if not await program.start(crash_at=f"{name}:{times}"):
            program.kills += 1
            assert await program.start()
        if not plan.is_killed_first:
            ordeal.begin(times + 1)
        if plan.is_stopped:
            await ordeal.begun()
            await asyncio.sleep(0.1)
            program.send(signal.SIGTERM)
            # Its runs may end by themselves meanwhile: only its death says that it passed the
            # point, and a server that is still stopping looks alive.
            assert await program.has_died()
            assert program.wait() == -signal.SIGKILL, f"{name} was not passed"
        assert await ordeal.finish() == []
        assert program.kills == 1 + plan.is_killed_first, f"{name} was not passed {times} times"
        tell("named", ordeal)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["copy", "calls"])
@pytest.mark.parametrize("seed", range(KILLS // KILLS_PER_TEST))
async def test_a_server_killed_at_random_moments_loses_nothing(
    seed: int, kind: str, tmp_path: Path, filled_records: Path
) -> None:
    # A run with tools is short: its model speaks slowly, so that it is met at all its moments.
    plan = Plan(kind=kind, pause_s=0.004 if kind == "copy" else 0.02)
    async with ordeal_in(tmp_path, filled_records, f"random {seed}", plan) as ordeal:
        program = ordeal.program
        for _ in range(KILLS_PER_TEST):
            assert await program.start()
            ordeal.begin(1)
            # Any moment from the first request to some time after the last ending.
            await asyncio.sleep(ordeal.dice.uniform(0.0, 0.6))
            program.kill()
            program.kills += 1
        assert await program.start()
        assert await ordeal.finish() == []
        assert program.kills == KILLS_PER_TEST
        tell("random", ordeal)


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_server_killed_while_lines_are_written_goes_on_from_the_last_whole_one(
    tmp_path: Path, filled_records: Path
) -> None:
    plan = Plan(kind="extract", breaks=True)
    async with ordeal_in(tmp_path, filled_records, "lines", plan) as ordeal:
        program = ordeal.program
        for _ in range(KILLS_PER_TEST if IS_LONG else 2):
            assert await program.start()
            ordeal.begin(1)
            await ordeal.begun()
            await asyncio.sleep(ordeal.dice.uniform(0.02, 0.3))
            program.kill()
            program.kills += 1
        assert await program.start()
        assert await ordeal.finish() == []
        tell("lines", ordeal)


def test_every_named_point_is_passed_by_one_room_and_no_other_is() -> None:
    passed = re.compile(r'^\w+ = point\("([a-z_.]+)"\)', re.MULTILINE)
    found = [name for room in ROOMS.rglob("*.py") for name in passed.findall(room.read_text())]
    assert sorted(found) == sorted(POINTS)
    assert set(PLANS) <= set(POINTS)
