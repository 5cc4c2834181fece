"""What was used, by day, flow and model, counted from every attempt in the logs."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from support.keys import BODY, Keys
from support.servers import Serve, Served
from unspool import Journal
from unspool.runs.events import Draft
from unspool.runs.run import RunSpec

SCRIPT = [
    {"text": "今天推荐"},
    {"usage": {"prompt_tokens": 10, "completion_tokens": 4}},
    {"finish": "stop"},
]
CUT = [{"text": "今天"}, {"fail": "refused", "code": "content_filter", "message": "no"}]
PRICES = {"prompt": 1, "completion": 2, "currency": "CNY"}


async def ask(client: httpx.AsyncClient, url: str, flow: str, asked: Any, model: str = "") -> str:
    body = {"flow": flow, "input": asked, "model": model}
    run = str((await client.post(f"{url}/v1/runs", json=body)).json()["id"])
    async with client.stream("GET", f"{url}/v1/runs/{run}/events") as events:
        async for _ in events.aiter_lines():
            pass
    return run


async def register(client: httpx.AsyncClient, url: str, name: str, script: Any) -> None:
    facts = {"name": name, "provider": "scripted", "params": {"script": script}, "prices": PRICES}
    (await client.post(f"{url}/api/models", json=facts)).raise_for_status()


async def test_attempts_are_counted_by_day_flow_and_model(
    server: Served, client: httpx.AsyncClient
) -> None:
    url = server.url
    await ask(client, url, "copywriting", {"sku": "8WZ01CM1", "count": 1})
    await register(client, url, "whole", SCRIPT)
    await register(client, url, "cut", CUT)
    for model in ("whole", "whole", "cut"):
        await ask(client, url, "chat", {"prompt": "鞋"}, model)
    usage = (await client.get(f"{url}/api/usage")).json()
    assert (usage["runs"], usage["is_whole"], usage["days"]) == (4, True, 30)
    rows = {(row["flow"], row["model"]): row for row in usage["rows"]}
    whole = rows["chat", "whole"]
    assert (whole["runs"], whole["attempts"], whole["failures"]) == (2, 2, 0)
    assert (whole["prompt_tokens"], whole["completion_tokens"]) == (20, 8)
    assert whole["costs"] == [{"currency": "CNY", "amount": pytest.approx(36e-6)}]
    assert not whole["is_estimated"]
    cut = rows["chat", "cut"]
    assert (cut["runs"], cut["failures"]) == (1, cut["attempts"])
    assert cut["is_estimated"]
    assert rows["copywriting", "template"]["attempts"] == 0


async def test_older_runs_than_asked_for_are_left_out_and_a_wrong_number_is_refused(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    for days in (0, 367):
        answer = await client.get(f"{shared_server.url}/api/usage", params={"days": days})
        assert answer.status_code == 422


async def test_every_run_is_counted_and_a_template_needs_no_price(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    journal: Journal = served.core.journal

    async def write() -> None:
        pen = await journal.create(RunSpec("chat", {}))
        await pen.end(Draft("run.failed", {"code": "auth", "message": "no"}))

    for _ in range(5):
        await served.call(write)
    usage = (await client.get(f"{served.url}/api/usage?time_zone=Asia/Shanghai")).json()
    assert (usage["runs"], usage["is_whole"], usage["time_zone"]) == (5, True, "Asia/Shanghai")
    (flow,) = usage["flows"]
    assert (flow["name"], flow["runs"], flow["failed"]) == ("chat", 5, 5)
    assert usage["rows"] == []
    wrong = await client.get(f"{served.url}/api/usage?time_zone=Mars/North")
    assert wrong.status_code == 422


async def test_tokens_without_a_price_and_times_are_told(
    server: Served, client: httpx.AsyncClient
) -> None:
    url = server.url
    facts = {"name": "free", "provider": "scripted", "params": {"script": SCRIPT}}
    (await client.post(f"{url}/api/models", json=facts)).raise_for_status()
    for _ in range(3):
        await ask(client, url, "chat", {"prompt": "鞋"}, "free")
    usage = (await client.get(f"{url}/api/usage")).json()
    (row,) = usage["rows"]
    assert (row["unpriced"], row["costs"]) == (3, [])
    times = {(each["by"], each["of"], each["name"]): each for each in usage["times"]}
    assert times["model", "first", "free"]["total"] == 3
    total = times["flow", "total", "chat"]
    assert 0 <= total["p50_ms"] <= total["p95_ms"]


async def test_usage_is_told_by_tenant_key_and_end_user(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    async def start(name: str, **headers: str) -> None:
        headers |= keys.of(name)
        run = await client.post(f"{keys.url}/v1/runs", json=BODY, headers=headers)
        await client.get(f"{keys.url}/v1/runs/{run.json()['id']}/events", headers=headers)

    await start("admin", **{"Unspool-User": "ann"})
    await start("admin", **{"Unspool-User": "ann"})
    await start("admin")
    await start("other", **{"Unspool-User": "ann"})
    url, admin = f"{keys.url}/api/usage", keys.of("admin")
    ours = (await client.get(url, headers=admin)).json()
    key = keys.texts["admin"].split("_")[1]
    runs = {(row["key"], row["user"]): row["runs"] for row in ours["owners"]}
    assert runs == {(key, "ann"): 2, (key, ""): 1}
    everything = (await client.get(f"{url}?all_tenants=true", headers=admin)).json()
    assert everything["runs"] == 4
    assert len({row["tenant"] for row in everything["owners"]}) == 2
    reply = await client.get(f"{url}?all_tenants=true", headers=keys.of("other"))
    assert reply.status_code == 403
