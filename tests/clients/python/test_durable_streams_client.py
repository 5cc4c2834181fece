"""The PyPI client of Durable Streams, as it comes, on the log of a run."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from support.servers import ServeModel
from support.upstream import Upstream, answer, chunk

durable_streams = pytest.importorskip("durable_streams")


@pytest.mark.parametrize("live", [False, "sse", "long-poll", True])
async def test_it_reads_a_run_to_its_end(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, live: Any
) -> None:
    words = [f"word{number} " for number in range(20)]
    upstream.play = [[*(step for word in words for step in (chunk(word), 0.01)), *answer("end")]]
    served = serve_model()
    asked = {"flow": "chat", "input": {"prompt": "hello"}}
    run_id = (await client.post(f"{served.url}/v1/runs", json=asked)).json()["id"]
    if not live:
        await client.get(f"{served.url}/v1/runs/{run_id}/events")
    url = f"{served.url}/v1/streams/{run_id}"
    found: list[Any] = []
    async with durable_streams.astream(url, offset="-1", live=live) as reading:
        async for event in reading.iter_json():
            found.append(event)
            if event["type"] == "run.completed":
                break
    assert [event["seq"] for event in found] == list(range(1, len(found) + 1))
    said = [event["data"]["text"] for event in found if event["type"] == "text.delta"]
    assert "".join(said) == "".join(words) + "end"
