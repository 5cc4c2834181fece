"""`UNSPOOL_KEEP_RAW`: an attempt shows what it sent and what came back, without any key."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from support.servers import Served, ServeModel
from support.upstream import Upstream, answer, refusal
from unspool.providers.upstream.kept import MAX_END_BYTES, KeptExchange

from .test_runs import ended, started


async def raw(client: httpx.AsyncClient, served: Served, run: str, number: int) -> dict[str, Any]:
    """What was kept: it may come a moment after the end of the run."""
    url = f"{served.url}/v1/runs/{run}/attempts/{number}/raw"
    for _ in range(100):
        told: dict[str, Any] = (await client.get(url)).json()
        if told["request"] is not None:
            break
        await asyncio.sleep(0.02)
    return told


async def test_the_request_and_both_ends_of_the_answer_are_kept(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [refusal(503, message="busy sk-test-secret-key"), answer("你", "好")]
    served = serve_model(keep_raw=True, retries=1, llm_api_key="sk-test-secret-key")
    run = await ended(client, served, (await started(client, served))["id"])
    assert len(run["attempts"]) == 2
    broken = await raw(client, served, run["id"], 1)
    assert broken["response"]["status"] == 503
    assert "busy ***" in broken["response"]["head"]
    told = await raw(client, served, run["id"], 2)
    assert told["request"]["messages"][-1] == {"role": "user", "content": "你好"}
    assert told["request"]["stream"] is True
    assert told["response"]["status"] == 200
    assert told["response"]["head"].startswith("data: {")
    assert "[DONE]" in told["response"]["head"] + told["response"]["tail"]
    assert "secret" not in json.dumps([broken, told])


async def test_nothing_is_kept_unless_it_is_wanted(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [answer("好")]
    served = serve_model()
    run = await ended(client, served, (await started(client, served))["id"])
    url = f"{served.url}/v1/runs/{run['id']}/attempts/1/raw"
    told = (await client.get(url)).json()
    assert (told["is_kept"], told["request"], told["response"]) == (False, None, None)
    for wrong, status in (("0", 422), ("x", 422)):
        url = f"{served.url}/v1/runs/{run['id']}/attempts/{wrong}/raw"
        assert (await client.get(url)).status_code == status
    url = f"{served.url}/v1/runs/01nothing/attempts/1/raw"
    assert (await client.get(url)).status_code == 404


@pytest.mark.parametrize("size", [1, 7, 1000, 5000, 20_000])
def test_the_two_ends_are_the_same_however_the_answer_is_cut(size: int) -> None:
    whole = bytes(at % 251 for at in range(20_000))
    kept = KeptExchange()
    kept.asked(b"{}")
    for at in range(0, len(whole), size):
        kept.take(whole[at : at + size])
    assert bytes(kept.head) == whole[:MAX_END_BYTES]
    assert kept.tail == whole[-MAX_END_BYTES:]
    assert kept.left_out_bytes == len(whole) - 2 * MAX_END_BYTES
