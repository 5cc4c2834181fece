"""Three ways of speaking to one real engine: llama.cpp, with a model that recites."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.engine import engine, some_words, write_model
from support.provider_probe import TALK, WEATHER, ask
from unspool import Model, Prompt

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]

WORDS = some_words(300)
RECITED = "".join(WORDS)
BEGUN = "".join(WORDS[:77])

ROOTS = {"openai": "/v1", "anthropic": "", "responses": "/v1"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    path: Path = tmp_path_factory.mktemp("engine") / "model.gguf"
    write_model(path, WORDS)
    async with engine(path) as address:
        yield address


@pytest.fixture(params=ROOTS)
def model(request: pytest.FixtureRequest, url: str) -> Model:
    provider = request.param
    return Model("recital", provider, "m", url + ROOTS[provider], prefill="assistant")


async def test_each_adapter_gives_the_same_text_and_its_count(model: Model) -> None:
    heard = await ask(model, Prompt.of("请背诵", system="be brief"))
    assert heard.text == RECITED
    assert (heard.finish, heard.error, heard.skipped) == ("stop", None, 0)
    assert heard.usage is not None
    assert len(WORDS) <= (heard.usage.completion_tokens or 0) <= len(WORDS) + 2
    assert 10 < (heard.usage.prompt_tokens or 0) < 60
    assert len(heard.outputs) > 100, "the text came as it was made, not all at once"


@pytest.mark.parametrize("cut", [1, 77, 299])
async def test_a_text_is_gone_on_from_exactly(model: Model, cut: int) -> None:
    begun = "".join(WORDS[:cut])
    heard = await ask(model, replace(Prompt.of("请背诵"), prefix=begun))
    assert begun + heard.text == RECITED
    assert (heard.finish, heard.error) == ("stop", None)


async def test_white_space_at_the_seam_is_left_where_it_is(model: Model) -> None:
    # After a line's end this model begins anew: what it says tells what it was sent.
    heard = await ask(model, replace(Prompt.of("请背诵"), prefix=BEGUN + "\n"))
    rest = "".join(WORDS[77:]) if model.provider == "anthropic" else RECITED
    assert heard.text == rest


async def test_a_bound_is_told_as_the_reason_for_the_end(model: Model) -> None:
    heard = await ask(model, Prompt.of("请背诵", max_tokens=10))
    assert (heard.text, heard.finish) == ("".join(WORDS[:10]), "length")


@pytest.mark.parametrize("tools", [(), (WEATHER,)], ids=["no tools", "tools"])
async def test_a_talk_with_calls_and_results_is_taken(model: Model, tools: Any) -> None:
    heard = await ask(model, Prompt(TALK, tools=tools))
    assert (heard.text, heard.error) == (RECITED, None)
