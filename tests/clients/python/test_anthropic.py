"""anthropic-python, with nothing changed but the address."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic, APIStatusError, InternalServerError, NotFoundError
from killable import SLOW, WORDS, KillableServer

from conftest import END, Scripted, called, said

ASKED: dict[str, Any] = {"max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
TOOLS: Any = [{"name": "count", "description": "counts", "input_schema": {"type": "object"}}]
BROKEN = [{"text": "half"}, {"fail": "interrupted"}]


@pytest.fixture
def claude(url: str) -> Iterator[Anthropic]:
    with Anthropic(base_url=url, api_key="none", max_retries=0) as opened:
        yield opened


def test_a_message_streams_and_is_the_same_when_it_is_asked_for_whole(
    claude: Anthropic, scripted: Scripted
) -> None:
    model = scripted([{"reasoning": "hm"}, {"text": "so "}, {"text": "it is"}, *END])
    with claude.messages.stream(model=model, **ASKED) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text == "so it is"
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 5)
    whole = claude.messages.create(model=model, **ASKED)
    assert whole.content[1].text == text


def test_a_tool_goes_round(claude: Anthropic, scripted: Scripted) -> None:
    model = scripted(called("count", {"of": "x"}), said("three"))
    with claude.messages.stream(model=model, tools=TOOLS, **ASKED) as stream:
        first = stream.get_final_message()
    (use,) = first.content
    assert (first.stop_reason, use.type) == ("tool_use", "tool_use")
    assert use.input == {"of": "x"}
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "3"}
    talk = [
        *ASKED["messages"],
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    second = claude.messages.create(model=model, tools=TOOLS, **{**ASKED, "messages": talk})
    assert second.content[0].text == "three"


def test_a_failure_raises_and_is_never_a_silent_end(claude: Anthropic, scripted: Scripted) -> None:
    model = scripted(BROKEN)
    with (
        pytest.raises(APIStatusError, match="provider_interrupted"),
        claude.messages.stream(model=model, **ASKED) as stream,
    ):
        stream.get_final_message()
    with pytest.raises(InternalServerError, match="provider_interrupted"):
        claude.messages.create(model=model, **ASKED)
    with pytest.raises(NotFoundError):
        claude.messages.create(model="nobody", **ASKED)


def test_a_run_that_is_cancelled_raises(claude: Anthropic, scripted: Scripted, url: str) -> None:
    raw = claude.messages.with_raw_response.create(model=scripted(SLOW), stream=True, **ASKED)
    address = f"{url}/v1/runs/{raw.headers['x-run-id']}/cancel"
    with urllib.request.urlopen(urllib.request.Request(address, b""), timeout=10):
        pass
    with pytest.raises(APIStatusError, match="cancelled"):
        for _ in raw.parse():
            pass


def test_a_run_outlives_its_client_and_its_server(tmp_path: Path) -> None:
    server = KillableServer(tmp_path)
    try:
        script = {"script": {"attempts": [SLOW]}}
        server.ask("/api/models", {"name": "slow", "provider": "scripted", "params": script})
        with Anthropic(base_url=server.url, api_key="none", max_retries=0) as claude:
            raw = claude.messages.with_raw_response.create(model="slow", stream=True, **ASKED)
            run_id = raw.headers["x-run-id"]
            for event in raw.parse():
                if event.type == "content_block_delta":
                    break
        server.kill()
        server.start()
        replayed = server.ask(f"/v1/runs/{run_id}/events?dialect=anthropic_messages")
        assert b"event: message_stop" in replayed
        assert json.loads(server.ask(f"/v1/runs/{run_id}"))["text"] == "".join(WORDS)
    finally:
        server.kill()
