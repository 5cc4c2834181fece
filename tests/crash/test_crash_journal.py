"""Every call to the store fails once, and no run is the worse for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.harness.failing import Failing, Kind
from support.harness.figures import note
from support.harness.sandbox import IS_LONG
from support.harness.worlds import Shape, World

pytestmark = pytest.mark.slow

SMALL = Shape(runs=3, span_s=5.0, deaths=1, stops=1, viewers=2, pace_s=0.3)

STRIDE = 1 if IS_LONG else 5
"""Every call, or some of them."""

MAX_CALLS = 5_000
"""More than a small world makes."""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("times", [1, 40])
@pytest.mark.parametrize("kind", ["broken", "busy"])
def test_whichever_call_to_the_store_fails_every_run_is_whole(
    kind: Kind, times: int, tmp_path: Path
) -> None:
    failed = 0
    for nth in range(1 + times % STRIDE, MAX_CALLS, STRIDE):
        failing = Failing(nth, kind, times)
        path = tmp_path / str(nth)
        path.mkdir()
        world = World(7, path, SMALL, failing.before)
        assert world.play() == [], f"call {nth}"
        if not failing.has_failed:
            break
        failed += 1
    assert failed > 5
    note("failures", calls=failed)
