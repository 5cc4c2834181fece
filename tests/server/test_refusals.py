"""What a request is refused with has the shape that the clients of its path know."""

from __future__ import annotations

import httpx
import pytest

from support.keys import Keys
from support.servers import Serve, Served

ASKED = {"model": "offline", "messages": [{"role": "user", "content": "hi"}]}
OPENAI = {"message", "type", "param", "code"}


async def test_a_key_that_does_not_hold_is_told_as_openai_tells_it(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    for path in ("/v1/chat/completions", "/v1/responses"):
        reply = await client.post(f"{keys.url}{path}", json=ASKED, headers=keys.of("unknown"))
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"] == "Bearer"
        error = reply.json()["error"]
        assert set(error) == OPENAI
        assert (error["code"], error["type"]) == ("invalid_api_key", "authentication_error")
    reply = await client.get(f"{keys.url}/v1/models", headers=keys.of("unknown"))
    assert reply.json()["error"]["code"] == "invalid_api_key"


async def test_a_key_without_the_scope_is_told_so_by_each(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    headers = keys.of("runs:read")
    reply = await client.post(f"{keys.url}/v1/chat/completions", json=ASKED, headers=headers)
    assert reply.status_code == 403
    assert reply.json()["error"]["type"] == "permission_error"
    reply = await client.post(f"{keys.url}/api/chat", json=ASKED, headers=headers)
    assert reply.status_code == 403
    assert "runs:write" in reply.json()["error"]
    assert (await client.get(f"{keys.url}/v1/models", headers=headers)).status_code == 200
    assert (await client.get(f"{keys.url}/api/tags", headers=headers)).status_code == 200


async def test_a_response_of_another_tenant_is_not_there(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    url, admin, theirs = f"{keys.url}/v1/responses", keys.of("admin"), keys.of("other")
    body = {"model": "offline", "input": "hi", "background": True}
    id_ = (await client.post(url, json=body, headers=admin)).json()["id"]
    assert (await client.get(f"{url}/{id_}", headers=admin)).status_code == 200
    for method, path in (("GET", ""), ("GET", "?stream=true"), ("POST", "/cancel"), ("DELETE", "")):
        reply = await client.request(method, f"{url}/{id_}{path}", headers=theirs)
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_run")
    after = {"model": "offline", "input": "hi", "previous_response_id": id_}
    reply = await client.post(url, json=after, headers=theirs)
    assert reply.status_code == 404
    whole = {"model": "offline", "input": "hi"}
    (item,) = (await client.post(url, json=whole, headers=admin)).json()["output"]
    asked = {"role": "user", "content": "hi"}
    named = {"model": "offline", "input": [asked, {"id": item["id"]}, asked]}
    assert (await client.post(url, json=named, headers=admin)).status_code == 200
    assert (await client.post(url, json=named, headers=theirs)).status_code == 400


async def test_a_key_sees_only_the_models_that_it_may_ask(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    admin = keys.of("admin")
    limited = {"name": "limited", "scopes": ["runs:read"], "models": ["m"]}
    key = (await client.post(f"{keys.url}/api/keys", json=limited, headers=admin)).json()["key"]
    headers = {"Authorization": f"Bearer {key}"}
    listed = (await client.get(f"{keys.url}/v1/models", headers=headers)).json()
    assert listed == {"object": "list", "data": []}
    assert (await client.get(f"{keys.url}/v1/models/offline", headers=headers)).status_code == 403


async def test_what_the_guard_refuses_has_the_shape_too(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    url = serve_with(max_body_bytes=1000, max_image_body_bytes=1000).url
    long = {"messages": [{"role": "user", "content": "x" * 2000}]}
    for path in ("/v1/chat/completions", "/v1/responses"):
        reply = await client.post(f"{url}{path}", json=long)
        assert reply.status_code == 413
        assert set(reply.json()["error"]) == OPENAI
    reply = await client.post(f"{url}/v1/chat/completions", content=b"{no json")
    assert (reply.status_code, set(reply.json()["error"])) == (400, OPENAI)
    assert set((await client.post(f"{url}/v1/runs", json=long)).json()["error"]) == {
        "code",
        "message",
    }


async def test_a_budget_without_room_is_told_with_its_status(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    url = serve_with().url
    budget = {"kind": "tenant", "ceiling": 1000.0, "requests_per_minute": 0}
    assert (await client.put(f"{url}/api/budgets", json=budget)).status_code == 200
    reply = await client.post(f"{url}/v1/chat/completions", json=ASKED)
    assert reply.status_code == 429
    assert int(reply.headers["retry-after"]) > 0
    error = reply.json()["error"]
    assert (error["code"], error["type"]) == ("rate_limited", "rate_limit_error")


@pytest.mark.parametrize("path", ["/v1/models/nope", "/v1/responses/nope", "/v1/responses/resp_x"])
async def test_head_of_what_is_not_there_has_no_body(
    shared_server: Served, client: httpx.AsyncClient, path: str
) -> None:
    reply = await client.head(f"{shared_server.url}{path}")
    assert (reply.status_code, reply.content) == (404, b"")
