"""
Three servers over one PostgreSQL, of which one dies at a named point: nothing is lost or doubled.

Requests go to the server that will die, viewers to any.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from support.harness.plans import PLANS, SHARED
from support.harness.sandbox import IS_LONG, ordeal_in, tell
from unspool.failpoints import POINTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


POINTS_OF_STORE = [name for name in POINTS if name.startswith("postgresql.")]

SHORT = ("postgresql.answered", "postgresql.claimed")
"""Five starts of a server for each point take long: these two ask the hardest questions."""

OLD = (
    *("journal.committing", "journal.committed", "journal.published", "runner.created"),
    *("generation.first_text", "runner.ending", "runner.ended", "context.finished"),
)
"""Of the points that all stores have."""


def rounds() -> list[Any]:
    most = 5 if IS_LONG else 1
    return [
        pytest.param(name, min(n, PLANS[name].most), id=f"{name}-{n}")
        for name in (POINTS_OF_STORE if IS_LONG else SHORT)
        for n in range(1, 1 + min(most, PLANS[name].most))
    ]


@pytest.mark.parametrize(("name", "times"), rounds())
async def test_of_three_servers_one_dies_at_a_point_and_every_run_is_whole(
    name: str, times: int, tmp_path: Path, filled_records: Path
) -> None:
    plan, crash_at = PLANS[name], f"{name}:{times}"
    async with ordeal_in(tmp_path, filled_records, f"{name}:{times}", plan) as ordeal:
        victim, *others = ordeal.programs
        if plan.is_killed_first:
            first, victim, _ = ordeal.programs
            assert all(await asyncio.gather(first.start(), victim.start(crash_at=crash_at)))
            ordeal.begin(2)
            await ordeal.begun()
            first.kill()
            first.kills += 1
        else:
            await asyncio.gather(*(other.start() for other in others))
            if await victim.start(crash_at=crash_at):
                ordeal.begin(times + 1)
        assert await victim.has_died(), f"{name} was not passed {times} times"
        victim.kills += 1
        await ordeal.start()
        assert await ordeal.finish() == []
        assert ordeal.kills == 1 + plan.is_killed_first
        tell("replicas", ordeal)


@pytest.mark.parametrize("first", range(0, len(OLD) if IS_LONG else 4, 4))
async def test_servers_that_die_one_after_the_other_leave_their_runs_to_the_others(
    first: int, tmp_path: Path, filled_records: Path
) -> None:
    async with ordeal_in(tmp_path, filled_records, f"replicas {first}", SHARED) as ordeal:
        victim, *others = ordeal.programs
        await asyncio.gather(*(other.start() for other in others))
        for name in OLD[first : first + 4]:
            assert await victim.start(crash_at=name)
            ordeal.begin(1)
            assert await victim.has_died(), f"{name} was not passed"
            victim.kills += 1
        assert await victim.start()
        assert await ordeal.finish() == []
        assert {visit.history.run["status"] for visit in ordeal.visits} == {"completed"}
        tell("replicas", ordeal)
