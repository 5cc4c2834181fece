"""The patterns for a graph: both sides of the outcome, no cycles, traits of people."""

from __future__ import annotations

from graphlib import TopologicalSorter

import pytest

from support.histories import by_chance, joined, people
from unspool.apps.extraction.evidence import Traits
from unspool.apps.extraction.graph_facts import facts_of
from unspool.apps.extraction.graph_patterns import PatternSearch, graph_patterns, outcome_in

SHOP = {"购买": 0.8, "浏览商品": 0.13, "加购": 0.05, "收藏商品": 0.02}


@pytest.mark.parametrize("min_support", [0.05, 0.5, 1.0])
def test_d6_both_sides_of_the_outcome_are_in_whatever_the_support(min_support: float) -> None:
    """Thirty frequent patterns of other events must not push 购买 out."""
    busy = by_chance(dict.fromkeys("甲乙丙丁戊己", 1.0), count=300)
    buyers = people(*["收藏商品0 购买1"] * 12, *["收藏商品0"] * 20)
    patterns = graph_patterns(joined(busy, buyers), {}, PatternSearch(min_support=min_support))
    facts = facts_of(patterns)
    assert facts.terms["购买"] == facts.terms["未购买"] == "result"
    assert ("收藏商品", "购买") in facts.relations
    assert facts.relations["收藏商品", "未购买"]["users"] == 20


def test_d5_edges_have_no_cycles_no_loops_and_nothing_comes_after_the_outcome() -> None:
    for seed in range(5):
        histories = by_chance({**SHOP, "购买": 0.3, "分享商品": 0.2}, seed=seed, count=150)
        facts = facts_of(graph_patterns(histories, {}, PatternSearch(most=200, min_support=0.01)))
        before: dict[str, set[str]] = {}
        for start, end in facts.relations:
            before.setdefault(end, set()).add(start)
            assert start not in (end, "购买")
        assert list(TopologicalSorter(before).static_order())


def test_cycles_are_there_where_they_are_wanted() -> None:
    histories = people(*["浏览商品0 购买1 浏览商品2"] * 9)
    wanted = PatternSearch(is_acyclic=False)
    facts = facts_of(graph_patterns(histories, {}, wanted), is_acyclic=False)
    assert any(start == "购买" for start, _ in facts.relations)
    assert all(start != end for start, end in facts.relations)


def test_every_edge_has_its_figures_and_example_people() -> None:
    for pattern in graph_patterns(by_chance(SHOP), {}, PatternSearch()):
        if pattern.get("relation"):
            evidence = pattern["evidence"]
            assert min(evidence["people"], evidence["lift"]) > 0
            assert 1 <= len(evidence["examples"]) <= 5


def test_d5_traits_that_tell_who_buys_are_in_and_others_are_not() -> None:
    histories = people(*["看0 购买1"] * 60, *["看0"] * 60)
    traits: Traits = {
        one.user_id: {
            "价位": "高" if (number % 10 < 8) == (number >= 60) else "低",
            "城市": f"城{number % 3}",
        }
        for number, one in enumerate(histories)
    }
    facts = facts_of(graph_patterns(histories, traits, PatternSearch()))
    told = {pair for pair in facts.relations if "：" in pair[0]}
    assert told == {("价位：高", "未购买"), ("价位：低", "购买")}
    assert facts.terms["价位：高"] == "feature"
    assert facts.relations["价位：低", "购买"]["relation"] == "conditional"


@pytest.mark.parametrize(
    ("lines", "word", "outcome"),
    [
        (["看0 购买1"], "", "购买"),
        (["看0 下单1", "看0"], "", "下单"),
        (["看0 藏1", "看0 藏1", "看0"], "", "藏"),
        (["看0 藏1 购买2"], "藏", "藏"),
        (["浏览商品0 购买2"], "下单", "购买"),
        (["看0"], "购买", ""),
    ],
)
def test_the_outcome_is_the_one_in_question_or_the_best_known(
    lines: list[str], word: str, outcome: str
) -> None:
    assert outcome_in(people(*lines), word) == outcome


def test_without_events_there_are_no_patterns() -> None:
    assert graph_patterns([], {}, PatternSearch()) == []
