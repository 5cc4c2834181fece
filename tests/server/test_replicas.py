"""Several servers over one PostgreSQL: any of them serves any viewer of any run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from support.postgres import shared_server
from support.readers import look
from support.runs import until_ended
from support.servers import Serve, Served, ServeModel
from support.upstream import SILENCE, Upstream, answer, chunk
from unspool.execution import adoption, budgets

COUNT = 3
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@pytest.fixture
def database() -> SecretStr:
    return SecretStr(shared_server().new_database())


def shared(database: SecretStr, folder: Path, number: int) -> dict[str, Any]:
    """Settings of a server, which has a data directory of its own."""
    place = {"database_url": database, "data_dir": folder / f"replica-{number}"}
    return {**place, "secret_key": SecretStr(KEY), "sample_data": False}


@pytest.fixture
async def replicas(
    serve_with: Serve, database: SecretStr, tmp_path: Path, client: httpx.AsyncClient
) -> list[Served]:
    """Servers with the built-in model, each with a data directory of its own."""
    servers = [serve_with(**shared(database, tmp_path, number)) for number in range(COUNT)]
    for each in servers:
        # Three threads must not build what the libraries of one process build at first use.
        run_id = await begun(client, each)
        await client.get(f"{each.url}/v1/runs/{run_id}/events?dialect=plain")
        await until_ended(client, each, run_id)
    await servers[0].call(lambda: forget_all(servers[0]))
    return servers


async def forget_all(served: Served) -> None:
    journal = served.core.journal
    await journal.forget([head.run_id for head in await journal.heads()])


async def begun(client: httpx.AsyncClient, served: Served, **headers: str) -> str:
    body = {"flow": "chat", "input": {"prompt": "请介绍运动鞋"}}
    reply = await client.post(f"{served.url}/v1/runs", json=body, headers=headers)
    assert reply.status_code in {200, 201}, reply.text
    return str(reply.json()["id"])


async def test_a_run_is_the_same_at_every_server(
    replicas: list[Served], client: httpx.AsyncClient
) -> None:
    run_id = await begun(client, replicas[0])
    streams = await asyncio.gather(
        *(client.get(f"{each.url}/v1/runs/{run_id}/events?dialect=plain") for each in replicas)
    )
    assert len({stream.text for stream in streams}) == 1
    for each in replicas:
        run = await until_ended(client, each, run_id)
        assert run["status"] == "completed"
        listed = (await client.get(f"{each.url}/v1/runs")).json()["runs"]
        assert [row["id"] for row in listed] == [run_id]


async def test_of_many_requests_with_one_key_at_all_servers_one_starts_a_run(
    replicas: list[Served], client: httpx.AsyncClient
) -> None:
    key = {"Idempotency-Key": "one and the same"}
    found = await asyncio.gather(*(begun(client, replicas[n % COUNT], **key) for n in range(200)))
    assert len(set(found)) == 1
    listed = (await client.get(f"{replicas[1].url}/v1/runs")).json()["runs"]
    assert len(listed) == 1


async def test_of_many_equal_requests_at_all_servers_one_starts_a_run(
    replicas: list[Served], client: httpx.AsyncClient
) -> None:
    shared = {"Unspool-Cache": "read"}
    found = await asyncio.gather(*(begun(client, replicas[n % COUNT], **shared) for n in range(30)))
    assert len(set(found)) == 1


async def test_of_200_requests_on_one_budget_at_all_servers_as_many_begin_as_fit(
    serve_model: ServeModel,
    upstream: Upstream,
    database: SecretStr,
    tmp_path: Path,
    client: httpx.AsyncClient,
) -> None:
    upstream.play = [answer("好鞋")]  # 30 tokens, as is the estimate
    servers = [serve_model(**shared(database, tmp_path, number)) for number in range(COUNT)]
    budget = {"kind": "tenant", "max": 1.0, "ceiling": 1000.0}
    await client.put(f"{servers[0].url}/api/budgets", json=budget)
    await asyncio.sleep(budgets.KNOWN_S)  # until the others know it
    body = {"flow": "chat", "input": {"prompt": "请介绍运动鞋", "params": {"max_tokens": 17}}}
    replies = await asyncio.gather(
        *(client.post(f"{servers[n % COUNT].url}/v1/runs", json=body) for n in range(200))
    )
    begun = [reply.json()["id"] for reply in replies if reply.status_code in {200, 201}]
    assert {reply.status_code for reply in replies} <= {200, 201, 402}
    for run_id in begun:
        assert (await until_ended(client, servers[0], run_id))["status"] == "completed"
    assert len(begun) == 33, "no false refusal, and no overspend"
    for served in servers:
        await served.call(served.core.budgets.aclose)
    (found,) = (await client.get(f"{servers[1].url}/api/budgets")).json()["budgets"]
    (account,) = found["accounts"]
    assert (account["spent"], account["reserved"], found["live"]) == (0.99, 0, 0)


async def test_a_run_is_cancelled_from_a_server_that_does_not_write_it(
    serve_model: ServeModel,
    upstream: Upstream,
    database: SecretStr,
    tmp_path: Path,
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adoption, "ASKED_S", 3600.0)  # only a message brings the request in time
    upstream.play = [[chunk("今天推荐"), SILENCE]]
    writes, looks = (serve_model(**shared(database, tmp_path, number)) for number in range(2))
    run_id = await begun(client, writes)
    await look(client, f"{looks.url}/v1/runs/{run_id}/events?dialect=plain", frames=1)
    reply = await client.post(f"{looks.url}/v1/runs/{run_id}/cancel")
    assert reply.json()["status"] == "cancelled"
    assert reply.json()["text"] == "今天推荐"
    run = await until_ended(client, writes, run_id)
    assert run["status"] == "cancelled"


async def test_a_server_that_stops_hands_its_runs_to_another_at_once(
    serve_model: ServeModel,
    upstream: Upstream,
    database: SecretStr,
    tmp_path: Path,
    client: httpx.AsyncClient,
) -> None:
    upstream.play = [[chunk("今天推荐"), SILENCE], answer("今天推荐这双鞋")]
    first, second = (serve_model(**shared(database, tmp_path, number)) for number in range(2))
    run_id = await begun(client, first)
    await look(client, f"{second.url}/v1/runs/{run_id}/events?dialect=plain", frames=1)
    first.stop()
    run = await until_ended(client, second, run_id)
    assert (run["status"], run["text"]) == ("completed", "今天推荐这双鞋")
