"""Figures of what follows what: frequency alone gives no lift and no cause."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.histories import by_chance, history, joined, people
from unspool.apps.extraction.evidence import (
    DAY_MS,
    EventHistory,
    StepEvidence,
    clear_z,
    evidence,
    repeats,
    trait_evidence,
)

SHOP = {"买": 0.8, "看": 0.13, "加": 0.05, "藏": 0.02}


def figures(histories: list[EventHistory], *events: str, window_days: float = 7) -> StepEvidence:
    (found,) = evidence(histories, [events], window_days=window_days)
    return found


def test_each_figure_is_what_a_count_by_hand_gives() -> None:
    found = figures(people("a0 b1", "a0 b9", "b0 a1", "c0 b1", "a0 b1 a2 b3 a4"), "a", "b")
    assert (found.people, found.people_before, found.people_missed) == (2, 4, 3)
    assert (found.people_without, found.reached_without) == (1, 1)
    assert (found.times, found.times_before) == (3, 6)
    # Of 13 events, a b comes in time after: u0 a; u3 c; u4 the first a, b and the second a.
    assert found.base_rate == pytest.approx(5 / 13)
    assert found.rate == pytest.approx(3 / 6)
    assert found.gap_s == 86_400
    assert found.order == pytest.approx(3 / 4)
    assert found.examples == ("u000", "u004")
    assert found.missing == ("u001", "u002", "u004")


def test_what_comes_after_the_window_does_not_count() -> None:
    late = people("a0 b7.01", "a0 b7", "a0 b8")
    assert figures(late, "a", "b").times == 1
    assert figures(late, "a", "b", window_days=9).times == 3
    assert figures(late, "a", "b", window_days=1).times == 0


def test_longer_patterns_count_from_their_last_but_one_event() -> None:
    found = figures(people("a0 b1 c2", "b0 a1 c2", "a0 b1 b2 c3"), "a", "b", "c")
    assert (found.people, found.people_before, found.times_before) == (2, 2, 3)


def test_d5_what_everybody_does_anyway_has_no_lift_and_is_no_cause() -> None:
    """80 % of the events are purchases: each step is followed by one, and causes none."""
    histories = by_chance(SHOP)
    for kind in ("看", "加", "藏"):
        found = figures(histories, kind, "买")
        assert found.rate > 0.75
        assert found.lift == pytest.approx(1, abs=0.1)
        assert found.relation == "sequential"


def test_events_that_are_there_by_chance_lead_to_nothing() -> None:
    histories = by_chance(dict.fromkeys("abcdefgh", 1.0), count=600)
    pairs = [(a, b) for a in "abcdefgh" for b in "abcdefgh" if a != b]
    relations = [one.relation for one in evidence(histories, pairs, window_days=1)]
    assert relations.count("causal") == 0
    assert relations.count("conditional") <= 3  # of 56; one in forty is chance


def led(count: int) -> list[EventHistory]:
    """People whom an `a` leads to a `b` within the hour, mostly."""
    return [history("", "x0 a2 b2.02" if n % 5 else "x0 a2") for n in range(count)]


def test_a_cause_has_lift_people_and_the_right_order() -> None:
    others = people(*["x0 y1 x2 y3 x4"] * 200)
    found = figures(joined(led(50), others), "a", "b", window_days=1)
    assert found.relation == "causal"
    assert found.lift is not None
    assert found.lift > 2
    few = figures(joined(led(10), people(*["x0 y1 x2 y3 x4"] * 40)), "a", "b", window_days=1)
    assert few.relation != "causal", "ten people are too few"
    back = [history("", "b0 x1 a2 b2.02") for _ in range(50)]
    turned = figures(joined(back, others), "a", "b", window_days=1)
    assert turned.order == 0
    assert turned.relation != "causal", "the b was there before the a"


def test_absence_is_the_other_side_of_the_same_figures() -> None:
    found = figures(people("a0 b1", "a0", "a0 c1"), "a", "b")
    missed = found.absence()
    assert (missed.people, missed.times, missed.times_before) == (2, 2, 3)
    assert missed.rate == pytest.approx(1 - found.rate)
    assert missed.base_rate == pytest.approx(1 - found.base_rate)
    assert missed.examples == ("u001", "u002")
    assert missed.absence().facts() | {"gap_s": None} == found.facts() | {"gap_s": None}


EVENTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20)), max_size=8)


@given(st.lists(EVENTS, min_size=1, max_size=5))
def test_the_figures_are_those_of_looking_at_all_pairs(lists: list[list[tuple[str, int]]]) -> None:
    histories = []
    for number, events in enumerate(lists):
        ordered = sorted(events, key=lambda one: one[1])
        times = [day * DAY_MS for _, day in ordered]
        histories.append(EventHistory(f"u{number}", [kind for kind, _ in ordered], times))

    def is_followed(one: EventHistory, at_ms: int) -> bool:
        moments = zip(one.types, one.at_ms, strict=True)
        return any(kind == "b" and 0 < at - at_ms <= 7 * DAY_MS for kind, at in moments)

    marks = [
        (kind, is_followed(one, at))
        for one in histories
        for kind, at in zip(one.types, one.at_ms, strict=True)
    ]
    found = figures(histories, "a", "b")
    after_a = [mark for kind, mark in marks if kind == "a"]
    assert (found.times, found.times_before) == (sum(after_a), len(after_a))
    assert found.base_rate == pytest.approx(
        sum(mark for _, mark in marks) / len(marks) if marks else 0
    )


def test_what_follows_itself_is_a_rate_of_repeats_and_no_step() -> None:
    found = repeats(people("a0 a1", "a0 a9", "a0"), ["a"], window_days=7)
    assert found["a"] == {"people": 3, "again": 1, "rate": 0.3333, "gap_s": 86_400}


def test_traits_that_differ_come_first_and_rare_values_are_left_out() -> None:
    histories = people(*["a0 b1"] * 30, *["a0"] * 30)
    traits = {
        one.user_id: {
            "价位": "高" if number % 30 < 24 - 18 * (number >= 30) else "低",
            "编号": str(number),
        }
        for number, one in enumerate(histories)
    }
    found = trait_evidence(histories, traits, "b", least=2)
    # The numbers are those of one person each.
    assert {(trait, value) for trait, value, _ in found} == {("价位", "高"), ("价位", "低")}
    high = next(one for _, value, one in found if value == "高")
    assert (high.people, high.people_before, high.base_rate) == (24, 30, 0.5)
    assert high.z > clear_z(2)


def test_more_comparisons_need_a_clearer_difference() -> None:
    assert clear_z(1) == pytest.approx(1.96, abs=0.01)
    assert clear_z(60) > 3.3
