"""One run for equal requests: idempotency keys, joining, and what is whole already."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from support.readers import look, post
from support.servers import Serve, Served, ServeModel
from support.upstream import SILENCE, Upstream, answer, chunk
from unspool.core import abandonment as leaving

CHAT = {"flow": "chat", "input": {"prompt": "你好"}}


async def start(
    client: httpx.AsyncClient, served: Served, body: Any = CHAT, **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post(f"{served.url}/v1/runs", json=body, headers=named)


async def test_a_hundred_equal_requests_under_one_key_are_one_run(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [answer("好")]
    served = serve_model()
    asking = [start(client, served, Idempotency_Key="k-1") for _ in range(100)]
    answers = await asyncio.gather(*asking)
    assert {a.status_code for a in answers} == {201}
    assert len({a.json()["id"] for a in answers}) == 1
    await look(client, f"{served.url}/v1/runs/{answers[0].json()['id']}/events")
    assert len(upstream.requests) == 1
    runs = (await client.get(f"{served.url}/v1/runs")).json()["runs"]
    assert len(runs) == 1


async def test_a_key_outlives_the_server(client: httpx.AsyncClient, serve_with: Serve) -> None:
    served = serve_with()
    first = (await start(client, served, Idempotency_Key="k-1")).json()
    served.stop()
    again = serve_with()
    assert (await start(client, again, Idempotency_Key="k-1")).json()["id"] == first["id"]


async def test_another_body_under_the_same_key_is_refused(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    await start(client, shared_server, Idempotency_Key="k-other")
    body = {"flow": "chat", "input": {"prompt": "别的"}}
    refused = await start(client, shared_server, body, Idempotency_Key="k-other")
    assert refused.status_code == 422
    assert refused.json()["error"]["code"] == "key_reused"


async def test_a_key_holds_on_every_door(client: httpx.AsyncClient, shared_server: Served) -> None:
    key = {"Idempotency-Key": "k-door"}
    url = f"{shared_server.url}/ai/stream"
    seen = []
    for _ in range(2):
        async with client.stream("POST", url, json={"prompt": "你好"}, headers=key) as response:
            seen.append((response.headers["x-run-id"], await response.aread()))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("door", ["/v1/runs", "/ai/stream"])
async def test_a_request_that_comes_again_with_its_last_id_goes_on_behind_it(
    client: httpx.AsyncClient, shared_server: Served, door: str
) -> None:
    body = CHAT if door == "/v1/runs" else {"prompt": "你好"}
    ours = {"Idempotency-Key": f"k-back {door}", "Accept": "text/event-stream"}

    async def asked(**more: str) -> list[str]:
        headers = ours | {name.replace("_", "-"): value for name, value in more.items()}
        response = await client.post(f"{shared_server.url}{door}", json=body, headers=headers)
        assert response.status_code == 200
        return response.text.strip().split("\n\n")

    def ids(frames: list[str]) -> list[str]:
        return [line[4:] for frame in frames for line in frame.split("\n") if line[:4] == "id: "]

    whole = await asked()
    numbers = ids(whole)
    for place, number in enumerate(numbers):
        rest = await asked(Last_Event_ID=number)
        assert ids(rest) == numbers[place + 1 :]
    assert await asked(Last_Event_ID="not-ours") == whole
    assert await asked(Last_Event_ID="999999") == whole, "it is of another run"


@pytest.mark.parametrize(
    "headers",
    [
        {"Idempotency_Key": ""},
        {"Idempotency_Key": "x" * 256},
        {"Unspool_Cache": "maybe"},
        {"Unspool_When_Left": "cancel; after=-1"},
        {"Unspool_When_Left": "cancel; after=9e9"},
        {"Unspool_When_Left": "continue; after=3"},
    ],
)
async def test_terms_that_cannot_be_are_refused(
    client: httpx.AsyncClient, shared_server: Served, headers: dict[str, str]
) -> None:
    refused = await start(client, shared_server, **headers)
    assert refused.status_code == 422
    assert next(iter(headers)).replace("_", "-") in refused.json()["error"]["message"]


async def test_an_equal_request_gets_the_run_that_is_whole(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [answer("好", "的")]
    served = serve_model(cache="read")
    first = await post(client, f"{served.url}/ai/stream", {"prompt": "你好"})
    again = await post(client, f"{served.url}/ai/stream", {"prompt": "你好"})
    assert (again.run_id, again.seen.raw) == (first.run_id, first.seen.raw)
    assert len(upstream.requests) == 1
    other = await post(client, f"{served.url}/ai/stream", {"prompt": "再见"})
    assert other.run_id != first.run_id


async def test_an_equal_request_joins_the_run_that_goes_on(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("好"), SILENCE]]
    served = serve_model(cache="read")
    first = await post(client, f"{served.url}/ai/stream", {"prompt": "你好"}, frames=1)
    joined = await post(client, f"{served.url}/ai/stream", {"prompt": "你好"}, frames=1)
    assert (joined.run_id, joined.seen.data) == (first.run_id, ["好"])
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("cache", ["off", "refresh"])
async def test_who_wants_a_new_run_gets_one(
    client: httpx.AsyncClient, serve_with: Serve, cache: str
) -> None:
    served = serve_with(cache="read")
    first = (await start(client, served)).json()["id"]
    await look(client, f"{served.url}/v1/runs/{first}/events")
    second = (await start(client, served, Unspool_Cache=cache)).json()["id"]
    assert second != first
    await look(client, f"{served.url}/v1/runs/{second}/events")
    assert (await start(client, served)).json()["id"] == second, "the newest"


async def test_what_failed_or_is_too_old_serves_nobody(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("好")], answer("好的")]
    served = serve_model(cache="read", cache_ttl_s=0.05)
    first = await post(client, f"{served.url}/ai/stream", {"prompt": "你好"})
    second = await post(client, f"{served.url}/ai/stream", {"prompt": "你好"})
    await asyncio.sleep(0.1)
    third = await post(client, f"{served.url}/ai/stream", {"prompt": "你好"})
    assert len({first.run_id, second.run_id, third.run_id}) == 3


async def test_a_run_that_is_not_to_go_on_alone_is_cancelled_when_its_viewers_leave(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("好"), SILENCE]]
    served = serve_model()
    url, leave = f"{served.url}/ai/stream", {"Unspool-When-Left": "cancel"}
    async with client.stream("POST", url, json={"prompt": "你好"}, headers=leave) as response:
        run_id = response.headers["x-run-id"]
        async for _ in response.aiter_lines():
            break
    await upstream.until(lambda: upstream.left == 1, within_s=2)
    seen = await look(client, f"{served.url}/v1/runs/{run_id}/events?dialect=native")
    assert seen.seen.documents[-1]["type"] == "run.cancelled"


async def test_a_viewer_who_comes_back_in_time_keeps_the_run_going(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    # A busy machine may take a second to come back; the answer outlasts the time without a viewer.
    upstream.play = [[chunk("好"), 2.8, *answer("的")]]
    served = serve_model()
    url, leave = f"{served.url}/ai/stream", {"Unspool-When-Left": "cancel; after=2.2"}
    async with client.stream("POST", url, json={"prompt": "你好"}, headers=leave) as response:
        run_id = response.headers["x-run-id"]
        async for _ in response.aiter_lines():
            break
    seen = await look(client, f"{served.url}/v1/runs/{run_id}/events?dialect=native")
    assert seen.seen.documents[-1]["type"] == "run.completed"


async def test_a_run_that_nobody_ever_watches_is_cancelled_too(
    client: httpx.AsyncClient,
    serve_model: ServeModel,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leaving, "FIRST_S", 0.1)
    upstream.play = [[chunk("好"), SILENCE]]
    served = serve_model()
    asked = await start(client, served, Unspool_When_Left="cancel; after=0.1")
    run_id = asked.json()["id"]
    await upstream.until(lambda: upstream.left == 1, within_s=5)
    seen = await look(client, f"{served.url}/v1/runs/{run_id}/events")
    assert seen.seen.documents[-1]["type"] == "run.cancelled"


async def test_each_viewer_starts_the_time_without_one_anew(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("好"), SILENCE]]
    served = serve_model()
    asked = await start(client, served, Unspool_When_Left="cancel; after=2.5")
    url = f"{served.url}/v1/runs/{asked.json()['id']}"
    loop = asyncio.get_running_loop()
    for _ in range(3):
        came_at = loop.time()
        await look(client, f"{url}/events", frames=1)
        await asyncio.sleep(0.2)
    await upstream.until(lambda: upstream.left == 1, within_s=10)
    assert loop.time() - came_at >= 2.4
