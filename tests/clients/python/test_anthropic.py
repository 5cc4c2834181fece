"""anthropic-python, as it comes, against a server that dies on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.harness.programs import Program
from support.servers import clean_env

anthropic = pytest.importorskip("anthropic")

pytestmark = pytest.mark.timeout(90)
"""A server of its own is started for each, and may be killed."""

WORDS = [f"word{number} " for number in range(30)]
SLOW: list[dict[str, Any]] = [
    *(step for word in WORDS for step in ({"text": word}, {"pause_s": 0.03})),
    {"usage": {"prompt_tokens": 3, "completion_tokens": 30}},
    {"finish": "stop"},
]
BROKEN = [{"text": "half"}, {"fail": "interrupted"}]
CALL = {"index": 0, "id": "c1", "name": "count", "arguments": '{"of":"x"}'}
CALLER = [[{"tool": CALL}, {"finish": "tool_calls"}], [{"text": "three"}, {"finish": "stop"}]]
ASKED = {"max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
TOOLS = [{"name": "count", "description": "counts", "input_schema": {"type": "object"}}]


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    env = clean_env(UNSPOOL_RETRIES="0", UNSPOOL_SAMPLE_DATA="false")
    (tmp_path / "data").mkdir()
    started = Program(tmp_path / "data", env)
    assert await started.start()
    for name, attempts in (("slow", [SLOW]), ("broken", [BROKEN]), ("caller", CALLER)):
        params = {"script": {"attempts": attempts}}
        body = {"name": name, "provider": "scripted", "params": params}
        async with httpx.AsyncClient(trust_env=False) as client:
            reply = await client.post(f"{started.url}/api/models", json=body)
            reply.raise_for_status()
    yield started
    started.kill()


@pytest.fixture
async def claude(program: Program) -> AsyncIterator[Any]:
    """The client, with nothing changed but the address."""
    async with anthropic.AsyncAnthropic(
        base_url=program.url, api_key="none", max_retries=0
    ) as opened:
        yield opened


async def test_a_message_streams_and_is_the_same_when_it_is_asked_for_whole(claude: Any) -> None:
    async with claude.messages.stream(model="slow", **ASKED) as stream:
        said = [text async for text in stream.text_stream]
        message = await stream.get_final_message()
    assert "".join(said) == message.content[0].text == "".join(WORDS)
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 30)
    whole = await claude.messages.create(model="slow", **ASKED)
    assert whole.content[0].text == message.content[0].text


async def test_a_tool_goes_round(claude: Any) -> None:
    async with claude.messages.stream(model="caller", tools=TOOLS, **ASKED) as stream:
        first = await stream.get_final_message()
    assert first.stop_reason == "tool_use"
    assert first.content[0].input == {"of": "x"}
    result = {"type": "tool_result", "tool_use_id": first.content[0].id, "content": "3"}
    talk = [
        *ASKED["messages"],  # type: ignore[misc]
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    asked = {**ASKED, "messages": talk}
    second = await claude.messages.create(model="caller", tools=TOOLS, **asked)
    assert second.content[0].text == "three"


async def test_a_failure_raises_and_is_never_a_silent_end(claude: Any) -> None:
    with pytest.raises(anthropic.APIStatusError, match="provider_interrupted"):
        async with claude.messages.stream(model="broken", **ASKED) as stream:
            await stream.get_final_message()
    with pytest.raises(anthropic.InternalServerError, match="provider_interrupted"):
        await claude.messages.create(model="broken", **ASKED)
    with pytest.raises(anthropic.NotFoundError):
        await claude.messages.create(model="nobody", **ASKED)


async def test_a_run_outlives_its_client_and_its_server(program: Program, claude: Any) -> None:
    raw = await claude.messages.with_raw_response.create(model="slow", stream=True, **ASKED)
    stream = await raw.parse()
    run_id = raw.headers["x-run-id"]
    async for event in stream:
        if event.type == "content_block_delta":
            break
    await claude.close()
    program.kill()
    assert await program.start()
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        url = f"{program.url}/v1/runs/{run_id}"
        replayed = await http.get(f"{url}/events", params={"dialect": "anthropic_messages"})
        assert "event: message_stop" in replayed.text
        assert (await http.get(url)).json()["text"] == "".join(WORDS)


async def test_a_run_that_is_cancelled_raises(program: Program, claude: Any) -> None:
    raw = await claude.messages.with_raw_response.create(model="slow", stream=True, **ASKED)
    stream = await raw.parse()
    url = f"{program.url}/v1/runs/{raw.headers['x-run-id']}/cancel"
    async with httpx.AsyncClient(trust_env=False) as http:
        cancelling = asyncio.create_task(http.post(url))
        with pytest.raises(anthropic.APIStatusError, match="cancelled"):
            async for _ in stream:
                pass
        await cancelling
