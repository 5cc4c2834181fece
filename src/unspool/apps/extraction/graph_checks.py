"""
Holds the names, relations and figures of a graph, and of answers from one, against its patterns.

Pure: texts and facts in, findings out (`flows.kit.grounding`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from unspool.flows.kit.grounding import Finding, amounts

from .event_words import mentions
from .graph_facts import RELATIONS, GraphFacts, Pattern

PERCENT_SLACK: Final = 1.01
"""Points between a percentage and the known one: both may be rounded."""

TIMES_SLACK: Final = 0.06

COUNT_SLACK: Final = 0.05
"""Of a number of people: `约 120 人`."""

LEAST_COUNT: Final = 10
"""Smaller numbers of people or times are often plain words: `浏览两次`."""

MAX_KNOWN_SHOWN: Final = 4

_TIMES: Final = re.compile(r"(?P<value>\d+(?:\.\d+)?)\s*倍|提升度?\s*(?P<lift>\d+\.\d+)")


def check_name(name: str, facts: GraphFacts) -> list[Finding]:
    """Find a node whose name is in no pattern."""
    if facts.term_of(name) is not None:
        return []
    unknown = "、".join(mentions(name, facts.terms).unknown) or name
    return [Finding("name", f"节点“{name}”：频繁模式里没有“{unknown}”", name)]


def check_relation(edge: tuple[str, str], kind: str, facts: GraphFacts) -> list[Finding]:
    """Find an edge that the patterns do not support, or not as strongly."""
    start, end = edge
    told = f"{start} → {end}"
    if edge not in facts.relations:
        return [Finding("relation", f"边“{told}”：频繁模式不支持这个关系", told)]
    strongest = facts.strongest(edge)
    if RELATIONS.index(kind) <= RELATIONS.index(strongest):
        return []
    message = f"边“{told}”：证据只支持 {strongest}，不支持 {kind}"
    return [Finding("relation", message, kind, strongest)]


def check_figures(text: str, patterns: Iterable[Pattern]) -> list[Finding]:
    """Find percentages, multiples and numbers of people in a text that no pattern here has."""
    known = [dict(_figures(pattern)) for pattern in patterns]
    percents, lifts, counts = (
        {value for one in known for value in one[name]} for name in ("percent", "lift", "count")
    )
    found = []
    for amount in amounts(text):
        quote = amount.quote
        is_count = amount.unit == "count" and amount.value >= LEAST_COUNT and bool(counts)
        if amount.unit == "percent" and not _is_near(amount.value, percents, PERCENT_SLACK):
            near = _nearest(percents, amount.value)
            found.append(Finding("percentage", f"“{quote}”：频繁模式里没有这个比例", quote, near))
        elif is_count and not _is_near(amount.value, counts, COUNT_SLACK * amount.value):
            found.append(Finding("count", f"“{quote}”：频繁模式里没有这个数", quote))
    for match in _TIMES.finditer(text):
        value = float(match["value"] or match["lift"])
        if lifts and not _is_near(value, lifts, TIMES_SLACK):
            found.append(Finding("lift", f"“{match[0]}”：频繁模式里没有这个提升度", match[0]))
    return found


def check_text(text: str, facts: GraphFacts) -> list[Finding]:
    """Find the figures of a text that none of the patterns it speaks about has."""
    said = set(mentions(text, facts.terms).names)
    about = [one for one in facts.patterns if said.issuperset(one["events"])]
    ends = [one for one in facts.patterns if said.intersection(one["events"])]
    return check_figures(text, about or ends or facts.patterns)


def patterns_of(graph: Mapping[str, Any]) -> list[Pattern]:
    """Return the figures that an answer from these parts of a graph may state; none: any."""
    edges = graph.get("edges") or []
    if not any(edge.get("evidence") for edge in edges):
        return []
    texts = [*(graph.get("insights") or []), *(str(e.get("relation_desc", "")) for e in edges)]
    texts += [str(node.get("description", "")) for node in graph.get("nodes") or []]
    return [*({"events": [], **edge} for edge in edges), *_quoted_in(texts)]


def _quoted_in(texts: Iterable[str]) -> list[Pattern]:
    """Return what checked texts state, so that other texts may repeat it."""
    return [
        {"events": [], "support": amount.value / 100}
        if amount.unit == "percent"
        else {"events": [], "users": int(amount.value)}
        for text in texts
        for amount in amounts(text)
        if amount.unit in ("percent", "count")
    ]


def _figures(pattern: Pattern) -> Iterator[tuple[str, list[float]]]:
    evidence: Mapping[str, Any] = pattern.get("evidence") or {}
    shares = [pattern.get("support"), pattern.get("confidence")]
    shares += [evidence.get("rate"), evidence.get("base_rate")]
    shares += [
        _share(evidence.get("people"), evidence.get("people_before")),
        _share(evidence.get("reached_without"), evidence.get("people_without")),
    ]
    percents = [100 * share for share in shares if isinstance(share, int | float)]
    percents += [100 - percent for percent in percents]
    lift = evidence.get("lift")
    if isinstance(lift, int | float):
        percents += [abs(100 * lift - 100)]
        percents += [abs(100 * (evidence["rate"] - evidence["base_rate"]))]
    yield "percent", percents
    yield "lift", [float(lift)] if isinstance(lift, int | float) else []
    names = ("people", "people_before", "people_without", "reached_without", "times")
    counts = [evidence.get(name) for name in (*names, "times_before")] + [pattern.get("users")]
    yield "count", [float(count) for count in counts if isinstance(count, int)]


def _share(part: object, whole: object) -> float | None:
    if isinstance(part, int) and isinstance(whole, int) and whole:
        return part / whole
    return None


def _is_near(value: float, known: Iterable[float], slack: float) -> bool:
    return any(abs(value - one) <= slack for one in known)


def _nearest(percents: Iterable[float], value: float) -> str:
    near = sorted(percents, key=lambda one: abs(one - value))[:MAX_KNOWN_SHOWN]
    return "、".join(dict.fromkeys(f"{one:.0f}%" for one in near))
