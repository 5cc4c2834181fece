"""Posts after they are written: edited, written again one by one, steered, exported."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import httpx

from support.readers import COPY, SHOE
from support.servers import Served, ServeModel
from support.upstream import SILENCE, Upstream, answer, chunk
from unspool.apps.copywriting.checks import CopyRules
from unspool.apps.copywriting.grounding import alike
from unspool.apps.copywriting.request import LENGTHS

NAME = "云感透气运动鞋"

POST = (
    "今天推荐这双鞋，穿着去江边走了两圈，脚不酸，鞋底软，颜色也好搭，通勤和周末都能穿，值得试一试。"
)


async def write(client: httpx.AsyncClient, url: str, **body: Any) -> str:
    answered = await client.post(url + COPY, json={"sku": SHOE["sku"], **body})
    assert answered.status_code == 200, answered.text
    return answered.headers["x-run-id"]


async def warnings_of(client: httpx.AsyncClient, url: str, run: str) -> list[dict[str, Any]]:
    told = await client.get(f"{url}/v1/runs/{run}/events", params={"dialect": "native"})
    lines = [line[6:] for line in told.text.splitlines() if line.startswith("data: ")]
    events = [json.loads(line) for line in lines]
    return [event["data"] for event in events if event["type"] == "warning.raised"]


async def posts_of(client: httpx.AsyncClient, url: str, run: str) -> list[dict[str, Any]]:
    return list((await client.get(f"{url}/api/copies/{run}")).raise_for_status().json()["posts"])


async def test_an_edit_is_a_version_beside_the_models_own_text(
    server: Served, client: httpx.AsyncClient
) -> None:
    run = await write(client, server.url)
    place = f"{server.url}/api/copies/{run}/posts/2"
    first = (await posts_of(client, server.url, run))[1]
    assert (first["text"], first["versions"]) == (first["original"], [])
    for text in ("第一次改的文字", "第二次改的文字", "第二次改的文字"):
        edited = (await client.put(place, json={"text": text})).raise_for_status().json()
    assert edited["text"] == "第二次改的文字"
    assert edited["original"] == first["original"]
    assert [each["text"] for each in edited["versions"]] == ["第二次改的文字", "第一次改的文字"]
    listed = (await client.get(f"{server.url}/api/copies", params={"run": run})).json()["copies"]
    assert [(each["run"], each["edited"], each["name"]) for each in listed] == [(run, [2], NAME)]


async def test_an_edit_is_refused_where_there_is_nothing_to_edit(
    server: Served, client: httpx.AsyncClient
) -> None:
    run = await write(client, server.url, count=1)
    base = f"{server.url}/api/copies/{run}/posts"
    assert (await client.put(f"{base}/2", json={"text": "x"})).status_code == 404
    for text in ("", " \n", "字" * 10_001):
        assert (await client.put(f"{base}/1", json={"text": text})).status_code == 422
    gone = f"{server.url}/api/copies/01m8ade2xn8rf8cantazp3fn24/posts/1"
    assert (await client.put(gone, json={"text": "x"})).status_code == 404
    many = await client.get(f"{server.url}/api/copies", params={"run": ["x"] * 101})
    assert many.status_code == 422


async def test_a_rewrite_is_a_version_of_its_post_and_no_copy_of_its_own(
    server: Served, client: httpx.AsyncClient
) -> None:
    run = await write(client, server.url)
    before = await posts_of(client, server.url, run)
    others = [post["text"] for post in before]
    again = {"count": 1, "others": others, "rewrites": {"run": run, "post": 2}}
    new = await write(client, server.url, **again)
    after = await posts_of(client, server.url, run)
    assert [post["text"] for post in (after[0], after[2])] == [others[0], others[2]]
    (version,) = after[1]["versions"]
    assert (version["run"], version["model"]) == (new, after[1]["model"])
    assert not alike(after[1]["text"], others)
    listed = (await client.get(f"{server.url}/api/copies")).json()["copies"]
    assert [(each["run"], each["edited"]) for each in listed] == [(run, [2])]
    more = await client.post(server.url + COPY, json={"sku": SHOE["sku"], **again, "count": 2})
    assert more.status_code == 422


async def test_a_rewrite_knows_the_others_and_a_wish_goes_to_the_model(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    served = serve_model()
    upstream.play = [answer(POST)] * 4
    run = await write(client, served.url, count=1, length="short", tone="lively", wish="提到江边")
    (asked,) = upstream.requests
    prompt = asked.body["messages"][-1]["content"]
    low, high = LENGTHS["short"]
    assert f"{low} 到 {high} 个字" in prompt
    assert "再活泼轻快一些" in prompt
    assert "提到江边" in prompt
    again = {"count": 1, "others": [POST], "rewrites": {"run": run, "post": 1}}
    new = await write(client, served.url, **again)
    assert POST in upstream.requests[-1].body["messages"][-1]["content"]
    warned = await warnings_of(client, served.url, new)
    assert "alike" in {data.get("kind") for data in warned}


async def test_the_template_says_which_wishes_it_did_not_follow(
    server: Served, client: httpx.AsyncClient
) -> None:
    run = await write(client, server.url, count=1, length="short", tone="warm", wish="提到江边")
    (post,) = await posts_of(client, server.url, run)
    low, high = LENGTHS["short"]
    assert low <= len(post["text"]) <= high
    warned = await warnings_of(client, server.url, run)
    (data,) = [each for each in warned if each.get("code") == "unsteered"]
    assert (data["step"], data["kinds"]) == ("post-1", ["tone", "wish"])


def test_a_broken_rule_is_told_in_values() -> None:
    rules = CopyRules(min_chars=5, max_chars=6, forbidden=["便宜"])
    told = [(one.kind, one.quote, one.known) for one in rules.findings("便宜又最好用的鞋")]
    assert told == [("long", "8", "6"), ("words", "便宜、最", "")]
    assert [one.kind for one in rules.findings("鞋")] == ["short"]


async def test_files_have_the_edited_text_the_original_and_the_outcome(
    server: Served, client: httpx.AsyncClient
) -> None:
    run = await write(client, server.url)
    await client.put(f"{server.url}/api/copies/{run}/posts/1", json={"text": "=1+1 # 改过"})
    await client.post(
        f"{server.url}/v1/runs/{run}/outcome", json={"is_adopted": True, "step": "post-1"}
    )
    original = (await posts_of(client, server.url, run))[0]["original"]
    place = f"{server.url}/api/copies/export"
    table = await client.get(place, params={"run": run, "format": "csv"})
    rows = list(csv.DictReader(io.StringIO(table.text.removeprefix("\ufeff"))))
    assert [row["is_adopted"] for row in rows] == ["true", "false", "false"]
    assert [row["is_edited"] for row in rows] == ["true", "false", "false"]
    assert (rows[0]["text"], rows[0]["original"]) == ("'=1+1 # 改过", original)
    text = (await client.get(place, params={"run": run})).text
    assert "=1+1 \\# 改过" in text
    assert "adopted" in text.split("### ")[1]
    assert "adopted" not in text.split("### ")[2]
    assert (await client.get(place)).status_code == 422


async def test_live_posts_are_steered_and_what_is_written_stays(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    served = serve_model()
    upstream.play = [answer(POST), [chunk("雨天也"), SILENCE], answer("能穿。")]
    asked = {"sku": SHOE["sku"], "count": 2}
    started = await client.post(
        f"{served.url}/v1/runs", json={"flow": "copywriting", "input": asked}
    )
    run = started.json()["id"]
    await upstream.until(lambda: len(upstream.requests) == 2)
    changes = {"cancel": True, "input": {"wish": "提到雨天"}}
    forked = await client.post(f"{served.url}/v1/runs/{run}/fork", json=changes)
    new = forked.raise_for_status().json()["id"]
    await client.get(f"{served.url}/v1/runs/{new}/events")
    posts = await posts_of(client, served.url, new)
    assert [post["is_whole"] for post in posts] == [True, True]
    assert "提到雨天" in upstream.requests[-1].body["messages"][1]["content"]
