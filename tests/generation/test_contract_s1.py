"""The contract of `LLMClient` and `POST /ai/stream`, check by check, over real sockets."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from contextlib import aclosing, suppress
from pathlib import Path

import httpx
import pytest

import unspool
from support.patience import within
from support.readers import post, said
from support.servers import Served, ServeModel
from support.upstream import (
    CUT,
    DONE,
    END,
    KEY,
    RESET,
    SILENCE,
    Head,
    Script,
    Upstream,
    answer,
    chunk,
    counted,
    frame,
    refusal,
)
from unspool import LLMClient, LLMClientError, Settings, get_llm_client
from unspool.providers.upstream.openai_request import endpoint

WHOLE = "今天推荐这款👟，é 很轻！"


async def test_s1_1_it_is_an_async_generator_of_text_that_nobody_awaits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_model: None
) -> None:
    monkeypatch.chdir(tmp_path)  # where there is no .env
    client = unspool.get_llm_client()
    chunks = client.stream_chat("请介绍运动鞋的特点")
    assert inspect.isasyncgen(chunks)
    async with aclosing(chunks):
        pieces = [piece async for piece in chunks]
    assert len(pieces) > 1
    assert all(isinstance(piece, str) and piece for piece in pieces)


def test_s1_2_the_parameters_have_the_promised_names_and_defaults() -> None:
    taken = inspect.signature(LLMClient.stream_chat).parameters
    assert {name: taken[name].default for name in ("system", "temperature", "max_tokens")} == {
        "system": "You are a helpful sales assistant.",
        "temperature": None,
        "max_tokens": None,
    }


async def test_s1_2_what_is_given_is_passed_through_and_what_is_not_is_left_out(
    asking: LLMClient, upstream: Upstream
) -> None:
    await said(asking)
    await said(
        asking, "你好", system="你是顾问。", temperature=0.7, max_tokens=200, top_p=0.9, seed=0
    )
    bare, full = (asked.body for asked in upstream.requests)
    assert bare["messages"] == [
        {"role": "system", "content": "You are a helpful sales assistant."},
        {"role": "user", "content": "你好"},
    ]
    assert not {"temperature", "max_tokens"} & set(bare)
    assert full["messages"][0] == {"role": "system", "content": "你是顾问。"}
    given = {"temperature": 0.7, "max_tokens": 200, "top_p": 0.9, "seed": 0}
    assert {name: full[name] for name in given} == given


async def test_s1_2_no_parameter_changes_the_model_or_turns_streaming_off(
    asking: LLMClient, upstream: Upstream
) -> None:
    await said(asking, "你好", stream=False, model="a-dearer-one", messages=[])
    (asked,) = upstream.requests
    assert (asked.body["stream"], asked.body["model"]) == (True, asking.model.upstream_name)
    assert asked.body["messages"][-1]["content"] == "你好"


async def test_s1_3_the_model_is_asked_to_stream_by_a_post(
    asking: LLMClient, upstream: Upstream
) -> None:
    await said(asking)
    (asked,) = upstream.requests
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["content-type"] == "application/json"
    assert asked.body["stream"] is True
    assert asked.body["model"] == "m-1"


async def test_s1_3_done_ends_the_stream_whatever_follows_or_lingers(
    asking: LLMClient, upstream: Upstream
) -> None:
    upstream.play = [[chunk("好"), DONE, chunk("鬼"), b"data: junk\n\n", SILENCE]]
    async with within(2):
        assert await said(asking) == ["好"]


async def test_s1_3_characters_cut_between_packets_at_any_byte_are_whole(
    asking: LLMClient, upstream: Upstream
) -> None:
    body = b"".join([chunk(WHOLE), *END[:1], DONE])
    start = body.index("今".encode())
    end = body.index("！".encode()) + 3
    upstream.play = [[body[:at], 0.002, body[at:]] for at in range(start, end + 1)]
    async with asking:
        for at in range(start, end + 1):
            assert await said(asking) == [WHOLE], at


async def test_s1_3_a_stream_that_comes_byte_by_byte_is_the_same_stream(
    asking: LLMClient, upstream: Upstream
) -> None:
    body = b"".join([*map(chunk, WHOLE), *END])
    upstream.play = [[body[at : at + 1] for at in range(len(body))]]
    assert "".join(await said(asking)) == WHOLE


async def test_s1_3_bytes_that_are_not_text_are_ignored_and_their_neighbours_kept(
    asking: LLMClient, upstream: Upstream
) -> None:
    bad = chunk("今天A@B推荐").replace(b"@", b"\xff\xfe")
    upstream.play = [[bad, *END]]
    assert "".join(await said(asking)).replace("\ufffd", "") == "今天AB推荐"


async def test_s1_3_half_a_surrogate_pair_is_ignored_and_its_neighbours_kept(
    asking: LLMClient, upstream: Upstream
) -> None:
    halves = (chunk(f"今天{half}推荐") for half in ("1", "2"))
    escapes = [half.replace(b"1", rb"\ud83d").replace(b"2", rb"\ude00!") for half in halves]
    upstream.play = [[*escapes, *END]]
    text = "".join(await said(asking))
    assert text.encode().decode().replace("\ufffd", "") == "今天推荐今天!推荐"


@pytest.mark.parametrize(
    "junk",
    [
        b"data: {" + b'"a":[' * 50_000 + b"\n\n",
        b'data: {"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}\n\n",
        b"data: <!-- a proxy was here -->\n\n",
        b'data: {"choices": [{"delta": {"cont\n\n',
        b"data: [1, 2]\n\n",
        b'data: {"choices": "none"}\n\n',
        b'data: {"choices": [{"delta": {"content": 5}}]}\n\n',
    ],
    ids=["deep and cut", "deep", "a page", "cut", "a list", "a word", "a number"],
)
async def test_s1_4_a_chunk_that_cannot_be_read_is_warned_of_and_the_stream_goes_on(
    asking: LLMClient, upstream: Upstream, caplog: pytest.LogCaptureFixture, junk: bytes
) -> None:
    upstream.play = [[chunk("今天"), junk, chunk("推荐"), *END]]
    assert await said(asking) == ["今天", "推荐"]
    assert [r.levelname for r in caplog.records].count("WARNING") == 1


async def test_s1_7_the_final_failure_says_what_happened_and_what_there_is(
    upstream: Upstream,
) -> None:
    upstream.play = [[chunk("今天"), chunk("推荐"), 0.02, RESET]]
    with pytest.raises(LLMClientError) as failed:
        await said(LLMClient(upstream.model(), retries=0))
    error = failed.value
    assert (error.text, error.attempts, error.status) == ("今天推荐", 1, None)
    assert error.code == "connection"


async def test_s1_7_a_status_is_passed_on_with_the_number_of_attempts(upstream: Upstream) -> None:
    upstream.play = [refusal(503, "full")]
    with pytest.raises(LLMClientError) as failed:
        await said(LLMClient(upstream.model(), retries=1))
    error = failed.value
    assert (error.code, error.status, error.attempts, error.text) == ("overloaded", 503, 2, "")
    assert "full" in str(error)


@pytest.mark.parametrize("given", [{}, {"llm_api_key": KEY}, {"llm_base_url": "UPSTREAM"}])
async def test_s1_8_without_a_key_or_an_address_nothing_is_sent_and_words_stream(
    upstream: Upstream, quick_model: None, given: dict[str, str]
) -> None:
    facts = {name: upstream.url if value == "UPSTREAM" else value for name, value in given.items()}
    asking = get_llm_client(Settings(_env_file=None, **facts))
    assert asking.is_stub
    assert len(await said(asking, "请介绍运动鞋的特点")) > 3
    assert upstream.requests == []


async def test_s1_9_the_two_log_lines_have_the_promised_shape(
    asking: LLMClient, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    upstream.play = [answer("运动鞋具有舒适", "的鞋底", "。")]
    await said(asking)
    lines = "\n".join(record.getMessage() for record in caplog.records)
    first = re.search(
        r"^First chunk received: 运动鞋具有舒适\.\.\. \((\d+\.\d\d)ms\)$", lines, re.M
    )
    whole = re.search(r"^LLM stream completed: 3 chunks, 11 chars, (\d+\.\d\d) ms$", lines, re.M)
    assert first, lines
    assert whole, lines
    assert float(first[1]) <= float(whole[1])


async def test_s1_9_a_whole_answer_can_be_had_with_its_figures(
    asking: LLMClient, upstream: Upstream
) -> None:
    upstream.play = [answer("你", "好")]
    done = await asking.complete("你好")
    assert (done.text, done.finish_reason, done.attempts) == ("你好", "stop", 1)
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (10, 20)
    assert done.usage.measured
    assert done.first_chunk_ms is not None
    assert 0 < done.first_chunk_ms <= done.total_ms


@pytest.mark.parametrize("by_query", [True, False])
async def test_s1_10_the_text_itself_is_the_data_of_each_frame(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, by_query: bool
) -> None:
    upstream.play = [answer("运动鞋", " 很轻\n也很软", "\n\n", "data: 不是帧", "。")]
    url = serve_model().url + "/ai/stream"
    if by_query:
        view = await post(client, url, None, params={"prompt": "你好"})
    else:
        view = await post(client, url, {"prompt": "你好"})
    assert view.seen.data == ["运动鞋", " 很轻\n也很软", "\n\n", "data: 不是帧", "。"]
    assert "data:  很轻\ndata: 也很软\n\n".encode() in view.seen.raw
    assert b"event:" not in view.seen.raw
    assert upstream.requests[0].question == "你好"


async def test_s1_10_without_a_prompt_the_answer_says_what_is_missing(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    answered = await client.post(shared_server.url + "/ai/stream")
    assert answered.status_code == 422
    assert "prompt" in answered.json()["error"]["message"]


async def test_s1_11_a_generator_closed_early_closes_the_connection(
    asking: LLMClient, upstream: Upstream
) -> None:
    upstream.play = [[chunk("今天"), SILENCE]]
    async with aclosing(asking.stream_chat("你好")) as chunks:
        assert await anext(chunks) == "今天"
    await upstream.until(lambda: upstream.left == 1, within_s=1)


async def test_s1_11_a_cancelled_caller_closes_the_connection(
    asking: LLMClient, upstream: Upstream
) -> None:
    upstream.play = [[SILENCE]]
    task = asyncio.create_task(said(asking))
    await upstream.until(lambda: upstream.open == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await upstream.until(lambda: upstream.left == 1, within_s=1)


@pytest.mark.parametrize(
    "script",
    [
        [chunk("好"), *END, SILENCE],
        [chunk("好"), b'data: {"error":"overloaded"}\n\n', SILENCE],
        [Head(500), SILENCE],
    ],
    ids=["completion", "error in the stream", "error answer"],
)
async def test_s1_11_completion_and_errors_close_the_connection(
    upstream: Upstream, script: Script
) -> None:
    upstream.play = [script]
    asking = LLMClient(upstream.model(first_event_s=0.5), retries=0)
    with suppress(LLMClientError):
        await said(asking)
    await upstream.until(lambda: upstream.left == 1, within_s=1)


DIALECTS: dict[str, Script] = {
    "OpenAI": [
        frame({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}),
        chunk("你", role="assistant", refusal=None),
        chunk("好"),
        *END,
    ],
    "DashScope": [
        frame({"choices": [{"delta": {"content": "你", "role": "assistant"}}], "usage": None}),
        frame({"choices": [{"delta": {"content": "好"}, "finish_reason": None}], "usage": None}),
        frame({"choices": [{"delta": {"content": ""}, "finish_reason": "stop"}], "usage": None}),
        counted(10, 20),
        DONE,
    ],
    "no space, CRLF, keep-alives": [
        b": keep-alive\r\n\r\n",
        chunk("你").replace(b"data: ", b"data:").replace(b"\n", b"\r\n"),
        b"\r\n: OPENROUTER PROCESSING\r\n\r\n",
        chunk("好", finish="stop").replace(b"\n", b"\r\n"),
        b"data:[DONE]\r\n\r\n",
    ],
    "no [DONE]": [chunk("你"), chunk("好"), chunk(finish="stop")],
    "no finish_reason": [chunk("你"), chunk("好"), DONE],
    "no last blank line": [chunk("你"), chunk("好", finish="stop").rstrip()],
    "an error that is null": [
        frame({"choices": [{"delta": {"content": "你好"}}], "error": None}),
        *END,
    ],
}


@pytest.mark.parametrize("name", DIALECTS)
async def test_s1_12_compatible_services_are_understood_as_they_are(
    asking: LLMClient, upstream: Upstream, name: str
) -> None:
    upstream.play = [DIALECTS[name]]
    assert "".join(await said(asking)) == "你好"


def test_s1_12_an_address_is_used_as_it_is_meant() -> None:
    bailian = "https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions"
    assert endpoint(bailian) == endpoint(bailian.removesuffix("/chat/completions")) == bailian
    azure = "https://x.example/openai/deployments/m/chat/completions?api-version=1"
    assert endpoint(azure) == azure


LEAKY: dict[str, Script] = {
    "the key in a refusal": refusal(401, f"Incorrect API key provided: {KEY}"),
    "the key in the stream": [b'data: {"error":{"message":"bad %b"}}\n\n' % KEY.encode()],
    "the key in a page": [Head(502, (), b"<h1>Bearer %b</h1>" % KEY.encode())],
    "the key in a bad chunk": [b"data: {%b\n\n" % KEY.encode(), *answer("好")],
    "no answer": [CUT],
}


@pytest.mark.parametrize("name", LEAKY)
async def test_s1_13_nothing_that_is_logged_or_raised_holds_the_key(
    asking: LLMClient, upstream: Upstream, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level(logging.DEBUG)
    upstream.play = [LEAKY[name]]
    told = ""
    try:
        await said(asking)
    except LLMClientError as error:
        told = f"{error} {error!r} {error.__cause__!r}"
    assert len(caplog.records) >= 2
    assert KEY not in caplog.text + told
    assert KEY not in repr(asking.model)
