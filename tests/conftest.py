"""
Fixtures: the real thing over real files, only quicker.

Nothing of ours is replaced. The built-in model is the real one with a pace of its own
choosing, and the server is the one that `unspool serve` starts, in a thread of its own.
"""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
import uvicorn

from unspool import Core, Journal, LLMClient, Settings, open_core, open_journal, plugs
from unspool.journals import sqlite_url
from unspool.providers import offline
from unspool.providers.upstream.vendors import VENDORS
from unspool.records import Records
from unspool.records.samples import seed_samples
from unspool.server.app import create_app
from unspool.server.uvicorn import BoundedConfig, listen
from upstream import KEY, Upstream

PREFIXES = ("LLM_", "UNSPOOL_", "OLLAMA_", *(f"{vendor.env}_" for vendor in VENDORS))
SERVER_S = 15.0
"""Longest start or stop of a server: a hang is a failure with a name, not a time-out."""

# No time limit of its own: the limit for each test is enough, and slow machines exist.
hypothesis.settings.register_profile("house", deadline=None, database=None)
hypothesis.settings.load_profile("house")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model, no key and no setting of whoever runs the tests."""
    for name in os.environ:
        if name.upper().startswith(PREFIXES):
            monkeypatch.delenv(name)


def clean_env(**more: str) -> dict[str, str]:
    """The environment of a program that tests start: bare as ours, and `more`."""
    return {k: v for k, v in os.environ.items() if not k.upper().startswith(PREFIXES)} | more


@pytest.fixture
def somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without a `.env`."""
    monkeypatch.chdir(tmp_path)


@contextmanager
def quick_words() -> Iterator[None]:
    """Let the built-in model say the same words without pausing between them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offline, "plug", offline.Offline(first_token_s=0, tokens_per_s=math.inf))
        plugs.load.cache_clear()
        yield
    plugs.load.cache_clear()


@pytest.fixture
def quick_model() -> Iterator[None]:
    with quick_words():
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


Tune = Callable[..., Settings]


def tuned(data_dir: Path, filled: Path, **changes: Any) -> Settings:
    """Return settings of a quick server; `changes` may name another data directory."""
    facts = {"data_dir": data_dir, "port": 0, "say_chars_per_s": 1e6, **changes}
    settings = Settings(_env_file=None, **facts)
    if settings.sample_data and not (settings.data_dir / "records.db").exists():
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        shutil.copy(filled, settings.data_dir / "records.db")
    return settings


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
    opened = open_journal(sqlite_url(tmp_path / "journal.db"))
    yield opened
    await opened.aclose()


@dataclass(slots=True)
class Served:
    """A server in a thread of its own."""

    settings: Settings
    url: str = ""
    _ready: Future[Core] = field(default_factory=Future)
    _loop: asyncio.AbstractEventLoop | None = None
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None
    _ended: Future[None] = field(default_factory=Future)

    def start(self) -> Served:
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._thread.start()
        self._ready.result(SERVER_S)
        return self

    @property
    def core(self) -> Core:
        return self._ready.result(0)

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def call(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Await `work()` in the server's loop."""

        async def working() -> Any:
            return await work()

        assert self._loop is not None
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(working(), self._loop))

    def stop(self) -> None:
        """Stop as a signal would. May be called twice."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(SERVER_S)
            assert not self._thread.is_alive(), "the server did not stop"
            self._thread = None
            self._ended.result(0)

    def _run(self) -> None:
        app = create_app(self.settings)
        config = BoundedConfig(app, self.settings)
        try:
            with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
                runner.run(self._serve(app, config))
        except BaseException as error:  # noqa: BLE001 - it belongs to the thread that asked
            told = self._ended if self._ready.done() else self._ready
            told.set_exception(error)
        else:
            self._ended.set_result(None)

    async def _serve(self, app: Any, config: BoundedConfig) -> None:
        async with app.router.lifespan_context(app):
            sock = listen(self.settings)
            self._loop = asyncio.get_running_loop()
            self._server = uvicorn.Server(config)
            self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
            # Connections queue at the listening socket until the server takes them.
            self._ready.set_result(app.state.core)
            await self._server.serve(sockets=[sock])


@contextmanager
def serving(settings: Settings) -> Iterator[Served]:
    """A server for as long as the context is open."""
    served = Served(settings)
    try:
        yield served.start()
    finally:
        served.stop()


Serve = Callable[..., Served]


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
    with quick_words(), serving(tuned(data_dir, filled_records, request_head_s=1)) as served:
        yield served


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=10, trust_env=False) as opened:
        yield opened


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as opened:
        yield opened


@pytest.fixture
def asking(upstream: Upstream) -> LLMClient:
    """A client of the scripted upstream that asks once."""
    return LLMClient(upstream.model(first_event_s=5), retries=0)


@dataclass(slots=True)
class Desk:
    """A place at a server that others use too: with a model of one's own, the upstream."""

    served: Served
    model_id: int = 0
    model: str = ""

    @property
    def url(self) -> str:
        return self.served.url

    @property
    def core(self) -> Core:
        return self.served.core


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


ServeModel = Callable[..., Served]


@pytest.fixture
def serve_model(serve_with: Serve, upstream: Upstream) -> ServeModel:
    """Start servers whose model is the scripted upstream; retries only where asked for."""

    def serve(**changes: Any) -> Served:
        model = {"llm_api_key": KEY, "llm_base_url": upstream.url, "llm_model": "tested"}
        return serve_with(**{**model, "retries": 0, **changes})

    return serve
