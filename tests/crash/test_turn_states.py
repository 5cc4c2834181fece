"""
Tool rounds with thinking: a vendor gets back what it wants, and nobody else does.

Real servers in processes of their own, over vendors that answer 400 to a turn without its state.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.harness.programs import Program
from support.servers import clean_env
from support.strict_vendors import AGAIN, NAME, SHAPES, TOLD, Shape
from support.upstream import Upstream, answer, chunk
from unspool import Event
from unspool.execution.replay import replay
from unspool.runs.events import decode_event

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

TOOL = {
    "name": NAME,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "answer": {"kind": "mock", "value": "sunny"},
}


class Place:
    """A server with a strict vendor and a tool."""

    def __init__(self, program: Program, upstream: Upstream, client: httpx.AsyncClient) -> None:
        self.program = program
        self.upstream = upstream
        self.client = client
        self.tool = 0

    async def made(self, path: str, body: dict[str, Any]) -> int:
        response = await self.client.post(self.program.url + path, json=body)
        assert response.status_code == 201, response.text
        return int(response.json()["id"])

    async def prepare(self, shape: Shape) -> None:
        self.upstream.play = shape.play
        self.tool = await self.made("/api/tools", TOOL)
        for name in ("strict", "other"):
            model = {
                "name": name,
                "provider": shape.provider,
                "base_url": self.upstream.url,
                "upstream_name": f"{name}-1",
                "api_key": "sk-test-0123456789",
                "params": shape.params,
            }
            await self.made("/api/models", model)

    async def run(self, run_id: str) -> dict[str, Any]:
        await self.client.get(f"{self.program.url}/v1/runs/{run_id}/events")
        response = await self.client.get(f"{self.program.url}/v1/runs/{run_id}")
        facts: dict[str, Any] = response.json()
        return facts

    async def log(self, run_id: str) -> list[Event]:
        response = await self.client.get(f"{self.program.url}/v1/runs/{run_id}/events")
        lines = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
        return [decode_event(line) for line in lines]

    async def ask(self, **more: Any) -> str:
        """Start a run and return its id, as soon as it has one."""
        body = {
            "flow": "chat",
            "model": "strict",
            "input": {"prompt": "weather?", "tool_ids": [self.tool], **more},
        }
        url = f"{self.program.url}/v1/runs"
        async with self.client.stream("POST", url, json=body) as response:
            return str(response.headers["x-run-id"])


@pytest.fixture
async def place(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Place]:
    program = Program(tmp_path / "data", clean_env(UNSPOOL_RETRIES="0"))
    assert await program.start()
    async with httpx.AsyncClient(timeout=20) as client:
        try:
            yield Place(program, upstream, client)
        finally:
            program.kill()


@pytest.mark.parametrize("name", SHAPES)
async def test_a_run_sends_back_what_its_vendor_wants(name: str, place: Place) -> None:
    await place.prepare(SHAPES[name])
    run = await place.run(run_id := await place.ask())
    assert (run["status"], run["text"], run["error"]) == ("completed", TOLD, None)
    assert len(place.upstream.requests) == 2
    log = await place.log(run_id)
    states = [event.data.get("turn_state") for event in log if event.type == "step.finished"]
    assert all(states)
    assert "turn_state" not in run["text"] + json.dumps(run["steps"])
    assert (await replay(log)).difference is None


@pytest.mark.parametrize(
    ("name", "crash_at"),
    [
        *((name, "context.answered") for name in SHAPES),
        *((name, "generation.asking_again") for name in ("Anthropic", "DeepSeek", "Gemini")),
    ],
)
async def test_a_run_killed_between_the_rounds_sends_it_back_too(
    name: str, crash_at: str, place: Place
) -> None:
    await place.prepare(SHAPES[name])
    place.program.kill()
    assert await place.program.start(crash_at=crash_at)
    with pytest.raises(httpx.TransportError):
        await place.run(await place.ask())
    assert await place.program.has_died()
    assert await place.program.start()
    runs = (await place.client.get(f"{place.program.url}/v1/runs")).json()["runs"]
    run = await place.run(runs[0]["id"])
    assert (run["status"], run["text"], run["error"]) == ("completed", TOLD, None)
    assert len(place.upstream.requests) == 2, "the call is in the log, and not asked for again"


@pytest.mark.parametrize("name", SHAPES)
async def test_a_talk_sends_it_back_in_the_next_turn(name: str, place: Place) -> None:
    await place.prepare(SHAPES[name])
    number = await place.made("/api/conversations", {})
    models = (await place.client.get(f"{place.program.url}/api/models")).json()["models"]
    ids = {model["name"]: model["id"] for model in models}

    async def turn(prompt: str, model: str) -> str:
        body = {"prompt": prompt, "model_id": ids[model], "conversation_id": number}
        url = f"{place.program.url}/api/debug/chat"
        response = await place.client.post(url, json={**body, "tool_ids": [place.tool]})
        return str(response.json())

    assert TOLD in await turn("weather?", "strict")
    assert AGAIN in await turn("again?", "strict")
    assert len(place.upstream.requests) == 3
    asked = json.dumps(place.upstream.requests[-1].body)
    assert "turn_state" not in asked
    await turn("and you?", "other")
    shape = SHAPES[name]
    other = place.upstream.requests[-1].body
    assert list(shape.turns(other)) == [False, False], "another model gets none of it"


async def test_thoughts_that_were_told_as_text_replay(place: Place) -> None:
    await place.prepare(SHAPES["DeepSeek"])
    place.upstream.play = [[chunk("Hm.\n"), chunk("</think>"), *answer("\n\nHello", "!")]]
    run = await place.run(run_id := await place.ask())
    assert (run["status"], run["text"]) == ("completed", "Hello!")
    log = await place.log(run_id)
    assert [event.type for event in log].count("step.rewound") == 1
    assert (await replay(log)).difference is None
