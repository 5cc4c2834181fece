"""D2, D15, D25: invented events count nowhere, no event is no success, and any id works."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from support.extraction import LINES, USER, WHOLE, content, events_of, extract, kinds
from support.readers import look, post
from support.runs import until_ended
from support.servers import Serve, Served, ServeModel
from support.upstream import SILENCE, Head, Script, Upstream, UpstreamRequest, answer, chunk

BATCH = "/api/v1/events/extract/batch/llm-stream"
INVENTED = [
    f"{USER}|购买|2030-01-01 10:00:00|赠品\n",
    f"{USER}|退货|2025-11-24 09:50:50|不合脚\n",
    f"{USER}|看直播|2025-11-24 09:51:02|主播推荐\n",
    f"{USER}|purchase|2031-05-05 10:00:00|gift\n",
]


async def run_of(client: httpx.AsyncClient, served: Served, run_id: str) -> dict[str, Any]:
    return dict((await client.get(f"{served.url}/v1/runs/{run_id}")).json())


async def bring(served: Served, kind: Any, path: Path, text: str) -> None:
    async def add() -> None:
        path.write_text(text)  # noqa: ASYNC240 - a few rows
        from unspool.records.csv_import.importing import import_csv

        await import_csv(served.core.records, kind, path)

    await served.call(add)


async def test_d2_an_invented_event_is_shown_and_told_but_counted_nowhere(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    text = "".join([INVENTED[0], LINES[0], *INVENTED[1:], LINES[3]])
    upstream.play = [answer(text)]
    served = serve_model()
    view = await extract(client, served)
    assert content(view) == text
    assert view.seen.documents[-1] == {"type": "done", "message": "抽象完成", "event_count": 2}
    assert [e["type"] for e in await events_of(client, served)] == ["启动APP", "购买"]
    run = await run_of(client, served, view.run_id)
    assert run["result"] == {"event_count": 2, "left_out": 0, "ungrounded": 4}
    native = await look(client, f"{served.url}/v1/runs/{view.run_id}/events?dialect=native")
    warned = [e["data"] for e in native.seen.documents if e["type"] == "warning.raised"]
    assert [(w["code"], w["kind"], w["quote"]) for w in warned] == [
        ("ungrounded", kind, line.strip())
        for kind, line in zip(["time", "type", "type", "time"], INVENTED, strict=True)
    ]
    patterns = (await client.get(f"{served.url}/api/v1/patterns?min_support=0.01")).json()
    named = {one for pattern in patterns["patterns"] for one in pattern["events"]}
    assert not named & {"退货", "看直播", "purchase"}


async def test_d2_invented_lines_alone_end_as_an_error_that_says_so(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [answer(WHOLE), answer(*INVENTED)]
    served = serve_model()
    await extract(client, served)
    view = await extract(client, served)
    assert view.seen.documents[-1]["message"] == "没有得到事件：0 行不是事件，4 行与行为不符"
    assert len(await events_of(client, served)) == 4


async def test_d15_a_line_repeated_without_end_is_told_once_and_stopped(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    junk: list[Any] = [chunk(f"第{n % 7}条没有意义 {n}\n") for n in range(90)]
    for n in range(90, 200):
        junk += [0.05, chunk(f"第{n % 7}条没有意义 {n}\n")]
    upstream.play = [[chunk(LINES[3]), *junk, SILENCE]]
    served = serve_model()
    view = await extract(client, served, json={"limit": 10})
    assert kinds(view)[-1] == "done"
    told = [f["message"] for f in view.seen.documents if f["type"] == "warning"]
    assert len(told) == 3, "the limit, the first line, and the number of the others"
    assert kinds(view).count("llm_chunk") < 150


async def test_a_sudden_drop_keeps_the_events_until_somebody_accepts_the_new_ones(
    client: httpx.AsyncClient, serve_with: Serve, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.play = [answer(*LINES)]
    file = tmp_path / "unspool.yaml"
    model = {"name": "m", "provider": "openai", "base_url": upstream.url, "api_key": "sk-1"}
    file.write_text(json.dumps({"models": [model]}))
    served = serve_with(config=file)
    await extract(client, served, json={"model": "offline"})
    before = await events_of(client, served)
    assert len(before) > 20
    view = await extract(client, served, json={"model": "m"})
    assert view.seen.documents[-1] == {
        "type": "error",
        "message": f"这次只得到 4 个事件，原有 {len(before)} 个；原有的保留，等待确认",
    }
    run = await run_of(client, served, view.run_id)
    assert (run["status"], run["error"]["code"]) == ("incomplete", "fewer_than_before")
    assert await events_of(client, served) == before
    url = f"{served.url}/api/people/{USER}"
    person = (await client.get(url)).json()
    assert (person["extraction"]["status"], person["extraction"]["found"]) == ("pending", 4)
    wrong = await client.post(f"{url}/events/accept", json={"run": "0" * 26})
    assert wrong.status_code in {404, 409}
    accepted = await client.post(f"{url}/events/accept", json={"run": view.run_id})
    assert len(accepted.json()["events"]) == 4
    assert len(await events_of(client, served)) == 4
    assert (await client.get(url)).json()["extraction"]["status"] == "completed"
    again = await client.post(f"{url}/events/accept", json={"run": view.run_id})
    assert again.status_code == 409


# Any id, and what a vendor sees of it

IDS = ["张三", "a/b", "50%", "李 雷", "x%2Fy", "13812345678", "a?b#c", "a|b", "o'k\"", "a/b/c"]


@pytest.mark.parametrize("user_id", IDS)
async def test_d25_any_id_works_everywhere_and_does_not_reach_the_vendor(
    client: httpx.AsyncClient,
    serve_model: ServeModel,
    upstream: Upstream,
    tmp_path: Path,
    user_id: str,
) -> None:
    served = serve_model()
    cell = '"' + user_id.replace('"', '""') + '"'
    rows = f"user_id,action,at,note\n{cell},buy,2025-11-24 09:50:50,{cell}\n"
    await bring(served, "behaviors", tmp_path / "b.csv", rows)
    upstream.play = [answer("user_1|购买|2025-11-24 09:50:50|鞋\n")]
    at = quote(user_id, safe="")
    view = await look(client, f"{served.url}/api/v1/events/extract/{at}/llm-stream", method="POST")
    assert content(view) == f"{user_id}|购买|2025-11-24 09:50:50|鞋\n"
    assert kinds(view)[-1] == "done"
    asked = upstream.requests[0].question
    assert user_id not in asked
    assert "【用户】user_1" in asked
    person = (await client.get(f"{served.url}/api/people/{at}")).json()
    assert (person["id"], person["behaviors"], person["events"]) == (user_id, 1, 1)
    for what in ("behaviors", "events"):
        answered = (await client.get(f"{served.url}/api/people/{at}/{what}")).json()
        assert len(answered[what]) == 1
    found = (await client.get(f"{served.url}/api/people", params={"query": user_id})).json()
    assert [one["id"] for one in found["people"]] == [user_id]


async def test_a_whole_profile_is_sent_only_where_the_request_says_so(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [answer(WHOLE)]
    served = serve_model()
    await extract(client, served)
    assert "何思琪" not in upstream.requests[0].question
    await extract(client, served, json={"whole_profile": True})
    assert "姓名：何思琪" in upstream.requests[1].question


# Long histories


def written(asked: UpstreamRequest) -> Script:
    """An event for each behaviour of the window."""
    lines = asked.question.partition("【行为】")[2].split("\n")[1:]
    user = asked.question.partition("【用户】")[2].split("\n")[0]
    return answer(*(f"{user}|浏览商品|{line[:19]}|第 {line[11:19]} 次\n" for line in lines if line))


def history(count: int) -> str:
    rows = [
        f"long,visit,2025-11-{1 + n // 60:02d} {9 + n % 60 // 20:02d}:{n % 20:02d}:00"
        for n in range(count)
    ]
    return "user_id,action,at\n" + "\n".join(rows) + "\n"


async def test_a_long_history_is_read_in_windows_without_doubles(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream, tmp_path: Path
) -> None:
    served = serve_model()
    await bring(served, "behaviors", tmp_path / "b.csv", history(500))
    upstream.play = written
    view = await extract(client, served, "long")
    assert view.seen.documents[-1]["event_count"] == 500
    assert len(await events_of(client, served, "long")) == 500
    run = await run_of(client, served, view.run_id)
    assert [step["name"] for step in run["steps"]] == ["events", "events-2", "events-3"]


async def test_a_window_that_is_too_long_for_the_model_is_halved_and_so_after_a_death(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream, tmp_path: Path
) -> None:
    refusal = json.dumps({"error": {"code": "context_length_exceeded", "message": "too long"}})
    is_dying = True

    def play(asked: UpstreamRequest) -> Script:
        count = asked.question.count("\n2025-11-")
        if count > 40:
            return [Head(400, ("Content-Type: application/json",), refusal.encode())]
        if is_dying and len(asked.question) and upstream_windows(upstream) > 1:
            return [SILENCE]
        return written(asked)

    served = serve_model(retries=0)
    await bring(served, "behaviors", tmp_path / "b.csv", history(90))
    upstream.play = play
    view = await look(
        client, f"{served.url}/api/v1/events/extract/long/llm-stream", method="POST", frames=5
    )
    await upstream.until(lambda: upstream_windows(upstream) > 1)
    served.stop()
    is_dying = False
    again = serve_model(retries=0)
    run = await until_ended(client, again, view.run_id)
    assert (run["status"], run["result"]["event_count"]) == ("completed", 90)
    assert len(await events_of(client, again, "long")) == 90


def upstream_windows(upstream: Upstream) -> int:
    """Requests short enough to be answered."""
    return sum(asked.question.count("\n2025-11-") <= 40 for asked in upstream.requests)


# Many people


async def test_d4_a_list_is_searched_filtered_sorted_and_paged_by_the_server(
    client: httpx.AsyncClient, serve_with: Serve, tmp_path: Path
) -> None:
    served = serve_with(sample_data=False)
    rows = "".join(f"p{n:04d},visit,2025-11-24 09:50:50\n" * (1 + (n == 700)) for n in range(1200))
    await bring(served, "behaviors", tmp_path / "b.csv", f"user_id,action,at\n{rows}")
    more = "user_id,action,at\np0700,buy,2025-11-25 09:50:50\n"
    await bring(served, "behaviors", tmp_path / "c.csv", more)
    cities = "user_id,name,city\np0003,王五,上海\np0004,赵六,北京\nq1,无行为,上海\n"
    await bring(served, "people", tmp_path / "p.csv", cities)
    await extract(client, served, "p0700")

    async def listed(**query: Any) -> dict[str, Any]:
        answered = await client.get(f"{served.url}/api/people", params=query)
        assert answered.status_code == 200
        return dict(answered.json())

    every = await listed(limit=10, cities=True)
    assert (every["total"], every["behaviors"], every["events"]) == (1201, 1201, 2)
    assert every["states"] == {"completed": 1, "never": 1200}
    assert every["cities"][0] == {"city": "上海", "people": 2}
    last = await listed(limit=10, offset=1195)
    assert [one["id"] for one in last["people"]][-1] == "q1"
    busiest = await listed(sort="behaviors", descending=True, limit=1)
    assert busiest["people"][0]["id"] == "p0700"
    assert busiest["people"][0]["extraction"]["status"] == "completed"
    assert (await listed(state="with_events"))["total"] == 1
    assert (await listed(state="without_events", query="p07"))["total"] == 99
    assert (await listed(city="上海", has_behaviors=True))["total"] == 1
    assert (await client.get(f"{served.url}/api/people?sort=nothing")).status_code == 422


async def test_d4_one_batch_reaches_everybody_that_matches_and_survives_a_stop(
    client: httpx.AsyncClient, serve_with: Serve, tmp_path: Path
) -> None:
    served = serve_with(sample_data=False)
    rows = "".join(f"p{n:04d},buy,2025-11-24 09:50:50\n" for n in range(60))
    await bring(served, "behaviors", tmp_path / "b.csv", f"user_id,action,at\n{rows}")
    await bring(served, "people", tmp_path / "p.csv", "user_id,name\nq1,无行为\n")
    body = {"which": {"query": "p00"}, "concurrency": 16}
    view = await post(client, served.url + BATCH, body, frames=8)
    assert view.seen.documents[0]["total"] == 60
    served.stop()
    again = serve_with(sample_data=False)
    run = await until_ended(client, again, view.run_id)
    assert run["result"]["completed"] == 60 == run["result"]["event_count"]
    people = (await client.get(f"{again.url}/api/people?state=without_events")).json()
    assert [one["id"] for one in people["people"]] == ["q1"]
    whole = await look(client, f"{again.url}/v1/runs/{view.run_id}/events")
    told = [frame for frame in whole.seen.documents if frame["type"] == "progress"]
    assert told[-1]["left_s"] == 0
    assert all(frame["left_s"] >= 0 for frame in told)
    nobody = await client.post(again.url + BATCH, json={"which": {"query": "zzz"}})
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (422, "nothing_to_do")
