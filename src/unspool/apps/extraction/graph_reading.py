"""
Reads a graph while a model writes it: each node, edge and insight, the moment it is whole.

The reader leaves out unreadable and empty parts (an edge to nowhere, a repeated node) and warns
of each. It holds the others against the patterns: what no pattern supports is a finding and left
out too. An edge gets its figures from the patterns, never from the model. No text of a model
makes the reader raise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from unspool.flows import Recorder
from unspool.flows.kit.grounding import MAX_FINDINGS, Finding, report
from unspool.formats.partial_json import Found, Scanner, Unreadable

from .graph_checks import check_figures, check_name, check_relation, check_text
from .graph_facts import GraphFacts, Pattern
from .graph_prompts import NOT_SAID

NODE, EDGE, INSIGHT, CITATION = "node", "edge", "insight", "citation"
"""Kinds of the items."""

NODE_TYPES: Final = ("event", "feature", "result")
RELATION_TYPES: Final = ("sequential", "causal", "conditional")

LEAST_RESULTS: Final = 2
"""A causal graph with a single outcome explains nothing, because it rules nothing out."""

MAX_NODES: Final = 300
MAX_EDGES: Final = 1000
MAX_INSIGHTS: Final = 50
"""Of one graph; more than a person can look at."""

MAX_ID_CHARS: Final = 64
MAX_NAME_CHARS: Final = 200
MAX_TEXT_CHARS: Final = 1000
"""Of a description or an insight; a longer one is cut."""

DECLINE_CHARS: Final = 60
"""An answer that says so early that the graph has none gives none."""

MAX_WARNED: Final = 20
"""Parts left out that get a warning of their own."""


MAX_IDLE_PARTS: Final = 20
"""Parts in a row that add nothing, before the reader has enough: a small model repeats itself."""


class GraphReader:
    """
    Records the parts of a graph (`flows.Reader`).

    Attributes:
        nodes, edges, insights: The recorded parts.
    """

    def __init__(
        self,
        ctx: Recorder,
        step: str,
        facts: GraphFacts,
        enough: Callable[[], object] = lambda: None,
    ) -> None:
        """Read a graph; after `MAX_IDLE_PARTS` that add nothing, say `enough`."""
        self._ctx = ctx
        self._step = step
        self._facts = facts
        self._enough = enough
        self._idle = 0
        self._terms: dict[str, str] = {}
        """The known name of each node, by id."""
        self._invented: list[str] = []
        """Names of nodes that no pattern has; other texts may speak of them too."""
        self._findings = 0
        self._scanner = Scanner(depth=2)
        self._left_out = 0
        self._waiting: list[dict[str, str]] = []
        """Edges whose nodes have not appeared yet."""
        self._known: set[tuple[str, str]] = set()
        self.nodes: dict[str, dict[str, str]] = {}
        self.edges: list[dict[str, Any]] = []
        self.insights: list[str] = []

    def feed(self, text: str) -> None:
        for found in self._scanner.feed(text):
            self._take(found)

    def end(self) -> None:
        for edge in self._waiting:
            missing = [edge[end] for end in ("from", "to") if edge[end] not in self.nodes]
            self._leave_out(f"边 {edge['from']} → {edge['to']} 指向不存在的节点 {missing[0]}")
        self._waiting = []
        if not self._scanner.has_begun:
            self._warn("输出里没有 JSON，没有可读的图")
        elif not self._scanner.is_over:
            self._warn("JSON 没有写完，只保留已完整的部分")
        results = sum(node["type"] == "result" for node in self.nodes.values())
        if self.nodes and results < LEAST_RESULTS:
            self._warn(f"图里只有 {results} 个结果节点，至少应有 {LEAST_RESULTS} 个")
        if (more := self._left_out - MAX_WARNED) > 0:
            self._warn(f"另有 {more} 处未计入图")

    def _take(self, found: Found) -> None:
        before = self._size
        self._record(found)
        if len(found.path) == 2 or isinstance(found, Unreadable):
            self._idle = 0 if self._size > before else self._idle + 1
            if self._idle == MAX_IDLE_PARTS:
                self._warn(f"连续 {MAX_IDLE_PARTS} 处没有新内容，不再读下去")
                self._enough()

    @property
    def is_cut(self) -> bool:
        """Whether the answer ended within its JSON, and not because the reader had enough."""
        begun = self._scanner.has_begun and not self._scanner.is_over
        return begun and self._idle < MAX_IDLE_PARTS

    @property
    def _size(self) -> int:
        return len(self.nodes) + len(self._waiting) + len(self.edges) + len(self.insights)

    def _record(self, found: Found) -> None:
        match found.path[:1]:
            case ("nodes",) if len(found.path) == 2 and not isinstance(found, Unreadable):
                self._node(found.value)
            case ("edges",) if len(found.path) == 2 and not isinstance(found, Unreadable):
                self._edge(found.value)
            case ("insights",) if len(found.path) == 2 and not isinstance(found, Unreadable):
                self._insight(found.value)
            case _ if isinstance(found, Unreadable):
                self._leave_out(f"无法读取：{found.raw[:80]}")
            case _:  # the lists themselves, the root, and members we did not request
                pass

    def _node(self, value: Any) -> None:
        fields = value if isinstance(value, Mapping) else {}
        node_id = _text(fields.get("id"), MAX_ID_CHARS)
        name = _text(fields.get("name"), MAX_NAME_CHARS)
        if not (node_id or name):
            self._leave_out("节点没有 id 和名称")
            return
        node_id = node_id or name[:MAX_ID_CHARS]
        if node_id in self.nodes or len(self.nodes) >= MAX_NODES:
            self._leave_out(f"节点 {node_id} 重复或过多")
            return
        kind = _text(fields.get("type"), MAX_ID_CHARS).lower()
        if kind not in NODE_TYPES:
            self._warn(f"节点 {node_id} 的类型 {kind or '（空）'} 不认识，按 event 处理")
            kind = "event"
        name = name or node_id
        if self._found(check_name(name, self._facts)):
            self._invented.append(name)
            return
        term = self._facts.term_of(name) or name
        if term in self._terms.values():
            self._leave_out(f"节点 {name} 与另一个节点说的都是 {term}")
            return
        self._terms[node_id] = term
        node = {"id": node_id, "type": kind, "name": name}
        node["description"] = self._grounded(fields.get("description"))
        self.nodes[node_id] = node
        self._ctx.found(NODE, node, step=self._step)
        waiting, self._waiting = self._waiting, []
        for edge in waiting:
            self._join(edge)

    def _edge(self, value: Any) -> None:
        fields = value if isinstance(value, Mapping) else {}
        start = _text(fields.get("from") or fields.get("source"), MAX_ID_CHARS)
        end = _text(fields.get("to") or fields.get("target"), MAX_ID_CHARS)
        if not (start and end) or start == end or len(self.edges) >= MAX_EDGES:
            self._leave_out(f"边 {start} → {end} 没有两个不同的端点，或边过多")
            return
        kind = _text(fields.get("relation_type"), MAX_ID_CHARS).lower()
        if kind not in RELATION_TYPES:
            self._warn(f"边 {start} → {end} 的关系 {kind or '（空）'} 不认识，按 sequential 处理")
            kind = "sequential"
        if (start, end) in self._known:
            self._leave_out(f"边 {start} → {end} 重复")
            return
        self._known.add((start, end))
        description = _text(fields.get("relation_desc"), MAX_TEXT_CHARS)
        self._join({"from": start, "to": end, "relation_type": kind, "relation_desc": description})

    def _join(self, edge: dict[str, str]) -> None:
        """Record an edge once both its nodes are known: some models write edges first."""
        if edge["from"] in self.nodes and edge["to"] in self.nodes:
            self._draw(edge)
        else:
            self._waiting.append(edge)

    def _draw(self, edge: Mapping[str, str]) -> None:
        """Record an edge that the patterns support, as strong as they do, with their figures."""
        pair = self._terms[edge["from"]], self._terms[edge["to"]]
        findings = check_relation(pair, edge["relation_type"], self._facts)
        self._found(findings)
        if pair not in self._facts.relations:
            return
        pattern = self._facts.relations[pair]
        wrong = check_figures(edge["relation_desc"], [pattern])  # no other step's figures
        self._found(wrong)
        drawn: dict[str, Any] = dict(edge)
        if wrong:
            drawn["relation_desc"] = ""
        if findings:
            drawn["relation_type"] = self._facts.strongest(pair)
        if pattern.get("evidence"):
            drawn["evidence"] = pattern["evidence"]
        self.edges.append(drawn)
        self._ctx.found(EDGE, drawn, step=self._step)

    def _insight(self, value: Any) -> None:
        fields = value if isinstance(value, Mapping) else {}
        text = _text(fields.get("text") or fields.get("insight") or value, MAX_TEXT_CHARS)
        if not text or text in self.insights or len(self.insights) >= MAX_INSIGHTS:
            self._leave_out("结论为空、重复或过多")
            return
        if self._found(self._check(text)):
            return
        self.insights.append(text)
        self._ctx.found(INSIGHT, {"text": text}, step=self._step)

    def _grounded(self, value: object) -> str:
        """Return a description; one with figures that are not known is empty."""
        text = _text(value, MAX_TEXT_CHARS)
        return "" if self._found(self._check(text)) else text

    def _check(self, text: str) -> list[Finding]:
        named = [name for name in self._invented if name in text]
        invented = [Finding("name", f"频繁模式里没有“{name}”", name) for name in named]
        return invented + check_text(text, self._facts)

    def _found(self, findings: list[Finding]) -> bool:
        """Record findings, within their limit; return whether there are any."""
        report(self._ctx, findings[: max(0, MAX_FINDINGS - self._findings)], step=self._step)
        self._findings += len(findings)
        return bool(findings)

    def _leave_out(self, message: str) -> None:
        self._left_out += 1
        if self._left_out <= MAX_WARNED:
            self._warn(message)

    def _warn(self, message: str) -> None:
        self._ctx.warn(message, step=self._step, code="unread_graph")


def _text(value: object, most: int) -> str:
    """Return a text in one line, cut to `most`; numbers count as text, other values as empty."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return " ".join(str(value).split())[:most]


_CITED: Final = re.compile(r"[\[【]([^\[\]【】\n]{1,200})[\]】]")
_OPENED: Final = re.compile(r"[\[【][^\[\]【】\n]{0,200}\Z")
_BETWEEN: Final = re.compile(r"[,，、;；\s]+")


class CitationReader:
    """
    Records each node that an answer cites as `[id]`, once (`flows.Reader`).

    An answer that cites none, and does not say that the graph has no answer, is a finding; so
    are figures that are not in the patterns of the graph.

    Attributes:
        cited: Ids of the cited nodes of the graph, in order of appearance.
    """

    def __init__(
        self,
        ctx: Recorder,
        step: str,
        nodes: Mapping[str, str],
        patterns: Sequence[Pattern] = (),
    ) -> None:
        self._ctx = ctx
        self._step = step
        self._nodes = nodes
        self._patterns = patterns
        self._rest = ""
        self._text: list[str] = []
        self._unknown: set[str] = set()
        self.cited: list[str] = []

    @property
    def is_answered(self) -> bool:
        """Whether the answer stands on the graph: it cites a node, and does not decline."""
        return bool(self.cited) and not self._declines

    @property
    def _declines(self) -> bool:
        return NOT_SAID in "".join(self._text)[:DECLINE_CHARS]

    def feed(self, text: str) -> None:
        self._text.append(text)
        text = self._rest + text
        for found in _CITED.finditer(text):
            cited = found[1].strip()
            for node_id in [cited] if cited in self._nodes else _BETWEEN.split(cited):
                self._cite(node_id)
        opened = _OPENED.search(text)
        self._rest = opened[0] if opened else ""

    def end(self) -> None:
        text = "".join(self._text)
        findings = check_figures(text, self._patterns) if self._patterns else []
        if not (self.cited or self._declines):
            findings.append(Finding("citation", "回答没有指出它依据的节点", text.strip()))
        report(self._ctx, findings, step=self._step)

    def _cite(self, node_id: str) -> None:
        if node_id in self._nodes:
            if node_id not in self.cited:
                self.cited.append(node_id)
                item = {"id": node_id, "name": self._nodes[node_id]}
                self._ctx.found(CITATION, item, step=self._step)
        elif node_id and node_id not in self._unknown and len(self._unknown) < MAX_WARNED:
            self._unknown.add(node_id)
            message = f"回答引用了图里没有的节点 {node_id[:MAX_ID_CHARS]}"
            self._ctx.warn(message, step=self._step, code="unread_citation")
