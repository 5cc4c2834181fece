"""Three posts that differ, three others the next time, and nothing invented in checked ones."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from support.copywriting import LONG
from support.readers import COPY, SHOE, copy_posts, post
from support.servers import Serve, Served, ServeModel
from support.upstream import Script, Upstream, UpstreamRequest, answer
from unspool.apps.copywriting.grounding import alike

INVENTED = "只要 99 元，真皮鞋面，买一送一，手慢无，今天就来看看吧。"


async def run_of(client: httpx.AsyncClient, served: Served, run_id: str) -> dict[str, Any]:
    return dict((await client.get(f"{served.url}/v1/runs/{run_id}")).json())


async def warnings_of(client: httpx.AsyncClient, served: Served, run_id: str) -> list[Any]:
    url = f"{served.url}/v1/runs/{run_id}/events?dialect=native"
    lines = (await client.get(url)).text.splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    return [event["data"] for event in events if event["type"] == "warning.raised"]


# D2


async def test_d2_no_invention_passes_a_check_and_the_template_says_why(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer(INVENTED)]
    served = serve_model()
    done = await post(client, served.url + COPY, {**SHOE, "reveal": "checked"})
    assert "买一送一" not in done.seen.raw.decode()
    run = await run_of(client, served, done.run_id)
    assert {s["model"] for s in run["steps"] if not s["is_unseen"]} == {"template"}
    warned = await warnings_of(client, served, done.run_id)
    kinds = {w["kind"] for w in warned if w["code"] == "ungrounded" and w["step"] == "draft-1-1"}
    assert {"price", "material", "offer"} <= kinds
    assert {w["step"] for w in warned if w["code"] == "drafts"} == {"post-1", "post-2", "post-3"}
    rewrite = next(r.question for r in upstream.requests if "上一稿" in r.question)
    assert "价格“99 元”与商品不符" in rewrite


async def test_d2_a_draft_that_invents_is_rewritten_and_then_shown(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer(INVENTED), answer(LONG)]
    served = serve_model()
    done = await post(client, served.url + COPY, {**SHOE, "count": 1, "reveal": "checked"})
    assert copy_posts(done.seen.documents, total=1) == [LONG]


async def test_d2_a_live_post_that_invents_has_its_findings_beside_it(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer(INVENTED)]
    served = serve_model()
    done = await post(client, served.url + COPY, {**SHOE, "count": 1})
    assert copy_posts(done.seen.documents, total=1) == [INVENTED]
    warned = await warnings_of(client, served, done.run_id)
    assert {"price", "material", "offer"} == {w["kind"] for w in warned}
    assert {w["step"] for w in warned} == {"post-1"}
    assert all(w["quote"] in INVENTED for w in warned)
    assert {w["known"] for w in warned if w["kind"] == "price"} == {"399 元"}


async def test_d2_three_identical_drafts_become_three_posts_that_differ(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer(LONG)]
    served = serve_model()
    done = await post(client, served.url + COPY, {**SHOE, "reveal": "checked"})
    posts = copy_posts(done.seen.documents)
    assert posts[0] == LONG
    assert not alike(posts[1], posts[:1])
    assert not alike(posts[2], posts[:2])


async def test_d2_three_identical_live_posts_are_told(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer(LONG)]
    served = serve_model()
    done = await post(client, served.url + COPY, SHOE)
    warned = await warnings_of(client, served, done.run_id)
    assert [(w["kind"], w["step"]) for w in warned] == [("alike", "post-2"), ("alike", "post-3")]


async def test_each_prompt_has_another_angle_and_another_point(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    def play(_: UpstreamRequest) -> Script:
        return answer(LONG)

    upstream.play = play
    served = serve_model()
    for _ in range(2):
        await post(client, served.url + COPY, SHOE)
    lines = [line for asked in upstream.requests for line in asked.question.splitlines()]
    wishes = [line for line in lines if line.startswith("2.")]
    assert len(set(wishes)) == 6
    points = {line.partition("“")[2].partition("”")[0] for line in wishes}
    assert len(points) == 4  # as many as the shoe has


# Three others


async def test_without_a_model_the_next_run_has_three_other_posts(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    seen: list[str] = []
    for _ in range(4):
        done = await post(client, served.url + COPY, SHOE)
        seen += copy_posts(done.seen.documents)
    assert len(set(seen)) == 12
    other = await post(client, served.url + COPY, {**SHOE, "user_id": "somebody"})
    assert copy_posts(other.seen.documents) == seen[:3], "each reader's own posts are counted"


async def test_an_equal_request_through_the_cache_gets_the_same_posts_and_refresh_others(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()

    async def told(cache: str) -> list[str]:
        headers = {"Unspool-Cache": cache}
        answered = await client.post(served.url + COPY, json=SHOE, headers=headers)
        lines = answered.text.splitlines()
        return copy_posts([json.loads(line[6:]) for line in lines if line.startswith("data: ")])

    first = await told("read")
    assert await told("read") == first
    others = await told("refresh")
    assert not set(others) & set(first)
    assert await told("read") == others


# D1 and D26


@pytest.mark.parametrize("name", ["文案对比", "模型-模板.1", "ab", "é"])
async def test_d1_an_experiment_may_have_a_name_in_any_script(
    serve_with: Serve, client: httpx.AsyncClient, name: str
) -> None:
    served = serve_with()
    arms = [{"name": "模型"}, {"name": "模板", "writer": "template"}]
    made = await client.post(f"{served.url}/api/experiments", json={"name": name, "arms": arms})
    assert made.status_code == 201
    place = made.headers["location"]
    assert place.isascii()
    read = await client.get(served.url + place)
    assert read.json()["name"] == name


async def test_d1_every_location_leads_to_its_resource(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    model = {"name": "通义千问", "provider": "openai", "base_url": "http://127.0.0.1:9/v1"}
    tool = {"name": "t", "parameters": {"type": "object"}, "answer": {"kind": "mock", "value": 1}}
    for collection, body in {
        "/api/models": model,
        "/api/routes": {"name": "路线一", "models": ["offline"]},
        "/api/presets": {"name": "预设", "prompt": "你好"},
        "/api/conversations": {},
        "/api/tools": tool,
    }.items():
        made = await client.post(served.url + collection, json=body)
        assert made.status_code == 201, (collection, made.text)
        place = made.headers["location"]
        assert place.isascii()
        assert (await client.get(served.url + place)).status_code in {200, 405}


@pytest.mark.parametrize("step", ["post-9", "post-0", "draft-1-1", "标题", "post-1 "])
async def test_d26_an_outcome_is_of_a_step_that_was_shown(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, step: str
) -> None:
    upstream.play = [answer(LONG)]
    served = serve_model()
    done = await post(client, served.url + COPY, {**SHOE, "count": 1, "reveal": "checked"})
    outcome = f"{served.url}/v1/runs/{done.run_id}/outcome"
    refused = await client.post(outcome, json={"is_adopted": True, "step": step})
    assert refused.status_code == 422
    assert "post-1" in refused.json()["error"]["message"]
    copies = (await client.get(f"{served.url}/api/copies")).json()["copies"]
    assert copies[0]["is_adopted"] is None
    assert (await client.post(outcome, json={"is_adopted": True, "step": "post-1"})).is_success
