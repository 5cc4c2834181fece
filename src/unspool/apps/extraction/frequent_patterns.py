"""
Finds frequent sequences of event types: the events that people often have in this order.

The algorithm is PrefixSpan (Pei et al., "PrefixSpan: Mining Sequential Patterns Efficiently by
Prefix-Projected Pattern Growth", ICDE 2001), the most frequent prefix first. A longer pattern is
never more frequent than its beginning, so patterns come out in order of frequency, and the
search can stop anywhere.

Pure, and it may take seconds: call it in a thread.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import ceil
from typing import Final

MAX_LENGTH: Final = 8
"""Events in a pattern; longer ones add nothing to shorter ones."""

MAX_PATTERNS: Final = 500
"""In one answer; people and models read the first dozens."""

MAX_SEQUENCE: Final = 1000
"""Events of one user, the newest ones; a chain of causes lasts days, not years."""

MAX_LOOKS: Final = 4_000_000
"""Look-ups of the next event of a type: a few seconds of work."""

_Places = list[tuple[int, int]]
"""The users with a pattern, each with the position after it."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A sequence of event types; other events may stand between them."""

    events: tuple[str, ...]
    users: int
    """Number of users with the pattern."""
    support: float
    """Share of all users, 0 to 1."""
    confidence: float
    """Share of the users with all events but the last, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Mined:
    """
    The result of a search.

    Attributes:
        users: Number of users in the search.
        is_whole: False if the search stopped at `MAX_LOOKS`.
    """

    patterns: list[Pattern]
    users: int
    is_whole: bool = True


def frequent_patterns(
    sequences: Sequence[Sequence[str]],
    *,
    min_support: float = 0.2,
    max_length: int = 4,
    most: int = 50,
    last: str = "",
) -> Mined:
    """
    Find the patterns of two or more events that at least a share `min_support` of the users has.

    The most frequent comes first; if two are equally frequent, the shorter. A type that follows
    itself counts once: ten viewed products are one step. `max_length` and `most` are limited to
    `MAX_LENGTH` and `MAX_PATTERNS`. With `last`, only patterns that end in this type count.
    """
    users = len(sequences)
    growth = _Growth(
        [_stands([kind for kind, _ in groupby(one)][-MAX_SEQUENCE:]) for one in sequences],
        max(1, ceil(min_support * users - 1e-9)),
        min(max_length, MAX_LENGTH),
    )
    patterns: list[Pattern] = []
    for events, count, before in growth.patterns():
        if len(patterns) == min(most, MAX_PATTERNS):
            break
        if last and events[-1] != last:
            continue
        patterns.append(Pattern(events, count, count / users, count / before))
    return Mined(patterns, users, growth.looks < MAX_LOOKS)


def _stands(sequence: Sequence[str]) -> dict[str, list[int]]:
    """Return the positions of each type."""
    places: dict[str, list[int]] = {}
    for at, kind in enumerate(sequence):
        places.setdefault(kind, []).append(at)
    return places


@dataclass(slots=True)
class _Growth:
    stands: Sequence[dict[str, list[int]]]
    least: int
    longest: int
    looks: int = 0
    _waiting: list[tuple[int, int, tuple[str, ...], int, _Places]] = field(default_factory=list)
    """Users (negative), length, pattern, then users and positions of its beginning."""

    def patterns(self) -> Iterator[tuple[tuple[str, ...], int, int]]:
        """Yield each pattern with its users and those of its beginning, most users first."""
        self._grow((), [(number, 0) for number in range(len(self.stands))])
        while self._waiting and self.looks < MAX_LOOKS:
            users, length, events, before, places = heapq.heappop(self._waiting)
            if length > 1:
                yield events, -users, before
            if length < self.longest:
                # Only now, because most waiting patterns never grow.
                self._grow(events, list(self._behind(events[-1], places)))

    def _behind(self, kind: str, places: _Places) -> Iterator[tuple[int, int]]:
        for number, start in places:
            at = self.stands[number].get(kind, ())
            if at and at[-1] >= start:
                yield number, at[bisect_left(at, start)] + 1

    def _grow(self, events: tuple[str, ...], places: _Places) -> None:
        users: Counter[str] = Counter()
        for number, start in places:
            stands = self.stands[number]
            self.looks += len(stands)
            users.update([kind for kind, at in stands.items() if at[-1] >= start])
        for kind, count in users.items():
            if count >= self.least:
                longer = (*events, kind)
                heapq.heappush(self._waiting, (-count, len(longer), longer, len(places), places))
