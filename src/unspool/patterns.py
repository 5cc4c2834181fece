"""
What people often do one after the other: frequent sequences of event types.

The algorithm is PrefixSpan (Pei et al., "PrefixSpan: Mining Sequential Patterns Efficiently by
Prefix-Projected Pattern Growth", ICDE 2001), the most frequent prefix first. A longer pattern is
never more frequent than its beginning, so the first `most` that come out are the most frequent
ones there are, and the work is bounded by `most`, whatever the data.

Pure, and it may take a while: call it in a thread.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

MAX_LENGTH: Final = 8
"""Of a pattern; longer ones repeat what shorter ones say."""

MAX_PATTERNS: Final = 500
"""In one answer; people and models read the first dozens."""

MAX_SEQUENCE: Final = 1000
"""Newest events of one user that are looked at; a chain of causes is days long, not years."""

_Places = list[tuple[int, int]]
"""In which sequences a pattern is, and from where on what comes after it stands."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One after the other, with anything between them."""

    events: tuple[str, ...]
    users: int
    """Who did so."""
    support: float
    """Share of all users, 0 to 1."""
    confidence: float
    """Share of those who did all but the last, who then did the last as well."""


def frequent_patterns(
    sequences: Sequence[Sequence[str]],
    *,
    min_support: float = 0.2,
    max_length: int = 4,
    most: int = 50,
) -> list[Pattern]:
    """
    Return the patterns of two and more events that at least `min_support` of the users share.

    The most frequent one comes first. A type that follows itself counts once: who looks at ten
    products has looked at products. `max_length` and `most` are cut to our limits.
    """
    said = [[kind for kind, _ in groupby(sequence)][-MAX_SEQUENCE:] for sequence in sequences]
    least = max(1, -int(-min_support * len(said) // 1))
    found: list[Pattern] = []
    grown = _grown(said, least, min(max_length, MAX_LENGTH))
    for events, users, before in grown:
        if len(found) == min(most, MAX_PATTERNS):
            break
        found.append(Pattern(events, users, users / len(said), users / before))
    return found


def _grown(
    said: Sequence[Sequence[str]], least: int, longest: int
) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Yield each pattern with its users and those of its beginning, by falling users."""
    # Of equally frequent ones the shorter, then the alphabet: the same data, the same order.
    waiting: list[tuple[int, int, tuple[str, ...], int, _Places]] = []
    everywhere = [(number, 0) for number in range(len(said))]
    _grow(waiting, (), everywhere, said, least)
    while waiting:
        users, length, events, before, places = heapq.heappop(waiting)
        if length > 1:
            yield events, -users, before
        if length < longest:
            _grow(waiting, events, places, said, least)


def _grow(
    waiting: list[tuple[int, int, tuple[str, ...], int, _Places]],
    events: tuple[str, ...],
    places: _Places,
    said: Sequence[Sequence[str]],
    least: int,
) -> None:
    after: dict[str, _Places] = {}
    for number, start in places:
        sequence = said[number]
        firsts: dict[str, int] = {}
        for at in range(start, len(sequence)):
            firsts.setdefault(sequence[at], at)
        for kind, at in firsts.items():
            after.setdefault(kind, []).append((number, at + 1))
    for kind, there in after.items():
        if len(there) >= least:
            longer = (*events, kind)
            heapq.heappush(waiting, (-len(there), len(longer), longer, len(places), there))
