"""Who may do what: keys, scopes and tenants, on every route there is."""

from __future__ import annotations

import asyncio
import json

import httpx

from support.keys import BODY, Keys
from unspool.records import Records
from unspool.records.keys import list_keys, split_key
from unspool.runs.principal import SCOPES


async def test_an_official_client_sends_its_key_in_its_own_header(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    for name in ("x-api-key", "x-goog-api-key"):
        reply = await client.get(f"{keys.url}/v1/runs", headers={name: keys.texts["runs:read"]})
        assert reply.status_code == 200
    reply = await client.get(f"{keys.url}/v1/runs?key={keys.texts['runs:read']}")
    assert reply.status_code == 401
    assert "never in an address" in reply.json()["error"]["message"]


async def test_the_log_of_a_run_names_its_tenant_and_its_key(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    run = (await client.post(f"{keys.url}/v1/runs", json=BODY, headers=keys.of("other"))).json()
    await asyncio.sleep(0.1)
    events = (
        await client.get(
            f"{keys.url}/v1/runs/{run['id']}/events?dialect=native", headers=keys.of("other")
        )
    ).text
    started = json.loads(events.partition("data: ")[2].partition("\n")[0])
    parts = split_key(keys.texts["other"])
    assert parts is not None
    assert started["data"]["key"] == parts[0]
    assert started["data"]["tenant"] != "default"
    assert parts[1] not in events


async def test_a_key_asks_only_its_models_and_starts_only_its_flows(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    admin = keys.of("admin")
    limited = {"name": "limited", "scopes": ["runs:write"], "flows": ["chat"], "models": ["m"]}
    key = (await client.post(f"{keys.url}/api/keys", json=limited, headers=admin)).json()["key"]
    headers = {"Authorization": f"Bearer {key}"}
    reply = await client.post(f"{keys.url}/v1/runs", json=BODY, headers=headers)
    assert reply.status_code == 403
    assert "offline" in reply.json()["error"]["message"]
    copy = {"flow": "copywriting", "input": {"sku": "8WZ01CM1"}}
    reply = await client.post(f"{keys.url}/v1/runs", json=copy, headers=headers)
    assert reply.status_code == 403
    assert "copywriting" in reply.json()["error"]["message"]


async def test_a_key_gives_no_right_that_it_lacks_and_sees_no_other_tenant(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    theirs = keys.of("other")
    listed = (await client.get(f"{keys.url}/api/keys", headers=theirs)).json()["keys"]
    assert [row["name"] for row in listed] == ["other"]
    assert all("digest" not in json.dumps(row) for row in listed)
    into = {"name": "x", "tenant": "default"}
    reply = await client.post(f"{keys.url}/api/keys", json=into, headers=theirs)
    assert reply.status_code == 404
    assert (await client.get(f"{keys.url}/api/tenants", headers=theirs)).status_code == 403
    own = (await client.post(f"{keys.url}/api/keys", json={"name": "x"}, headers=theirs)).json()
    assert own["tenant"] == listed[0]["tenant"]


async def test_a_renewed_key_has_two_secrets_that_hold(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    admin, old = keys.of("admin"), keys.of("runs:read")
    parts = split_key(keys.texts["runs:read"])
    assert parts is not None
    renew = f"{keys.url}/api/keys/{parts[0]}/renew"
    new = {"Authorization": f"Bearer {(await client.post(renew, headers=admin)).json()['key']}"}
    for headers in (old, new):
        assert (await client.get(f"{keys.url}/v1/runs", headers=headers)).status_code == 200
    await client.post(renew, headers=admin)
    assert (await client.get(f"{keys.url}/v1/runs", headers=old)).status_code == 401


async def test_a_page_of_another_site_needs_a_key_that_lists_it(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    site = "https://shop.example"
    body = {"name": "page", "scopes": ["runs:read"], "origins": [site]}
    key = (await client.post(f"{keys.url}/api/keys", json=body, headers=keys.of("admin"))).json()
    await asyncio.sleep(1.1)  # the origins of all keys are known for a second
    asks = {"Origin": site, "Access-Control-Request-Method": "GET"}
    reply = await client.options(f"{keys.url}/v1/runs", headers=asks)
    assert reply.status_code == 204
    assert reply.headers["access-control-allow-origin"] == site
    foreign = await client.options(
        f"{keys.url}/v1/runs", headers={**asks, "Origin": "https://e.vil"}
    )
    assert foreign.status_code == 401
    headers = {"Authorization": f"Bearer {key['key']}", "Origin": site}
    reply = await client.get(f"{keys.url}/v1/runs", headers=headers)
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, site)
    other = {**keys.of("runs:read"), "Origin": site}
    assert (await client.get(f"{keys.url}/v1/runs", headers=other)).status_code == 401
    for origin in (site, "https://e.vil"):  # code of the client is for any page, without a key
        url = f"{keys.url}/client/unspool-client.js"
        reply = await client.get(url, headers={"Origin": origin})
        assert reply.status_code in {200, 404}  # built, or not
        assert reply.headers.get_list("access-control-allow-origin") == ["*"]
    port = keys.served.port
    for host, origin, status in (
        (f"127.0.0.1:{port}", keys.url, 200),
        (f"127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}", 401),
        (f"127.0.0.1:{port}", "http://127.0.0.1", 401),
        (f"127.0.0.1:{port}", "null", 401),
        (f"127.0.0.1:{port}", "http://127.0.0.1:x", 401),
        ("127.0.0.1", "https://127.0.0.1:8443", 200),  # a proxy that takes the port away
        ("127.0.0.1:80", "http://127.0.0.1", 200),
    ):
        headers = {**keys.of("runs:read"), "Host": host, "Origin": origin}
        reply = await client.get(f"{keys.url}/v1/runs", headers=headers)
        assert reply.status_code == status, (host, origin)


async def test_without_a_key_a_server_tells_that_it_is_ready_and_no_names(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    for path in ("/healthz", "/readyz", "/api/session"):
        reply = await client.get(keys.url + path)
        assert reply.status_code == 200
        assert "offline" not in reply.text
    assert reply.json() == {"access": "keys"}


async def test_no_secret_is_in_the_database(keys: Keys) -> None:
    records = await Records.open(keys.served.settings.data_dir / "records.db")
    rows = await list_keys(records)
    await records.aclose()
    assert len(rows) == len(SCOPES) + 2
    raw = b"".join(path.read_bytes() for path in keys.served.settings.data_dir.glob("records.db*"))
    for text in keys.texts.values():
        parts = split_key(text)
        if parts is not None:
            assert parts[1].encode() not in raw
