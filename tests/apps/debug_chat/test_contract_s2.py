"""S2: `POST /api/debug/chat`."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from support.servers import Served, ServeModel
from support.upstream import CUT, RESET, Upstream, answer, chunk, counted, refusal

ASKED = {"model_id": 1, "prompt": "写一首关于人工智能的诗"}


async def frames(
    client: httpx.AsyncClient, served: Served, **more: Any
) -> tuple[list[dict[str, Any]], str]:
    """All frames but the last, read as the printed client does, and the last."""
    url = f"{served.url}/api/debug/chat"
    async with client.stream("POST", url, json={**ASKED, "stream": True, **more}) as response:
        assert response.status_code == 200
        assert response.headers["x-run-id"]
        lines = [line async for line in response.aiter_lines()]
    found = [line[6:] for line in lines if line.startswith("data: ")]
    return [json.loads(data) for data in found[:-1]], found[-1]


async def test_s2_4_and_6_text_streams_and_ends_with_metrics_and_done(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [answer("人工", "智能")]
    told, last = await frames(client, serve_model())
    assert last == "[DONE]"
    assert told[:2] == [{"content": "人工", "done": False}, {"content": "智能", "done": False}]
    final = told[2]
    assert set(final) == {"done", "final_response", "metrics"}
    assert final["done"] is True
    assert final["final_response"] == {
        "output": "人工智能",
        "metrics": final["metrics"],
        "status": "success",
        "finish_reason": "stop",
    }


async def test_s2_9_metrics_say_what_is_measured(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [answer("人工", "智能")]
    told, _ = await frames(client, serve_model())
    metrics = told[-1]["metrics"]
    counts = [metrics[f"{name}_tokens"] for name in ("prompt", "completion", "total")]
    assert (counts, metrics["output_length"]) == ([10, 20, 30], 4)
    assert metrics["usage_basis"] == "measured"
    assert metrics["estimated_cost"] is None, "nobody knows the price of this address"
    assert 0 <= metrics["first_token_time"] <= metrics["response_time"] < 10


async def test_s2_2_without_stream_the_answer_is_the_last_frames_response(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [answer("人工", "智能")]
    response = await client.post(f"{serve_model().url}/api/debug/chat", json=ASKED)
    whole = response.json()
    assert response.status_code == 200
    assert (whole["output"], whole["status"]) == ("人工智能", "success")
    assert whole["metrics"]["total_tokens"] == 30
    assert "tool_calls" not in whole


async def test_s2_3_the_headers_keep_proxies_from_buffering(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    url = f"{shared_server.url}/api/debug/chat"
    async with client.stream("POST", url, json={**ASKED, "stream": True}) as response:
        headers = response.headers
        await response.aread()
    wanted = ("cache-control", "connection", "x-accel-buffering")
    assert [headers[name] for name in wanted] == ["no-cache", "keep-alive", "no"]


def call(index: int, arguments: str, **more: Any) -> bytes:
    function = {"arguments": arguments, **({"name": more["name"]} if "name" in more else {})}
    named = {"id": more["id"]} if "id" in more else {}
    return chunk(tool_calls=[{"index": index, **named, "function": function}])


async def test_s2_5_tool_calls_stream_in_fragments_and_are_whole_in_the_end(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [
        [
            call(0, "", id="a", name="look"),
            call(1, '{"x":', id="b", name="find"),
            call(0, '{"q": "鞋"}'),
            call(1, " 1}"),
            chunk(finish="tool_calls"),
            counted(1, 2),
            b"data: [DONE]\n\n",
        ]
    ]
    told, last = await frames(client, serve_model())
    assert last == "[DONE]"
    fragments = [frame["tool_call"] for frame in told[:-1]]
    assert {(f["index"], f["id"], f["name"]) for f in fragments} == {
        (0, "a", "look"),
        (1, "b", "find"),
    }
    joined = {i: "".join(f["arguments"] for f in fragments if f["index"] == i) for i in (0, 1)}
    assert joined == {0: '{"q": "鞋"}', 1: '{"x": 1}'}
    calls = told[-1]["final_response"]["tool_calls"]
    assert [(c["id"], c["name"], json.loads(c["arguments"])) for c in calls] == [
        ("a", "look", {"q": "鞋"}),
        ("b", "find", {"x": 1}),
    ]


@pytest.mark.parametrize("script", [refusal(401, "wrong key"), refusal(503), [CUT]])
async def test_s2_7_a_failure_is_a_frame_and_then_done(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream, script: Any
) -> None:
    upstream.play = [script]
    told, last = await frames(client, serve_model())
    assert (len(told), last) == (1, "[DONE]")
    assert (told[0]["done"], told[0]["status"]) == (True, "error")
    assert told[0]["error"]
    assert told[0]["final_response"]["output"] == ""


async def test_s2_7_a_broken_answer_keeps_what_came_and_is_no_success(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("今天推荐"), 0.02, RESET]]
    served = serve_model()
    told, last = await frames(client, served)
    assert last == "[DONE]"
    final = told[-1]
    assert (final["status"], final["final_response"]["output"]) == ("error", "今天推荐")
    whole = (await client.post(f"{served.url}/api/debug/chat", json=ASKED)).json()
    assert (whole["status"], whole["output"]) == ("error", "今天推荐")
    assert whole["error"]


async def test_s2_10_a_requests_params_reach_the_model(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    asked = {"params": {"temperature": 0.1}, "system_prompt": "简短", "tool_ids": None}
    await frames(client, serve_model(), **asked)
    assert upstream.requests[0].body["temperature"] == 0.1
    assert upstream.requests[0].body["messages"][0] == {"role": "system", "content": "简短"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({**ASKED, "model_id": 999}, 404),
        ({**ASKED, "tool_ids": [999]}, 404),
        ({**ASKED, "conversation_id": 999}, 404),
        ({"prompt": "x"}, 422),
        ({**ASKED, "model_id": 0}, 422),
        ({**ASKED, "prompt": ""}, 422),
        ({**ASKED, "params": [1]}, 422),
    ],
)
async def test_s2_10_what_cannot_be_asked_is_refused_before_anything_streams(
    client: httpx.AsyncClient, shared_server: Served, body: dict[str, Any], status: int
) -> None:
    response = await client.post(f"{shared_server.url}/api/debug/chat", json=body)
    assert response.status_code == status
    assert response.json()["error"]["message"]


async def test_s2_12_on_a_fresh_start_model_1_answers_without_a_key(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    told, last = await frames(client, shared_server)
    assert last == "[DONE]"
    text = "".join(frame.get("content", "") for frame in told)
    assert text == told[-1]["final_response"]["output"] != ""
