"""The edges that a question gets are those that it is about."""

from __future__ import annotations

from typing import Any

import pytest

from unspool.apps.extraction.graph_retrieval import MAX_EDGES, retrieve


def edge(start: str, end: str, rate: float = 0.5) -> dict[str, Any]:
    evidence = {"rate": rate, "base_rate": 0.5, "people_before": 100}
    return {"from": start, "to": end, "relation_type": "sequential", "evidence": evidence}


NAMES = ["浏览商品", "收藏商品", "加购", "购买", "未购买", "价位：高", "分享商品"]
GRAPH = {
    "nodes": [{"id": f"n{n}", "type": "event", "name": name} for n, name in enumerate(NAMES)],
    "edges": [
        *(edge("n0", "n3", 0.6), edge("n0", "n4", 0.4), edge("n1", "n3", 0.3)),
        *(edge("n1", "n4", 0.7), edge("n0", "n1"), edge("n2", "n3", 0.9), edge("n5", "n4", 0.8)),
    ],
    "insights": ["收藏之后 30% 购买", "加购之后 90% 购买"],
}


def ends(question: str) -> list[tuple[str, str]]:
    return [(one["from"], one["to"]) for one in retrieve(question, GRAPH).edges]


@pytest.mark.parametrize(
    ("question", "edges"),
    [
        ("为什么收藏之后没有购买？", {("n1", "n3"), ("n1", "n4")}),
        ("收藏的人会买吗", {("n1", "n3"), ("n1", "n4")}),
        ("加购后多久下单？", {("n2", "n3")}),
        ("贵的东西是不是没人买", {("n5", "n4")}),
        ("n2 怎么样", {("n2", "n3")}),
        ("从浏览到收藏的比例", {("n0", "n1")}),
        ("Does adding to cart lead to a purchase?", {("n2", "n3")}),
    ],
)
def test_a_question_gets_the_edges_between_what_it_names(
    question: str, edges: set[tuple[str, str]]
) -> None:
    assert set(ends(question)) == edges


def test_a_question_on_one_outcome_gets_all_that_leads_to_it_and_away() -> None:
    found = ends("什么影响购买？")
    assert set(found) == {
        *(("n0", "n3"), ("n0", "n4"), ("n1", "n3"), ("n1", "n4"), ("n2", "n3"), ("n5", "n4")),
    }
    assert found[0] == ("n2", "n3"), "the clearest first"


@pytest.mark.parametrize(
    "question", ["今天天气怎么样？", "谁是美国总统", "写一首诗", "What is the capital of France?"]
)
def test_d6_a_question_on_something_else_gets_nothing(question: str) -> None:
    found = retrieve(question, GRAPH)
    assert found.is_empty
    assert found.unknown
    assert (found.edges, found.insights) == ([], [])


def test_two_steps_without_a_relation_get_nothing() -> None:
    found = retrieve("分享之后会加购吗？", GRAPH)
    assert found.is_empty
    assert found.unknown == ()


def test_two_steps_with_another_one_between_them_get_that_path() -> None:
    graph = {**GRAPH, "edges": [edge("n0", "n1"), edge("n1", "n2"), edge("n2", "n3")]}
    found = retrieve("浏览和加购有什么关系", graph)
    assert [(one["from"], one["to"]) for one in found.edges] == [("n0", "n1"), ("n1", "n2")]


def test_a_question_on_the_graph_itself_gets_its_clearest_edges() -> None:
    assert ends("这张图说明了什么？")[0] == ("n2", "n3")
    many = [edge(f"a{n}", f"b{n}", n / 100) for n in range(60)]
    nodes = [{"id": f"{side}{n}", "name": f"{side}{n}"} for n in range(60) for side in "ab"]
    assert len(retrieve("说明了什么", {"nodes": nodes, "edges": many}).edges) == MAX_EDGES


def test_insights_come_along_where_they_are_about_the_same() -> None:
    assert retrieve("浏览之后收藏吗", GRAPH).insights == ["收藏之后 30% 购买"]


@pytest.mark.parametrize(
    "graph", [{}, {"nodes": []}, {"nodes": [{"name": "购买"}], "edges": [{"from": 1}]}]
)
def test_graphs_of_other_programs_may_be_empty_or_broken(graph: dict[str, Any]) -> None:
    assert retrieve("为什么购买？", graph).is_empty
