"""What a model says of patterns: inventions are found, and honest words are left alone."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from support.histories import by_chance
from unspool.apps.extraction.event_words import mentions
from unspool.apps.extraction.graph_checks import check_name, check_relation, check_text
from unspool.apps.extraction.graph_facts import GraphFacts, facts_of
from unspool.apps.extraction.graph_patterns import PatternSearch, graph_patterns

SHOP = {"浏览商品": 5, "收藏商品": 2, "加购": 2, "购买": 2, "启动APP": 3, "分享商品": 1}
TRAITS = {
    f"u{n:04}": {"价位": "高" if n % 2 else "低", "时段": "晚间" if n % 2 else "早间"}
    for n in range(400)
}
PATTERNS = [
    *graph_patterns(
        by_chance({k: float(v) for k, v in SHOP.items()}), {}, PatternSearch(window_days=1)
    ),
    *(
        {
            "events": [name, "购买"],
            "kind": "feature",
            "relation": "conditional",
            "support": 0.21,
            "confidence": 0.62,
            "evidence": {"rate": 0.62, "base_rate": 0.5, "lift": 1.24, "people": 84},
        }
        for name in ("价位：高", "时段：晚间", "品牌：VIVO", "income_level：高")
    ),
]
FACTS = facts_of(PATTERNS)


@pytest.mark.parametrize(
    "name",
    [
        *("看直播", "领取优惠券", "客服咨询", "购买后退货", "会员日", "浏览直播间", "竞品对比"),
        *("颜色：红", "价位：超高端", "天气", "物流太慢", "差评", "watch live stream", "coupon"),
        *("收藏夹降价提醒", "拼团购买", "复购意愿调查", "品牌：苹果"),
    ],
)
def test_d2_a_node_that_no_pattern_has_is_found(name: str) -> None:
    assert [one.kind for one in check_name(name, FACTS)] == ["name"]


@pytest.mark.parametrize(
    ("name", "term"),
    [
        ("购买", "购买"),
        ("下单", "购买"),
        ("下单购买", "购买"),
        ("完成购买", "购买"),
        ("浏览", "浏览商品"),
        ("多次浏览商品", "浏览商品"),
        ("加入购物车", "加购"),
        ("收藏", "收藏商品"),
        ("启动app", "启动APP"),
        ("打开应用", "启动APP"),
        ("未购买", "未购买"),
        ("没有下单", "未购买"),
        ("流失", "未购买"),
        ("用户流失", "未购买"),
        ("离开", "未购买"),
        ("价位：高", "价位：高"),
        ("高价位用户", "价位：高"),
        ("晚间活跃", "时段：晚间"),
        ("VIVO 用户", "品牌：VIVO"),
        ("Purchase", "购买"),
        ("Not purchased", "未购买"),
    ],
)
def test_usual_other_words_for_a_name_are_that_name(name: str, term: str) -> None:
    assert FACTS.term_of(name) == term
    assert check_name(name, FACTS) == []


def test_d5_frequency_makes_no_cause_and_a_step_nobody_takes_no_edge() -> None:
    edge = ("浏览商品", "购买")
    (found,) = check_relation(edge, "causal", FACTS)
    assert (found.kind, found.quote, found.known) == ("relation", "causal", "sequential")
    assert check_relation(edge, "sequential", FACTS) == []
    assert check_relation(("价位：高", "购买"), "conditional", FACTS) == []
    (found,) = check_relation(("购买", "浏览商品"), "sequential", FACTS)
    assert (found.kind, found.quote) == ("relation", "购买 → 浏览商品")


def known(facts: GraphFacts = FACTS) -> Iterator[tuple[list[str], dict[str, Any]]]:
    for pattern in facts.patterns:
        if pattern.get("evidence", {}).get("people_before"):
            yield list(pattern["events"]), pattern["evidence"]


def honest_texts() -> Iterator[str]:
    """True sentences as analysts write them, over each pattern and each of its figures."""
    for events, one in known():
        chain, last = "之后".join(events[:-1]), events[-1]
        rate, base = 100 * one["rate"], 100 * one["base_rate"]
        yield f"{chain}之后，{rate:.0f}% 的情况会{last}，基准是 {base:.0f}%。"
        yield f"有 {one['people']} 人在{chain}之后{last}，置信度 {rate:.1f}%"
        yield f"{chain} → {last}：提升度 {one['lift']:.2f}，间隔中位数是 2.5 小时"
        yield f"{chain} → {last}：置信度约 {round(rate)}%，与基准差 {abs(rate - base):.0f}%"
        yield f"做过{chain}的 {one['people_before']} 位用户里，约 {one['people']} 人{last}"
        yield f"从{chain}到{last}是 {one['lift']:.1f} 倍于基准"
        yield f"{100 - rate:.0f}% 的{chain}之后没有{last}，浏览两次的人也一样"
        yield f"{chain}与{last}的关系不强，建议在 3 天内提醒一次"


def test_at_least_a_hundred_honest_sentences_raise_no_alarm() -> None:
    texts = list(honest_texts())
    assert len(texts) >= 100
    alarms = [(text, found) for text in texts if (found := check_text(text, FACTS))]
    assert alarms == []


def invented_texts() -> Iterator[tuple[str, str]]:
    rng = Random(5)
    for events, one in known():
        if len(events) != 2:
            continue
        start, end = events
        taken = {one["rate"], one["base_rate"], 1 - one["rate"], 1 - one["base_rate"]}
        yield f"{start}之后 {rng.randint(200, 900)}% 的用户{end}", "percentage"
        yield f"共有 {one['people_before'] * 7 + 1000} 人在{start}之后{end}", "count"
        yield f"{start}使{end}的可能提高到 {one['lift'] + 3:.1f} 倍", "lift"
        assert taken


def test_invented_figures_are_found_each_by_its_kind() -> None:
    texts = list(invented_texts())
    assert len(texts) > 20
    assert [
        text for text, kind in texts if kind not in {f.kind for f in check_text(text, FACTS)}
    ] == []


def test_d2_a_percentage_of_other_steps_is_no_percentage_of_these() -> None:
    facts = facts_of(
        [
            {"events": ["浏览商品", "购买"], "support": 0.3, "confidence": 0.4},
            {"events": ["加购", "购买"], "support": 0.2, "confidence": 0.9},
        ]
    )
    assert check_text("加购之后 90% 会购买", facts) == []
    (found,) = check_text("浏览之后 90% 会购买", facts)
    assert (found.kind, found.quote) == ("percentage", "90%")
    assert "40%" in found.known
    (found,) = check_text("浏览之后百分之九十一会下单", facts)
    assert found.quote == "百分之九十一"


@pytest.mark.parametrize(
    ("text", "names", "unknown"),
    [
        ("为什么收藏之后没有购买？", ("收藏商品", "未购买"), ()),
        ("今天天气怎么样？", (), ("天气",)),
        ("收藏后 7 天内没有下单的人有多少", ("收藏商品", "未购买"), ()),
        ("哪些用户没下单", ("未购买",), ()),
        ("价格高的人更容易流失吗？", ("价位：高", "未购买"), ()),
        ("谁是美国总统", (), ("美国总统",)),
        ("天气会影响购买吗", ("购买",), ("天气",)),
        ("上海天气会影响购买吗", ("购买",), ("上海天气",)),
        ("这张图说明了什么？", (), ()),
        ("Why do people favourite but not buy?", ("收藏商品", "未购买"), ()),
        ("How is the weather?", (), ("weather",)),
    ],
)
def test_words_of_people_name_events(
    text: str, names: tuple[str, ...], unknown: tuple[str, ...]
) -> None:
    found = mentions(text, FACTS.terms)
    assert (found.names, found.unknown) == (names, unknown)
