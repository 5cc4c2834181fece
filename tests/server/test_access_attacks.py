"""What other gateways fell to: forged keys and hosts, and secrets where people read."""

from __future__ import annotations

import logging

import httpx
import pytest

from support.keys import BODY, UNKNOWN, Keys, bearer
from support.runs import until_ended
from unspool.records.keys import split_key

FORGED = (
    "' or '1'='1",
    "' or 1=1 --",
    '" or ""="',
    "'; drop table api_keys; --",
    "usp_' or 1=1 --_",
    "usp_aaaaaaaaaaaa_' or ''='",
    "usp_%_" + "x" * 43,
    "usp_____________" + "_" * 44,
    "\\",
    "ust_x",
    "uss_",
    "null",
    "undefined",
    "[object Object]",
    UNKNOWN,
    "usp_aaaaaaaaaaaa_" + "x" * 5000,
)

HEADERS = {
    "Authorization": "Bearer {}",
    "x-api-key": "{}",
    "x-goog-api-key": "{}",
    "Cookie": "unspool_session={}",
}

HOSTS = (
    "127.0.0.1#@evil",
    "127.0.0.1:80#@evil.example",
    "evil.example#@127.0.0.1",
    "127.0.0.1/healthz#@x",
    "127.0.0.1?/healthz",
    "x@127.0.0.1",
    "127.0.0.1 /healthz",
)


@pytest.mark.parametrize("name", HEADERS)
async def test_nothing_that_only_looks_like_a_key_opens_anything(
    keys: Keys, client: httpx.AsyncClient, name: str
) -> None:
    for text in FORGED:
        headers = {name: HEADERS[name].format(text)}
        for path in ("/v1/runs", "/api/keys", "/api/settings"):
            reply = await client.get(keys.url + path, headers=headers)
            assert (reply.status_code, reply.json()["error"]["code"]) == (401, "unauthorized"), text
    assert (await client.get(f"{keys.url}/v1/runs", headers=keys.of("admin"))).status_code == 200
    listed = (await client.get(f"{keys.url}/api/keys", headers=keys.of("admin"))).json()["keys"]
    assert listed, "the table is there"


async def test_nothing_in_an_address_or_a_session_opens_anything(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    for text in FORGED:
        for name in ("ticket", "key", "api_key", "access_token"):
            reply = await client.get(f"{keys.url}/v1/runs", params={name: text})
            assert reply.status_code in {401, 414}, (name, text)
        if len(text) <= 1024:
            reply = await client.post(f"{keys.url}/api/session", json={"key": text})
            assert reply.status_code == 401, text
            assert "set-cookie" not in reply.headers


@pytest.mark.parametrize("host", HOSTS)
async def test_a_forged_host_changes_no_route(
    keys: Keys, client: httpx.AsyncClient, host: str
) -> None:
    for headers in ({}, keys.of("unknown"), keys.of("admin")):
        for path in ("/v1/runs", "/api/keys"):
            asked = {**headers, "Host": host}
            reply = await client.get(keys.url + path, headers=asked)
            assert reply.status_code in {400, 401, 421}, (path, headers)


async def test_a_path_in_disguise_is_the_path_that_it_is(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    for path in (
        "/healthz/../v1/runs",
        "/assets/..%2f..%2fv1/runs",
        "/assets/../api/keys",
        "//v1/runs",
        "/v1/runs/",
        "/V1/RUNS",
        "/v1/runs;/healthz",
        "/v1/runs%00/healthz",
        "/runs/../v1/runs",
        "/view/%2e%2e/api/keys",
    ):
        request = client.build_request("GET", keys.url)
        request.url = request.url.copy_with(raw_path=path.encode())
        reply = await client.send(request)
        assert "admin" not in reply.text
        assert '"runs"' not in reply.text
        assert reply.status_code in {200, 307, 400, 401, 404, 405}
        assert reply.status_code != 200 or "text/html" in reply.headers["content-type"], path


async def test_no_secret_is_in_a_log_an_event_an_answer_or_a_file(
    keys: Keys, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    admin = keys.of("admin")
    made = await client.post(
        f"{keys.url}/api/keys", json={"name": "new", "scopes": ["admin"]}, headers=admin
    )
    new = made.json()["key"]
    renewed = await client.post(f"{keys.url}/api/keys/{made.json()['id']}/renew", headers=admin)
    again = renewed.json()["key"]
    asked = {**bearer(new), "Unspool-Ticket": "60"}
    run = (await client.post(f"{keys.url}/v1/runs", json=BODY, headers=asked)).json()
    ticket = run["ticket"]
    session = await client.post(f"{keys.url}/api/session", json={"key": again})
    cookie = session.headers["set-cookie"].partition("=")[2].partition(";")[0]
    client.cookies.clear()
    await until_ended(client, keys.served, run["id"], headers=admin)
    events = f"/v1/runs/{run['id']}/events"
    told = [(await client.get(keys.url + events, params={"ticket": ticket})).text]
    lists = ("/v1/runs", "/api/keys", "/api/settings", "/api/models", "/api/exports/runs.jsonl")
    holders = (bearer(again), {"Cookie": f"unspool_session={cookie}"}, admin)
    refused = [bearer(text) for text in (new[:-1], ticket[:-2], again.replace("usp_", "usp_a"))]
    for path in (f"/v1/runs/{run['id']}", f"/v1/runs/{run['id']}/export", *lists):
        replies = [await client.get(keys.url + path, headers=h) for h in (*holders, *refused)]
        assert [reply.status_code for reply in replies] == [200] * 3 + [401] * 3, path
        told += [reply.text for reply in replies]
    for text in (new, ticket[:-2], again):
        told.append((await client.get(f"{keys.url}/v1/runs", params={"ticket": text})).text)
    keys.served.stop()
    files = [path for path in keys.served.settings.data_dir.rglob("*") if path.is_file()]
    kept = b"".join(path.read_bytes() for path in files if path.name != "secret.key")
    assert len(kept) > 100_000
    ours = [each for each in caplog.records if not each.name.startswith("http")]  # not the client
    log = "\n".join(f"{each.name} {each.pathname} {each.getMessage()}" for each in ours)
    assert f"Run {run['id']}" in log
    parts = [split_key(text) for text in (new, again, keys.texts["admin"])]
    secrets = [part[1] for part in parts if part is not None] + [ticket, cookie]
    assert len(secrets) == 5
    for secret in secrets:
        assert secret not in log
        assert not any(secret in text for text in told)
        assert secret.encode() not in kept
