"""
The registered models and routes in the database, and the catalog made from them.

Each change is written first and then read back, so the catalog never differs from the records;
`following` reads the changes of other servers.
The models of the environment and the file are read once, at the start; users see them here but
cannot change them here. A key goes in and never comes out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from yarl import URL

from unspool.providers.upstream.http1 import Client

from .. import plugs
from ..errors import SpecError, UnknownRecord, UnspoolError
from ..formats.written import validated
from ..providers import Model
from ..records import Records
from ..records.changes import MODELS, number_of
from ..records.default_models import change_defaults, read_defaults
from ..records.models import (
    ModelRow,
    change_model,
    change_route,
    list_models,
    list_routes,
    note_models,
    remove_model,
    remove_route,
    save_model,
    save_route,
)
from ..records.sealing import check_sealing_key
from ..records.secrets import Secrets, Unsealable
from ..settings import Settings
from .catalog import Catalog, RegisteredModel, Route
from .config_file import MAX_MODELS
from .defaults import DefaultsInput
from .definitions import ModelInput, RouteInput, check_address, model_of
from .environment import limits_from
from .health import Health
from .learning import keep_findings, load_findings
from .probe import Answered, ProbeFinding, ask, probe_prefill
from .rows import columns, fields, route_columns, route_of
from .slots import slots_of
from .sources import ConfiguredModels

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelTest:
    """The result of a small request to a model: an answer or an error."""

    answered: Answered | None
    error: UnspoolError | None
    finding: ProbeFinding | None = None
    is_kept: bool = False
    """Whether the database stores the finding with the model."""
    max_parallel: int | None = None
    """What its engine says about how many answers it gives at once."""


class ModelRegistry:
    """The models and routes of a server. Make one with `await ModelRegistry.open(...)`."""

    def __init__(self, settings: Settings, records: Records, http: Client, health: Health) -> None:
        self.health = health
        self.catalog = Catalog(health=health)
        self._settings = settings
        self._records = records
        self._http = http
        self.secrets = Secrets(settings.data_dir, _secret(settings))
        self._configured = ConfiguredModels(settings)
        self._writing = asyncio.Lock()
        self._number = 0

    @classmethod
    async def open(
        cls, settings: Settings, records: Records, http: Client, health: Health
    ) -> ModelRegistry:
        """
        Read all models and routes, and number every model seen for the first time.

        Raises:
            SetupError: The file or the sealing key is invalid.
        """
        registry = cls(settings, records, http, health)
        await check_sealing_key(records, registry.secrets)
        configured = registry._configured
        catalog = configured.catalog()
        # On a fresh start the default model gets number 1.
        first = catalog.models_for("")[0].name
        entries = sorted(configured.entries, key=lambda entry: entry.name != first)
        await note_models(records, {entry.name: entry.source for entry in entries})
        await load_findings(records, health.prefills)
        await registry._reload()
        wanted = configured.config.default
        if wanted and not registry.catalog.has_name(wanted):
            log.warning("No model or route is named %s, the default of the file", wanted)
        return registry

    @property
    def is_shared(self) -> bool:
        """Whether other servers may change models and routes."""
        return self._records.is_shared

    async def refresh(self) -> None:
        """Read models and routes again, if somebody has changed them."""
        if await number_of(self._records, MODELS) != self._number:
            await self._reload()

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """Be the only one who changes models, here and at other servers, and know the newest."""
        async with self._writing, self._records.turn(MODELS):
            await self.refresh()
            yield

    async def _reload(self) -> None:
        # The number first: a change in between is then seen next time.
        number = await number_of(self._records, MODELS)
        rows = await list_models(self._records)
        known = {row.name for row in rows}
        lost = {e.name: e.source for e in self._configured.entries if e.name not in known}
        if lost:  # a server with another environment has removed them
            await note_models(self._records, lost)
            rows = await list_models(self._records)
        routes = [route_of(row) for row in await list_routes(self._records)]
        numbers = {row.name: row for row in rows}
        entries = [_numbered(entry, numbers[entry.name]) for entry in self._configured.entries]
        entries += [self._entry_of(row) for row in rows if row.source == "database"]
        chosen = await read_defaults(self._records)
        self._configured.fill(self.catalog, entries, routes, chosen)
        self._number = number

    def _entry_of(self, row: ModelRow) -> RegisteredModel:
        key, problem, is_lost = "", "", False
        if row.provider not in plugs.names("providers"):
            problem = f"there is no provider {row.provider}; install it, or name another one"
        if row.sealed_key:
            try:
                key = self.secrets.unseal(row.sealed_key)
            except Unsealable as error:
                is_lost = True
                problem = f"its key cannot be read ({error}); set its `api_key` again"
                log.warning("Model %s cannot be asked: %s", row.name, problem)
        values = {column.name: getattr(row, column.name) for column in ModelRow.__table__.columns}
        model = model_of(values, key, limits_from(self._settings))
        times = row.created_ms, row.updated_ms
        return RegisteredModel(model, "database", row.id, row.is_active, problem, is_lost, times)

    async def choose_defaults(self, input: DefaultsInput) -> None:
        """
        Choose the default models, for all flows or for some.

        A chosen model that is removed later, or cannot be asked, counts as not chosen.

        Raises:
            SpecError: There is no such flow, or nothing of that name can be asked.
        """
        async with self._changing():
            await change_defaults(self._records, input.changes(self.catalog))
            await self._reload()

    # Models

    async def add(self, definition: ModelInput) -> RegisteredModel:
        """
        Register a model. Connects to nothing.

        It hides a model of the same name from the environment or the file.

        Raises:
            SpecError: The name is taken, the address is forbidden, or there are too many.
        """
        async with self._changing():
            if any(route.name == definition.name for route in self.catalog.routes()):
                raise SpecError(f"{definition.name} is a route; choose another name")
            if len(self.catalog.entries()) >= MAX_MODELS:
                raise SpecError(f"there are {MAX_MODELS} models already; remove one first")
            key = definition.api_key.get_secret_value() if definition.api_key else ""
            self._check_address(definition, has_key=bool(key))
            sealed = self.secrets.seal(key) if key else ""
            row = {**columns(definition), "sealed_key": sealed}
            if await save_model(self._records, row) is None:
                raise SpecError(
                    f"a model named {definition.name} is registered already; change that one, or "
                    "choose another name"
                )
            await self._reload()
            return self.catalog.entry(definition.name)

    async def change(self, number: int, values: Mapping[str, Any]) -> RegisteredModel:
        """
        Change some fields of a registered model; the others stay as they are.

        Raises:
            UnknownRecord: There is no such model.
            SpecError: The values are invalid, or the model is not in the database.
        """
        async with self._changing():
            before = self._own(number)
            row = next(row for row in await list_models(self._records) if row.id == number)
            definition = validated(ModelInput, {**fields(row), **values})
            if definition.name != before.name:
                raise SpecError(
                    "a model keeps its name, because runs and routes refer to it; register "
                    "another model"
                )
            changes = columns(definition)
            if "api_key" in values:
                key = definition.api_key.get_secret_value() if definition.api_key else ""
                changes["sealed_key"] = self.secrets.seal(key) if key else ""
            elif row.sealed_key and not _is_same_address(before, definition):
                # Otherwise a caller who may not read the key could redirect it to himself.
                raise SpecError(
                    "its provider or address changes, but its key belongs to the old one; send "
                    "`api_key` too"
                )
            self._check_address(definition, has_key=bool(changes.get("sealed_key", row.sealed_key)))
            # Only the changed columns, so that two callers can change different ones.
            named = {*values, "sealed_key"} if "api_key" in values else {*values}
            changes = {name: value for name, value in changes.items() if name in named}
            if changes and not await change_model(self._records, number, changes):
                raise UnknownRecord(f"somebody has removed the model {number} meanwhile")
            await self._reload()
            return self.catalog.entry(number)

    async def remove(self, number: int) -> None:
        """
        Delete a registered model. A model of its name in the environment or the file reappears.

        Raises:
            UnknownRecord: There is no such model.
            SpecError: A route needs it, or it is not in the database.
        """
        async with self._changing():
            entry = self._own(number)
            used = [r.name for r in self.catalog.routes() if entry.name in r.members]
            hidden = self._configured.find(entry.name)
            if used and hidden is None:
                raise SpecError(
                    f"the route {used[0]} uses {entry.name}; remove it from that route first"
                )
            falls_to = hidden.source if hidden else None
            await remove_model(self._records, number, falls_to=falls_to)
            await self._reload()

    def _own(self, number: int) -> RegisteredModel:
        entry = self.catalog.entry(number)
        _check_source(entry, "model")
        return entry

    def _check_address(self, definition: ModelInput, *, has_key: bool) -> None:
        check_address(
            definition, has_key=has_key, allow_private=self._settings.allow_private_upstreams
        )

    def engine_of(self, model: Model) -> str:
        """Return the engine that serves `model`, if it has named itself; else empty."""
        return self._http.learned.engines.get(model.base_url, "")

    async def test(self, number: int, *, probe: bool = False) -> ModelTest:
        """
        Send a model a small request; with `probe`, find out how it continues a text, and store
        the finding.

        Raises:
            UnknownRecord: There is no such model. The model's own errors are in the result.
        """
        entry = self.catalog.entry(number)
        if entry.problem:
            return ModelTest(None, SpecError(entry.problem))
        try:
            answered = await ask(entry.model, self._http)
        except UnspoolError as error:
            return ModelTest(None, error)
        # The model answers, so it need not rest any longer.
        self.health.finished(entry.name)
        if not probe:
            return ModelTest(answered, None)
        slots = await slots_of(entry.model, self._http)
        if slots and entry.source == "database" and entry.model.max_parallel is None:
            async with self._changing():
                await change_model(self._records, number, {"max_parallel": slots})
                await self._reload()
        finding = await probe_prefill(entry.model, self._http)
        is_kept = bool(outcomes := finding.outcomes)
        if is_kept:
            self.health.prefills.tried(entry.model, outcomes)
            await keep_findings(self._records, self.health.prefills, entry.name)
        return ModelTest(answered, None, finding, is_kept, slots)

    # Routes

    async def add_route(self, definition: RouteInput) -> Route:
        """
        Register a route. It hides a route of the same name from the file.

        Raises:
            SpecError: The name is taken, a member is a route, or there are too many.
        """
        async with self._changing():
            self._check_members(definition)
            if any(entry.name == definition.name for entry in self.catalog.entries()):
                raise SpecError(f"{definition.name} is a model; choose another name")
            if len(self.catalog.routes()) >= MAX_MODELS:
                raise SpecError(f"there are {MAX_MODELS} routes already; remove one first")
            if not await save_route(self._records, route_columns(definition)):
                raise SpecError(
                    f"a route named {definition.name} is registered already; change that one, or "
                    "choose another name"
                )
            await self._reload()
            return self.catalog.route(definition.name)

    async def change_route(self, name: str, values: Mapping[str, Any]) -> Route:
        """
        Change strategy or models of a registered route.

        Raises:
            UnknownRecord: There is no such route.
            SpecError: The values are invalid, or the route is not in the database.
        """
        async with self._changing():
            before = self._own_route(name)
            models = [{"model": m, "weight": w} for m, w in before.members.items()]
            whole = {"name": name, "strategy": before.strategy, "models": models, **values}
            definition = validated(RouteInput, whole)
            if definition.name != name:
                raise SpecError("a route keeps its name; register another one")
            self._check_members(definition)
            if not await change_route(self._records, name, route_columns(definition)):
                raise UnknownRecord(f"somebody has removed the route {name} meanwhile")
            await self._reload()
            return self.catalog.route(name)

    async def remove_route(self, name: str) -> None:
        """
        Delete a registered route.

        Raises:
            UnknownRecord: There is no such route.
            SpecError: It is not in the database.
        """
        async with self._changing():
            self._own_route(name)
            await remove_route(self._records, name)
            await self._reload()

    def _own_route(self, name: str) -> Route:
        route = self.catalog.route(name)
        _check_source(route, "route")
        return route

    def _check_members(self, definition: RouteInput) -> None:
        routes = {route.name for route in self.catalog.routes()}
        for member in definition.models:
            if member.model in routes:
                raise SpecError(f"{member.model} is a route; name its models instead")
            self.catalog.entry(member.model)


_WHERE = {
    "built_in": "the program itself",
    "environment": "the environment",
    "file": "the configuration file",
}


def _check_source(one: RegisteredModel | Route, kind: str) -> None:
    if one.source != "database":
        raise SpecError(
            f"{one.name} comes from {_WHERE[one.source]}: change it there and start again, or "
            f"register a {kind} of that name, which wins over it"
        )


def _secret(settings: Settings) -> str:
    return settings.secret_key.get_secret_value() if settings.secret_key else ""


def _numbered(entry: RegisteredModel, row: ModelRow) -> RegisteredModel:
    return replace(entry, id=row.id, times_ms=(row.created_ms, row.updated_ms))


def _is_same_address(before: RegisteredModel, definition: ModelInput) -> bool:
    old, new = before.model.base_url, definition.base_url
    is_same = old == new or (old and new and URL(old).origin() == URL(new).origin())
    return bool(is_same) and before.model.provider == definition.provider
