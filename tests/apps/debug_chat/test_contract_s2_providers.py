"""S2.15: the debug chat over every kind of provider, tools and their rounds included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support import messages_wire as wire
from support.debug_chat import CITY, frames, made, mock
from support.servers import Desk
from support.upstream import Script, Upstream
from unspool import Model, plugs
from unspool.providers import LocalAnswer, Prompt, Sink, ToolCall, ToolFragment
from unspool.providers.upstream.local import LocalLine, LocalReader

CALLED = {"city": "北京"}
MODEL = {"name": "theirs", "api_key": "sk-nobody", "upstream_name": "m-1"}


def of_messages() -> list[Script]:
    called = wire.call(0, "toolu_1").replace(b"get_weather", b"weather")
    arguments = wire.delta(partial_json=json.dumps(CALLED))
    first = [wire.START, called, arguments, wire.event("content_block_stop", index=0)]
    said = [wire.START, wire.block(type="text", text=""), wire.delta(text="今天晴")]
    return [[*first, wire.stop("tool_use"), wire.OVER], [*said, *wire.END]]


def of_lines() -> list[Script]:
    def line(**message: Any) -> bytes:
        said = {"model": "m-1", "message": {"role": "assistant", "content": "", **message}}
        return json.dumps({**said, "done": False}).encode() + b"\n"

    over = {"model": "m-1", "message": {"role": "assistant", "content": ""}, "done": True}
    done = json.dumps({**over, "done_reason": "stop", "eval_count": 3}).encode() + b"\n"
    call = {"function": {"name": "weather", "arguments": CALLED}}
    return [[line(tool_calls=[call]), done], [line(content="今天晴"), done]]


def of_chunks() -> list[Script]:
    """Gemini's: a call is whole at once."""

    def told(**part: Any) -> bytes:
        content = {"role": "model", "parts": [part]}
        candidate = {"content": content, "finishReason": "STOP"}
        return b"data: " + json.dumps({"candidates": [candidate]}).encode() + b"\n\n"

    return [
        [told(functionCall={"name": "weather", "args": CALLED})],
        [told(text="今天晴")],
    ]


@pytest.mark.parametrize(
    "vendor",
    [
        ("anthropic", "", of_messages()),
        ("ollama", "", of_lines()),
        ("gemini", "/v1beta", of_chunks()),
    ],
)
async def test_s2_15_a_model_of_another_vendor_calls_and_answers_in_the_same_frames(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream, vendor: Any
) -> None:
    provider, path, scripts = vendor
    upstream.play = scripts
    served = desk
    base_url = upstream.url.removesuffix("/v1") + path
    said = {**MODEL, "provider": provider, "base_url": base_url}
    model = await made(client, served, "models", said)
    await check(client, served, model["id"])
    second = json.dumps(upstream.requests[1].body, ensure_ascii=False)
    assert second.index("北京的天气？") < second.index('"city": "北京"') < second.rindex("晴")


async def check(client: httpx.AsyncClient, served: Desk, model: int) -> None:
    tool = await mock(client, served, parameters=CITY)
    told = await frames(client, served, model_id=model, tool_ids=[tool["id"]])
    kinds = [next(iter(frame)) for frame in told]
    assert list(dict.fromkeys(kinds)) == ["tool_call", "tool_result", "content", "done"]
    final = told[-1]["final_response"]
    assert (final["output"], final["status"]) == ("今天晴", "success")
    (call,) = final["tool_calls"]
    assert (json.loads(call["arguments"]), call["result"]) == (CALLED, "晴")


class Custom:
    """As somebody's package would have it."""

    def request(self, model: Model, prompt: Prompt) -> LocalAnswer:
        if prompt.messages[-1]["role"] == "tool":
            lines = [LocalLine(text="今天晴"), LocalLine(finish="stop")]
        else:
            fragment = ToolFragment(0, "c", "weather", json.dumps(CALLED))
            call = ToolCall(0, "c", "weather", CALLED)
            lines = [LocalLine(tool=fragment), LocalLine(call=call), LocalLine(finish="tool_calls")]
        return LocalAnswer(lambda: ((0.0, line.encode()) for line in lines))

    def reader(self, model: Model, prompt: Prompt, sink: Sink) -> LocalReader:
        return LocalReader(sink)


@pytest.fixture
def custom() -> Iterator[str]:
    plugs.offer("providers", "custom", Custom())
    yield "custom"
    plugs.withdraw("providers", "custom")


async def test_s2_15_a_provider_of_ones_own_does_too(
    client: httpx.AsyncClient, desk: Desk, custom: str
) -> None:
    served = desk
    said = {**MODEL, "provider": custom}
    model = await made(client, served, "models", said)
    await check(client, served, model["id"])
