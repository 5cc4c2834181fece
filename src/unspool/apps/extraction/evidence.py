"""
Says what the events of people support: base rates, lift and time gaps of what follows what.

The question is always the same: after A, how often does B come within so many days, and how much
more often than after any event? Both rates count the same kind of moments, so mere frequency
gives no lift: what everybody does anyway has a lift of 1 after everything.

Pure, and it may take seconds: call it in a thread.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from statistics import NormalDist, median
from typing import Any, Final, Literal

DAY_MS: Final = 86_400_000

WINDOW_DAYS: Final = 7
"""Default window. What comes later than a week has other causes too."""

MAX_WINDOW_DAYS: Final = 365

MAX_EXAMPLES: Final = 5
"""People named with a figure, to look at one by one."""

CAUSAL_LIFT: Final = 1.2
CAUSAL_PEOPLE: Final = 20
CAUSAL_ORDER: Final = 0.6
"""Share of the people with both whose first A comes before their first B."""
CAUSAL_Z: Final = 2.58
CONDITIONAL_Z: Final = 1.96
"""Standard errors above the base rate: 99 and 95 % of the normal distribution."""

LEAST_EXPECTED: Final = 5
"""People expected on each side; below it, the normal distribution does not fit (Cochran, 1954)."""

Relation = Literal["sequential", "causal", "conditional"]


@dataclass(frozen=True, slots=True)
class History:
    """The events of one person, oldest first."""

    user_id: str
    types: Sequence[str]
    at_ms: Sequence[int]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Figures for `pattern`: its last event (B) after its other ones (A), within the window."""

    people: int
    """People with a B in time after an A."""
    people_before: int
    """People with an A."""
    people_without: int
    """People without an A."""
    reached_without: int
    """Of those, the ones with a B."""
    times: int
    """Moments A with a B in time after them."""
    times_before: int
    """Moments A."""
    base_rate: float
    """Share of all events of all people with a B in time after them, 0 to 1."""
    gap_s: float | None
    """Median time from an A to the next B in time; None: there is none."""
    order: float
    """Of the people with both, the share whose first A comes before their first B, 0 to 1."""
    examples: tuple[str, ...] = ()
    """Some of `people`."""
    missing: tuple[str, ...] = ()
    """Some of the people with an A and no B in time."""

    @property
    def rate(self) -> float:
        """The share of the moments A with a B in time after them, 0 to 1."""
        return self.times / self.times_before if self.times_before else 0.0

    @property
    def lift(self) -> float | None:
        """How many times the base rate; None: B never follows anything."""
        return self.rate / self.base_rate if self.base_rate else None

    @property
    def z(self) -> float:
        """
        Standard errors of `rate` above the base rate.

        People are counted, not moments: those of one person are not independent.
        """
        return z_of(self.rate, self.people_before, self.base_rate)

    @property
    def relation(self) -> Relation:
        """The strongest relation that the figures support; frequency alone supports none."""
        is_causal = (
            (self.lift or 0) >= CAUSAL_LIFT
            and self.people >= CAUSAL_PEOPLE
            and self.order >= CAUSAL_ORDER
            and self.z >= CAUSAL_Z
        )
        if is_causal:
            return "causal"
        return "conditional" if self.z >= CONDITIONAL_Z else "sequential"

    def absence(self) -> Evidence:
        """Return the figures of B not coming in time."""
        return replace(
            self,
            people=self.people_before - self.people,
            reached_without=self.people_without - self.reached_without,
            times=self.times_before - self.times,
            base_rate=1 - self.base_rate,
            gap_s=None,
            order=0.0,
            examples=self.missing,
            missing=self.examples,
        )

    def facts(self) -> dict[str, Any]:
        """Return the figures as JSON."""
        lift = self.lift
        return {
            "people": self.people,
            "people_before": self.people_before,
            "people_without": self.people_without,
            "reached_without": self.reached_without,
            "times": self.times,
            "times_before": self.times_before,
            "rate": round(self.rate, 4),
            "base_rate": round(self.base_rate, 4),
            "lift": None if lift is None else round(lift, 3),
            "gap_s": self.gap_s,
            "examples": list(self.examples),
        }


def z_of(rate: float, count: int, base_rate: float) -> float:
    """
    Return the standard errors of a share of `count` above a base rate.

    Where fewer than `LEAST_EXPECTED` people are expected on either side, it is 0: nothing is
    known.
    """
    spread = base_rate * (1 - base_rate)
    if count * min(base_rate, 1 - base_rate) < LEAST_EXPECTED or not spread:
        return 0.0
    return (rate - base_rate) / sqrt(spread / count)


def clear_z(comparisons: int) -> float:
    """
    Return from how many standard errors on a difference is clear, among so many comparisons.

    It is 5 % for all of them together (Bonferroni): among sixty brands, three would differ
    clearly by chance alone otherwise.
    """
    return NormalDist().inv_cdf(1 - 0.05 / (2 * max(1, comparisons)))


@dataclass(slots=True)
class Stands:
    """Where the events of one person stand, by type."""

    history: History
    at: dict[str, list[int]] = field(default_factory=dict)
    """Their times in Unix milliseconds."""

    @classmethod
    def of(cls, history: History) -> Stands:
        stands = cls(history)
        for kind, at_ms in zip(history.types, history.at_ms, strict=True):
            stands.at.setdefault(kind, []).append(at_ms)
        return stands

    def gap_ms(self, kind: str, after_ms: int, window_ms: int) -> int | None:
        """Return the time to the next event of this type; None: none comes in time."""
        at = self.at.get(kind, ())
        number = bisect_right(at, after_ms)
        if number == len(at) or at[number] - after_ms > window_ms:
            return None
        return at[number] - after_ms

    def moments(self, events: Sequence[str]) -> Sequence[int]:
        """Return when the last of these events happens with the others, in order, before it."""
        done = -1
        for kind in events[:-1]:
            at = self.at.get(kind, ())
            number = bisect_right(at, done)
            if number == len(at):
                return ()
            done = at[number]
        last = self.at.get(events[-1], [])
        return last[bisect_right(last, done) :] if done >= 0 else last


def evidence(
    histories: Iterable[History],
    patterns: Iterable[Sequence[str]],
    *,
    window_days: float = WINDOW_DAYS,
) -> list[Evidence]:
    """Return the figures of each pattern (two or more events), in their order."""
    window_ms = round(window_days * DAY_MS)
    people = [Stands.of(history) for history in histories]
    bases: dict[str, float] = {}
    found = []
    for *before, last in patterns:
        if last not in bases:
            bases[last] = base_rate(people, last, window_ms)
        found.append(_evidence(people, before, last, bases[last], window_ms))
    return found


def base_rate(people: Sequence[Stands], kind: str, window_ms: int) -> float:
    """Return the share of all events with one of this type in time after them."""
    moments = followed = 0
    for stands in people:
        moments += len(stands.history.at_ms)
        if kind in stands.at:
            gaps = (stands.gap_ms(kind, at, window_ms) for at in stands.history.at_ms)
            followed += sum(gap is not None for gap in gaps)
    return followed / moments if moments else 0.0


def _evidence(
    people: Sequence[Stands], before: Sequence[str], last: str, base: float, window_ms: int
) -> Evidence:
    gaps: list[int] = []
    named: tuple[list[str], list[str]] = ([], [])
    had = reached = reached_without = times_before = both = in_order = 0
    for stands in people:
        moments = stands.moments(before)
        if not moments:
            reached_without += last in stands.at
            continue
        had += 1
        times_before += len(moments)
        if last in stands.at:
            both += 1
            in_order += moments[0] < stands.at[last][0]
        theirs = [stands.gap_ms(last, at, window_ms) for at in moments]
        in_time = [gap for gap in theirs if gap is not None]
        gaps += in_time
        reached += bool(in_time)
        examples = named[0] if in_time else named[1]
        if len(examples) < MAX_EXAMPLES:
            examples.append(stands.history.user_id)
    return Evidence(
        people=reached,
        people_before=had,
        people_without=len(people) - had,
        reached_without=reached_without,
        times=len(gaps),
        times_before=times_before,
        base_rate=base,
        gap_s=median(gaps) / 1000 if gaps else None,
        order=in_order / both if both else 0.0,
        examples=tuple(named[0]),
        missing=tuple(named[1]),
    )


def repeats(
    histories: Iterable[History], kinds: Iterable[str], *, window_days: float = WINDOW_DAYS
) -> dict[str, dict[str, Any]]:
    """Return for each type how many people have it, and how many again in time."""
    window_ms = round(window_days * DAY_MS)
    people = [Stands.of(history) for history in histories]
    found: dict[str, dict[str, Any]] = {}
    for kind in kinds:
        theirs = [stands for stands in people if kind in stands.at]
        gaps = [
            gap
            for stands in theirs
            if (gap := stands.gap_ms(kind, stands.at[kind][0], window_ms)) is not None
        ]
        found[kind] = {
            "people": len(theirs),
            "again": len(gaps),
            "rate": round(len(gaps) / len(theirs), 4) if theirs else 0.0,
            "gap_s": median(gaps) / 1000 if gaps else None,
        }
    return found


# People by their traits

Traits = Mapping[str, Mapping[str, str]]
"""For each person (id) the value of each known trait: `{"user_1": {"价位": "高"}}`."""


def trait_evidence(
    histories: Iterable[History], traits: Traits, outcome: str, *, least: int = 1
) -> list[tuple[str, str, Evidence]]:
    """
    Return how often the people with each value of each trait reach the outcome, at any time.

    The most telling ones come first; values of fewer than `least` people are left out.
    """
    reached = {one.user_id: outcome in one.types for one in histories}
    base = sum(reached.values()) / len(reached) if reached else 0.0
    groups: dict[tuple[str, str], list[str]] = {}
    for user_id in reached:
        for trait, value in traits.get(user_id, {}).items():
            groups.setdefault((trait, value), []).append(user_id)
    found = []
    for (trait, value), ids in groups.items():
        if len(ids) < least:
            continue
        those = [user_id for user_id in ids if reached[user_id]]
        figures = Evidence(
            people=len(those),
            people_before=len(ids),
            people_without=len(reached) - len(ids),
            reached_without=sum(reached.values()) - len(those),
            times=len(those),
            times_before=len(ids),
            base_rate=base,
            gap_s=None,
            order=0.0,
            examples=tuple(those[:MAX_EXAMPLES]),
        )
        found.append((trait, value, figures))
    return sorted(found, key=lambda one: (-abs(one[2].z), one[0], one[1]))
