"""The whole matrix: every route there is, and everybody who may come to it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from support.belongings import MARK, PERSON, SKU, Belongings
from support.images import data_url
from support.keys import BODY, Keys
from support.routes import Route, routes
from unspool.runs.principal import SCOPES
from unspool.server import rights

pytestmark = pytest.mark.timeout(60)

BODIES: dict[str, Any] = {
    "POST /api/v1/causal-graph/{id}/ask/llm-stream": {"question": "为什么"},
    "POST /v1/runs/{run_id}/feedback": {"verdict": "up"},
    "POST /v1/runs/{run_id}/outcome": {"is_adopted": True},
    "POST /api/imports/{id}/start": {"kinds": ["behaviors"]},
    "PATCH /api/cases/{id}": {"name": "x"},
    "PATCH /api/conversations/{id}": {"name": "x"},
    "POST /v1/conversations/{id}/messages": {"prompt": "x"},
    "PATCH /v1/conversations/{id}/messages/{message}": {"prompt": "x"},
    "PATCH /api/experiments/{name}": {"is_active": False},
    "PATCH /api/presets/{id}": {"name": "x"},
    "PATCH /api/tools/{id}": {"description": "x"},
    "PATCH /api/v1/projects/{id}/": {"name": "x"},
    "PATCH /api/v1/projects/{id}/stages/{kind}/": {"input_text": "x"},
    "PUT /api/copies/{run}/posts/{post}": {"text": "x"},
    "POST /api/people/{id}/events/accept": {"run": "x"},
}
"""What a route wants to be sent before it looks for the record; else an empty object."""

SHARED = ("/api/models", "/api/routes", "/v1/flows", "/v1/models")
"""What all tenants share."""

ABSENT = {
    "GET /api/imports/{id}/rejected": "nothing was imported",
    "GET /api/tools/mcp/{server}": "the server is named in no file",
}
"""Even its owner gets 404 there."""

ENDLESS = {"GET /v1/conversations/{id}/events": "?follow=false"}
"""Streams without an end, and how they have one."""

NOTHING = {"GET /v1/ui/chat/{chat_id}/stream": 204}
"""How clients of a vendor want to be told that something is not there."""


async def socket_status(url: str, headers: dict[str, str]) -> int:
    """Return how a socket is answered: the status of the handshake, or by the code of its close."""
    try:
        async with connect(url.replace("http", "ws", 1), additional_headers=headers) as socket:
            while True:
                await socket.recv()
    except InvalidStatus as refused:
        return refused.response.status_code
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else 0
        return code - 4000 if code >= 4400 else 200


async def answered(
    keys: Keys, client: httpx.AsyncClient, route: Route, headers: dict[str, str], path: str
) -> tuple[int, str]:
    """Return the status and the text of the answer."""
    url = keys.url + path + ENDLESS.get(" ".join(route), "")
    if route.method == "WEBSOCKET":
        return await socket_status(url, headers), ""
    body = None if route.method in {"GET", "DELETE"} else BODIES.get(" ".join(route), {})
    reply = await client.request(route.method, url, headers=headers, json=body)
    return reply.status_code, reply.text


def test_every_route_has_its_scope(keys: Keys) -> None:
    lacking = [
        route
        for route in routes(keys.served)
        if rights.rule_for(route.at({})) is None and not rights.is_public(route.path)
    ]
    assert lacking == []


async def test_every_route_is_closed_to_whom_it_should_be(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    wrong = []
    for route in routes(keys.served):
        path = route.at({})
        if rights.is_public(path):
            continue
        rule = rights.rule_for(path)
        assert rule is not None
        scope = rule.read if route.method in {"GET", "WEBSOCKET"} else rule.write
        lacks = next(name for name in SCOPES if name not in {scope, "admin"})
        for name, status in {"": 401, "unknown": 401, lacks: 403}.items():
            headers = keys.of(name) if name else {}
            told, text = await answered(keys, client, route, headers, path)
            if told != status or (text and "error" not in json.loads(text)):
                wrong.append((route, name, told))
        told, _ = await answered(keys, client, route, keys.of(scope), path)
        is_for_others = rule.for_operator and (route.method != "GET" or rule.read == "admin")
        if (told in {401, 403}) != (is_for_others and scope != "admin") or told >= 500:
            wrong.append((route, scope, told))
    assert not wrong, "\n".join(map(str, wrong))


async def test_what_belongs_to_another_tenant_does_not_exist_on_any_route(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    mine = Belongings(keys, client, "admin")
    await mine.make()
    theirs = keys.of("other")
    wrong = []
    table = [route for route in routes(keys.served) if not rights.is_public(route.path)]
    of_records = [route for route in table if not route.path.startswith(SHARED)]
    for route in of_records:
        path = route.at(mine.ids)
        if not route.has_id:
            continue
        told, text = await answered(keys, client, route, theirs, path)
        if told != NOTHING.get(" ".join(route), 404):
            wrong.append((route, told, text[:100]))
    for route in of_records:  # they are there, and nothing has happened to them
        if route.method not in {"GET", "WEBSOCKET"} or not route.has_id:
            continue
        told, _ = await answered(keys, client, route, mine.headers, route.at(mine.ids))
        if (told == 404) != (" ".join(route) in ABSENT):
            wrong.append((route, told, "of the owner"))
    assert not wrong, "\n".join(map(str, wrong))


async def test_no_list_and_no_figure_tells_of_another_tenant(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    mine = Belongings(keys, client, "admin")
    await mine.make()
    theirs = keys.of("other")
    words = (MARK, SKU, PERSON, *(v for v in mine.ids.values() if len(v) > 8))
    run = mine.ids["/v1/runs/"]
    asked = [route.path for route in routes(keys.served) if route.method == "GET"]
    paths = [path for path in asked if "{" not in path and not rights.is_public(path)]
    paths = [path for path in paths if not path.startswith(SHARED)]
    paths += ["/v1/runs?sort=longest&totals=true", f"/v1/runs?q={MARK}&totals=true"]
    paths += [f"/v1/runs?parent={run}", f"/api/timelines?run={run}", "/v1/runs?minutes=true"]
    paths += [f"/api/exports/runs.jsonl?run={run}", "/v1/runs?sort=longest&changed=0"]
    telling = set()
    for path in paths:
        own = (await client.get(keys.url + path, headers=mine.headers)).text
        telling |= {path} if any(word in own for word in words) else set()
        told = (await client.get(keys.url + path, headers=theirs)).text  # what was read is kept
        assert [word for word in words if word in told] == [], path
    assert len(telling) >= 20, telling
    progress = await client.get(f"{keys.url}/api/progress", headers=theirs)
    assert progress.json() == {"flows": []}
    assert (await client.get(f"{keys.url}/api/progress", headers=mine.headers)).json()["flows"]
    usage = (await client.get(f"{keys.url}/api/usage", headers=theirs)).json()
    assert [usage["rows"], usage["flows"]] == [[], []]
    totals = await client.get(f"{keys.url}/v1/runs?q={MARK}&totals=true", headers=theirs)
    assert totals.json()["totals"] == {"statuses": {}, "flows": [], "searched": None}


async def test_nothing_takes_the_id_of_another_tenants_record(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    mine = Belongings(keys, client, "admin")
    await mine.make()
    theirs, ids = keys.of("other"), mine.ids
    run, image = ids["/v1/runs/"], ids["/api/images/"]
    cases = {"case_ids": [int(ids["/api/cases/"])], "models": ["offline"]}
    for path, body in (
        ("/v1/tickets", {"run": run}),
        ("/api/cases", {"run": run}),
        ("/ai/generate/copy", {"sku": SKU, "count": 1}),
        ("/ai/analyze/product", {"sku": SKU}),
        ("/v1/runs", {"flow": "evaluation", "input": cases}),
        ("/api/debug/chat", {"model_id": 1, "prompt": "你好", "conversation_id": 1}),
        ("/api/debug/chat", {"model_id": 1, "prompt": "你好", "tool_ids": [1]}),
    ):
        reply = await client.post(keys.url + path, json=body, headers=theirs)
        assert reply.status_code == 404, (path, reply.status_code, reply.text[:200])
    other = Belongings(keys, client, "other")
    parent = await other.run("batch", items=[{"prompt": "你好"}], flow="chat")
    kids = await client.get(f"{keys.url}/v1/runs?parent={parent}", headers=theirs)
    (child,) = kids.json()["runs"]
    for number in (parent, child["id"]):
        for headers, status in ((theirs, 200), (mine.headers, 404)):
            reply = await client.get(f"{keys.url}/v1/runs/{number}", headers=headers)
            assert reply.status_code == status
    assert (await client.get(f"{keys.url}/api/images/{image}", headers=theirs)).status_code == 404
    await other.run("chat", prompt="这是什么", images=[data_url()])
    assert (await client.get(f"{keys.url}/api/images/{image}", headers=theirs)).status_code == 200


async def test_equal_requests_of_two_tenants_are_two_runs(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    shared = {"Idempotency-Key": "the same key", "Unspool-Cache": "read"}
    found: dict[str, set[str]] = {"admin": set(), "other": set()}
    for name in ("admin", "other", "admin", "other"):
        headers = {**keys.of(name), **shared}
        for asked in (headers, {**headers, "Idempotency-Key": f"another of {name}"}):
            run = (await client.post(f"{keys.url}/v1/runs", json=BODY, headers=asked)).json()
            found[name].add(run["id"])
    assert found["admin"].isdisjoint(found["other"])
    for runs in found.values():
        assert len(runs) == 1, "joined, reused, or found by its key"
