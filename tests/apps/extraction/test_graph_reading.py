"""A graph that is still being written, and answers from one: what is told, and what is left out."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest

from unspool.apps.extraction import graph_reading as reading
from unspool.apps.extraction.graph_facts import facts_of
from unspool.apps.extraction.graph_prompts import answer_prompt, graph_prompt
from unspool.apps.extraction.graph_reading import CitationReader, GraphReader
from unspool.providers import Prompt
from unspool.providers.offline_model.answers import answer_to


class Told:
    def __init__(self) -> None:
        self.items: list[tuple[str, dict[str, Any]]] = []
        self.warnings: list[str] = []

    def found(self, kind: str, item: Any, *, step: str = "") -> None:
        self.items.append((kind, dict(item)))

    def warn(self, message: str, **facts: Any) -> None:
        self.warnings.append(message)


NAMES = [f"第{n}" for n in range(1, 31)]
STEPS = [{"events": list(pair)} for pair in combinations([*NAMES, "好"], 2)]


def read(text: str, size: int = 1000) -> tuple[Told, GraphReader]:
    told = Told()
    reader = GraphReader(told, "graph", facts_of(STEPS))
    for at in range(0, len(text), size):
        reader.feed(text[at : at + size])
    reader.end()
    return told, reader


def nodes(*types: str) -> list[dict[str, str]]:
    return [{"id": f"n{n}", "type": kind, "name": f"第{n}"} for n, kind in enumerate(types, 1)]


GRAPH = {
    "edges": [{"from": "n1", "to": "n3", "relation_type": "conditional", "relation_desc": "因"}],
    "nodes": nodes("event", "result", "result"),
    "insights": ["结论", 3, True],
    "title": "另外的",
}


def test_edges_before_their_nodes_are_told_when_both_are_there() -> None:
    told, reader = read(json.dumps(GRAPH, ensure_ascii=False))
    assert [kind for kind, _ in told.items] == [
        "node",
        "node",
        "node",
        "edge",
        "insight",
        "insight",
    ]
    assert reader.insights == ["结论", "3"]
    assert told.warnings == ["结论为空、重复或过多"]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_what_is_told_does_not_depend_on_where_the_text_is_cut(size: int) -> None:
    text = f"说明：{json.dumps(GRAPH, ensure_ascii=False)} 完"
    whole, cut = read(text)[0], read(text, size)[0]
    assert (cut.items, cut.warnings) == (whole.items, whole.warnings)


def test_what_cannot_be_read_is_left_out_and_the_rest_is_not() -> None:
    text = '{"nodes": [{"id": "n1", "name": 坏}, {"id": "n2", "name": "好"}], "edges": 5}'
    told, reader = read(text)
    assert list(reader.nodes) == ["n2"]
    assert any("无法读取" in message for message in told.warnings)


def test_too_much_is_left_out_with_one_word_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_NODES", 3)
    for limit in ("MAX_EDGES", "MAX_INSIGHTS"):
        monkeypatch.setattr(reading, limit, 2)
    ends = [{"from": "n1", "to": end, "relation_type": "sequential"} for end in ("n2", "n3", "n3")]
    graph = {
        "nodes": nodes(*["result"] * 30),
        "edges": [*ends, ends[0]],
        "insights": ["一", "二", "三"],
    }
    told, reader = read(json.dumps(graph))
    counts = len(reader.nodes), len(reader.edges), len(reader.insights)
    assert counts == (3, 2, 2)
    assert told.warnings[-1] == "另有 10 处未计入图"


def test_ids_with_commas_and_names_across_pieces_are_cited() -> None:
    told = Told()
    reader = CitationReader(told, "answer", {"a, b": "一", "c": "二"})
    for piece in ("见 [a", ", b] 和 [c；", "c]，", "[没有完"):
        reader.feed(piece)
    reader.end()
    assert reader.cited == ["a, b", "c"]
    assert told.warnings == []


def said_to(prompt: str) -> str:
    return answer_to(Prompt.of(prompt).messages)


def test_the_built_in_model_draws_both_sides_of_an_outcome() -> None:
    step = {"events": ["浏览", "购买"], "support": 0.3, "confidence": 0.4}
    graph = json.loads(said_to(graph_prompt(facts_of([step]))))
    results = [node["name"] for node in graph["nodes"] if node["type"] == "result"]
    assert results == ["购买", "未购买"]
    names = {node["id"]: node["name"] for node in graph["nodes"]}
    edges = [(names[edge["from"]], names[edge["to"]]) for edge in graph["edges"]]
    assert edges == [("浏览", "购买"), ("浏览", "未购买")]
    assert "60%" in graph["edges"][1]["relation_desc"]


@pytest.mark.parametrize(
    "graph",
    [
        {"nodes": [{"id": "n1", "name": "购买"}], "edges": []},
        {
            "nodes": [{"id": "n1", "name": "购买"}],
            "edges": [{"from": "n1", "to": "n9", "relation_desc": ""}],
        },
        {"nodes": [{"id": "n1", "name": "购买"}], "edges": [{"from": "n1"}]},
        {"nodes": [], "edges": []},
    ],
)
def test_the_built_in_model_answers_from_any_graph(graph: dict[str, Any]) -> None:
    assert said_to(answer_prompt("为什么购买？", graph)).strip()
