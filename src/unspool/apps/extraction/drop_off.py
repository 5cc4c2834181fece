"""
Finds the people who begin and do not arrive: `收藏商品` without `购买` within seven days.

A person whose time is not over at the last known event is undecided, and neither of the two.

Pure, and it may take seconds: call it in a thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, Final

from .evidence import DAY_MS, WINDOW_DAYS, EventHistory, Stands, Traits, clear_z

MAX_DIFFERENCES: Final = 20

LEAST_EXPECTED: Final = 5
"""People expected in each group; below it, the normal distribution does not fit (Cochran, 1954)."""

LEAST_PEOPLE: Final = 3
"""With a value, in both groups together; fewer say nothing about a group."""


@dataclass(frozen=True, slots=True)
class GroupDifference:
    """One value of a trait, and how common it is in each group of people."""

    trait: str
    value: str
    dropped: int
    reached: int
    dropped_share: float
    """Of the people who dropped off and whose trait is known, 0 to 1."""
    reached_share: float
    z: float
    """Standard errors between the shares; positive: more common among those who dropped off."""
    is_clear: bool
    """Whether it is unlikely to be chance, given how many values were compared."""

    def facts(self) -> dict[str, Any]:
        return {
            "trait": self.trait,
            "value": self.value,
            "dropped": self.dropped,
            "reached": self.reached,
            "dropped_share": round(self.dropped_share, 4),
            "reached_share": round(self.reached_share, 4),
            "is_clear": self.is_clear,
        }


@dataclass(frozen=True, slots=True)
class DropOff:
    """Ids of the people in each group, ordered, and how the first two groups differ."""

    dropped: list[str] = field(default_factory=list)
    reached: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    differences: list[GroupDifference] = field(default_factory=list)


def drop_off(
    histories: Sequence[EventHistory],
    traits: Traits,
    *,
    start: str,
    outcome: str,
    window_days: float = WINDOW_DAYS,
) -> DropOff:
    """Sort the people with `start` by whether `outcome` came in time after one of them."""
    window_ms = round(window_days * DAY_MS)
    end_ms = max((one.at_ms[-1] for one in histories if one.at_ms), default=0)
    groups = DropOff()
    for history in histories:
        if start not in history.types:
            continue
        stands = Stands.of(history)
        at = stands.at[start]
        if any(stands.gap_ms(outcome, one, window_ms) is not None for one in at):
            groups.reached.append(history.user_id)
        elif at[-1] + window_ms > end_ms:
            groups.undecided.append(history.user_id)
        else:
            groups.dropped.append(history.user_id)
    for group in (groups.dropped, groups.reached, groups.undecided):
        group.sort()
    groups.differences.extend(_differences(groups, traits))
    return groups


def _differences(groups: DropOff, traits: Traits) -> list[GroupDifference]:
    dropped, reached = _counts(groups.dropped, traits), _counts(groups.reached, traits)
    totals = [Counter[str](), Counter[str]()]
    for counts, total in zip((dropped, reached), totals, strict=True):
        for (trait, _), count in counts.items():
            total[trait] += count
    pairs = [
        pair
        for pair in dropped.keys() | reached.keys()
        if dropped[pair] + reached[pair] >= LEAST_PEOPLE and all(one[pair[0]] for one in totals)
    ]
    least = clear_z(len(pairs))
    found = []
    for trait, value in pairs:
        here, there = dropped[trait, value], reached[trait, value]
        of_here, of_there = (total[trait] for total in totals)
        z = _between(here, of_here, there, of_there)
        if not z:
            continue
        is_clear = abs(z) >= least
        shares = here / of_here, there / of_there
        found.append(GroupDifference(trait, value, here, there, *shares, z, is_clear))
    found.sort(key=lambda one: (-abs(one.z), one.trait, one.value))
    return found[:MAX_DIFFERENCES]


def _counts(ids: Sequence[str], traits: Traits) -> Counter[tuple[str, str]]:
    return Counter(pair for user_id in ids for pair in traits.get(user_id, {}).items())


def _between(here: int, of_here: int, there: int, of_there: int) -> float:
    """
    Return the standard errors between two shares (the two-proportion z-test).

    It is 0 where the groups are too small to tell.
    """
    pooled = (here + there) / (of_here + of_there)
    if min(of_here, of_there) * min(pooled, 1 - pooled) < LEAST_EXPECTED:
        return 0.0
    spread = pooled * (1 - pooled) * (1 / of_here + 1 / of_there)
    return (here / of_here - there / of_there) / sqrt(spread)
