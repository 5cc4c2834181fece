"""
Says what a graph may hold: the names and the relations that its patterns support.

A pattern of a prompt is a mapping with `events`, `support` and `confidence`. Those of the server
also have `kind`: `sequence`, `feature` (its first name is a trait of people) or `absence` (its
last name is an outcome that did not come); `evidence`: figures of `evidence.Evidence`; and
`relation`: the strongest relation of an edge from its first name to its second, if it is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from .event_words import ABSENT, OUTCOMES, mentions, outcome_of, plain

Pattern = Mapping[str, Any]

RELATIONS: Final = ("sequential", "conditional", "causal")
"""From the weakest statement to the strongest."""


@dataclass(frozen=True, slots=True)
class GraphFacts:
    terms: dict[str, str] = field(default_factory=dict)
    """Each name that may be a node, with the type of that node."""
    relations: dict[tuple[str, str], Pattern] = field(default_factory=dict)
    """Each edge that may be drawn, with its pattern."""
    patterns: Sequence[Pattern] = ()

    def term_of(self, name: str) -> str | None:
        """Return the name here that a model's name stands for; None: it stands for none."""
        for term in self.terms:
            if plain(term) == plain(name):
                return term
        said = mentions(name, self.terms)
        return said.names[0] if said.names and not said.unknown else None

    def strongest(self, edge: tuple[str, str]) -> str:
        """Return the strongest relation that the patterns support for an edge."""
        pattern = self.relations[edge]
        return str(pattern.get("relation") or "conditional")


def facts_of(patterns: Sequence[Pattern], *, is_acyclic: bool = True) -> GraphFacts:
    """
    Return the names and relations in patterns.

    Where no pattern says which edges there are, each step of a pattern is one, and so is not
    reaching an outcome; of two that would close a cycle, the earlier pattern has it.
    """
    is_marked = any("relation" in pattern for pattern in patterns)
    patterns = patterns if is_marked else [*patterns, *_absences(patterns)]
    facts = GraphFacts(patterns=patterns)
    for pattern in patterns:
        events = [str(event) for event in pattern["events"]]
        for number, name in enumerate(events):
            is_trait = number == 0 and pattern.get("kind") == "feature"
            facts.terms.setdefault(name, "feature" if is_trait else "event")
    results = [n for n in facts.terms if n in OUTCOMES or outcome_of(n, facts.terms) is not None]
    facts.terms.update(dict.fromkeys(results, "result"))
    pairs = [
        (pair, pattern)
        for pattern in patterns
        if not is_marked or pattern.get("relation")
        for pair in pairwise(pattern["events"])
        if pair[0] != pair[1]
    ]
    facts.relations.update(acyclic(pairs) if is_acyclic and not is_marked else pairs)
    return facts


def _absences(patterns: Sequence[Pattern]) -> list[Pattern]:
    """Return the other side of each step to an outcome: the share of people without it."""
    return [
        {
            "events": [pattern["events"][0], absent(pattern["events"][1])],
            "support": None,
            "confidence": 1 - pattern["confidence"],
            "kind": "absence",
        }
        for pattern in patterns
        if len(pattern["events"]) == 2
        and pattern["events"][1] in OUTCOMES
        and pattern.get("confidence") not in (None, 1)
    ]


def acyclic(
    pairs: Iterable[tuple[tuple[str, str], Pattern]],
) -> dict[tuple[str, str], Pattern]:
    """Return the pairs without those that would close a cycle of earlier ones."""
    kept: dict[tuple[str, str], Pattern] = {}
    after: dict[str, set[str]] = {}
    for (start, end), pattern in pairs:
        if start == end or start in after.get(end, set()) or (start, end) in kept:
            continue
        kept[start, end] = pattern
        behind = {end} | after.get(end, set())
        for name in [start, *(name for name, reached in after.items() if start in reached)]:
            after.setdefault(name, set()).update(behind)
    return kept


def absent(outcome: str) -> str:
    """Return the name of the absence of an outcome."""
    return ABSENT + outcome
