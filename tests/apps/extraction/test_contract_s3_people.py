"""S3.4 and S3.12: people, their events, many of them at once, and what they often do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.extraction import LINES, USER, events_of, extract, kinds, url_of
from support.readers import look, post
from support.runs import until_ended
from support.servers import Serve, Served, ServeModel
from support.upstream import CUT, SILENCE, Script, Upstream, UpstreamRequest, answer, chunk
from unspool.execution.children import PIECES

BATCH = "/api/v1/events/extract/batch/llm-stream"


def user_in(asked: UpstreamRequest) -> str:
    return whole_question(asked).partition("【用户】")[2].split("\n")[0]


def whole_question(asked: UpstreamRequest) -> str:
    """All messages: a request to go on has the question before it."""
    return "\n".join(message["content"] for message in asked.body["messages"])


def one_event(asked: UpstreamRequest) -> Script:
    return answer(f"{user_in(asked)}|浏览商品|{first_time(asked)}|鞋\n")


def first_time(asked: UpstreamRequest) -> str:
    """The time of the first behaviour."""
    return whole_question(asked).partition("【行为】")[2].split("\n")[1][:19]


# People


async def test_s3_4_people_are_listed_with_what_they_did_and_what_came_of_it(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with()
    await extract(client, served, "user_0005")
    listed = (await client.get(f"{served.url}/api/people?limit=10")).json()
    assert (listed["total"], len(listed["people"]), listed["next"]) == (24, 10, "user_0010")
    person = listed["people"][4]
    assert (person["id"], person["behaviors"], person["run"]) == ("user_0005", 9, None)
    assert person["events"] == len(await events_of(client, served, "user_0005")) > 0
    assert {"income_level"} <= person["properties"].keys()
    rest = (await client.get(f"{served.url}/api/people?limit=100&after=user_0010")).json()
    assert (len(rest["people"]), rest["next"]) == (14, None)
    found = (await client.get(f"{served.url}/api/people?query=何思琪")).json()
    assert [one["id"] for one in found["people"]] == [USER]
    did = (await client.get(f"{served.url}/api/people/{USER}/behaviors?limit=2")).json()
    assert [one["action"] for one in did["behaviors"]] == ["visit", "favorite"]
    assert (await client.get(f"{served.url}/api/people/nobody")).status_code == 404
    for what in ("behaviors", "events"):
        assert (await client.get(f"{served.url}/api/people/nobody/{what}")).status_code == 404


async def test_s3_12_the_progress_of_an_extraction_can_be_asked_for_by_person(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk(LINES[0]), SILENCE]]
    served = serve_model()
    view = await extract(client, served, frames=3)
    person = (await client.get(f"{served.url}/api/people/{USER}")).json()
    assert person["run"] == view.run_id
    assert person["progress"]["tokens"] > 5
    await client.post(f"{served.url}/v1/runs/{view.run_id}/cancel")
    person = (await client.get(f"{served.url}/api/people/{USER}")).json()
    assert (person["run"], person["progress"]) == (None, None)


async def test_s3_4_who_is_known_from_behaviours_alone_is_somebody(
    client: httpx.AsyncClient, serve_with: Serve, tmp_path: Path
) -> None:
    served = serve_with(sample_data=False)
    assert (await client.get(f"{served.url}/api/people")).json()["people"] == []
    files = {
        "behaviors": "用户ID,行为类型,时间戳\nu1,加购,1512189107\nu2,buy,1512189108\n",
        "people": "用户ID,昵称,年龄,income_level\nu1,小一,30岁,高\nu3,小三,abc,低\n",
    }

    async def add() -> list[Any]:
        from unspool.records.csv_import.importing import import_csv

        reports = []
        for kind, text in [*files.items(), ("people", files["people"])]:
            (tmp_path / kind).write_text(text)
            reports.append(await import_csv(served.core.records, kind, tmp_path / kind))  # type: ignore[arg-type]
        return reports

    _, first, again = await served.call(add)
    assert (first.added, first.changed, first.skipped) == (1, 1, 0)
    assert first.lost_cells == [(3, "age 'abc' is not a number")]
    assert (again.added, again.changed, again.unchanged) == (0, 0, 2)
    people = (await client.get(f"{served.url}/api/people")).json()["people"]
    assert [(p["id"], p["name"], p["age"], p["behaviors"]) for p in people] == [
        ("u1", "小一", 30, 1),
        ("u2", "", None, 1),
        ("u3", "小三", None, 0),
    ]
    assert people[0]["properties"] == {"income_level": "高"}
    view = await extract(client, served, "u2")
    assert [e["type"] for e in await events_of(client, served, "u2")] == ["购买"]
    assert kinds(view)[-1] == "done"


# Many at once


async def test_s3_12_a_batch_tells_of_each_person(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    def play(asked: UpstreamRequest) -> Script:
        match user_in(asked):
            case "user_0001":
                line = f"user_0001|浏览商品|{first_time(asked)}|"
                return answer(*[line, *"很" * (2 * PIECES + 10), "\n"])
            case "user_0002":
                return [chunk("user_0002|购买"), CUT]
            case _:
                return one_event(asked)

    upstream.play = play
    served = serve_model()
    users = ["user_0001", "user_0002", "nobody", "user_0003", "user_0003"]
    view = await post(client, served.url + BATCH, {"user_ids": users, "concurrency": 1})
    told = view.seen.documents
    assert told[0] == {"type": "start", "message": "开始为 4 个用户抽象事件...", "total": 4}
    assert [(f["type"], f["user_id"]) for f in told if f["type"].startswith("user_")] == [
        ("user_start", "user_0001"),
        ("user_progress", "user_0001"),
        ("user_progress", "user_0001"),
        ("user_done", "user_0001"),
        ("user_start", "user_0002"),
        ("user_failed", "user_0002"),
        ("user_failed", "nobody"),
        ("user_start", "user_0003"),
        ("user_done", "user_0003"),
    ]
    assert [f["chunk_count"] for f in told if f["type"] == "user_progress"] == [50, 100]
    failed = [f for f in told if f["type"] == "user_failed"]
    assert all(f["message"] for f in failed)
    assert failed[1]["run_id"] is None
    assert [f["percent"] for f in told if f["type"] == "progress"] == [25, 50, 75, 100]
    assert told[-1] == {
        "type": "done",
        "message": "批量抽象完成",
        "user_count": 4,
        "completed": 2,
        "failed": 2,
        "event_count": 2,
    }
    of_one = (await client.get(f"{served.url}/v1/runs/{told[1]['run_id']}")).json()
    assert (of_one["status"], of_one["progress"]["percent"]) == ("completed", 100)
    url = f"{served.url}/v1/runs/{view.run_id}/events"
    for cut, (id_, _) in enumerate(view.seen.frames[:-1], start=1):
        rest = await look(client, url, after=id_)
        assert rest.seen.frames == view.seen.frames[cut:]


async def test_s3_12_a_batch_is_stopped_with_everybody_in_it(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("x"), SILENCE]]
    served = serve_model()
    users = [f"user_000{n}" for n in range(1, 7)]
    body = {"user_ids": users, "concurrency": 3}
    view = await post(client, served.url + BATCH, body, frames=4)
    await upstream.until(lambda: upstream.open == 3)
    await client.post(f"{served.url}/v1/runs/{view.run_id}/cancel")
    await upstream.until(lambda: upstream.left == 3, within_s=1)
    assert len(upstream.requests) == 3, "no more than the cap were begun"
    rest = await look(
        client, f"{served.url}/v1/runs/{view.run_id}/events", after=view.seen.frames[-1][0]
    )
    assert rest.seen.documents[-1]["type"] == "error"


async def test_s3_12_a_batch_goes_on_at_the_next_server_and_tells_nothing_twice(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    def play(asked: UpstreamRequest) -> Script:
        if user_in(asked) == "user_0002" and len(upstream.requests) < 3:
            return [chunk(f"user_0002|浏览商品|{first_time(asked)}|鞋\nuser"), SILENCE]
        return one_event(asked)

    upstream.play = play
    served = serve_model()
    users = ["user_0001", "user_0002", "user_0003"]
    view = await post(client, served.url + BATCH, {"user_ids": users, "concurrency": 1}, frames=5)
    await upstream.until(lambda: upstream.open == 1)
    served.stop()
    again = serve_model()
    await until_ended(client, again, view.run_id)
    whole = await look(client, f"{again.url}/v1/runs/{view.run_id}/events")
    assert whole.seen.frames[:5] == view.seen.frames
    done = [f for f in whole.seen.documents if f["type"] == "user_done"]
    assert [(f["user_id"], f["event_count"]) for f in done] == [(user, 1) for user in users]
    assert whole.seen.documents[-1]["event_count"] == 3


@pytest.mark.parametrize(
    "body", [{}, {"user_ids": []}, {"user_ids": [""]}, {"user_ids": ["a"], "which": {}}]
)
async def test_s3_12_a_batch_that_can_never_be_right_is_refused(
    client: httpx.AsyncClient, shared_server: Served, body: dict[str, Any]
) -> None:
    assert (await client.post(shared_server.url + BATCH, json=body)).status_code == 422


# What people often do


async def test_s3_7_patterns_are_those_of_the_events(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with()
    empty = (await client.get(f"{served.url}/api/v1/patterns")).json()
    assert empty == {"users": 0, "is_whole": True, "patterns": []}
    users = [f"user_00{n:02d}" for n in range(1, 9)]
    await asyncio.gather(*(client.post(url_of(served, user)) for user in users))
    url = f"{served.url}/api/v1/patterns?min_support=0.5&max_length=3&limit=5"
    found = (await client.get(url)).json()
    assert (found["users"], len(found["patterns"])) == (8, 5)
    first = found["patterns"][0]
    assert first["support"] == first["users"] / 8 == first["confidence"] == 1
    every = (await client.get(f"{served.url}/api/v1/patterns?limit=500")).json()["patterns"]
    assert ["启动APP", "浏览商品"] in [pattern["events"] for pattern in every]
    assert all(0 < pattern["confidence"] <= 1 for pattern in every)
    supports = [pattern["support"] for pattern in every]
    assert supports == sorted(supports, reverse=True)
    for wrong in ("min_support=0", "max_length=1", "limit=0"):
        assert (await client.get(f"{served.url}/api/v1/patterns?{wrong}")).status_code == 422
