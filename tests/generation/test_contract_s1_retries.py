"""S1.5 and S1.6: how often a model is asked, and how long it is waited for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import replace

import pytest

from support.patience import within
from support.readers import said
from support.upstream import (
    CUT,
    END,
    KEY,
    RESET,
    SILENCE,
    Head,
    Script,
    Upstream,
    answer,
    chunk,
    refusal,
)
from unspool import Limits, LLMClient, LLMClientError, Model, Prompt, Settings, get_llm_client
from unspool.errors import ProviderError, ProviderInterrupted
from unspool.generation.generate import GenerationDeps, generate
from unspool.providers import Text
from unspool.providers.upstream.http1 import Client


@pytest.fixture
async def http() -> AsyncIterator[Client]:
    async with Client() as session:
        yield session


async def waits(
    http: Client, *models: Model, luck: float = 0.0
) -> tuple[list[float], str, ProviderError | None]:
    """What is waited before each retry, the text, and the error that is left in the end."""
    waited: list[float] = []

    async def sleep(wait_s: float) -> None:
        waited.append(wait_s)

    text, error = "", None
    deps = GenerationDeps(http, retries=3, sleep=sleep, random=lambda: luck)
    async with aclosing(generate(Prompt.of("你好"), models, deps)) as pieces:
        try:
            async for piece in pieces:
                text += piece.text if isinstance(piece, Text) else ""
        except ProviderError as last:
            error = last
    return waited, text, error


PASSING: dict[str, Script] = {
    **{str(status): refusal(status) for status in (408, 425, 429, 500, 502, 503, 504, 529)},
    "cut": [CUT],
    "reset": [RESET],
    "nothing": [b""],
    "time-out": [SILENCE],
}


@pytest.mark.parametrize("name", PASSING)
async def test_s1_5_a_passing_fault_is_retried_three_times_and_ever_later(
    http: Client, upstream: Upstream, name: str
) -> None:
    upstream.play = [PASSING[name]]
    waited, text, error = await waits(
        http, upstream.model(first_event_s=0.5 if name == "time-out" else 5)
    )
    assert (waited, text) == ([0.5, 1.0, 2.0], "")
    assert error is not None
    assert len(upstream.requests) == 4


async def test_s1_5_jitter_only_ever_adds_a_little(http: Client, upstream: Upstream) -> None:
    upstream.play = [refusal(503)]
    waited, _, _ = await waits(http, upstream.model(), luck=1.0)
    assert waited == [0.625, 1.25, 2.5]


async def test_s1_5_a_retry_that_succeeds_gives_its_text_alone(
    http: Client, upstream: Upstream
) -> None:
    upstream.play = [refusal(500), [RESET], answer("你", "好")]
    assert await waits(http, upstream.model()) == ([0.5, 1.0], "你好", None)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Retry-After: 7", [7.0, 7.0, 7.0]),
        ("Retry-After: 1", [1.0, 1.0, 2.0]),
        ("retry-after-ms: 1500", [1.5, 1.5, 2.0]),
        ("Retry-After: -5", [0.5, 1.0, 2.0]),
        ("Retry-After: soon", [0.5, 1.0, 2.0]),
        ("Retry-After: 99999999999999999999", [0.5, 1.0, 2.0]),
        ("Retry-After: 3600", []),
    ],
)
async def test_s1_5_retry_after_is_obeyed_where_it_makes_sense(
    http: Client, upstream: Upstream, header: str, expected: list[float]
) -> None:
    upstream.play = [refusal(429, "slow down", header)]
    waited, _, _ = await waits(http, upstream.model())
    assert waited == expected


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_s1_5_what_a_retry_cannot_mend_is_asked_once(
    http: Client, upstream: Upstream, status: int
) -> None:
    upstream.play = [refusal(status)]
    waited, _, error = await waits(http, upstream.model())
    assert waited == []
    assert error is not None
    assert error.status == status
    assert len(upstream.requests) == 1


async def test_s1_5_a_stream_that_broke_is_gone_on_with_and_never_said_twice(
    http: Client, upstream: Upstream
) -> None:
    upstream.play = [[chunk("今天推荐"), 0.02, RESET]]
    waited, text, error = await waits(http, upstream.model())
    assert (waited, text, len(upstream.requests)) == ([1.0, 2.0], "今天推荐", 4)
    assert isinstance(error, ProviderInterrupted)
    assert error.code == "connection"


async def test_s1_5_the_next_model_is_asked_where_the_first_said_nothing_or_broke(
    http: Client, upstream: Upstream
) -> None:
    async with Upstream() as second:
        second.play = [answer("，很轻")]
        models = [upstream.model(), replace(second.model(), name="second")]
        upstream.play = [refusal(401)]
        assert await waits(http, *models) == ([], "，很轻", None)
        upstream.play = [[chunk("今天推荐"), 0.02, RESET]]
        assert await waits(http, *models) == ([], "今天推荐，很轻", None)
        assert len(second.requests) == 2


async def test_s1_5_in_real_time_a_rate_limit_costs_half_a_second(upstream: Upstream) -> None:
    upstream.play = [refusal(429, "slow down", "Retry-After: 0"), answer("好")]
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await said(LLMClient(upstream.model())) == ["好"]
    assert loop.time() - began >= 0.5
    assert len(upstream.requests) == 2


def test_s1_6_the_limits_have_names_and_there_is_none_on_the_whole() -> None:
    limits = get_llm_client(
        Settings(_env_file=None, llm_api_key="k", llm_base_url="http://x/v1")
    ).model.limits
    assert (limits.connect_s, limits.first_event_s, limits.idle_s) == (5, None, None)
    assert limits.total_s is None


TOO_SLOW: dict[str, tuple[dict[str, float], Script, str]] = {
    "first answer": ({"first_event_s": 0.5}, [SILENCE], ""),
    "first bytes": ({"first_event_s": 0.5}, [Head(), SILENCE], ""),
    "first word": ({"first_event_s": 0.5}, [b": wait\n\n", SILENCE], ""),
    "first word after pings": (
        {"progress_s": 0.4},
        [step for _ in range(40) for step in (0.02, b": wait\n\n")],
        "",
    ),
    "bytes before a word": ({"idle_s": 0.5}, [b": wait\n\n", SILENCE], ""),
    "next bytes": ({"idle_s": 0.5}, [chunk("今天"), SILENCE], "今天"),
    "next word": (
        {"progress_s": 0.4},
        [chunk("今天"), *[step for _ in range(40) for step in (0.02, b": wait\n\n")]],
        "今天",
    ),
    "everything": (
        {"total_s": 0.4},
        [step for _ in range(40) for step in (chunk("好"), 0.02)],
        "",
    ),
}


@pytest.mark.parametrize("name", TOO_SLOW)
async def test_s1_6_each_limit_ends_what_is_too_slow_and_nothing_else(
    upstream: Upstream, name: str
) -> None:
    limits, script, text = TOO_SLOW[name]
    upstream.play = [script]
    asking = LLMClient(upstream.model(**limits), retries=0)
    with pytest.raises(LLMClientError) as failed:
        async with within(3):
            await said(asking)
    assert failed.value.code == "timeout"
    assert failed.value.text.startswith(text)
    await upstream.until(lambda: upstream.left == 1, within_s=1)


async def test_s1_6_a_slow_stream_that_lives_is_let_live(upstream: Upstream) -> None:
    upstream.play = [[*[step for _ in range(10) for step in (chunk("好"), 0.2)], *END]]
    asking = LLMClient(upstream.model(first_event_s=1.8, idle_s=1.8), retries=0)
    assert await said(asking) == ["好"] * 10


async def test_s1_6_a_connection_that_does_not_open_is_given_up_by_its_own_limit() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)  # nobody ever takes a connection: the queue is soon full
        waiting = [socket.socket() for _ in range(3)]
        for sock in waiting:
            sock.setblocking(False)
            with suppress(BlockingIOError):
                sock.connect(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        limits = Limits(connect_s=0.1, first_event_s=5)
        asking = LLMClient(Model("m", "openai", "m", url, KEY, limits), retries=0)
        with pytest.raises(LLMClientError) as failed:
            async with within(2):
                await said(asking)
        for sock in waiting:
            sock.close()
    assert failed.value.code == "timeout"
    assert "within 0.1 s" in str(failed.value), "the message names a limit that was not reached"


async def test_s1_13_each_attempt_and_its_failure_is_told(
    upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.play = [refusal(503, "full"), answer("好")]
    await said(LLMClient(upstream.model()))
    assert any("503" in r.getMessage() and "full" in r.getMessage() for r in caplog.records)


@pytest.mark.parametrize(
    ("retries", "words"), [(0, "after one attempt: "), (1, "after 2 attempts")]
)
async def test_d28_a_failure_is_told_in_a_sentence_that_people_say(
    upstream: Upstream, retries: int, words: str
) -> None:
    upstream.play = [refusal(503, "full")]
    with pytest.raises(LLMClientError, match=words):
        await said(LLMClient(upstream.model(), retries=retries))
