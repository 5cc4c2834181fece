"""
`kill -9` in the middle of each of the five systems: its client comes back and ends well.

Real servers over the built-in model at the pace of a model, so that there is a middle. What a
viewer has seen over all its connections is what one who was never cut off sees.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.harness.checker import Seen, frames_of
from support.harness.programs import Program
from support.harness.watching import Visitor
from support.servers import clean_env

FRAMES = 8
"""Seen before the server dies: the text has begun."""

SYSTEMS: dict[str, tuple[str, dict[str, Any], str]] = {
    "S0": ("/ai/generate/copy", {"sku": "8WZ01CM1", "style": "natural"}, "copywriting"),
    "S1": ("/ai/stream", {"prompt": "请介绍运动鞋的特点"}, "plain"),
    "S2": (
        "/api/debug/chat",
        {"model_id": 1, "prompt": "请介绍运动鞋的特点", "stream": True},
        "debug_chat",
    ),
    "S3": ("/api/v1/events/extract/user_0005/llm-stream", {}, "extraction"),
    "S4": ("/api/v1/projects/1/rewrite-stream/", {}, "story"),
}


@pytest.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def prepared(program: Program, web: aiohttp.ClientSession) -> None:
    body = {"name": "测试项目", "original_topic": "介绍AI技术的发展历程"}
    async with web.post(f"{program.url}/api/v1/projects/", json=body) as made:
        assert made.status == 201


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("system", SYSTEMS)
async def test_a_client_whose_server_is_killed_in_mid_stream_ends_well(
    system: str, tmp_path: Path, web: aiohttp.ClientSession
) -> None:
    path, asked, dialect = SYSTEMS[system]
    program = Program(tmp_path / "data", clean_env())
    assert await program.start()
    try:
        await prepared(program, web)
        visitor = Visitor(web, lambda: program.url, Seen("a", dialect))
        watching = asyncio.ensure_future(visitor.ask(path, asked))
        run_id = await asyncio.wait_for(visitor.run_id, 10)
        await until_written(program, web, run_id)
        program.kill()
        assert await program.start()
        seen = await watching
        log = await log_of(program, web, run_id)
    finally:
        program.kill()
    kinds = [event["type"] for event in log]
    assert "run.recovered" in kinds
    assert kinds[-1] == "run.completed", log[-1]
    wanted = [data for _, data in frames_of(log, dialect)]
    assert [data for _, data in seen.frames] == wanted
    assert len(seen.connections) > 1
    assert 0 < seen.connections[0] < len(wanted)


async def until_written(program: Program, web: aiohttp.ClientSession, run_id: str) -> None:
    """Return in the middle of the text."""
    async with web.get(f"{program.url}/v1/runs/{run_id}/events?dialect=native") as answer:
        count = 0
        async for line in answer.content:
            count += b'"text.delta"' in line
            if count == FRAMES:
                return
    raise AssertionError("it has ended before its middle")


async def log_of(program: Program, web: aiohttp.ClientSession, run_id: str) -> list[dict[str, Any]]:
    visitor = Visitor(web, lambda: program.url, Seen("b", "native"))
    seen = await visitor.watch(run_id)
    return [json.loads(data) for _, data in seen.frames]
