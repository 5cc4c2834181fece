"""How sure a share of few cases is."""

from __future__ import annotations

import pytest

from unspool.apps.copywriting.confidence import needed, wilson, z_of


@pytest.mark.parametrize(
    ("hits", "cases", "low", "high"),
    # From the formula of Wilson's paper, and as tables of it have them.
    [
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_an_interval_is_wilsons(hits: int, cases: int, low: float, high: float) -> None:
    found = wilson(hits, cases)
    assert found is not None
    assert found == pytest.approx((low, high), abs=1e-4)


def test_of_nothing_nothing_is_told() -> None:
    assert wilson(0, 0) is None
    assert z_of((0, 1), (0, 2)) == 0.0
    assert z_of((0, 0), (5, 5)) == 0.0


def test_smaller_differences_need_more_cases() -> None:
    assert needed(0.5, 0.1) == 393
    assert needed(0.5, 0.05) > 4 * needed(0.5, 0.1) - 5
    assert needed(0.0, 0.1) == needed(0.05, 0.1)


def test_shares_differ_by_so_many_deviations() -> None:
    assert z_of((60, 40), (100, 100)) == pytest.approx(2.828, abs=1e-3)
    assert z_of((60, 40), (100, 100)) == z_of((40, 60), (100, 100))
