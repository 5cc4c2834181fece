"""
Chooses the patterns that a graph is drawn from: the frequent ones, and both sides of the outcome.

Whatever the smallest support, the steps before the outcome are in, each with how often the
outcome comes and how often it does not. So are the traits of the people that reach it more, or
less, than all people do. Patterns that may become edges say so, without cycles by default.

Pure, and it may take seconds: call it in a thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .event_words import OUTCOMES, TRAIT_SIGN, plain, same_as
from .evidence import (
    CONDITIONAL_Z,
    WINDOW_DAYS,
    Evidence,
    History,
    Traits,
    clear_z,
    evidence,
    trait_evidence,
)
from .frequent_patterns import Mined, frequent_patterns
from .graph_facts import absent, acyclic

MAX_SIDES: Final = 10
"""Steps before the outcome; with its absence, each has two edges."""

MAX_TRAITS: Final = 6

LEAST_TRAIT: Final = 0.02
"""Smallest share of all people with a trait that is told."""

LEAST_TRAIT_PEOPLE: Final = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """Options of a search for patterns."""

    min_support: float = 0.2
    max_length: int = 4
    most: int = 30
    outcome: str = ""
    """An event type, or a usual word for one; empty: the best known one that there is."""
    window_days: float = WINDOW_DAYS
    is_acyclic: bool = True


def find_type(word: str, histories: Sequence[History]) -> str:
    """Return the event type that a word means, the most common one; empty: there is none."""
    people = Counter(kind for one in histories for kind in set(one.types))
    if word in people:
        return word
    same = {plain(other) for other in same_as(word)}
    return max((k for k in people if plain(k) in same), key=lambda k: (people[k], k), default="")


def outcome_in(histories: Sequence[History], word: str = "") -> str:
    """Return the outcome: that of the word, else the best known one, else the commonest ending."""
    if word:
        return find_type(word, histories)
    for known in OUTCOMES:
        if found := find_type(known, histories):
            return found
    endings = Counter(one.types[-1] for one in histories if one.types)
    return max(endings, key=lambda kind: (endings[kind], kind), default="")


def mined_patterns(
    histories: Sequence[History], wanted: Wanted
) -> tuple[Mined, list[dict[str, Any]]]:
    """Return the frequent patterns with their figures; `outcome`: only those that end in it."""
    mined = frequent_patterns(
        [one.types for one in histories],
        min_support=wanted.min_support,
        max_length=wanted.max_length,
        most=wanted.most,
        last=wanted.outcome,
    )
    figures = evidence(
        histories, [one.events for one in mined.patterns], window_days=wanted.window_days
    )
    found = [
        {
            "events": list(pattern.events),
            "users": pattern.users,
            "support": round(pattern.support, 4),
            "confidence": round(pattern.confidence, 4),
            "kind": "sequence",
            "evidence": one.facts(),
        }
        for pattern, one in zip(mined.patterns, figures, strict=True)
    ]
    return mined, found


def graph_patterns(
    histories: Sequence[History], traits: Traits, wanted: Wanted
) -> list[dict[str, Any]]:
    """Return the patterns for a graph, in the form of `graph_facts`."""
    outcome = outcome_in(histories, wanted.outcome)
    if not outcome:
        return []
    free = Wanted(wanted.min_support, wanted.max_length, wanted.most, "", wanted.window_days)
    _, frequent = mined_patterns(histories, free)
    frequent = [one for one in frequent if len(set(one["events"])) > 1]
    people = Counter(kind for one in histories for kind in set(one.types))
    starts = sorted(set(people) - {outcome}, key=lambda kind: (-people[kind], kind))[:MAX_SIDES]
    pairs = [(start, outcome) for start in starts]
    between = [
        tuple(one["events"])
        for one in frequent
        if len(one["events"]) == 2 and tuple(one["events"]) not in pairs
    ]
    figures = dict(
        zip(
            [*pairs, *between],
            evidence(histories, [*pairs, *between], window_days=wanted.window_days),
            strict=True,
        )
    )
    sides = [
        _pattern((start, end), one, len(histories), kind)
        for start, _ in pairs
        for end, one, kind in (
            (outcome, figures[start, outcome], "sequence"),
            (absent(outcome), figures[start, outcome].absence(), "absence"),
        )
        if one.people
    ]
    told = _traits(histories, traits, outcome)
    longer = [one for one in frequent if tuple(one["events"]) not in set(pairs)]
    _mark(sides + told + longer, figures, outcome, is_acyclic=wanted.is_acyclic)
    return sides + told + longer[: wanted.most]


def _pattern(events: tuple[str, str], one: Evidence, users: int, kind: str) -> dict[str, Any]:
    return {
        "events": list(events),
        "users": one.people,
        "support": round(one.people / users, 4),
        "confidence": round(one.people / one.people_before, 4),
        "kind": kind,
        "evidence": one.facts(),
        "z": round(one.z, 2),
    }


def _traits(histories: Sequence[History], traits: Traits, outcome: str) -> list[dict[str, Any]]:
    """Return the traits whose people reach the outcome clearly more, or less, often."""
    least = max(LEAST_TRAIT_PEOPLE, round(LEAST_TRAIT * len(histories)))
    known = trait_evidence(histories, traits, outcome, least=least)
    clear = clear_z(len(known))
    found: list[dict[str, Any]] = []
    for trait, value, one in known:
        if abs(one.z) < clear or len(found) == MAX_TRAITS:
            break
        end, figures = (outcome, one) if one.z > 0 else (absent(outcome), one.absence())
        name = f"{trait}{TRAIT_SIGN}{value}"
        found.append(_pattern((name, end), figures, len(histories), "feature"))
    return found


def _mark(
    patterns: Sequence[dict[str, Any]],
    figures: Mapping[tuple[str, ...], Evidence],
    outcome: str,
    *,
    is_acyclic: bool,
) -> None:
    """Say of each pattern that may be an edge which relation it supports at most."""
    steps = {tuple(one["events"]): one for one in patterns if len(one["events"]) == 2}

    def rank(pair: tuple[str, ...]) -> tuple[Any, ...]:
        return pair[-1] != outcome, -figures[pair].z, -(figures[pair].lift or 0), pair

    strongest = sorted(figures, key=rank)
    # What comes after the outcome is no way to it.
    pairs = [((a, b), steps[a, b]) for a, b in strongest if (a, b) in steps and a != outcome]
    if not is_acyclic:
        pairs = [((a, b), steps[a, b]) for a, b in strongest if (a, b) in steps and a != b]
    kept = acyclic(pairs) if is_acyclic else dict(pairs)
    for pair in kept:
        steps[pair]["relation"] = figures[pair].relation
    for pattern in patterns:
        if pattern["kind"] in ("absence", "feature"):
            is_clear = pattern["z"] >= CONDITIONAL_Z
            pattern["relation"] = "conditional" if is_clear else "sequential"
