"""What tests of the register of models share: a client, a planted key, and what is said."""

from __future__ import annotations

from typing import Any

import httpx

from support.upstream import Upstream

KEY = "sk-planted-0123456789-0123456789-wxyz"
END = "wxyz"


def client_of(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=10, trust_env=False)


def body(upstream: Upstream | str, **more: Any) -> dict[str, Any]:
    url = upstream if isinstance(upstream, str) else upstream.url
    return {"name": "m", "base_url": url, "api_key": KEY, **more}


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


async def add(api: httpx.AsyncClient, said: dict[str, Any]) -> dict[str, Any]:
    response = await api.post("/api/models", json=said)
    assert response.status_code == 201, response.text
    facts: dict[str, Any] = response.json()
    assert response.headers["location"] == f"/api/models/{facts['id']}"
    return facts


async def refused(response: httpx.Response, *words: str, status: int = 422) -> None:
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    assert KEY not in response.text
    for word in words:
        assert word in response.json()["error"]["message"]


async def request_digest(api: httpx.AsyncClient, model: str) -> dict[str, Any]:
    """A whole run of this model, as JSON."""
    asked = {"input": {"prompt": "hi"}, "model": model}
    headers = {"Accept": "text/event-stream"}
    streamed = await api.post("/v1/runs", json=asked, headers=headers)
    assert streamed.status_code == 200, streamed.text
    run = await api.get(f"/v1/runs/{streamed.headers['x-run-id']}")
    return dict(run.json())
