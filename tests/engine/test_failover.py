"""A real engine dies in mid-answer, and a second one says the rest of the very same text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.engine import engine, some_words, write_model
from unspool import Model, Prompt
from unspool.generation.attempts import AttemptFinished, AttemptStarted
from unspool.generation.generate import GenerationDeps, generate
from unspool.providers import Text
from unspool.providers.upstream.http1 import Client

pytestmark = pytest.mark.engine

WORDS = some_words(300)
RECITED = "".join(WORDS)
CUT = 77


@pytest.fixture(scope="module")
def recital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engine") / "recital.gguf"
    write_model(path, WORDS, layers=8)  # some 300 words a second: there is time to kill it
    return path


@pytest.fixture
async def second(recital: Path) -> AsyncIterator[str]:
    async with engine(recital) as url:
        yield url


def model(url: str, *, name: str, provider: str = "openai", prefill: str = "assistant") -> Model:
    root = url if provider == "anthropic" else f"{url}/v1"
    return Model(name, provider, "recital", root, prefill=prefill)


@asynccontextmanager
async def cut_after(url: str, words: int) -> AsyncIterator[str]:
    """An address of the engine whose answers break off after so many words."""
    there = urlsplit(url)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up, down = await asyncio.open_connection(there.hostname, there.port)
        sending = asyncio.create_task(_pump(reader, down))
        said = 0
        with suppress(ConnectionError):
            while said < words and (line := await up.readline()):
                said += b'"content":"' in line
                writer.write(line)
            writer.write(await up.readline())  # the blank line that ends the event
            await writer.drain()
        sending.cancel()
        down.close()
        writer.transport.abort()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while read := await reader.read(65536):
        writer.write(read)


async def tell(
    *models: Model, after: int = 0, then: Any = None, retries: int = 0
) -> tuple[str, list[Any]]:
    """All that is said, and every attempt; `then` is awaited after so many deltas."""
    text, attempts, deltas = "", [], 0
    async with Client() as http:
        asked = generate(Prompt.of("请背诵"), models, GenerationDeps(http, retries=retries))
        async with aclosing(asked) as pieces:
            async for piece in pieces:
                if isinstance(piece, Text):
                    text += piece.text
                    deltas += 1
                    if deltas == after:
                        await then()
                else:
                    attempts.append(piece)
    return text, attempts


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_an_answer_cut_after_77_tokens_is_the_uninterrupted_one_in_the_end(
    second: str, provider: str
) -> None:
    async with cut_after(second, CUT) as broken:
        first = model(broken, name="first")
        text, attempts = await tell(first, model(second, name="second", provider=provider))
    assert text == RECITED
    started = [piece for piece in attempts if isinstance(piece, AttemptStarted)]
    assert [piece.strategy for piece in started] == ["first", "prefill"]
    assert (started[1].reason, started[1].model.name) == ("connection", "second")
    assert started[1].at == len("".join(WORDS[:CUT]))
    assert isinstance(attempts[-1], AttemptFinished)
    assert attempts[-1].seam_report.kind == "exact"


async def test_an_engine_that_is_killed_is_followed_by_another(recital: Path, second: str) -> None:
    async with AsyncExitStack() as stack:
        dying = await stack.enter_async_context(engine(recital))
        models = model(dying, name="dying"), model(second, name="second")
        # Leaving the engine's context is `kill -9` of its process.
        text, attempts = await tell(*models, after=CUT, then=stack.aclose)
    assert text == RECITED
    assert [p.strategy for p in attempts if isinstance(p, AttemptStarted)] == ["first", "prefill"]


async def test_an_engine_that_is_only_told_to_go_on_starts_anew_and_loses_nothing(
    second: str,
) -> None:
    # This model knows nothing of messages: whatever it is told, it recites from the start.
    async with cut_after(second, CUT) as broken:
        models = model(broken, name="first"), model(second, name="second", prefill="none")
        text, attempts = await tell(*models)
    assert text == RECITED
    assert (attempts[-1].seam_report.kind, attempts[-1].seam_report.trimmed) == ("echo", CUT * 2)


async def test_an_engine_of_which_nothing_was_said_goes_on_exactly(second: str) -> None:
    """It names itself in its first answer, and writes the prompt for raw completion itself."""
    async with cut_after(second, CUT) as broken:
        text, attempts = await tell(model(broken, name="local", prefill=""), retries=1)
    assert text == RECITED
    started = [piece for piece in attempts if isinstance(piece, AttemptStarted)]
    assert [piece.strategy for piece in started] == ["first", *["prefill"] * (len(started) - 1)]
    assert {piece.way.form for piece in started[1:] if piece.way} == {"raw"}
