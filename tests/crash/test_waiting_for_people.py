"""A server dies while a run waits for a person; the next one takes the answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.debug_chat import called, mock, results
from support.harness.programs import Program
from support.postgres import shared_server
from support.servers import clean_env
from support.upstream import KEY, Upstream, answer
from unspool.execution.replay import read_log, replay

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

PATIENCE_S = 40.0


class Device:
    """A person's device: a connection of its own to any server."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.client = httpx.AsyncClient(timeout=20)

    async def run(self, run_id: str) -> Any:
        reply = await self.client.get(f"{self.program.url}/v1/runs/{run_id}")
        return reply.json()

    async def until(self, run_id: str, *statuses: str) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                run = await self.run(run_id)
                if run.get("status") in statuses:
                    return run
                await asyncio.sleep(0.05)

    async def waiting(self) -> list[Any]:
        """Return the runs that the console lists as waiting."""
        url = f"{self.program.url}/v1/runs?status=waiting&totals=1"
        return (await self.client.get(url)).json()["runs"]

    async def answer(self, run_id: str, key: str, **facts: Any) -> int:
        """Answer, and again with the same key for as long as no server takes it."""
        url = f"/v1/runs/{run_id}/answers"
        headers = {"Idempotency-Key": key}
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    reply = await self.client.post(
                        self.program.url + url, json=facts, headers=headers
                    )
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
                    continue
                if reply.status_code < 500:
                    return reply.status_code

    async def log(self, run_id: str) -> list[Any]:
        reply = await self.client.get(
            f"{self.program.url}/v1/runs/{run_id}/export", params={"format": "jsonl"}
        )
        return read_log(reply.content)


@pytest.fixture
async def two(tmp_path: Path, upstream: Upstream) -> AsyncIterator[list[Device]]:
    """Two servers over one PostgreSQL, and a device at each."""
    upstream.play = [called(("a", "weather", {"city": "Oslo"})), answer("Sunny.")]
    env = clean_env(
        UNSPOOL_DATABASE_URL=shared_server().new_database(),
        UNSPOOL_SECRET_KEY="MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        UNSPOOL_RETRIES="0",
        UNSPOOL_SAMPLE_DATA="false",
        LLM_API_KEY=KEY,
        LLM_BASE_URL=upstream.url,
        LLM_MODEL="tested",
    )
    devices = [Device(Program(tmp_path / str(number), env)) for number in range(2)]
    try:
        for device in devices:
            assert await device.program.start()
        yield devices
    finally:
        for device in devices:
            await device.client.aclose()
            if device.program.is_alive:
                device.program.kill()


async def a_run_that_waits(device: Device) -> str:
    tool = await mock(device.client, device.program, approve=True)  # type: ignore[arg-type]
    body = {"flow": "chat", "input": {"prompt": "weather?", "tool_ids": [tool["id"]]}}
    reply = await device.client.post(f"{device.program.url}/v1/runs", json=body)
    run_id = str(reply.json()["id"])
    await device.until(run_id, "waiting")
    return run_id


async def has_ended_well(device: Device, run_id: str, upstream: Upstream) -> Counter[str]:
    run = await device.until(run_id, "completed", "failed", "incomplete")
    assert (run["status"], run["text"]) == ("completed", "Sunny."), run
    assert len(upstream.requests) == 2  # no round was asked again
    log = await device.log(run_id)
    assert (await replay(log)).difference is None
    types = Counter(event.type for event in log)
    assert (types["question.asked"], types["question.answered"]) == (1, 1)
    assert types["run.recovered"] >= 1
    return types


async def test_approval_across_a_kill_9_from_a_second_device(
    two: list[Device], upstream: Upstream
) -> None:
    first, second = two
    run_id = await a_run_that_waits(first)
    first.program.kill()
    assert await second.answer(run_id, "mine") == 200
    assert await second.answer(run_id, "mine") == 200
    await has_ended_well(second, run_id, upstream)
    ((_, told),) = results(upstream.requests[-1])
    assert told == "晴"


async def test_a_run_whose_server_is_killed_is_listed_as_waiting_until_its_answer(
    two: list[Device], upstream: Upstream
) -> None:
    first, second = two
    run_id = await a_run_that_waits(first)
    first.program.kill()
    # It waits for its next server now, then there, up to the answer.
    async with asyncio.timeout(PATIENCE_S):
        is_adopted = False
        while not is_adopted:
            is_adopted = any(event.type == "run.recovered" for event in await second.log(run_id))
            assert [(run["id"], run["status"]) for run in await second.waiting()] == [
                (run_id, "waiting")
            ]
    assert await second.answer(run_id, "mine") == 200
    assert await second.waiting() == []
    await has_ended_well(second, run_id, upstream)


async def test_of_two_answers_at_once_around_a_kill_9_one_counts(
    two: list[Device], upstream: Upstream
) -> None:
    first, second = two
    run_id = await a_run_that_waits(first)
    first.program.kill()
    other = Device(second.program)
    statuses = await asyncio.gather(
        second.answer(run_id, "yes"), other.answer(run_id, "no", declined=True, reason="no")
    )
    await other.client.aclose()
    assert sorted(statuses) == [200, 409]
    await has_ended_well(second, run_id, upstream)
    ((_, told),) = results(upstream.requests[-1])
    assert (told == "晴") == (statuses[0] == 200)


async def test_the_same_server_comes_back_and_takes_the_answer(
    two: list[Device], upstream: Upstream
) -> None:
    first, second = two
    second.program.kill()
    run_id = await a_run_that_waits(first)
    answering = None
    for _ in range(2):
        first.program.kill()
        answering = answering or asyncio.create_task(first.answer(run_id, "mine"))
        assert await first.program.start()
    assert answering is not None
    assert await answering == 200
    await has_ended_well(first, run_id, upstream)
