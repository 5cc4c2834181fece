"""
Servers for tests: the one that `unspool serve` starts, in a thread of its own.

Nothing of ours is replaced; the built-in model says the same words without pausing.
"""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from unspool import Core, Settings, plugs
from unspool.providers import offline
from unspool.providers.upstream.vendors import VENDORS
from unspool.server.app import create_app
from unspool.server.listening import listen
from unspool.server.uvicorn import BoundedConfig

PREFIXES = ("LLM_", "UNSPOOL_", "OLLAMA_", "OTEL_", *(f"{vendor.env}_" for vendor in VENDORS))
SERVER_S = 15.0
"""Longest start or stop of a server: a hang is a failure with a name, not a time-out."""


def clean_env(**more: str) -> dict[str, str]:
    """The environment of a program that tests start: bare as ours, and `more`."""
    return {k: v for k, v in os.environ.items() if not k.upper().startswith(PREFIXES)} | more


@contextmanager
def quick_words(tokens_per_s: float = math.inf) -> Iterator[None]:
    """Let the built-in model say the same words, without pausing between them as a rule."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offline, "plug", offline.Offline(first_token_s=0, tokens_per_s=tokens_per_s))
        plugs.load.cache_clear()
        yield
    plugs.load.cache_clear()


Tune = Callable[..., Settings]


def tuned(data_dir: Path, filled: Path, **changes: Any) -> Settings:
    """Return settings of a quick server; `changes` may name another data directory."""
    facts = {"data_dir": data_dir, "port": 0, "say_chars_per_s": 1e6, **changes}
    settings = Settings(_env_file=None, **facts)
    if settings.sample_data and not (settings.data_dir / "records.db").exists():
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        shutil.copy(filled, settings.data_dir / "records.db")
    return settings


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
    app: Any = None
    """The application, once it is made."""

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
        app = self.app = create_app(self.settings)
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


ServeModel = Callable[..., Served]
