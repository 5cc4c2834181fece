"""Tickets, sessions and open streams: they open less than their key, and no longer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from support.keys import BODY, Keys, bearer, made
from support.patience import within
from support.runs import until_ended
from support.servers import Served, Tune
from unspool.records import Records
from unspool.records.keys import revoke_key, split_key


async def drained(stream: AsyncIterable[object]) -> None:
    """Read a stream to its end; a WebSocket that is closed orderly raises, too."""
    async for _ in stream:
        pass
    if isinstance(stream, ClientConnection):
        await stream.recv()


async def test_a_ticket_opens_one_run_to_a_page_until_its_key_is_revoked(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    headers = keys.of("runs:write") | {}
    run = (await client.post(f"{keys.url}/v1/runs", json=BODY, headers=headers)).json()
    reader = keys.of("runs:read")
    asked = {"run": run["id"]}
    ticket = (await client.post(f"{keys.url}/v1/tickets", json=asked, headers=reader)).json()
    events = f"{keys.url}/v1/runs/{run['id']}/events"
    for _ in range(2):  # an EventSource comes back with the same address
        reply = await client.get(events, params={"ticket": ticket["ticket"]})
        assert reply.status_code == 200
    for method, path in (
        ("GET", "/v1/runs"),
        ("GET", "/v1/runs/01m8f2t15j6kr184sqjbkgn7qb/events"),
        ("POST", f"/v1/runs/{run['id']}/cancel"),
    ):
        reply = await client.request(method, keys.url + path, params={"ticket": ticket["ticket"]})
        assert reply.status_code == 403, path
    beyond = {"run": run["id"], "scope": "runs:write"}
    assert (
        await client.post(f"{keys.url}/v1/tickets", json=beyond, headers=reader)
    ).status_code == 403
    parts = split_key(keys.texts["runs:read"])
    assert parts is not None
    admin = keys.of("admin")
    assert (
        await client.delete(f"{keys.url}/api/keys/{parts[0]}", headers=admin)
    ).status_code == 204
    reply = await client.get(events, params={"ticket": ticket["ticket"]})
    assert reply.status_code == 401


async def test_an_open_stream_ends_when_its_key_is_revoked(
    tune: Tune, client: httpx.AsyncClient
) -> None:
    settings = tune(access="keys")
    served = Served(settings)
    texts = await made(settings.data_dir)
    served.start()
    try:
        keys = Keys(served, texts)
        headers = keys.of("runs:write")
        run = (await client.post(f"{keys.url}/v1/runs", json=BODY, headers=headers)).json()
        url = f"{keys.url}/v1/runs/{run['id']}/events"
        socket = f"{url.replace('http', 'ws', 1).removesuffix('events')}ws"
        async with (
            client.stream("GET", url, headers=keys.of("runs:read")) as stream,
            connect(socket, additional_headers=keys.of("runs:read")) as ws,
        ):
            lines = stream.aiter_lines()
            assert await anext(lines)
            parts = split_key(texts["runs:read"])
            assert parts is not None
            records = await Records.open(settings.data_dir / "records.db")
            assert await revoke_key(records, parts[0])
            await records.aclose()
            async with within(10):
                with pytest.raises(httpx.RemoteProtocolError):
                    await drained(lines)
                with pytest.raises(ConnectionClosed) as closed:
                    await drained(ws)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1008
        run = await until_ended(client, served, run["id"], headers=keys.of("admin"))
        assert run["status"] == "completed", "the run itself is not touched"
        with pytest.raises(InvalidStatus):
            await connect(socket, additional_headers=keys.of("runs:read")).__aenter__()
    finally:
        served.stop()


async def test_a_page_of_another_site_follows_a_run_with_a_ticket_of_a_key_that_lists_it(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    site, admin = "https://shop.example", keys.of("admin")
    body = {"name": "page", "scopes": ["runs:read"], "origins": [site]}
    key = (await client.post(f"{keys.url}/api/keys", json=body, headers=admin)).json()["key"]
    run = (await client.post(f"{keys.url}/v1/runs", json=BODY, headers=admin)).json()["id"]
    asked = {"run": run}
    url = f"{keys.url}/v1/runs/{run}"
    for holder, known in ((bearer(key), True), (keys.of("runs:read"), False)):
        made = await client.post(f"{keys.url}/v1/tickets", json=asked, headers=holder)
        ticket = {"ticket": made.json()["ticket"]}
        reply = await client.get(f"{url}/events", params=ticket, headers={"Origin": site})
        assert reply.status_code == (200 if known else 401)
        shown = reply.headers.get("access-control-allow-origin")
        assert shown == site or not known
        socket = f"{url.replace('http', 'ws', 1)}/ws?ticket={ticket['ticket']}"
        opening = connect(socket, additional_headers={"Origin": site})
        if known:
            async with opening as ws:
                assert json.loads(await ws.recv())["id"] == "1"
        else:
            with pytest.raises(InvalidStatus):
                await opening.__aenter__()


async def test_a_socket_that_may_only_read_cancels_nothing(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    admin = keys.of("admin")
    script = [{"text": "今天"}, {"pause_s": 30}]
    slow = {"name": "slow", "provider": "scripted", "params": {"script": script}}
    await client.post(f"{keys.url}/api/models", json=slow, headers=admin)
    body = {**BODY, "model": "slow"}
    run = (await client.post(f"{keys.url}/v1/runs", json=body, headers=admin)).json()["id"]
    url = f"{keys.url.replace('http', 'ws', 1)}/v1/runs/{run}/ws"
    codes: list[str] = []
    async with connect(url, additional_headers=keys.of("runs:read")) as socket:
        for message in ('{"type": "cancel"}', '{"type": "steer", "texts": {"answer": "x"}}'):
            await socket.send(message)
        while len(codes) < 2:
            answer = json.loads(await socket.recv())
            codes += [answer["code"]] if answer.get("type") == "error" else []
    assert codes == ["forbidden", "forbidden"]
    status = (await client.get(f"{keys.url}/v1/runs/{run}", headers=admin)).json()["status"]
    assert status == "running"
    await client.post(f"{keys.url}/v1/runs/{run}/cancel", headers=admin)


async def test_a_new_run_brings_its_ticket_if_asked(keys: Keys, client: httpx.AsyncClient) -> None:
    url = f"{keys.url}/v1/runs"
    admin = keys.of("admin")
    plain = (await client.post(url, json=BODY, headers=admin)).json()
    assert "ticket" not in plain
    reply = await client.post(url, json=BODY, headers={**admin, "Unspool-Ticket": "60"})
    assert reply.status_code == 201
    run = reply.json()
    events = f"{url}/{run['id']}/events"
    assert (await client.get(events, params={"ticket": run["ticket"]})).status_code == 200
    for path in ("", f"/{plain['id']}", f"/{run['id']}/cancel"):
        method = "POST" if path.endswith("/cancel") else "GET"
        reply = await client.request(method, url + path, params={"ticket": run["ticket"]})
        assert reply.status_code == 403, path
    before = (await client.get(url, headers=admin)).json()["runs"]
    for name, asked_s, status in (
        ("admin", "0", 422),
        ("admin", "901", 422),
        ("admin", "1e2", 422),
        ("runs:write", "60", 403),
    ):
        headers = {**keys.of(name), "Unspool-Ticket": asked_s}
        assert (await client.post(url, json=BODY, headers=headers)).status_code == status
    assert (await client.get(url, headers=admin)).json()["runs"] == before, "nothing has started"


async def test_a_ticket_opens_no_console(keys: Keys, client: httpx.AsyncClient) -> None:
    admin = keys.of("admin")
    run = (await client.post(f"{keys.url}/v1/runs", json=BODY, headers=admin)).json()
    asked = {"run": run["id"]}
    ticket = (await client.post(f"{keys.url}/v1/tickets", json=asked, headers=admin)).json()
    reply = await client.post(f"{keys.url}/api/session", json={"key": ticket["ticket"]})
    assert reply.status_code == 401
    assert "set-cookie" not in reply.headers
    session = await client.post(f"{keys.url}/api/session", json={"key": keys.texts["admin"]})
    sealed = session.headers["set-cookie"].partition("=")[2].partition(";")[0]
    client.cookies.clear()
    for forged in (f"ust_{sealed[4:]}", sealed):
        reply = await client.get(f"{keys.url}/v1/runs", params={"ticket": forged})
        assert reply.status_code == 401


async def test_the_console_is_opened_with_a_key_that_the_browser_does_not_keep(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    key = keys.texts["runs:read"]
    reply = await client.post(f"{keys.url}/api/session", json={"key": key})
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert key not in cookie
    session = {"Cookie": cookie.partition(";")[0]}
    client.cookies.clear()
    assert (await client.get(f"{keys.url}/v1/runs", headers=session)).status_code == 200
    foreign = {**session, "Origin": "https://e.vil"}
    assert (await client.get(f"{keys.url}/v1/runs", headers=foreign)).status_code == 401


async def test_a_page_of_an_origin_is_let_in_as_soon_as_a_key_lists_it(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    asks = {"Origin": "https://new.example", "Access-Control-Request-Method": "GET"}
    url = f"{keys.url}/v1/runs"
    assert (await client.options(url, headers=asks)).status_code == 401
    body = {"name": "page", "scopes": ["runs:read"], "origins": ["https://new.example"]}
    made = await client.post(f"{keys.url}/api/keys", json=body, headers=keys.of("admin"))
    assert made.status_code == 201, made.text
    assert (await client.options(url, headers=asks)).status_code == 204
