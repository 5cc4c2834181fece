"""
Says of stored events which behaviour each stands on, and what does not stand about it.

An event holds no reference to a behaviour: a model wrote it from many. So it is looked up by its
time and type, with the rules that its run was held against (`event_checks`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unspool.flows.kit.grounding import Finding
from unspool.records.behaviors import Behavior

from .event_checks import Grounds, known_from, source_of
from .records.events import PersonEvent


@dataclass(frozen=True, slots=True)
class Standing:
    """An event with its behaviour and its finding, if it has them."""

    event: PersonEvent
    behavior: Behavior | None
    finding: Finding | None


def standings(
    events: Sequence[PersonEvent], behaviors: Sequence[Behavior], names: Mapping[str, str]
) -> list[Standing]:
    """
    Hold events against the behaviours of their person, both oldest first.

    `names` has the names of their products by SKU. It takes a tenth of a second for thousands of
    behaviours: call it in a thread.
    """
    known = known_from(
        {
            "at": _text(one),
            "action": one.action,
            "product": names.get(one.sku or "", ""),
            "properties": one.properties,
        }
        for one in behaviors
    )
    grounds = Grounds(known)
    found = []
    for event in events:
        findings = grounds.check("", event.type, _text(event))
        place = source_of(known, event.type, event.at.timestamp())
        behavior = None if place is None else behaviors[place]
        found.append(Standing(event, behavior, next(iter(findings), None)))
    return found


def _text(one: PersonEvent | Behavior) -> str:
    return f"{one.at:%Y-%m-%d %H:%M:%S}"
