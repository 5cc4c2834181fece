"""
What a token costs in each system: the bench's model and viewers, with nothing else at work.

The load is small, so the CPU of a token is mostly the price of waking up. `make bench` measures
what a busy server takes.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench import measure
from bench.load import Viewer
from bench.reading import Outcome

from .systems.program import Child, Program, free_port

STREAMS, TOKENS, PER_S = 20, 100, 25
"""500 tokens a second: all of them can carry that."""

ALONE = 20
"""Requests one after the other, for the time to the first token."""

LIMIT_S = 60.0

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def cheap_model(folder: Path) -> AsyncIterator[int]:
    """Run the model of the bench, which costs next to nothing, and give its port."""
    port = free_port()
    command = [sys.executable, "-m", "bench.upstream", "--port", str(port)]
    child = Child(command, {"PYTHONPATH": str(ROOT)}, folder)
    try:
        await child.until_ready(port, "")
        yield port
    finally:
        child.kill()


async def costs_of(system: Program, model_port: int) -> dict[str, Any]:
    """Measure a system that has just started in front of the cheap model."""
    alone = {"tokens": 5, "per_s": 0}
    await _all(system, alone, 10)  # warms up
    direct_ms = [await _first_ms(None, model_port, alone) for _ in range(ALONE)]
    first_ms = [await _first_ms(system, system.port, alone) for _ in range(ALONE)]
    before_s = sum(map(measure.cpu_s, system.pids))
    outcomes = await _all(system, {"tokens": TOKENS, "per_s": PER_S}, STREAMS)
    used_s = sum(map(measure.cpu_s, system.pids)) - before_s
    late_ns = sorted(each for outcome in outcomes for each in outcome.latencies_ns)
    return {
        "first_ms": statistics.median(first_ms) - statistics.median(direct_ms),
        "us_per_token": used_s * 1e6 / (STREAMS * TOKENS),
        "late_ms": late_ns[len(late_ns) // 2] / 1e6,
        "memory_mib": sum(map(measure.rss_bytes, system.pids)) / 2**20,
        "starts_s": statistics.median(system.starts_s),
        "errors": [outcome.error for outcome in outcomes if outcome.error],
    }


async def _first_ms(system: Program | None, port: int, order: dict[str, int]) -> float:
    outcome = await _viewed(system, port, order)
    assert outcome.first_token_ms is not None, outcome.error
    return outcome.first_token_ms


async def _all(system: Program, order: dict[str, int], streams: int) -> list[Outcome]:
    return await asyncio.gather(*(_viewed(system, system.port, order) for _ in range(streams)))


async def _viewed(system: Program | None, port: int, order: dict[str, int]) -> Outcome:
    prompt = json.dumps(order)
    messages = [{"role": "user", "content": prompt}]
    path, body = "/v1/chat/completions", {"model": "m", "stream": True, "messages": messages}
    key = "torture"
    if system is not None:
        (path, body), key = system.request(prompt), system.key
    content = json.dumps(body)
    viewer = Viewer(
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Accept: text/event-stream\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n{content}".encode()
    )
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: viewer, "127.0.0.1", port)
    async with asyncio.timeout(LIMIT_S):
        await viewer.done.wait()
    return Outcome.of(viewer.recording, order["tokens"])
