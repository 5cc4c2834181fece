"""The contracts over a real engine: llama.cpp, with a model that recites."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from support.engine import engine, some_words, write_model
from support.readers import COPY, SHOE, copy_posts, look, post
from support.servers import Serve
from unspool import LLMClient, get_llm_client

pytestmark = pytest.mark.engine

WORDS = some_words(120)
RECITED = "".join(WORDS)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engine") / "quick.gguf"
    write_model(path, WORDS)
    return path


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engine") / "slow.gguf"
    write_model(path, some_words(500), layers=24)
    return path


@pytest.fixture
async def url(quick: Path) -> AsyncIterator[str]:
    async with engine(quick) as address:
        yield address


async def test_s0_over_an_engine_has_the_grammar_and_the_engine_s_words(
    url: str, serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with(llm_api_key="k", llm_base_url=f"{url}/v1", llm_model="recital")
    view = await post(client, served.url + COPY, SHOE)
    assert copy_posts(view.seen.documents) == [RECITED] * 3
    run = (await client.get(f"{served.url}/v1/runs/{view.run_id}")).json()
    assert {step["model"] for step in run["steps"]} == {"recital"}
    assert {attempt["finish_reason"] for attempt in run["attempts"]} == {"stop"}


async def test_text_comes_through_as_it_was_recited_and_usage_is_measured(
    url: str, serve_with: Serve, client: httpx.AsyncClient
) -> None:
    full = f"{url}/v1/chat/completions"
    served = serve_with(llm_api_key="k", llm_base_url=full, llm_model="recital")
    view = await post(client, served.url + "/ai/stream", {"prompt": "请背诵👟"})
    assert "".join(view.seen.data) == RECITED
    assert len(view.seen.data) > 50, "the text came as it was made, not all at once"
    run = (await client.get(f"{served.url}/v1/runs/{view.run_id}")).json()
    assert run["usage"]["basis"] == "measured"
    assert len(WORDS) <= run["usage"]["completion_tokens"] <= len(WORDS) + 2


async def test_the_client_asks_an_engine_for_as_much_as_is_wanted(
    url: str, serve_with: Serve
) -> None:
    settings = serve_with(llm_api_key="k", llm_base_url=f"{url}/v1", llm_model="m").settings
    asking: LLMClient = get_llm_client(settings)
    done = await asking.complete("请背诵", max_tokens=10)
    assert done.text == "".join(WORDS[:10])
    assert done.finish_reason == "length"
    assert (done.usage.completion_tokens, done.usage.measured) == (10, True)


async def test_a_cancel_stops_the_engine(
    slow: Path, serve_with: Serve, client: httpx.AsyncClient
) -> None:
    async with engine(slow) as url:
        served = serve_with(llm_api_key="k", llm_base_url=f"{url}/v1", llm_model="recital")
        first = await post(client, served.url + "/ai/stream", {"prompt": "请背诵"}, frames=5)
        run_url = f"{served.url}/v1/runs/{first.run_id}"
        run = (await client.post(f"{run_url}/cancel")).json()
        assert run["status"] == "cancelled"
        whole = "".join(some_words(500))
        assert whole.startswith(run["text"])
        assert 0 < len(run["text"]) < len(whole)
        for _ in range(20):
            if not await is_busy(client, url):
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("the engine goes on for nobody")
        rest = await look(client, f"{run_url}/events")
        assert rest.seen.data[-1].startswith("[ERROR] cancelled")


async def is_busy(client: httpx.AsyncClient, url: str) -> bool:
    """Whether the engine works on anything."""
    answered = await client.get(f"{url}/slots")
    assert answered.status_code == 200, answered.text
    return any(slot["is_processing"] for slot in answered.json())
