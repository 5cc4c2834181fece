"""Days of a server's life, one for each seed, with all that goes wrong in a day."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.harness.figures import note
from support.harness.sandbox import IS_LONG
from support.harness.worlds import Shape, World
from unspool.execution import adoption

pytestmark = pytest.mark.slow

DAY_S = 86_400.0
DAY = Shape(runs=30 if IS_LONG else 10, span_s=DAY_S, deaths=6, stops=2, pace_s=20.0)
"""A run takes minutes, so that a death meets some."""


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look for left runs each minute: every other second is half of what a day costs."""
    monkeypatch.setattr(adoption, "ADOPT_S", 60.0)


@pytest.mark.parametrize("seed", range(50))
def test_a_day_of_faults_deaths_and_cancels_leaves_every_run_whole(
    seed: int, tmp_path: Path
) -> None:
    world = World(seed, tmp_path, DAY)
    assert world.play() == []
    note("days", runs=len(world.cases), deaths=world.kills)
