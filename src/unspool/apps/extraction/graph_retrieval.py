"""
Chooses the parts of a graph that a question is about.

The words of the question choose nodes by name, id and usual other words; the edges between them,
and those that touch them, come with their figures. A question without any such word is about
the whole graph, or about something that is not in it. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

from .event_words import mentions, outcome_of

MAX_EDGES: Final = 24
"""In one prompt, the ones with the clearest figures; a model reads no more with care."""

MAX_INSIGHTS: Final = 5


@dataclass(frozen=True, slots=True)
class Selection:
    """What a graph holds on a question."""

    nodes: list[Mapping[str, Any]]
    edges: list[Mapping[str, Any]]
    insights: list[str]
    unknown: tuple[str, ...]
    """Words of the question that are in no name of the graph."""

    @property
    def is_empty(self) -> bool:
        return not self.nodes

    def parts(self) -> dict[str, Any]:
        """Return the chosen parts in the form of a graph."""
        return {"nodes": self.nodes, "edges": self.edges, "insights": self.insights}


def retrieve(question: str, graph: Mapping[str, Any]) -> Selection:
    """Choose from a graph (`nodes`, `edges`, `insights`) what a question is about."""
    nodes = {str(node["id"]): node for node in graph.get("nodes") or [] if "id" in node}
    names = {str(node.get("name") or node_id): node_id for node_id, node in nodes.items()}
    edges = [one for one in graph.get("edges") or [] if _ends(one) <= nodes.keys()]
    said = mentions(question, names)
    asked = [names[name] for name in said.names] + _ids(question, nodes)
    if asked:
        chosen = _between(asked, edges, names)
    elif said.unknown:
        return Selection([], [], [], said.unknown)
    else:
        chosen = edges
    chosen = sorted(chosen, key=_weight, reverse=True)[:MAX_EDGES]
    ids = {end for edge in chosen for end in _ends(edge)}
    if not chosen and len(asked) == 1:
        ids = set(asked)
    mentioned = {str(nodes[node_id].get("name")) for node_id in ids}
    insights = [
        text
        for text in graph.get("insights") or []
        if not asked or set(mentions(text, names).names) & mentioned
    ]
    shown = [node for node_id, node in nodes.items() if node_id in ids]
    return Selection(shown, chosen, insights[:MAX_INSIGHTS] if shown else [], said.unknown)


def _between(
    asked: Sequence[str], edges: Sequence[Mapping[str, Any]], names: Mapping[str, str]
) -> list[Mapping[str, Any]]:
    """Return the edges among the nodes in question; if there is one node only, all of its own."""
    opposite = {}
    for name, node_id in names.items():
        if (outcome := outcome_of(name, names)) is not None and outcome in names:
            opposite[names[outcome]] = node_id
            opposite[node_id] = names[outcome]
    groups = {frozenset({one, opposite.get(one, one)}) for one in asked}
    touched = {node_id for group in groups for node_id in group}
    among = [edge for edge in edges if _ends(edge) <= touched]
    if len(groups) > 1:
        return among or _through(groups, edges)
    return [edge for edge in edges if _ends(edge) & touched]


def _through(
    groups: set[frozenset[str]], edges: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the edges of paths with one node between two groups."""
    ends = {node_id: group for group in groups for node_id in group}
    into: dict[str, list[Mapping[str, Any]]] = {}
    for edge in edges:
        if edge["from"] in ends:
            into.setdefault(str(edge["to"]), []).append(edge)
    found = []
    for edge in edges:
        if edge["to"] in ends:
            for first in into.get(str(edge["from"]), ()):
                if ends[str(first["from"])] != ends[str(edge["to"])]:
                    found += [one for one in (first, edge) if one not in found]
    return found


def _ids(question: str, nodes: Mapping[str, Any]) -> list[str]:
    words = re.findall(r"[\w.:-]+", question)
    return [node_id for node_id in nodes if not node_id.isdigit() and node_id in words]


def _ends(edge: Mapping[str, Any]) -> set[str]:
    return {str(edge.get("from")), str(edge.get("to"))}


def _weight(edge: Mapping[str, Any]) -> float:
    """Return how far the figures of an edge are from the base rate, with people as the scale."""
    evidence = edge.get("evidence") or {}
    distance = abs(float(evidence.get("rate") or 0) - float(evidence.get("base_rate") or 0))
    return distance * sqrt(float(evidence.get("people_before") or 0))
