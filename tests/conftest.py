"""
Fixtures: the real thing over real files, only quicker.

Nothing of ours is replaced. The built-in model is the real one with a pace of its own
choosing, and the server is the one that `unspool serve` starts, in a thread of its own.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest

from support.keys import Keys, made
from support.servers import (
    PREFIXES,
    Desk,
    Serve,
    Served,
    ServeModel,
    Tune,
    quick_words,
    serving,
    tuned,
)
from support.stores import STORES, new_store
from support.upstream import KEY, Upstream
from unspool import Core, Journal, LLMClient, Settings, open_core, open_journal, plugs
from unspool.journals import sqlite_url
from unspool.records import Records
from unspool.records.samples import seed_samples

# No time limit of its own: the limit for each test is enough, and slow machines exist.
hypothesis.settings.register_profile("house", deadline=None, database=None)
hypothesis.settings.load_profile("house")


def pytest_collection() -> None:
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True, scope="module")
def old_objects() -> Iterator[None]:
    """
    Leave the tests, and all that earlier ones keep, out of the search for garbage.

    They are a million objects, and a server in the same process stands still while each is looked
    at: half a second, in which its limits run out.
    """
    yield
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Run files with slow tests first: a worker that meets one of them last works alone.

    The order within both halves stays random.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    for item in items:
        # The first test of a worker that needs PostgreSQL starts it, which takes seconds.
        if "records_url" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(60))
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model, no key and no setting of whoever runs the tests."""
    for name in os.environ:
        if name.upper().startswith(PREFIXES):
            monkeypatch.delenv(name)


@pytest.fixture
def somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without a `.env`."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def quick_model() -> Iterator[None]:
    with quick_words():
        yield


@pytest.fixture
def breathing_model(quick_model: None) -> Iterator[None]:
    """A quick model that lets others have a turn of the event loop after each word."""
    with quick_words(tokens_per_s=1e6):
        yield


@pytest.fixture(scope="session")
def filled_records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `records.db` with the sample data, made once: making it costs more than most tests."""

    async def fill(path: Path) -> None:
        records = await Records.open(path)
        await seed_samples(records)
        await records.aclose()

    path = tmp_path_factory.mktemp("filled") / "records.db"
    asyncio.run(fill(path))
    return path


@pytest.fixture(params=STORES)
async def records_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of database in turn, with our tables and nothing in them."""
    return await new_store(request.param, tmp_path)


@pytest.fixture
async def records(records_url: str) -> AsyncIterator[Records]:
    opened = await Records.open(records_url)
    yield opened
    await opened.aclose()


@pytest.fixture
def tune(tmp_path: Path, filled_records: Path) -> Tune:
    return lambda **changes: tuned(
        changes.pop("data_dir", tmp_path / "data"), filled_records, **changes
    )


@pytest.fixture
def settings(tune: Tune) -> Settings:
    return tune()


@pytest.fixture
async def core(settings: Settings, quick_model: None) -> AsyncIterator[Core]:
    async with open_core(settings) as opened:
        yield opened


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await open_journal(sqlite_url(tmp_path / "journal.db"))
    yield opened
    await opened.aclose()


@pytest.fixture
def serve_with(tune: Tune, quick_model: None) -> Iterator[Serve]:
    """Start servers with settings of the test's choosing; all are stopped in the end."""
    started: list[Served] = []

    def serve(**changes: Any) -> Served:
        served = Served(tune(**changes))
        started.append(served)
        return served.start()

    yield serve
    for served in reversed(started):
        served.stop()


@pytest.fixture
def server(serve_with: Serve) -> Served:
    return serve_with()


@pytest.fixture(scope="module")
def shared_server(
    tmp_path_factory: pytest.TempPathFactory, filled_records: Path
) -> Iterator[Served]:
    """One offline server for a whole module, where no test can disturb another."""
    data_dir = tmp_path_factory.mktemp("shared")
    with quick_words(), serving(tuned(data_dir, filled_records)) as served:
        yield served


TLS = httpx.create_ssl_context(trust_env=False)
"""Made once: reading the certificates costs more than many tests."""


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=10, trust_env=False, verify=TLS) as opened:
        yield opened


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as opened:
        yield opened


@pytest.fixture
def asking(upstream: Upstream) -> LLMClient:
    """A client of the scripted upstream that asks once."""
    return LLMClient(upstream.model(first_event_s=5), retries=0)


@pytest.fixture(scope="module")
def plain_server(
    tmp_path_factory: pytest.TempPathFactory, filled_records: Path
) -> Iterator[Served]:
    """One server for a module, which asks each model once; see `desk`."""
    settings = tuned(tmp_path_factory.mktemp("plain"), filled_records, retries=0)
    with quick_words(), serving(settings) as served:
        yield served


@pytest.fixture
async def desk(
    plain_server: Served, client: httpx.AsyncClient, upstream: Upstream
) -> AsyncIterator[Desk]:
    """What a test registers there, models and tools, goes with it."""
    at = Desk(plain_server)
    before = {kind: await _numbers(client, at, kind) for kind in ("models", "tools")}
    said = {"name": "tested", "base_url": upstream.url, "api_key": KEY}
    facts = (await client.post(f"{at.url}/api/models", json=said)).json()
    at.model_id, at.model = facts["id"], facts["name"]
    yield at
    for kind, known in before.items():
        for number in await _numbers(client, at, kind) - known:
            await client.delete(f"{at.url}/api/{kind}/{number}")


async def _numbers(client: httpx.AsyncClient, at: Desk, kind: str) -> set[int]:
    return {it["id"] for it in (await client.get(f"{at.url}/api/{kind}")).json()[kind]}


@pytest.fixture
def serve_model(serve_with: Serve, upstream: Upstream) -> ServeModel:
    """Start servers whose model is the scripted upstream; retries only where asked for."""

    def serve(**changes: Any) -> Served:
        model = {"llm_api_key": KEY, "llm_base_url": upstream.url, "llm_model": "tested"}
        return serve_with(**{**model, "retries": 0, **changes})

    return serve


@pytest.fixture
def no_offers() -> Any:
    """What a file has offered is forgotten again."""
    before = dict(plugs._offered)
    yield
    plugs._offered.clear()
    plugs._offered.update(before)
    plugs.names.cache_clear()
    plugs.load.cache_clear()


@pytest.fixture
async def keys(tune: Tune, quick_model: None) -> AsyncIterator[Keys]:
    settings = tune(access="keys")
    served = Served(settings)
    texts = await made(settings.data_dir)
    served.start()
    keys = Keys(served, texts)
    yield keys
    keys.served.stop()  # a test may have started another one
