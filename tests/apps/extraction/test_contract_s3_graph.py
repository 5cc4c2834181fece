"""S3.7: graphs of causes as they grow, questions over them, and files of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from xml.etree import ElementTree as Xml

import httpx
import pytest

from support.extraction import GRAPH, url_of
from support.patience import within
from support.readers import View, look, post, with_cuts
from support.servers import Serve, Served, ServeModel
from support.upstream import CUT, DONE, SILENCE, Upstream, answer, chunk

GENERATE = "/api/v1/causal-graph/generate/llm-stream"
UNENDED = json.dumps(GRAPH, ensure_ascii=False)[:-2]
USERS = [f"user_00{n:02d}" for n in range(1, 5)]


def written(graph: object) -> list[Any]:
    text = f"```json\n{json.dumps(graph, ensure_ascii=False)}\n```"
    return answer(*(text[at : at + 9] for at in range(0, len(text), 9)))


@pytest.fixture
async def abstracted(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> Served:
    """A server with the events of some people, which the built-in model has written."""
    served = serve_model()
    asked = (client.post(url_of(served, user), json={"model": "offline"}) for user in USERS)
    await asyncio.gather(*asked)
    return served


async def draw(client: httpx.AsyncClient, served: Served, **asked: Any) -> View:
    return await post(client, served.url + GENERATE, asked)


async def read(client: httpx.AsyncClient, served: Served, graph_id: str) -> dict[str, Any]:
    return dict((await client.get(f"{served.url}/api/v1/graphs/{graph_id}")).json())


def of(view: View, kind: str) -> list[Any]:
    return [f[kind] for f in view.seen.documents if f["type"] == kind]


def bare(edge: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in edge.items() if name != "evidence"}


def cited(view: View) -> list[Any]:
    return [f["node"] for f in view.seen.documents if f["type"] == "citation"]


async def test_s3_7_each_part_of_a_graph_is_told_the_moment_it_is_whole(
    client: httpx.AsyncClient, abstracted: Served, upstream: Upstream
) -> None:
    upstream.play = [written(GRAPH)]
    view = await draw(client, abstracted, title="早间", most=5)
    told = view.seen.documents
    assert told[0] == {"type": "start", "message": "开始生成因果图..."}
    assert told[1] == {"type": "progress", "message": "正在调用LLM分析 16 个频繁模式..."}
    assert "frequent_patterns" in upstream.requests[0].question
    assert of(view, "node")[0] == GRAPH["nodes"][0]
    # The figures are ours, whatever a model writes.
    assert [bare(edge) for edge in of(view, "edge")] == GRAPH["edges"]
    assert all(edge["evidence"]["people"] for edge in of(view, "edge"))
    assert of(view, "insight") == GRAPH["insights"]
    # The first node is told when its last brace has come, not at the end.
    before = told[: [f["type"] for f in told].index("node")]
    said = "".join(f["content"] for f in before if f["type"] == "llm_chunk")
    assert '"打开"}' in said
    assert "n3" not in said
    assert told[-3:] == [
        {"type": "progress", "message": "正在保存因果图到数据库..."},
        {"type": "progress", "message": "成功保存 4 个节点、3 条边"},
        {
            "type": "done",
            "message": "因果图生成完成",
            "node_count": 4,
            "edge_count": 3,
            "insight_count": 2,
        },
    ]
    kept = await read(client, abstracted, view.run_id)
    assert (kept["title"], kept["is_whole"]) == ("早间", True)
    assert kept["edges"] == of(view, "edge")
    assert len(kept["patterns"]) == 16
    url = f"{abstracted.url}/v1/runs/{view.run_id}/events"
    assert [each async for each in with_cuts(client, url, every=7)] == view.seen.frames


async def test_s3_7_what_says_nothing_is_left_out_with_a_word(
    client: httpx.AsyncClient, abstracted: Served, upstream: Upstream
) -> None:
    nodes = [
        GRAPH["nodes"][0],
        GRAPH["nodes"][0],
        {"id": 7, "type": "奇怪", "name": "购买"},
        {"id": "", "name": None},
        "不是节点",
        {"id": "n3", "type": "RESULT", "name": "流失"},
        {"id": "n4", "type": "event", "name": "启动应用"},
    ]
    edges = [
        {"from": "n1", "to": "n9", "relation_type": "sequential"},
        {"from": "n1", "to": "n1", "relation_type": "sequential"},
        {"source": "n1", "target": "7", "relation_type": "也许"},
        {"from": "n1", "to": "7", "relation_type": "sequential"},
        [1],
    ]
    graph = {"edges": edges, "nodes": nodes, "insights": ["一", "一", {"text": "二"}, None]}
    upstream.play = [written(graph)]
    view = await draw(client, abstracted)
    assert [node["id"] for node in of(view, "node")] == ["n1", "7", "n3"]
    assert [(edge["from"], edge["to"]) for edge in of(view, "edge")] == [("n1", "7")]
    assert of(view, "insight") == ["一", "二"]
    warnings = [f["message"] for f in view.seen.documents if f["type"] == "warning"]
    for words in ("n9", "n1 → n1", "也许", "重复", "奇怪", "没有 id", "1 个结果节点", "说的都是"):
        assert any(words in message for message in warnings), words
    assert view.seen.documents[-1]["type"] == "done"


@pytest.mark.parametrize(
    "case",
    [
        (answer("我画不出来。"), "nothing_found", "没有 JSON"),
        (answer(json.dumps(GRAPH | {"edges": []})), "nothing_found", ""),
        (answer('{"nodes": [{"id": "n1", "name": "购买"}, {"id": "n2'), "answer_unfit", "没有写完"),
        ([chunk(UNENDED), chunk(finish="length"), DONE], "length", "没有写完"),
        ([chunk('{"nodes": [{"id": "n1", "name": "购买"}, {"id'), CUT], "connection", ""),
    ],
)
async def test_s3_7_a_broken_graph_is_no_success_and_its_whole_parts_are_kept(
    client: httpx.AsyncClient, abstracted: Served, upstream: Upstream, case: tuple[Any, str, str]
) -> None:
    script, code, words = case
    upstream.play = [script]
    view = await draw(client, abstracted)
    assert view.seen.documents[-1]["type"] == "error"
    run = (await client.get(f"{abstracted.url}/v1/runs/{view.run_id}")).json()
    assert (run["status"], run["error"]["code"]) == ("incomplete", code)
    assert words in " ".join(run["warnings"])
    assert len(upstream.requests) == 1, "JSON is not gone on with in words"
    graphs = (await client.get(f"{abstracted.url}/api/v1/graphs")).json()
    if "n1" in run["text"]:
        assert (graphs["total"], graphs["graphs"][0]["is_whole"]) == (1, False)
    else:
        assert graphs == {"graphs": [], "total": 0, "next": None}


async def test_s3_7_a_model_that_only_repeats_itself_is_let_go(
    client: httpx.AsyncClient, abstracted: Served, upstream: Upstream
) -> None:
    nodes = ", ".join(json.dumps(node) for node in GRAPH["nodes"])
    again = json.dumps(GRAPH["nodes"][0])
    loop = [chunk(f'{{"nodes": [{nodes}'), *[chunk(f", {again}")] * 40]
    upstream.play = [[*loop, SILENCE]]
    async with within(10):
        view = await draw(client, abstracted)
    run = (await client.get(f"{abstracted.url}/v1/runs/{view.run_id}")).json()
    assert run["error"]["code"] == "nothing_found", "nodes alone are no graph"
    assert any("不再读下去" in message for message in run["warnings"])


async def test_s3_7_without_events_there_is_nothing_to_draw(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    view = await post(client, serve_with().url + GENERATE, {})
    assert view.status == 200
    assert [f["type"] for f in view.seen.documents] == ["start", "error"]


async def test_s3_7_without_a_key_the_built_in_model_draws_and_answers(
    client: httpx.AsyncClient, abstracted: Served
) -> None:
    view = await draw(client, abstracted, model="offline")
    kept = await read(client, abstracted, view.run_id)
    assert sum(node["type"] == "result" for node in kept["nodes"]) >= 2
    assert kept["edges"]
    assert kept["insights"]
    assert not [f for f in view.seen.documents if f["type"] == "warning"]
    answered = await ask(client, abstracted, view.run_id, "为什么收藏之后没有购买？", "offline")
    nodes = answered.seen.documents[-1]["nodes"]
    assert nodes
    assert nodes == cited(answered)
    assert {node["id"] for node in nodes} <= {node["id"] for node in kept["nodes"]}


async def test_s3_7_an_equal_graph_is_answered_from_the_cache(
    client: httpx.AsyncClient, abstracted: Served
) -> None:
    read = {"Unspool-Cache": "read"}
    asked = {"model": "offline"}
    url = abstracted.url + GENERATE
    first = await post(client, url, asked, headers=read)
    assert (await post(client, url, asked, headers=read)).run_id == first.run_id
    assert (await post(client, url, {**asked, "force": True}, headers=read)).run_id != first.run_id


# Questions


async def ask(
    client: httpx.AsyncClient, served: Served, graph_id: str, question: str, model: str = ""
) -> View:
    url = f"{served.url}/api/v1/causal-graph/{graph_id}/ask/llm-stream"
    return await post(client, url, {"question": question, "model": model})


async def test_s3_7_an_answer_names_the_nodes_it_stands_on(
    client: httpx.AsyncClient, abstracted: Served, upstream: Upstream
) -> None:
    said = "启动之后常常购买 [n1][n", "3]，看尺码更是 [n2、n3]。", "还有 [n9] 和【n1】，[注", "]。"
    upstream.play = [written(GRAPH), answer(*said)]
    drawn = await draw(client, abstracted)
    view = await ask(client, abstracted, drawn.run_id, "为什么购买？")
    told = view.seen.documents
    assert [f["type"] for f in told[:2]] == ["start", "progress"]
    assert "".join(f["content"] for f in told if f["type"] == "llm_chunk") == "".join(said)
    nodes = [
        {"id": "n1", "name": "启动APP"},
        {"id": "n3", "name": "购买"},
        {"id": "n2", "name": '"查看尺码"'},
    ]
    assert cited(view) == nodes
    done = {"type": "done", "message": "回答完成", "nodes": nodes, "is_answered": True}
    assert told[-1] == done
    warnings = [f["message"] for f in told if f["type"] == "warning"]
    assert ["n9" in warnings[0], "注" in warnings[1], len(warnings)] == [True, True, 2]
    assert "为什么购买？" in upstream.requests[1].question
    upstream.play = [answer("不知道。")]
    view = await ask(client, abstracted, drawn.run_id, "为什么购买？")
    assert (view.seen.documents[-1]["nodes"], view.seen.documents[-1]["is_answered"]) == ([], False)
    assert "没有指出" in view.seen.raw.decode()


async def test_s3_7_questions_that_cannot_be_asked_are_refused(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    assert (await ask(client, shared_server, "nope", "为什么？")).status == 404
    assert (await ask(client, shared_server, "nope", "")).status == 422


# Files


async def test_s3_7_graphs_are_listed_exported_and_forgotten(
    client: httpx.AsyncClient, abstracted: Served, upstream: Upstream
) -> None:
    upstream.play = [written(GRAPH)]
    ids = [(await draw(client, abstracted, title=f"图{n}")).run_id for n in range(3)]
    url = f"{abstracted.url}/api/v1/graphs"
    page = (await client.get(f"{url}?limit=2")).json()
    assert [graph["id"] for graph in page["graphs"]] == ids[:0:-1]
    assert (page["total"], page["graphs"][0]["node_count"]) == (3, 4)
    rest = (await client.get(f"{url}?limit=2&before={page['next']}")).json()
    assert ([graph["id"] for graph in rest["graphs"]], rest["next"]) == ([ids[0]], None)
    assert (await client.delete(f"{url}/{ids[0]}")).status_code == 204
    for method, path in (("GET", ""), ("GET", "/export"), ("DELETE", "")):
        assert (await client.request(method, f"{url}/{ids[0]}{path}")).status_code == 404
    assert (await client.get(f"{url}/{ids[1]}/export?format=pdf")).status_code == 422


async def test_s3_7_every_export_can_be_read_elsewhere(
    client: httpx.AsyncClient, abstracted: Served, upstream: Upstream
) -> None:
    upstream.play = [written(GRAPH)]
    view = await draw(client, abstracted)
    url = f"{abstracted.url}/api/v1/graphs/{view.run_id}/export"
    as_json = await client.get(url)
    assert [bare(edge) for edge in as_json.json()["edges"]] == GRAPH["edges"]
    assert as_json.json() == {k: (await read(client, abstracted, view.run_id))[k] for k in GRAPH}
    assert f'filename="graph-{view.run_id}.json"' in as_json.headers["content-disposition"]

    xml = Xml.fromstring((await client.get(f"{url}?format=graphml")).content)
    space = {"g": "http://graphml.graphdrawing.org/xmlns"}
    ids = [node.get("id") for node in xml.iterfind(".//g:node", space)]
    assert ids == ["n1", "n2", "n3", "n4"]
    told = [data.text or "" for data in xml.iterfind(".//g:node[2]/g:data", space)]
    assert told == ["feature", '"查看尺码"', "a < b & c"]
    ends = [(e.get("source"), e.get("target")) for e in xml.iterfind(".//g:edge", space)]
    assert ends == [(edge["from"], edge["to"]) for edge in GRAPH["edges"]]
    known = {key.get("id") for key in xml.iterfind("g:key", space)}
    assert {data.get("key") for data in xml.iterfind(".//g:data", space)} == known

    mermaid = (await client.get(f"{url}?format=mermaid")).text.splitlines()
    assert mermaid == [
        "flowchart LR",
        '  n1["启动APP"]',
        '  n2(["#quot;查看尺码#quot;"])',
        '  n3{{"购买"}}',
        '  n4{{"离开"}}',
        '  n1 -->|"常常"| n3',
        '  n2 -->|"若#lt;看#gt;"| n3',
        "  n2 --> n4",
    ]


async def test_s3_7_a_graph_can_be_watched_in_another_contract(
    client: httpx.AsyncClient, abstracted: Served, upstream: Upstream
) -> None:
    upstream.play = [written(GRAPH)]
    drawn = await draw(client, abstracted)
    url = f"{abstracted.url}/v1/runs/{drawn.run_id}/events"
    lines = await look(client, f"{url}?dialect=extraction")
    assert lines.seen.documents[-1]["type"] == "done"
