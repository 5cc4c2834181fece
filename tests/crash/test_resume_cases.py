"""
Viewers who are cut at any byte and come back from any place, in worlds drawn from seeds.

A case is one viewer of one run, over all its connections; meanwhile runs are cancelled, the
provider fails, and servers stop and die. `CRASHES=long` draws 20,000 of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.harness.figures import note
from support.harness.sandbox import IS_LONG
from support.harness.worlds import Shape, World
from unspool.execution.adoption import MAX_RECOVERIES

pytestmark = pytest.mark.slow

CROWDED = Shape(runs=170, span_s=120.0, deaths=3, stops=2, pace_s=1.0, cancels=0.15)
"""Every run is met by one end of a server or two; about 500 viewers."""

DEADLY = Shape(runs=20, span_s=60.0, deaths=14, stops=1, viewers=3, pace_s=8.0, cancels=0.3)
"""More deaths than a run may take with it; some are cancelled while nobody carries them."""

WORLDS = 40 if IS_LONG else 2


@pytest.mark.parametrize("seed", range(1000, 1000 + WORLDS))
def test_who_is_cut_anywhere_and_comes_back_anyhow_has_the_whole_run_once(
    seed: int, tmp_path: Path
) -> None:
    world = World(seed, tmp_path, CROWDED)
    assert world.play() == []
    assert world.kills, "nobody died: that proves little"
    note(
        "resume",
        cases=sum(len(case.seen) for case in world.cases),
        connections=sum(case.resumes for case in world.cases),
        deaths=world.kills,
    )


@pytest.mark.parametrize("seed", range(20 if IS_LONG else 1))
def test_runs_that_are_met_by_many_deaths_end_whole_or_honestly(seed: int, tmp_path: Path) -> None:
    world = World(seed, tmp_path, DEADLY)
    assert world.play() == []
    assert world.kills > MAX_RECOVERIES
    note("deadly", cases=sum(len(case.seen) for case in world.cases), deaths=world.kills)
