"""
The models of a running server, or else of the data directory or the database.

All return the same JSON. A server holds its models in memory, so a change goes through it if
one answers; otherwise the change counts from the server's next start. Servers over a database learn
of it in seconds.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from ..viewing.remote.errors import Unreachable
from ._bootstrap import open_records, read_settings
from ._options import DEFAULT_URL

PROBE_S: Final = 480.0
"""For seven small requests to a slow model: each may take a minute at most."""


class ModelStore(Protocol):
    where: str
    """The server's address, the data directory, or the database."""
    is_server: bool

    async def list(self) -> dict[str, Any]:
        """Return every model, and the name of the default one."""

    async def add(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Register a model, and return it."""

    async def test(self, number: int, *, probe: bool) -> dict[str, Any]:
        """Send a model a small request."""

    async def choose(self, change: dict[str, Any]) -> dict[str, Any]:
        """Choose default models, and return them."""


@asynccontextmanager
async def open_store(url: str | None, data_dir: Path | None) -> AsyncGenerator[ModelStore]:
    """
    Open the models of the server at `url`, or of `data_dir`; without either, of a local server
    if one answers, else of the default data directory.

    Raises:
        Unreachable: Nothing answers at `url`.
        SetupError: The data directory cannot be used.
    """
    # aiohttp takes a quarter of a second, which `--help` does not wait for.
    from ._api import reach

    if data_dir is None:
        async with reach(url or DEFAULT_URL) as server:
            remote = _RemoteStore(server)
            try:
                await remote.list()
            except Unreachable:
                if url is not None:
                    raise
            else:
                yield remote
                return
    async with _open_local(data_dir) as local:
        yield local


class _RemoteStore:
    is_server = True

    def __init__(self, server: Any) -> None:
        self.where = server.url
        self._server = server

    async def list(self) -> dict[str, Any]:
        return dict(await self._server.ask("GET", "/api/models"))

    async def add(self, fields: dict[str, Any]) -> dict[str, Any]:
        return dict(await self._server.ask("POST", "/api/models", body=fields))

    async def choose(self, change: dict[str, Any]) -> dict[str, Any]:
        return dict(await self._server.ask("PATCH", "/api/models/defaults", body=change))

    async def test(self, number: int, *, probe: bool) -> dict[str, Any]:
        path = f"/api/models/{number}/test"
        params = {"probe": "true"} if probe else None
        answer = await self._server.ask("POST", path, params=params, answer_s=PROBE_S)
        return dict(answer)


class _LocalStore:
    is_server = False

    def __init__(self, registry: Any, where: str) -> None:
        self.where = where
        self._registry = registry

    async def list(self) -> dict[str, Any]:
        from ..server.api.json.model import models_json

        return models_json(self._registry)

    async def add(self, fields: dict[str, Any]) -> dict[str, Any]:
        from ..formats.written import validated
        from ..models.definitions import ModelInput
        from ..server.api.json.model import entry_json

        entry = await self._registry.add(validated(ModelInput, fields))
        return entry_json(entry, self._registry)

    async def choose(self, change: dict[str, Any]) -> dict[str, Any]:
        from ..formats.written import validated
        from ..models.defaults import DefaultsInput
        from ..server.api.json.model import defaults_json

        await self._registry.choose_defaults(validated(DefaultsInput, change))
        return defaults_json(self._registry.catalog)

    async def test(self, number: int, *, probe: bool) -> dict[str, Any]:
        from ..server.api.json.model import tested_json

        return tested_json(await self._registry.test(number, probe=probe))


@asynccontextmanager
async def _open_local(data_dir: Path | None) -> AsyncGenerator[_LocalStore]:
    from ..models.health import Health
    from ..models.registry import ModelRegistry
    from ..providers.upstream.http import open_http

    settings = read_settings(data_dir=data_dir)
    records = await open_records(settings)
    try:
        async with open_http(allow_private=settings.allow_private_upstreams) as http:
            registry = await ModelRegistry.open(settings, records, http, Health())
            yield _LocalStore(
                registry, records.where if records.is_shared else str(settings.data_dir)
            )
    finally:
        await records.aclose()
