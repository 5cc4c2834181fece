"""S3.5 to S3.7: the faces in Python, which all stream."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

import unspool
from support.extraction import GRAPH
from support.upstream import CUT, Upstream, answer, chunk
from unspool import LLMClient, LLMClientError

BEHAVIORS: dict[str, list[dict[str, Any]]] = {
    "user_1": [
        {"timestamp": "2025-11-24 09:50:50", "behavior_type": "visit", "page": "启动APP"},
        {"timestamp": "2025-11-24 09:51:50", "behavior_type": "cart", "properties": {"商品": "鞋"}},
    ],
    "user_2": [{"at": "2025-11-25 10:00:00", "action": "buy", "product": "帽\n子"}],
}
LINES = [
    "user_1|启动APP|2025-11-24 09:50:50|早间\n",
    "user_2|购买|2025-11-25 10:00:00|帽子\n",
    "user_1|加购|2025-11-24 09:51:50|鞋",
]


class Heard:
    def __init__(self) -> None:
        self.chunks: list[str] = []

    async def __call__(self, chunk: str) -> None:
        self.chunks.append(chunk)


async def test_s3_5_events_of_several_users_stream_and_are_told_to_the_callback(
    asking: LLMClient, upstream: Upstream
) -> None:
    upstream.play = [answer(*LINES)]
    heard = Heard()
    profiles = {"user_1": {"income_level": "高"}}
    saying = unspool.abstract_events_batch_stream(BEHAVIORS, profiles, heard, client=asking)
    chunks = [chunk async for chunk in saying]
    assert chunks == heard.chunks == LINES
    asked = upstream.requests[0].question
    assert "【用户】user_1\n【资料】income_level：高\n【行为】2 条\n" in asked
    assert "\n2025-11-24 09:51:50 cart；商品：鞋\n" in asked
    assert "2025-11-25 10:00:00 buy；商品：帽 子" in asked, "a value is no line of its own"


async def test_s3_5_what_is_not_streamed_is_a_fold_of_the_stream(
    asking: LLMClient, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.play = [answer(*LINES, "\nuser_3|购买|2025-11-24 09:50:50|谁")]
    with caplog.at_level(logging.WARNING):
        found = await unspool.abstract_events_batch(BEHAVIORS, client=asking)
    assert [event["type"] for event in found["user_1"]] == ["启动APP", "加购"]
    assert found["user_2"] == [
        {"user_id": "user_2", "type": "购买", "at": "2025-11-25 10:00:00", "context": "帽子"}
    ]
    assert "用户不符" in caplog.text
    assert upstream.requests[0].body["stream"] is True


async def test_s3_6_a_graph_is_drawn_from_patterns(asking: LLMClient, upstream: Upstream) -> None:
    text = json.dumps(GRAPH, ensure_ascii=False).replace("sequential", "causal")
    upstream.play = [answer(text[:40], text[40:])]
    heard = Heard()
    patterns = [
        {"events": ["启动APP", "购买"], "support": 0.5, "confidence": 0.25},
        {"events": ["a"]},
    ]
    graph = await unspool.generate_from_patterns(patterns, heard, client=asking)
    assert [node["id"] for node in graph["nodes"]] == ["n1", "n3", "n4"]
    kinds = [(edge["from"], edge["to"], edge["relation_type"]) for edge in graph["edges"]]
    # Shares alone support no cause.
    assert kinds == [("n1", "n3", "conditional")]
    assert graph["insights"] == GRAPH["insights"]
    assert "".join(heard.chunks) == text
    asked = upstream.requests[0].question
    assert (
        "\n1. 启动APP → 购买（支持度 50%，置信度 25%）\n2. a（支持度 未知，置信度 未知）\n"
        "3. 启动APP → 未购买（支持度 未知，置信度 75%）" in asked
    )


async def test_s3_6_a_graph_that_breaks_is_not_gone_on_with_in_words(upstream: Upstream) -> None:
    upstream.play = [[chunk('{"nodes": ['), CUT], answer("好的，接着写")]
    client = LLMClient(upstream.model(first_event_s=5), retries=1)
    with pytest.raises(LLMClientError) as failed:
        await unspool.generate_from_patterns([{"events": ["a", "b"]}], client=client)
    assert (failed.value.text, len(upstream.requests)) == ('{"nodes": [', 1)


async def test_s3_7_a_question_is_answered_with_the_nodes_it_stands_on(
    asking: LLMClient, upstream: Upstream
) -> None:
    upstream.play = [answer("常常 [n", "1][n3]", " [x]")]
    heard = Heard()
    answered = await unspool.answer_question_with_graph("为什么？", GRAPH, heard, client=asking)
    assert answered == {
        "answer": "常常 [n1][n3] [x]",
        "nodes": ["n1", "n3"],
        "is_answered": True,
    }
    assert len(heard.chunks) == 3


async def test_s3_5_to_7_without_a_key_the_built_in_model_answers(
    somewhere_else: None, quick_model: None
) -> None:
    found = await unspool.abstract_events_batch(BEHAVIORS)
    assert [event["type"] for event in found["user_1"]] == ["浏览商品", "加购"]
    pattern = {"events": ["浏览商品", "购买"], "support": 1, "confidence": 1}
    graph = await unspool.generate_from_patterns([pattern])
    assert len([node for node in graph["nodes"] if node["type"] == "result"]) == 2
    answered = await unspool.answer_question_with_graph("购买？", graph)
    assert set(answered["nodes"]) <= {node["id"] for node in graph["nodes"]} != set()
