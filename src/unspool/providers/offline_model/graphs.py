"""
What the built-in model writes where a graph of causes, or an answer from one, is asked for.

It reads the data in the question and says nothing that is not in it: names become nodes, patterns
with a relation become edges, an answer tells the edges that it gets. Recognised by the words of
our own prompts (`apps.extraction.graph_prompts`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .text import Messages, question_in

_NAME: Final = re.compile(r"^- (.+)（(event|feature|result)）$", re.MULTILINE)
_PATTERN: Final = re.compile(r"^\d+\. (.+?)（(支持度 .+?)）(?: \[(\w+)\])?$", re.MULTILINE)
_FIGURE: Final = re.compile(r"(支持度|置信度|基准|提升度|间隔中位数) ([^，]+)|(\d+) 人")
_GRAPH: Final = re.compile(r"^【因果图】\n(\{.*\})$", re.MULTILINE)
_UNKNOWN: Final = re.compile(r"^【图里没有的词】(.+)$", re.MULTILINE)
_QUESTION: Final = re.compile(r"^【问题】(.+)$", re.MULTILINE)

MAX_TOLD: Final = 4
"""Edges that an answer tells, and insights of a graph."""

LEAST_RESULTS: Final = 2


def answer(messages: Messages) -> str | None:
    """Return a graph or an answer where the question asks for one; else None."""
    question = question_in(messages)
    if "frequent_patterns" in question and (patterns := _PATTERN.findall(question)):
        steps = [_Line.of(*found) for found in patterns]
        drawn = _graph(_NAME.findall(question), steps)
        return json.dumps(drawn, ensure_ascii=False, indent=1)
    graph, request = _GRAPH.search(question), _QUESTION.search(question)
    if graph and request:
        unknown = _UNKNOWN.search(question)
        return _from_graph(graph[1], unknown[1] if unknown else "")
    return None


@dataclass(frozen=True, slots=True)
class _Line:
    """A pattern: its names, its figures in words, and the strongest relation it supports."""

    names: tuple[str, ...]
    figures: Mapping[str, str]
    relation: str

    @classmethod
    def of(cls, names: str, figures: str, relation: str) -> _Line:
        said = {name or "人": value or people for name, value, people in _FIGURE.findall(figures)}
        return cls(tuple(names.split(" → ")), said, relation)

    @property
    def told(self) -> str:
        """The figures that say how often the last name comes after the others."""
        words = []
        if "人" in self.figures:
            words.append(f"{self.figures['人']} 人如此")
        words.append(f"置信度 {self.figures.get('置信度', '未知')}")
        if "提升度" in self.figures:
            words.append(f"基准 {self.figures['基准']}，提升度 {self.figures['提升度']}")
        if "间隔中位数" in self.figures:
            words.append(f"间隔中位数 {self.figures['间隔中位数']}")
        return "，".join(words)

    @property
    def short(self) -> str:
        """The figure that a person reads first, and what it is held against."""
        lift = self.figures.get("提升度")
        return f"置信度 {self.figures.get('置信度', '未知')}" + (f"，提升度 {lift}" if lift else "")

    @property
    def weight(self) -> float:
        """How far the lift is from 1: the most telling pattern is the first insight."""
        try:
            return abs(float(self.figures.get("提升度", "1")) - 1)
        except ValueError:
            return 0.0


def _graph(names: Sequence[tuple[str, str]], steps: Sequence[_Line]) -> dict[str, Any]:
    is_marked = any(step.relation for step in steps)
    drawn = [s for s in steps if len(s.names) == 2 and (s.relation or not is_marked)]
    drawn = [step for step in drawn if step.names[0] != step.names[1]]
    used = {name for step in drawn for name in step.names}
    kinds = {name: kind for name, kind in names if name in used or kind == "result" or not used}
    lasting = [name for name in reversed(kinds) if kinds[name] == "event"]
    missing = LEAST_RESULTS - sum(kind == "result" for kind in kinds.values())
    kinds |= dict.fromkeys(lasting[: max(0, missing)], "result")
    ids = {name: f"n{number}" for number, name in enumerate(kinds, start=1)}
    nodes = [
        {"id": ids[name], "type": kind, "name": name, "description": _about(name, steps)}
        for name, kind in kinds.items()
    ]
    edges: dict[tuple[str, ...], dict[str, Any]] = {}
    for step in drawn:
        start, end = step.names
        edge = {"from": ids[start], "to": ids[end], "relation_type": step.relation or "sequential"}
        edges.setdefault(step.names, {**edge, "relation_desc": step.short})
    ranked = sorted(steps, key=lambda step: -step.weight)
    insights = [f"{'之后'.join(step.names)}：{step.told}" for step in ranked[:MAX_TOLD]]
    return {"nodes": nodes, "edges": list(edges.values()), "insights": insights}


def _about(name: str, steps: Sequence[_Line]) -> str:
    return f"出现在 {sum(name in step.names for step in steps)} 个频繁模式里"


def _from_graph(raw: str, unknown: str) -> str | None:
    try:
        graph = json.loads(raw)
        nodes = {node["id"]: node["name"] for node in graph["nodes"]}
        edges = [(edge["from"], edge["to"], _figures(edge)) for edge in graph["edges"]]
    except (ValueError, KeyError, TypeError):
        return None
    said = list(_told(nodes, edges))[:MAX_TOLD]
    if unknown or not said:
        return f"图里没有说{f'：{unknown}' if unknown else ''}。"
    return "从图中可以看到：\n" + "\n".join(said)


def _figures(edge: Mapping[str, Any]) -> str:
    """Return the figures of an edge in words; without any, its description."""
    known = edge.get("evidence")
    if not known:
        return str(edge["relation_desc"])
    words = [
        f"{known['people']} 人如此",
        f"置信度 {known['rate']:.0%}，基准 {known['base_rate']:.0%}",
    ]
    if known.get("lift") is not None:
        words.append(f"提升度 {known['lift']:.2f}")
    if known.get("gap_s") is not None:
        words.append(f"间隔中位数 {_duration(known['gap_s'])}")
    return "，".join(words)


def _duration(seconds: float) -> str:
    for unit, length in (("天", 86_400), ("小时", 3600), ("分钟", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} 秒"


def _told(nodes: Mapping[str, str], edges: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    for start, end, figures in edges:
        if start in nodes and end in nodes:
            told = f"：{figures}" if figures else ""
            yield f"{nodes[start]} [{start}] 之后{nodes[end]} [{end}]{told}。"
    if not edges:
        for node_id, name in nodes.items():
            yield f"图中有 {name} [{node_id}]，没有说它和别的有什么关系。"
