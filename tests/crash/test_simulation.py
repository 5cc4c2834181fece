"""Days of a server's life, one for each seed, with all that goes wrong in a day."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.harness.figures import note
from support.harness.lives import slow_down
from support.harness.sandbox import IS_LONG
from support.harness.worlds import Shape, World

pytestmark = pytest.mark.slow

DAY_S = 86_400.0
DAY = Shape(runs=30 if IS_LONG else 10, span_s=DAY_S, deaths=6, stops=2, pace_s=20.0)
"""A run takes minutes, so that a death meets some."""


SLOWER = 120
"""A look for left runs each minute: every other second is half of what a day costs."""

DAYS = {"sqlite": 50, "postgresql": 50 if IS_LONG else 2}


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    slow_down(monkeypatch, SLOWER)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("store", "seed"), [(store, seed) for store, days in DAYS.items() for seed in range(days)]
)
def test_a_day_of_faults_deaths_and_cancels_leaves_every_run_whole(
    store: str, seed: int, tmp_path: Path
) -> None:
    world = World(seed, tmp_path, DAY, store=store)
    assert world.play() == []
    note(f"days {store}", runs=len(world.cases), deaths=world.kills)
