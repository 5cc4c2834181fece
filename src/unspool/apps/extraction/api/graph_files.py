"""Writes a causal graph as a file: JSON, GraphML (Gephi, yEd, networkx), Mermaid (Markdown)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree as Xml

import msgspec

from unspool.server.api.json.run import iso

from ..records.graphs import AskedQuestion, Graph

_GRAPHML: Final = "http://graphml.graphdrawing.org/xmlns"

_UNFIT: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, escaped or not."""

_KEYS: Final = {
    "node": ("type", "name", "description"),
    "edge": ("relation_type", "relation_desc"),
}

_SHAPES: Final = {"event": ("[", "]"), "feature": ("([", "])"), "result": ("{{", "}}")}
_ARROWS: Final = {"causal": "==>", "conditional": "-.->", "sequential": "-->"}


@dataclass(frozen=True, slots=True)
class GraphFormat:
    media_type: str
    ending: str
    write: Callable[[Graph], str]


def graph_json(graph: Graph, *, is_short: bool = False) -> dict[str, Any]:
    """Return a graph as JSON; `is_short`, for lists, omits its parts."""
    facts: dict[str, Any] = {
        "id": graph.id,
        "title": graph.title,
        "is_whole": graph.is_whole,
        "created_at": iso(graph.created_ms),
        "node_count": len(graph.nodes),
        "edge_count": len(graph.edges),
    }
    if is_short:
        return facts
    parts = {"nodes": graph.nodes, "edges": graph.edges, "insights": graph.insights}
    return {**facts, **parts, "patterns": graph.patterns}


def question_json(asked: AskedQuestion) -> dict[str, Any]:
    """Return a question and its answer as JSON."""
    return {
        "id": asked.id,
        "question": asked.question,
        "answer": asked.answer,
        "nodes": asked.nodes,
        "is_answered": asked.is_answered,
        "status": asked.status,
        "created_at": iso(asked.created_ms),
    }


def _json(graph: Graph) -> str:
    parts = {"nodes": graph.nodes, "edges": graph.edges, "insights": graph.insights}
    return msgspec.json.format(msgspec.json.encode(parts), indent=2).decode()


def _graphml(graph: Graph) -> str:
    Xml.register_namespace("", _GRAPHML)
    root = Xml.Element(f"{{{_GRAPHML}}}graphml")
    for kind, names in _KEYS.items():
        for name in names:
            facts = {"id": name, "for": kind, "attr.name": name, "attr.type": "string"}
            Xml.SubElement(root, f"{{{_GRAPHML}}}key", facts)
    drawn = Xml.SubElement(root, f"{{{_GRAPHML}}}graph", {"id": "G", "edgedefault": "directed"})
    for node in graph.nodes:
        _part(drawn, "node", {"id": _fit(node["id"])}, node)
    for edge in graph.edges:
        _part(drawn, "edge", {"source": _fit(edge["from"]), "target": _fit(edge["to"])}, edge)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _part(drawn: Xml.Element, kind: str, facts: dict[str, str], values: Mapping[str, Any]) -> None:
    element = Xml.SubElement(drawn, f"{{{_GRAPHML}}}{kind}", facts)
    for name in _KEYS[kind]:
        data = Xml.SubElement(element, f"{{{_GRAPHML}}}data", {"key": name})
        data.text = _fit(str(values.get(name, "")))


def _fit(text: str) -> str:
    return _UNFIT.sub("", text)


def _mermaid(graph: Graph) -> str:
    # New ids, because a model's may be keywords of Mermaid or contain anything.
    numbers = {node["id"]: f"n{number}" for number, node in enumerate(graph.nodes, start=1)}
    lines = ["flowchart LR"]
    for node in graph.nodes:
        opens, closes = _SHAPES.get(node["type"], _SHAPES["event"])
        lines.append(f"  {numbers[node['id']]}{opens}{_quoted(node['name'])}{closes}")
    for edge in graph.edges:
        arrow = _ARROWS.get(edge["relation_type"], "-->")
        label = f"|{_quoted(edge['relation_desc'])}|" if edge["relation_desc"] else ""
        lines.append(f"  {numbers[edge['from']]} {arrow}{label} {numbers[edge['to']]}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Quote a text; Mermaid's only escapes are those of HTML, with `#` instead of `&`."""
    signs = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;"}
    return '"' + "".join(signs.get(sign, sign) for sign in " ".join(_fit(text).split())) + '"'


FORMS: Final = {
    "json": GraphFormat("application/json", "json", _json),
    "graphml": GraphFormat("application/graphml+xml", "graphml", _graphml),
    "mermaid": GraphFormat("text/plain; charset=utf-8", "mmd", _mermaid),
}
