"""S3.7: figures over events by HTTP, inventing models, and questions that a graph cannot answer."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from support.readers import View, look
from support.servers import Served
from support.upstream import Upstream, answer

from .test_contract_s3_graph import abstracted, ask, cited, draw, of, read, written

__all__ = ["abstracted"]  # the fixture

INVENTED = {
    "nodes": [
        {"id": "n1", "type": "event", "name": "看直播", "description": "93% 的人看"},
        {"id": "n2", "type": "event", "name": "收藏商品", "description": "58% 的人收藏"},
        {"id": "n3", "type": "result", "name": "购买", "description": ""},
        {"id": "n4", "type": "result", "name": "退货", "description": ""},
    ],
    "edges": [
        {"from": "n1", "to": "n3", "relation_type": "causal", "relation_desc": "常常"},
        {"from": "n2", "to": "n3", "relation_type": "causal", "relation_desc": "3% 的人"},
        {"from": "n3", "to": "n2", "relation_type": "sequential", "relation_desc": ""},
    ],
    "insights": ["收藏之后 3% 的人购买", "看直播的人更常购买", "收藏的人也常购买"],
}


async def got(client: httpx.AsyncClient, served: Served, path: str, **params: Any) -> Any:
    response = await client.get(f"{served.url}{path}", params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def findings(client: httpx.AsyncClient, served: Served, run_id: str) -> list[str]:
    view = await look(client, f"{served.url}/v1/runs/{run_id}/events?dialect=native")
    warnings = [e["data"] for e in view.seen.documents if e.get("type") == "warning.raised"]
    return [one["kind"] for one in warnings if one.get("code") == "ungrounded"]


async def test_d2_what_a_model_invents_is_not_drawn_and_not_stored(
    client: httpx.AsyncClient, abstracted: Served, upstream: Upstream
) -> None:
    upstream.play = [written(INVENTED)]
    view = await draw(client, abstracted)
    assert [node["name"] for node in of(view, "node")] == ["收藏商品", "购买"]
    (edge,) = of(view, "edge")
    assert (edge["from"], edge["to"], edge["relation_type"]) == ("n2", "n3", "sequential")
    assert edge["relation_desc"] == ""
    assert edge["evidence"]["examples"]
    assert of(view, "node")[0]["description"] == ""
    assert of(view, "insight") == ["收藏的人也常购买"]
    kept = await read(client, abstracted, view.run_id)
    assert (kept["nodes"], kept["edges"]) == (of(view, "node"), [edge])
    kinds = await findings(client, abstracted, view.run_id)
    assert set(kinds) == {"name", "percentage", "relation"}
    assert kinds.count("name") == 3, "two nodes, and the insight that speaks of one"


async def test_d5_every_pattern_has_base_rate_lift_gap_and_people(
    client: httpx.AsyncClient, abstracted: Served
) -> None:
    found = await got(
        client, abstracted, "/api/v1/patterns", outcome="下单", limit=5, window_days=2
    )
    assert len(found["patterns"]) == 5
    for pattern in found["patterns"]:
        assert pattern["events"][-1] == "购买"
        assert {"base_rate", "lift", "gap_s", "people", "people_without", "examples"} <= (
            pattern["evidence"].keys()
        )
        assert (pattern["evidence"]["gap_s"] or 0) <= 2 * 86_400
    one = await got(client, abstracted, "/api/v1/patterns", query="user_0002")
    assert one["users"] == 1


async def test_event_types_tell_how_often_each_comes_again(
    client: httpx.AsyncClient, abstracted: Served
) -> None:
    found = await got(client, abstracted, "/api/v1/event-types")
    assert (found["users"], found["outcome"]) == (4, "购买")
    by_type = {one["type"]: one for one in found["types"]}
    assert 0 <= by_type["启动APP"]["again"] <= by_type["启动APP"]["people"] == 4


async def test_drop_off_names_the_people_page_by_page(
    client: httpx.AsyncClient, abstracted: Served
) -> None:
    asked = {"start": "浏览", "window_days": 0.001}
    found = await got(client, abstracted, "/api/v1/drop-off", **asked)
    assert (found["start"], found["outcome"]) == ("浏览商品", "购买")
    assert found["dropped"] + found["reached"] + found["undecided"] == 4
    assert len(found["people"]) == found["dropped"] >= 2
    pages, after = [], ""
    while after is not None:
        page = await got(client, abstracted, "/api/v1/drop-off", limit=1, after=after, **asked)
        pages += page["people"]
        after = page["next"]
    assert pages == found["people"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/drop-off?start=没有的", 404),
        ("/api/v1/drop-off?start=浏览&outcome=没有的", 404),
        ("/api/v1/patterns?outcome=没有的", 404),
        ("/api/v1/drop-off", 422),
        ("/api/v1/drop-off?start=浏览&window_days=0", 422),
        ("/api/v1/patterns?window_days=9999", 422),
        ("/api/v1/graphs/nope/questions", 404),
    ],
)
async def test_figures_of_what_there_is_not_are_refused(
    client: httpx.AsyncClient, abstracted: Served, path: str, status: int
) -> None:
    assert (await client.get(abstracted.url + path)).status_code == status


QUESTIONS = {
    "为什么收藏之后没有购买？": True,
    "浏览商品之后多久购买？": True,
    "What leads to a purchase?": True,
    "天气会影响购买吗？": False,
    "今天天气怎么样？": False,
}


async def test_d6_five_questions_are_answered_from_the_graph_or_declined(
    client: httpx.AsyncClient, abstracted: Served
) -> None:
    drawn = await draw(client, abstracted, model="offline")
    for question, is_answered in QUESTIONS.items():
        view = await ask(client, abstracted, drawn.run_id, question, "offline")
        ending = view.seen.documents[-1]
        assert (question, ending["is_answered"]) == (question, is_answered)
        assert bool(ending["nodes"]) is is_answered
        assert ("图里没有说" in text_of(view)) is not is_answered
        assert await findings(client, abstracted, view.run_id) == []
    path = f"/api/v1/graphs/{drawn.run_id}/questions"
    asked = await got(client, abstracted, path)
    assert {one["question"]: one["is_answered"] for one in asked["questions"]} == QUESTIONS
    page = await got(client, abstracted, path, limit=2)
    rest = await got(client, abstracted, path, before=page["next"])
    assert page["questions"] + rest["questions"] == asked["questions"]
    assert asked["total"] == 5
    await client.delete(f"{abstracted.url}/api/v1/graphs/{drawn.run_id}")
    assert (await client.get(abstracted.url + path)).status_code == 404


def text_of(view: View) -> str:
    return "".join(f["content"] for f in view.seen.documents if f["type"] == "llm_chunk")


@pytest.mark.parametrize(
    ("said", "is_answered", "kinds"),
    [
        ("收藏之后常常购买 [n2][n3]。", True, []),
        ("收藏之后常常购买。", False, ["citation"]),
        ("图里没有说为什么。", False, []),
        ("图里没有说，[n2] 也没有。", False, []),
        ("收藏之后 3% 的人购买 [n2][n3]。", True, ["percentage"]),
    ],
)
async def test_d6_an_answer_of_a_real_model_is_checked_too(
    client: httpx.AsyncClient,
    abstracted: Served,
    upstream: Upstream,
    said: str,
    is_answered: bool,
    kinds: list[str],
) -> None:
    upstream.play = [written(INVENTED), answer(said)]
    drawn = await draw(client, abstracted)
    view = await ask(client, abstracted, drawn.run_id, "收藏的人会购买吗？")
    assert view.seen.documents[-1]["is_answered"] is is_answered
    assert await findings(client, abstracted, view.run_id) == kinds
    assert bool(cited(view)) is ("[n2]" in said)
    prompt = upstream.requests[-1].question
    assert '"lift"' in prompt, "the numbers are in the prompt"
    assert "user_00" not in prompt, "and no people"


async def test_d6_a_question_on_something_else_asks_no_model(
    client: httpx.AsyncClient, abstracted: Served, upstream: Upstream
) -> None:
    upstream.play = [written(INVENTED)]
    drawn = await draw(client, abstracted)
    view = await ask(client, abstracted, drawn.run_id, "今天天气怎么样？")
    assert text_of(view) == "图里没有说：天气。"
    assert len(upstream.requests) == 1
    run = await got(client, abstracted, f"/v1/runs/{view.run_id}")
    assert run["result"] == {"nodes": [], "is_answered": False}
    assert run["status"] == "completed"
