"""Budgets over HTTP: what they refuse, what they stop, and that their sums are those of the log."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from support.keys import Keys
from support.runs import until_ended
from support.servers import Serve, Served, ServeModel
from support.upstream import KEY, SILENCE, Upstream, answer, chunk

BODY = {"flow": "chat", "input": {"prompt": "请介绍运动鞋", "params": {"max_tokens": 17}}}
CEILING = 1000.0
"""A thousand for a million tokens: a thousandth a token; the upstream says 30 tokens."""


async def put(client: httpx.AsyncClient, served: Served, **facts: Any) -> dict[str, Any]:
    body = {"kind": "tenant", "ceiling": CEILING, **facts}
    reply = await client.put(f"{served.url}/api/budgets", json=body)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


async def settled(client: httpx.AsyncClient, served: Served) -> dict[str, Any]:
    """The first budget, once nothing is reserved."""
    for _ in range(500):
        budget = (await client.get(f"{served.url}/api/budgets")).json()["budgets"][0]
        if not any(account["reserved"] for account in budget["accounts"]) and not budget["live"]:
            return dict(budget)
        await asyncio.sleep(0.02)
    raise AssertionError(budget)


def spent(budget: dict[str, Any]) -> float:
    return round(sum(account["spent"] for account in budget["accounts"]), 9)


async def start(client: httpx.AsyncClient, served: Served, **headers: str) -> httpx.Response:
    return await client.post(f"{served.url}/v1/runs", json=BODY, headers=headers)


async def test_a_budget_that_is_spent_refuses_the_next_run_and_says_which(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer("好鞋")]
    served = serve_model(time_zone="Asia/Shanghai")
    await put(client, served, max=0.06, currency="CNY", window="day")
    first = await start(client, served)
    await until_ended(client, served, first.json()["id"])
    assert spent(await settled(client, served)) == 0.03
    second = await start(client, served)
    await until_ended(client, served, second.json()["id"])
    assert spent(await settled(client, served)) == 0.06
    refused = await start(client, served)
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "budget_exceeded")
    assert "budget of the tenant" in refused.json()["error"]["message"]
    assert "0.06 CNY a day" in refused.json()["error"]["message"]
    assert len(upstream.requests) == 2


async def test_an_idempotency_key_finds_its_run_also_when_the_budget_is_spent(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer("好鞋")]
    served = serve_model()
    await put(client, served, max=0.05)
    key = {"Idempotency-Key": "one"}
    first = await start(client, served, **key)
    await until_ended(client, served, first.json()["id"])
    await settled(client, served)
    assert (await start(client, served)).status_code == 402
    again = await start(client, served, **key)
    assert again.json()["id"] == first.json()["id"]


async def test_of_many_requests_at_once_none_spends_what_another_has_reserved(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer("好鞋")]
    served = serve_model()
    budget = await put(client, served, max=1.0)
    replies = await asyncio.gather(*(start(client, served) for _ in range(60)))
    begun = [reply.json()["id"] for reply in replies if reply.status_code in {200, 201}]
    assert {reply.status_code for reply in replies} - {200, 201} == {402}
    for run_id in begun:
        assert (await until_ended(client, served, run_id))["status"] == "completed"
    budget = await settled(client, served)
    assert spent(budget) == round(0.03 * len(begun), 9) <= 1.0
    assert len(begun) == 33


async def test_a_run_whose_next_request_has_no_room_ends_incomplete_and_keeps_its_text(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天推荐这双"), b"data: {broken\n\n"], answer("鞋")]
    served = serve_model(retries=2)
    # The first request has room; the one that is to continue the text has none.
    await put(client, served, max=0.045)
    run_id = (await start(client, served)).json()["id"]
    run = await until_ended(client, served, run_id)
    assert (run["status"], run["error"]["code"]) == ("incomplete", "budget")
    assert run["text"].startswith("今天推荐这双")
    assert len(upstream.requests) == 1
    models = (await client.get(f"{served.url}/api/models")).json()["models"]
    assert "budget" not in str(models), "no fault of the model"
    await settled(client, served)


async def test_a_model_without_a_price_needs_a_ceiling(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    served = serve_model()
    await put(client, served, max=1.0, ceiling=None)
    refused = await start(client, served)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "price_unknown")
    assert upstream.requests == []


async def test_end_users_have_a_budget_each(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer("好鞋")]
    served = serve_model()
    await put(client, served, kind="user", subject="*", max=0.05)
    await put(client, served, kind="user", subject="vip", max=9.0)
    for user in ("ann", "ben"):
        run = (await start(client, served, **{"Unspool-User": user})).json()
        await until_ended(client, served, run["id"])
        await settled(client, served)
        assert (await start(client, served, **{"Unspool-User": user})).status_code == 402
    for _ in range(3):
        reply = await start(client, served, **{"Unspool-User": "vip"})
        assert reply.status_code in {200, 201}
    assert (await start(client, served)).status_code in {200, 201}, "nobody's"
    bad = await start(client, served, **{"Unspool-User": "*"})
    assert bad.status_code == 422


async def test_runs_at_once_and_requests_a_minute_are_refused_with_a_time_to_wait(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("好"), SILENCE]]
    served = serve_model()
    await put(client, served, live_runs=1)
    first = (await start(client, served)).json()["id"]
    refused = await start(client, served)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limited")
    assert refused.headers["retry-after"] == "1"
    await client.post(f"{served.url}/v1/runs/{first}/cancel")
    await settled(client, served)
    assert (await start(client, served)).status_code in {200, 201}
    await put(client, served, requests_per_minute=0)
    refused = await start(client, served)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["ratelimit"].startswith('"budget";r=0;t=')


async def test_a_cancelled_run_frees_what_it_did_not_spend(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("好"), SILENCE]]
    served = serve_model()
    await put(client, served, max=1.0)
    run_id = (await start(client, served)).json()["id"]
    held = (await client.get(f"{served.url}/api/budgets")).json()["budgets"][0]["accounts"][0]
    assert held["reserved"] > 0.02
    await client.post(f"{served.url}/v1/runs/{run_id}/cancel")
    run = await until_ended(client, served, run_id)
    usage = run["usage"]
    tokens = usage["prompt_tokens"] + usage["completion_tokens"]
    assert spent(await settled(client, served)) == round(tokens * CEILING / 1e6, 9)


async def test_reservations_of_a_dead_server_are_settled_from_the_log(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer("好鞋")]
    served = serve_model()
    await put(client, served, max=1.0)
    budgets = served.core.budgets

    async def run_and_forget() -> str:
        # As if the server had died between the ending and its settlement.
        reply = await start(client, served)
        return str(reply.json()["id"])

    budgets.ended = lambda run_id: budgets.left(run_id)  # type: ignore[method-assign]
    run_id = await run_and_forget()
    await until_ended(client, served, run_id)
    budget = (await client.get(f"{served.url}/api/budgets")).json()["budgets"][0]
    assert budget["accounts"][0]["reserved"] > 0
    await served.call(lambda: budgets.sweep(fresh_ms=-1))
    assert spent(await settled(client, served)) == 0.03


@pytest.mark.parametrize(
    "facts",
    [
        {"kind": "tenant", "subject": "x"},
        {"kind": "key", "subject": ""},
        {"max": -1},
        {"window": "year"},
        {"time_zone": "Nowhere/At"},
        {"currency": "usd"},
    ],
)
async def test_a_budget_that_makes_no_sense_is_refused(
    serve_with: Serve, client: httpx.AsyncClient, facts: dict[str, Any]
) -> None:
    served = serve_with()
    reply = await client.put(f"{served.url}/api/budgets", json={"kind": "tenant", **facts})
    assert reply.status_code == 422


async def test_a_key_opens_as_many_streams_as_its_budget_allows(
    keys: Keys, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    admin, key = keys.of("admin"), keys.texts["runs:read"].split("_")[1]
    body = {"kind": "key", "subject": key, "viewers": 1}
    reply = await client.put(f"{keys.url}/api/budgets", json=body, headers=admin)
    assert reply.status_code == 200, reply.text
    upstream.play = [[chunk("好"), SILENCE]]
    model = {"name": "slow", "provider": "openai", "base_url": upstream.url, "api_key": KEY}
    reply = await client.post(f"{keys.url}/api/models", json=model, headers=admin)
    assert reply.status_code == 201, reply.text
    run = await client.post(f"{keys.url}/v1/runs", json={**BODY, "model": "slow"}, headers=admin)
    events = f"{keys.url}/v1/runs/{run.json()['id']}/events"
    async with client.stream("GET", events, headers=keys.of("runs:read")) as open_stream:
        assert open_stream.status_code == 200
        refused = await client.get(events, headers=keys.of("runs:read"))
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limited")
        async with client.stream("GET", events, headers=admin) as other:
            assert other.status_code == 200, "another key"
    run_id = run.json()["id"]
    await client.post(f"{keys.url}/v1/runs/{run_id}/cancel", headers=admin)


async def test_a_key_manages_the_budgets_of_its_own_tenant_alone(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    other, admin = keys.of("other"), keys.of("admin")
    url = f"{keys.url}/api/budgets"
    ours = keys.texts["admin"].split("_")[1]
    refused = await client.put(url, json={"kind": "key", "subject": ours, "max": 1}, headers=other)
    assert refused.status_code == 404
    refused = await client.put(url, json={"kind": "tenant", "max": 1}, headers=other)
    assert refused.status_code == 403
    made = await client.put(url, json={"kind": "user", "subject": "*", "max": 1}, headers=other)
    assert made.status_code == 200
    theirs = (await client.get(url, headers=other)).json()["budgets"]
    assert [budget["kind"] for budget in theirs] == ["user"]
    mine = await client.put(url, json={"kind": "tenant", "max": 1}, headers=admin)
    place = f"{url}/{mine.json()['id']}"
    assert (await client.get(place, headers=other)).status_code == 404
    assert (await client.delete(place, headers=other)).status_code == 404
    assert (await client.delete(place, headers=admin)).status_code == 204
