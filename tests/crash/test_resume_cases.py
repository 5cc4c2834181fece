"""
Viewers who are cut at any byte and come back from any place, in worlds drawn from seeds.

A case is one viewer of one run, over all its connections; meanwhile runs are cancelled, the
provider fails, and servers stop and die. `CRASHES=long` draws 20,000 of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.harness.figures import note
from support.harness.lives import slow_down
from support.harness.sandbox import IS_LONG
from support.harness.worlds import Shape, World
from unspool.execution.adoption import MAX_RECOVERIES

pytestmark = pytest.mark.slow

CROWDED = Shape(runs=170, span_s=120.0, deaths=3, stops=2, pace_s=1.0, cancels=0.15)
"""Every run is met by one end of a server or two; about 500 viewers."""

DEADLY = Shape(runs=20, span_s=60.0, deaths=14, stops=1, viewers=3, pace_s=8.0, cancels=0.3)
"""More deaths than a run may take with it; some are cancelled while nobody carries them."""

WORLDS = {"sqlite": 40 if IS_LONG else 2, "postgresql": 40 if IS_LONG else 1}
DEADLY_WORLDS = 20 if IS_LONG else 1

SLOWER = 4
"""Servers look for each other every two seconds: worlds last minutes, and are many."""


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    slow_down(monkeypatch, SLOWER)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("store", "seed"),
    [(store, 1000 + n) for store, worlds in WORLDS.items() for n in range(worlds)],
)
def test_who_is_cut_anywhere_and_comes_back_anyhow_has_the_whole_run_once(
    store: str, seed: int, tmp_path: Path
) -> None:
    world = World(seed, tmp_path, CROWDED, store=store)
    assert world.play() == []
    assert world.kills, "nobody died: that proves little"
    note(
        f"resume {store}",
        cases=sum(len(case.seen) for case in world.cases),
        connections=sum(case.resumes for case in world.cases),
        deaths=world.kills,
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(DEADLY_WORLDS))
@pytest.mark.parametrize("store", WORLDS)
def test_runs_that_are_met_by_many_deaths_end_whole_or_honestly(
    store: str, seed: int, tmp_path: Path
) -> None:
    world = World(seed, tmp_path, DEADLY, store=store)
    assert world.play() == []
    assert world.kills > MAX_RECOVERIES
    cases = sum(len(case.seen) for case in world.cases)
    note(f"deadly {store}", cases=cases, deaths=world.kills)
