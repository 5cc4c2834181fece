"""A client with a wrong base URL is told which path it has missed."""

from __future__ import annotations

import httpx
import pytest

from support.keys import Keys
from support.servers import Served


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/messages", "/v1/messages"),
        ("/v1/api/chat", "/api/chat"),
        ("/v1/v1/runs", "/v1/runs"),
    ],
)
async def test_a_base_url_without_its_v1_or_with_one_too_many_is_put_right(
    shared_server: Served, client: httpx.AsyncClient, asked: str, meant: str
) -> None:
    reply = await client.post(f"{shared_server.url}{asked}", json={})
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (404, "http_404")
    assert f"no path {asked}; did you mean {meant}?" in error["message"]


async def test_any_other_wrong_path_or_method_is_named_and_the_list_too(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    for method, path, status in (("GET", "/v1/run", 404), ("POST", "/", 405)):
        reply = await client.request(method, f"{shared_server.url}{path}")
        message = reply.json()["error"]["message"]
        assert reply.status_code == status
        assert path in message
        assert "/docs lists the paths" in message
    long = await client.get(f"{shared_server.url}/{'x' * 4000}")
    assert len(long.json()["error"]["message"]) < 400


async def test_a_key_at_a_wrong_path_is_told_that_the_path_is_wrong(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    url = f"{keys.url}/chat/completions"
    reply = await client.post(url, json={}, headers=keys.of("runs:write"))
    assert reply.status_code == 403
    assert "no path /chat/completions" in reply.json()["error"]["message"]
