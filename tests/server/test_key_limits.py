"""What a key is held to, it is held to: by routes, by children, and at the next server."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from support.keys import BODY, Keys, bearer
from support.runs import until_ended
from support.servers import Served
from unspool import Draft, RunSpec, open_journal
from unspool.journals import sqlite_url
from unspool.records.keys import split_key

WHOLE = [{"text": "今天推荐"}, {"text": "这双鞋"}, {"finish": "stop"}]
FAILS = [{"fail": "refused", "code": "model_not_found", "message": "there is no such model"}]
SLOW = [{"text": "今天"}, {"pause_s": 30}, {"finish": "stop"}]


class Models:
    """A server that wants keys, with models of a test's own."""

    def __init__(self, keys: Keys, client: httpx.AsyncClient) -> None:
        self._keys = keys
        self._client = client
        self.admin = keys.of("admin")

    async def add(self, path: str, **body: Any) -> None:
        reply = await self._client.post(self._keys.url + path, json=body, headers=self.admin)
        assert reply.status_code == 201, reply.text

    async def model(self, name: str, script: list[dict[str, Any]]) -> None:
        await self.add("/api/models", name=name, provider="scripted", params={"script": script})

    async def key(self, **limits: Any) -> dict[str, str]:
        body = {"name": "limited", "scopes": ["runs:read", "runs:write"], **limits}
        url = f"{self._keys.url}/api/keys"
        made = (await self._client.post(url, json=body, headers=self.admin)).json()
        return bearer(made["key"])

    async def start(self, model: str, headers: dict[str, str], **more: Any) -> httpx.Response:
        body = {**BODY, "model": model, **more}
        return await self._client.post(f"{self._keys.url}/v1/runs", json=body, headers=headers)

    async def ended(self, started: httpx.Response, headers: dict[str, str]) -> dict[str, Any]:
        assert started.status_code == 201, started.text
        run = started.json()["id"]
        return await until_ended(self._client, self._keys.served, run, headers=headers)


@pytest.fixture
async def models(keys: Keys, client: httpx.AsyncClient) -> Models:
    """The route `both` asks `fails`, and then `works`."""
    models = Models(keys, client)
    await models.model("fails", FAILS)
    await models.model("works", WHOLE)
    await models.add("/api/routes", name="both", strategy="ordered", models=["fails", "works"])
    return models


def asked(run: dict[str, Any]) -> list[str]:
    return [attempt["model"] for attempt in run["attempts"]]


async def test_a_route_asks_none_of_its_models_that_the_key_does_not_list(models: Models) -> None:
    everything = await models.key()
    run = await models.ended(await models.start("both", everything), everything)
    assert (run["status"], asked(run)[-1]) == ("completed", "works")
    one = await models.key(models=["fails"])
    run = await models.ended(await models.start("both", one), one)
    assert (run["status"], set(asked(run))) == ("failed", {"fails"})
    other = await models.key(models=["works"])
    run = await models.ended(await models.start("both", other), other)
    assert (run["status"], asked(run)) == ("completed", ["works"])
    route = await models.key(models=["both"])  # all that it leads to
    run = await models.ended(await models.start("both", route), route)
    assert (run["status"], asked(run)[-1]) == ("completed", "works")
    for name, refused in (("works", one), ("offline", one), ("works", route)):
        assert (await models.start(name, refused)).status_code == 403, name


async def test_children_ask_no_other_models_than_their_parent_may(
    keys: Keys, models: Models, client: httpx.AsyncClient
) -> None:
    one = await models.key(models=["fails"], flows=["batch", "chat"])
    items = {"flow": "chat", "items": [{"prompt": "你好"}]}
    batch = {"flow": "batch", "input": items}
    for model in ("fails", "both"):
        run = await models.ended(await models.start(model, one, **batch), one)
        url = f"{keys.url}/v1/runs?parent={run['id']}"
        (child,) = (await client.get(url, headers=one)).json()["runs"]
        whole = (await client.get(f"{keys.url}/v1/runs/{child['id']}", headers=one)).json()
        assert (whole["status"], set(asked(whole))) == ("failed", {"fails"})
    analysis = {"flow": "copywriting", "items": [{"sku": "8WZ01CM1"}]}
    for refused in ({**items, "model": "works"}, analysis):
        run = await models.ended(await models.start("fails", one, flow="batch", input=refused), one)
        (child,) = run["result"]["items"]
        assert (child["status"], child["error"]["code"]) == ("failed", "forbidden")


async def left_by(keys: Keys, name: str, spec: RunSpec) -> str:
    """Stop the server, and leave it a run of a key whose server has died."""
    await asyncio.to_thread(keys.served.stop)
    parts = split_key(keys.texts[name])
    assert parts is not None
    journal = await open_journal(sqlite_url(keys.served.settings.data_dir / "journal.db"))
    pen = await journal.create(
        RunSpec(spec.flow, spec.input, model=spec.model, key=parts[0], tenant=spec.tenant)
    )
    pen.append(Draft("step.started", {"step": "answer"}))
    await journal.aclose()
    return pen.run_id


async def test_an_adopted_run_keeps_the_limits_of_its_key(
    keys: Keys, models: Models, client: httpx.AsyncClient
) -> None:
    for limits, status, last in (
        (["fails"], "failed", "fails"),
        (["both"], "completed", "works"),
    ):
        headers = await models.key(models=limits)
        keys.texts["limited"] = headers["Authorization"].removeprefix("Bearer ")
        spec = RunSpec("chat", BODY["input"], model="both")
        run_id = await left_by(keys, "limited", spec)
        keys.served = Served(keys.served.settings).start()
        keys.url = keys.served.url
        run = await until_ended(client, keys.served, run_id, headers=models.admin)
        assert (run["status"], asked(run)[-1]) == (status, last)
        events = await client.get(
            f"{keys.url}/v1/runs/{run_id}/events?dialect=native", headers=models.admin
        )
        assert "run.recovered" in events.text


async def test_a_batch_that_is_adopted_starts_its_children_with_its_key(
    keys: Keys, models: Models, client: httpx.AsyncClient
) -> None:
    headers = await models.key(models=["fails"])
    keys.texts["limited"] = headers["Authorization"].removeprefix("Bearer ")
    items = {"flow": "chat", "items": [{"prompt": "你好"}]}
    parent = await left_by(keys, "limited", RunSpec("batch", items, model="both"))
    keys.served = Served(keys.served.settings).start()
    keys.url = keys.served.url
    await until_ended(client, keys.served, parent, headers=models.admin)
    url = f"{keys.url}/v1/runs?parent={parent}"
    (child,) = (await client.get(url, headers=models.admin)).json()["runs"]
    run = await until_ended(client, keys.served, child["id"], headers=models.admin)
    assert (run["status"], set(asked(run))) == ("failed", {"fails"})
    log = await client.get(
        f"{keys.url}/v1/runs/{child['id']}/events?dialect=native", headers=models.admin
    )
    parts = split_key(keys.texts["limited"])
    assert parts is not None
    assert f'"key":"{parts[0]}"' in log.text


@pytest.mark.parametrize("message", ['{"type": "cancel"}', '{"type": "steer", "cancel": true}'])
async def test_a_socket_to_the_run_of_another_tenant_does_nothing_to_it(
    keys: Keys, models: Models, client: httpx.AsyncClient, message: str
) -> None:
    await models.model("slow", SLOW)
    run = (await models.start("slow", models.admin)).json()["id"]
    url = f"{keys.url.replace('http', 'ws', 1)}/v1/runs/{run}/ws"
    with pytest.raises(ConnectionClosed) as closed:  # noqa: PT012 - all of it may be the place
        async with connect(url, additional_headers=keys.of("other")) as socket:
            for _ in range(20):
                await socket.send(message)
            while True:
                await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4404
    read = await client.get(f"{keys.url}/v1/runs/{run}", headers=models.admin)
    assert read.json()["status"] == "running"
    assert read.json()["viewers"] == 0
    ended = await client.post(f"{keys.url}/v1/runs/{run}/cancel", headers=models.admin)
    assert ended.json()["status"] == "cancelled"
