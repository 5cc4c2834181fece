"""S2.8 and S2.13: the same from Python, and the lines of the log; a test that streams."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from support.debug_chat import CHAT, CITY, called, frames
from support.models import refused
from support.readers import until
from support.servers import Desk, Served
from support.upstream import CUT, SILENCE, Upstream, answer, chunk, refusal
from unspool import call_model
from unspool.runs.run import RunSpec

pytestmark = pytest.mark.usefixtures("somewhere_else")

WEATHER = {"name": "weather", "description": "天气", "parameters": CITY}


async def test_s2_8_awaited_and_iterated_as_existing_programs_do(upstream: Upstream) -> None:
    upstream.play = [answer("人工", "智能")]
    stream_result = await call_model(upstream.model(), "写诗", "简短", {"top_p": 0.5}, stream=True)
    told = [chunk_ async for chunk_ in stream_result]
    assert told[:2] == [{"content": "人工", "done": False}, {"content": "智能", "done": False}]
    final = told[-1]
    assert set(final) == {"done", "final_response", "metrics"}
    assert final["final_response"]["output"] == "人工智能"
    assert final["metrics"]["total_tokens"] == 30
    (asked,) = upstream.requests
    assert asked.body["top_p"] == 0.5
    assert [message["role"] for message in asked.body["messages"]] == ["system", "user"]


async def test_s2_8_it_is_an_async_generator_without_await_too(upstream: Upstream) -> None:
    upstream.play = [[chunk("人工"), SILENCE]]
    calling = call_model(upstream.model(), "写诗", stream=True)
    assert isinstance(calling, AsyncGenerator)
    assert await anext(calling) == {"content": "人工", "done": False}
    await calling.aclose()
    await upstream.until(lambda: upstream.left == 1, within_s=1)
    assert [frame async for frame in calling] == []


async def test_s2_8_without_stream_it_is_one_dict(upstream: Upstream) -> None:
    upstream.play = [called(("a", "weather", {"city": "北京"}))]
    whole = await call_model(upstream.model(), "天气？", tools=[WEATHER])
    assert set(whole) == {"output", "metrics", "status", "tool_calls"}
    (call,) = whole["tool_calls"]
    assert (call["name"], json.loads(call["arguments"])) == ("weather", {"city": "北京"})
    as_openai = {"type": "function", "function": WEATHER}
    await call_model(upstream.model(), "天气？", tools=[as_openai])
    first, second = (asked.body["tools"] for asked in upstream.requests)
    assert first == second == [as_openai]


@pytest.mark.parametrize(
    ("script", "output"), [(refusal(401, "wrong key"), ""), ([chunk("人工"), CUT], "人工")]
)
async def test_s2_8_a_failure_is_told_and_not_raised(
    upstream: Upstream, script: Any, output: str
) -> None:
    upstream.play = [script, refusal(400)]
    model = replace(upstream.model(), prefill="none")
    told = [frame async for frame in call_model(model, "写诗", stream=True)]
    assert (told[-1]["done"], told[-1]["status"]) == (True, "error")
    assert told[-1]["error"]
    assert told[-1]["final_response"]["output"] == output


async def test_s2_8_without_a_model_the_built_in_one_answers(quick_model: None) -> None:
    whole = await call_model(None, "你好")
    assert whole["status"] == "success"
    assert "离线模型" in whole["output"]


async def test_s2_8_an_error_that_is_thrown_in_closes_the_connection(upstream: Upstream) -> None:
    upstream.play = [[chunk("人工"), SILENCE]]
    calling = call_model(upstream.model(), "写诗", stream=True)
    await anext(calling)
    with pytest.raises(KeyError):
        await calling.athrow(KeyError("x"))
    await upstream.until(lambda: upstream.left == 1, within_s=1)


# The log


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    ours = "unspool.apps.debug_chat.dialects.debug_chat"
    return [record.getMessage() for record in caplog.records if record.name == ours]


LINES = (
    "================",
    "🚀 开始调用大模型",
    "模型配置: tested",
    "流式模式: True",
    "📡 调用 OpenAI API",
    "🔄 开始流式输出",
    "✅ 流式输出完成",
    r"📊 响应时间: \d+\.\d\ds",
    r"📊 Tokens: 10 \+ 20 = 30",
    "📝 完整输出长度: 4 字符",
)


async def test_s2_13_the_log_says_what_the_seed_prints(
    client: httpx.AsyncClient,
    desk: Desk,
    upstream: Upstream,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    upstream.play = [answer("人工", "智能")]
    served = desk
    await frames(client, served)
    await until(lambda: len(said(caplog)) == len(LINES))
    for line, wanted in zip(said(caplog), LINES, strict=True):
        assert re.fullmatch(wanted, line)
    caplog.clear()
    await client.post(f"{served.url}/ai/stream", json={"prompt": "你好", "model": desk.model})
    await client.post(f"{served.url}{CHAT}", json={"model_id": desk.model_id, "prompt": "你好"})
    await until(lambda: len(said(caplog)) == len(LINES) - 1)
    assert "流式模式: False" in said(caplog)
    assert "🔄 开始流式输出" not in said(caplog)


async def test_s2_13_the_log_says_that_and_why_it_failed(
    client: httpx.AsyncClient,
    desk: Desk,
    upstream: Upstream,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    upstream.play = [refusal(401, "wrong key")]
    await frames(client, desk)
    await until(lambda: len(said(caplog)) == len(LINES))
    assert "wrong key" in next(line for line in said(caplog) if line.startswith("❌"))
    assert "📊 Tokens: ? + ? = ?" in said(caplog)


async def test_s2_13_a_run_that_somebody_stops_is_no_error_of_the_server(
    client: httpx.AsyncClient,
    desk: Desk,
    upstream: Upstream,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    upstream.play = [[chunk("人工"), SILENCE]]
    asked = {"model_id": desk.model_id, "prompt": "写诗", "stream": True}
    async with client.stream("POST", f"{desk.url}{CHAT}", json=asked) as stream:
        run_id = stream.headers["x-run-id"]
    await client.post(f"{desk.url}/v1/runs/{run_id}/cancel")
    await until(lambda: "⏹ 流式输出已取消" in said(caplog))
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []


async def test_s2_13_a_run_that_is_gone_when_it_is_to_be_told_of_is_a_warning(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    served = desk

    async def note() -> None:
        for ended in served.core.runner.on_ended:
            ended("01gone", RunSpec("chat", dialect="debug_chat"))
        await asyncio.sleep(0)

    await served.served.call(note)
    await until(lambda: "cannot be told of" in caplog.text)


# A test that streams


@pytest.mark.parametrize(
    ("query", "headers"), [("?stream=true", {}), ("", {"Accept": "text/event-stream"})]
)
async def test_s2_10_a_test_of_a_model_streams_when_asked(
    client: httpx.AsyncClient,
    desk: Desk,
    upstream: Upstream,
    query: str,
    headers: dict[str, str],
) -> None:
    upstream.play = [answer("Hello", "!")]
    served = desk
    url = f"{served.url}/api/models/{desk.model_id}/test{query}"
    async with client.stream("POST", url, headers=headers) as response:
        lines = [line async for line in response.aiter_lines()]
    told = [line[6:] for line in lines if line.startswith("data: ")]
    assert response.headers["content-type"].startswith("text/event-stream")
    assert [json.loads(data).get("content") for data in told[:2]] == ["Hello", "!"]
    assert json.loads(told[2])["final_response"]["status"] == "success"
    assert told[3] == "[DONE]"
    assert upstream.requests[0].body["max_tokens"]


async def test_s2_10_a_test_of_a_model_is_json_where_nothing_is_said(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    url = f"{shared_server.url}/api/models/1/test"
    assert (await client.post(url)).json()["ok"] is True
    await refused(await client.post(f"{url}?stream=true&probe=true"), "probe")
    await refused(await client.post(f"{shared_server.url}/api/models/99/test?stream=1"), status=404)
