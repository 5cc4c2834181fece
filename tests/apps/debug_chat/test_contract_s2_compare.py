"""S2, ours: `POST /api/debug/compare`, several models side by side."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import httpx
import pytest

from support.debug_chat import frames, made
from support.models import KEY, refused
from support.readers import look
from support.servers import Desk, Served
from support.upstream import CUT, SILENCE, Script, Upstream, answer, chunk, refusal

COMPARE = "/api/debug/compare"


async def second(client: httpx.AsyncClient, served: Desk, upstream: Upstream) -> int:
    said = {"name": "second", "base_url": upstream.url, "api_key": KEY}
    return int((await made(client, served, "models", said))["id"])


def columns(told: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    by_model = defaultdict(list)
    for frame in told[:-1]:
        by_model[frame["model_id"]].append(frame)
    return by_model


async def test_both_stream_in_their_columns_and_the_last_frame_has_all(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [answer("人工", "智能")]
    served = desk
    async with Upstream() as other:
        other.play = [[chunk("想", reasoning_content=None), *answer("别的")]]
        number = await second(client, served, other)
        asked = {
            "model_ids": [desk.model_id, number],
            "system_prompt": "简短",
            "params": {"temperature": 0},
        }
        told = await frames(client, served, COMPARE, **asked)
        assert other.requests[0].body["temperature"] == 0
        assert other.requests[0].body["messages"][0]["content"] == "简短"
    by_model = columns(told)
    texts = {
        model: "".join(frame.get("content", "") for frame in said)
        for model, said in by_model.items()
    }
    assert texts == {desk.model_id: "人工智能", number: "想别的"}
    for model, said in by_model.items():
        assert [frame["done"] for frame in said] == [False] * (len(said) - 1) + [True]
        assert said[-1]["final_response"]["output"] == texts[model]
        assert said[-1]["metrics"]["total_tokens"] == 30
    last = told[-1]
    assert "model_id" not in last
    assert last["metrics"]["total_tokens"] == 60
    whole = last["final_response"]
    assert whole["status"] == "success"
    assert [(it["model_id"], it["model"], it["output"]) for it in whole["columns"]] == [
        (desk.model_id, "tested", "人工智能"),
        (number, "second", "想别的"),
    ]


@pytest.mark.parametrize(
    ("script", "output"), [(refusal(401, "wrong key"), ""), ([chunk("一半"), CUT], "一半")]
)
async def test_one_models_failure_is_its_columns_failure_alone(
    client: httpx.AsyncClient,
    desk: Desk,
    upstream: Upstream,
    script: Script,
    output: str,
) -> None:
    upstream.play = [answer("好")]
    served = desk
    async with Upstream() as other:
        other.play = [script]
        number = await second(client, served, other)
        told = await frames(client, served, COMPARE, model_ids=[number, desk.model_id])
        asked = {"model_ids": [number, desk.model_id], "prompt": "北京的天气？"}
        answered = await client.post(served.url + COMPARE, json=asked)
    bad, good = told[-1]["final_response"]["columns"]
    assert (bad["status"], bad["output"]) == ("error", output)
    assert bad["error"]
    assert (good["status"], good["output"]) == ("success", "好")
    assert "error" not in told[-1]
    ended = next(f for f in told if f["done"] and f.get("model_id") == number)
    assert (ended["status"], ended["error"]) == ("error", bad["error"])
    plain = [[it["output"] for it in body["columns"]] for body in (answered.json(),)]
    assert plain == [[output, "好"]]
    run = (await client.get(f"{served.url}/v1/runs/{answered.headers['x-run-id']}")).json()
    assert [it["status"] for it in run["result"]["columns"]] == ["failed", "completed"]


async def test_where_no_model_answers_the_comparison_has_not_completed(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [refusal(401, "wrong key")]
    served = desk
    told = await frames(client, served, COMPARE, model_ids=[desk.model_id])
    assert (told[-1]["status"], told[-1]["final_response"]["status"]) == ("error", "error")
    asked = {"model_ids": [desk.model_id], "prompt": "?"}
    whole = await client.post(served.url + COMPARE, json=asked)
    assert "wrong key" in whole.json()["error"]
    run = (await client.get(f"{served.url}/v1/runs/{whole.headers['x-run-id']}")).json()
    assert run["status"] == "failed"


async def test_a_comparison_that_is_stopped_ends_every_column(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [[chunk("一半"), SILENCE]]
    served = desk
    body = {"model_ids": [desk.model_id], "prompt": "?", "stream": True}
    view = await look(client, served.url + COMPARE, method="POST", json=body, frames=1)
    await client.post(f"{served.url}/v1/runs/{view.run_id}/cancel")
    rest = await look(client, f"{served.url}/v1/runs/{view.run_id}/events", after="4")
    *_, column, last = [doc for doc in rest.seen.data if doc != "[DONE]"]
    assert '"done": true' in column
    assert '"status": "error"' in last


async def test_a_viewer_cut_after_any_frame_gets_exactly_the_rest(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    body = {"model_ids": [1], "prompt": "你好", "stream": True}
    view = await look(client, shared_server.url + COMPARE, method="POST", json=body)
    whole = view.seen.frames
    url = f"{shared_server.url}/v1/runs/{view.run_id}/events"
    for cut in range(1, len(whole) - 1):
        rest = await look(client, url, after=whole[cut - 1][0])
        assert whole[:cut] + rest.seen.frames == whole


async def test_a_run_that_is_no_comparison_has_a_column_for_each_step(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    asked = {"flow": "copywriting", "input": {"sku": "8WZ01CM1", "count": 2}}
    run_id = (await client.post(f"{shared_server.url}/v1/runs", json=asked)).json()["id"]
    url = f"{shared_server.url}/v1/runs/{run_id}/events?dialect=debug_compare"
    view = await look(client, url)
    last = view.seen.frames[-2][1]
    assert '"model": "post-1"' in last
    assert '"model": "post-2"' in last


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"model_ids": []}, 422),
        ({"model_ids": [1, 1]}, 422),
        ({"model_ids": list(range(1, 34))}, 422),
        ({"model_ids": [999]}, 404),
        ({"model_ids": [1], "prompt": ""}, 422),
        ({}, 422),
    ],
)
async def test_what_cannot_be_compared_is_refused(
    client: httpx.AsyncClient, shared_server: Served, asked: dict[str, Any], status: int
) -> None:
    body = {"prompt": "你好", **asked}
    await refused(await client.post(shared_server.url + COMPARE, json=body), status=status)
