"""`GET /v1/runs` and `/api/exports`: searched, filtered, sorted, counted, followed, exported."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from support.readers import look
from support.servers import Served

TEXT = "今天推荐这双云感跑鞋，轻。"
WHOLE = [
    {"text": TEXT},
    {"usage": {"prompt_tokens": 10, "completion_tokens": 4}},
    {"finish": "stop"},
]
DOWN = [{"fail": "refused", "code": "content_filter", "message": "no"}]
PRICES = {"prompt": 1, "completion": 2, "currency": "CNY"}


async def register(
    client: httpx.AsyncClient, url: str, name: str, script: Any, **more: Any
) -> None:
    facts = {"name": name, "provider": "scripted", "params": {"script": script}, **more}
    (await client.post(f"{url}/api/models", json=facts)).raise_for_status()


async def ask(client: httpx.AsyncClient, url: str, prompt: str, model: str) -> str:
    body = {"flow": "chat", "input": {"prompt": prompt}, "model": model}
    run = str((await client.post(f"{url}/v1/runs", json=body)).json()["id"])
    await look(client, f"{url}/v1/runs/{run}/events?dialect=native")
    return run


async def listed(client: httpx.AsyncClient, url: str, **params: Any) -> dict[str, Any]:
    answer = await client.get(f"{url}/v1/runs", params={"totals": 1, **params})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ids(answer: dict[str, Any]) -> list[str]:
    return [run["id"] for run in answer["runs"]]


async def test_runs_are_searched_filtered_sorted_and_counted(
    server: Served, client: httpx.AsyncClient
) -> None:
    url = server.url
    await register(client, url, "shoes", WHOLE, prices=PRICES)
    await register(client, url, "free", WHOLE)
    await register(client, url, "down", DOWN)
    first = await ask(client, url, "Which shoes are light?", "shoes")
    free = await ask(client, url, "一双便宜的", "free")
    down = await ask(client, url, "关于帽子", "down")
    found = await listed(client, url, q="云感跑鞋")
    assert ids(found) == [free, first]
    assert found["runs"][1]["hit"]["match"] == "云感跑鞋"
    assert found["totals"]["statuses"] == {"completed": 2}
    assert found["totals"]["searched"] is None
    assert ids(await listed(client, url, q="SHOES light")) == [first]
    assert ids(await listed(client, url, q="帽子")) == [down]
    assert ids(await listed(client, url, status="failed")) == [down]
    assert ids(await listed(client, url, status=["failed", "completed"])) == [down, free, first]
    assert ids(await listed(client, url, unpriced=1)) == [free]
    assert ids(await listed(client, url, sort="dearest"))[0] == first
    assert ids(await listed(client, url, model="down")) == [down]
    assert ids(await listed(client, url, since="2999-01-01T00:00:00Z")) == []
    (run,) = (await listed(client, url, q="light"))["runs"]
    assert (run["usage"]["total_tokens"], run["writers"], run["code"]) == (14, ["shoes"], None)
    assert run["cost"]["currency"] == "CNY"
    assert run["about"]["prompt"] == "Which shoes are light?"
    minutes = (await listed(client, url, minutes=1))["minutes"]
    assert (sum(m["runs"] for m in minutes), sum(m["failed"] for m in minutes)) == (3, 1)


async def test_children_are_folded_into_their_parent(
    server: Served, client: httpx.AsyncClient
) -> None:
    url = server.url
    await register(client, url, "shoes", WHOLE)
    asked = {"flow": "chat", "items": [{"prompt": "一"}, {"prompt": "二"}], "model": "shoes"}
    body = {"flow": "batch", "input": asked}
    batch = (await client.post(f"{url}/v1/runs", json=body)).json()["id"]
    await look(client, f"{url}/v1/runs/{batch}/events?dialect=native")
    (row,) = (await listed(client, url, top=1))["runs"]
    assert (row["id"], row["children"]) == (batch, {"completed": 2})
    children = await listed(client, url, parent=batch)
    assert {run["parent"] for run in children["runs"]} == {batch}
    timelines = (await client.get(f"{url}/api/timelines?run={batch}")).json()["timelines"]
    assert timelines[0]["progress"] == {"current": 2, "total": 2}


async def test_a_list_is_kept_up_by_its_changes(server: Served, client: httpx.AsyncClient) -> None:
    url = server.url
    await register(client, url, "shoes", WHOLE)
    old = await ask(client, url, "一", "shoes")
    change = (await listed(client, url))["change"]
    quiet = await listed(client, url, changed=change)
    assert (quiet["runs"], quiet["totals"], quiet["change"]) == ([], None, change)
    new = await ask(client, url, "二", "shoes")
    then = await listed(client, url, changed=change)
    assert ids(then) == [new]
    assert then["totals"]["statuses"] == {"completed": 2}
    elsewhere = await listed(client, url, changed=change, status="failed")
    assert (elsewhere["runs"], elsewhere["others"]) == ([], [new])
    assert old not in elsewhere["others"]


async def test_what_a_client_of_old_asks_is_answered_as_ever(
    server: Served, client: httpx.AsyncClient
) -> None:
    url = server.url
    await register(client, url, "shoes", WHOLE)
    runs = [await ask(client, url, str(number), "shoes") for number in range(3)]
    answer = (await client.get(f"{url}/v1/runs?limit=2&status=&flow=chat")).json()
    assert answer.keys() == {"runs", "next"}
    assert ids(answer) == runs[:0:-1]
    rest = (await client.get(f"{url}/v1/runs", params={"before": answer["next"]})).json()
    assert ids(rest) == runs[:1]


@pytest.mark.parametrize(
    "wrong",
    ["limit=501", "sort=oldest", "since=yesterday", "changed=-1", f"q={'x' * 201}", "minutes=x"],
)
async def test_a_wrong_question_is_refused(
    shared_server: Served, client: httpx.AsyncClient, wrong: str
) -> None:
    answer = await client.get(f"{shared_server.url}/v1/runs?{wrong}")
    assert answer.status_code == 422
    unknown = await client.get(f"{shared_server.url}/v1/runs?totals=1&before=nothing")
    assert unknown.status_code == 404


async def test_a_filter_or_a_choice_is_exported_as_lines(
    server: Served, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.url
    await register(client, url, "shoes", WHOLE)
    runs = [await ask(client, url, f"第{number}个问题", "shoes") for number in range(4)]
    answer = await client.get(f"{url}/api/exports/runs.jsonl", params={"q": "第2个"})
    (run,) = map(json.loads, answer.text.splitlines())
    assert (run["id"], run["text"], run["input"]["prompt"]) == (runs[2], TEXT, "第2个问题")
    assert answer.headers["x-unspool-runs"] == "1"
    assert "attachment" in answer.headers["content-disposition"]
    chosen = {"run": [runs[0], runs[3], "nothing"]}
    answer = await client.get(f"{url}/api/exports/runs.jsonl", params=chosen)
    assert [json.loads(line)["id"] for line in answer.text.splitlines()] == [runs[3], runs[0]]
    monkeypatch.setattr("unspool.server.api.exports.MAX_RUNS", 2)
    monkeypatch.setattr("unspool.server.api.exports.PAGE", 1)
    answer = await client.get(f"{url}/api/exports/runs.jsonl")
    assert len(answer.text.splitlines()) == 2
    assert answer.headers["x-unspool-whole"] == "false"
