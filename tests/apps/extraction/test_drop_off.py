"""People who begin and do not arrive: which ones, how many, and how they differ."""

from __future__ import annotations

from random import Random

from support.histories import people
from unspool.apps.extraction.drop_off import drop_off
from unspool.apps.extraction.evidence import EventHistory, Traits


def test_people_are_sorted_by_whether_the_outcome_came_in_time() -> None:
    histories = people("藏0 买3", "藏0 买8", "藏0 看20", "藏15", "买0 藏1", "看0", "藏0 藏5 买11")
    found = drop_off(histories, {}, start="藏", outcome="买", window_days=7)
    assert found.reached == ["u000", "u006"]
    assert found.dropped == ["u001", "u002", "u004"]
    assert found.undecided == ["u003"], "the last known day is 20: its seven days are not over"


def groups(share: float, count: int = 100) -> tuple[list[EventHistory], Traits]:
    """As many who arrive as who do not; of the latter, this share looks at high prices."""
    lines = ["藏0 买1"] * count + ["藏0"] * count + ["看99"]
    histories = people(*lines)
    traits = {}
    for number, one in enumerate(histories):
        is_high = number % count < count * (share if number >= count else 0.3)
        traits[one.user_id] = {"价位": "高" if is_high else "低", "城市": f"城{number % 7}"}
    return histories, traits


def test_what_tells_the_groups_apart_comes_first_with_its_numbers() -> None:
    histories, traits = groups(0.7)
    first, *rest = drop_off(histories, traits, start="藏", outcome="买").differences
    assert {first.value, rest[0].value} == {"高", "低"}
    high = next(one for one in (first, rest[0]) if one.value == "高")
    assert (high.dropped, high.reached) == (70, 30)
    assert (high.dropped_share, high.reached_share) == (0.7, 0.3)
    assert high.is_clear
    assert high.z > 0
    assert [one.value for one in rest if one.is_clear and one.trait == "城市"] == []


def test_chance_alone_makes_no_clear_difference() -> None:
    rng = Random(3)
    alarms = 0
    for _ in range(20):
        histories, _ = groups(0.3)
        traits = {
            one.user_id: {"品牌": f"牌{rng.randrange(40)}", "时段": rng.choice("早午晚")}
            for one in histories
        }
        found = drop_off(histories, traits, start="藏", outcome="买")
        alarms += any(one.is_clear for one in found.differences)
    assert alarms <= 3


def test_nobody_dropped_off_where_nobody_began() -> None:
    found = drop_off(people("看0"), {}, start="藏", outcome="买")
    assert (found.dropped, found.reached, found.undecided, found.differences) == ([], [], [], [])
