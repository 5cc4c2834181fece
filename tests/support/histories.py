"""Events of people, written down in a line: `a0 b1.5` is an `a` at the start, a `b` a day and a
half later."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from unspool.apps.extraction.evidence import DAY_MS, EventHistory


def history(user_id: str, line: str) -> EventHistory:
    events = [(word.rstrip("0123456789."), word) for word in line.split()]
    pairs = [(kind, float(word[len(kind) :]) * DAY_MS) for kind, word in events]
    return EventHistory(user_id, [kind for kind, _ in pairs], [round(at) for _, at in pairs])


def people(*lines: str) -> list[EventHistory]:
    return [history(f"u{number:03}", line) for number, line in enumerate(lines)]


def by_chance(
    weights: dict[str, float], *, count: int = 400, days: int = 10, seed: int = 7
) -> list[EventHistory]:
    """People whose events say nothing about each other: only how common each type is differs."""
    rng = Random(seed)
    kinds, shares = list(weights), list(weights.values())
    found = []
    for number in range(count):
        at = sorted(rng.randrange(days * DAY_MS) for _ in range(rng.randint(4, 16)))
        found.append(EventHistory(f"u{number:04}", rng.choices(kinds, shares, k=len(at)), at))
    return found


def joined(*groups: Iterable[EventHistory]) -> list[EventHistory]:
    """All people of the groups, each with an id of its own."""
    everybody = [one for group in groups for one in group]
    return [EventHistory(f"p{n:05}", one.types, one.at_ms) for n, one in enumerate(everybody)]
