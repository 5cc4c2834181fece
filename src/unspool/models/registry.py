"""
The register of models and routes: what of it is written down, and the catalog made from it.

Whatever changes is written first and then read back, so that the catalog never holds what the
records do not. What the environment and the file say is read once, at the start; it is shown
here and cannot be changed here. A key goes in and does not come out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from yarl import URL

from unspool.providers.upstream.http1 import Client

from .. import plugs
from ..errors import SpecError, UnknownRecord, UnspoolError
from ..formats.written import validated
from ..records import Records
from ..records.models import (
    ModelRow,
    RouteRow,
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
from ..records.secrets import Secrets, Unsealable
from ..settings import Settings
from .catalog import Catalog, RegisteredModel, Route
from .config_file import MAX_MODELS
from .definitions import ModelInput, RouteInput, check_place, model_of
from .environment import limits_from
from .health import Health
from .probe import Answered, ProbeFinding, ask, probe_prefill
from .sources import ConfiguredModels

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelTest:
    """What came of asking a model something small."""

    answered: Answered | None
    error: UnspoolError | None
    finding: ProbeFinding | None = None
    is_kept: bool = False
    """The finding was written down with the model."""


class ModelRegistry:
    """Make one with `await Registry.open(...)`."""

    def __init__(self, settings: Settings, records: Records, http: Client, health: Health) -> None:
        self.health = health
        self.catalog = Catalog(health=health)
        self._settings = settings
        self._records = records
        self._http = http
        self.secrets = Secrets(settings.data_dir, _secret(settings))
        self._outside = ConfiguredModels(settings)
        self._writing = asyncio.Lock()

    @classmethod
    async def open(
        cls, settings: Settings, records: Records, http: Client, health: Health
    ) -> ModelRegistry:
        """
        Read what there is, and give a number to every model seen for the first time.

        Raises:
            SetupError: The file is not right, or the sealing key.
        """
        registry = cls(settings, records, http, health)
        outside = registry._outside
        catalog = outside.catalog()
        # On a fresh start number 1 is what answers where no model is named.
        first = catalog.models_for("")[0].name
        entries = sorted(outside.entries, key=lambda entry: entry.name != first)
        await note_models(records, {entry.name: entry.source for entry in entries})
        await registry._reload()
        wanted = outside.config.default
        if wanted and not registry.catalog.has_name(wanted):
            log.warning("The default of the file, %s, is no model and no route", wanted)
        return registry

    async def _reload(self) -> None:
        rows = await list_models(self._records)
        routes = [_route_of(row) for row in await list_routes(self._records)]
        numbers = {row.name: row for row in rows}
        entries = [_numbered(entry, numbers[entry.name]) for entry in self._outside.entries]
        entries += [self._entry_of(row) for row in rows if row.source == "database"]
        self._outside.fill(self.catalog, entries, routes)

    def _entry_of(self, row: ModelRow) -> RegisteredModel:
        key, problem, is_lost = "", "", False
        if row.provider not in plugs.names("providers"):
            problem = f"there is no provider {row.provider} here; install it, or change it"
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

    # Models

    async def add(self, definition: ModelInput) -> RegisteredModel:
        """
        Register a model. Connects to nothing.

        One that the environment or the file describes under that name is hidden by it.

        Raises:
            SpecError
        """
        async with self._writing:
            if any(route.name == definition.name for route in self.catalog.routes()):
                raise SpecError(f"{definition.name} is a route; choose another name")
            if len(self.catalog.entries()) >= MAX_MODELS:
                raise SpecError(f"there are {MAX_MODELS} models already; remove one first")
            key = definition.api_key.get_secret_value() if definition.api_key else ""
            self._check_place(definition, has_key=bool(key))
            sealed = self.secrets.seal(key) if key else ""
            if (
                await save_model(self._records, {**_columns(definition), "sealed_key": sealed})
                is None
            ):
                raise SpecError(
                    f"a model named {definition.name} is registered already; change that one, or "
                    "choose another name"
                )
            await self._reload()
            return self.catalog.entry(definition.name)

    async def change(self, number: int, values: Mapping[str, Any]) -> RegisteredModel:
        """
        Change some fields of a registered model; those not given stay as they are.

        Raises:
            UnknownRecord, SpecError
        """
        async with self._writing:
            before = self._own(number)
            row = next(row for row in await list_models(self._records) if row.id == number)
            said = validated(ModelInput, {**_fields(row), **values})
            if said.name != before.name:
                raise SpecError(
                    "a model keeps its name, because runs and routes speak of it by that; "
                    "register another model"
                )
            changes = _columns(said)
            if "api_key" in values:
                key = said.api_key.get_secret_value() if said.api_key else ""
                changes["sealed_key"] = self.secrets.seal(key) if key else ""
            elif row.sealed_key and not _is_same_place(before, said):
                # Else who may not read the key could have it sent to himself.
                raise SpecError(
                    "its provider or address changes, and its key was given for the one before; "
                    "send `api_key` too"
                )
            self._check_place(said, has_key=bool(changes.get("sealed_key", row.sealed_key)))
            # Only what was changed, so that two who change different things both can.
            named = {*values, "sealed_key"} if "api_key" in values else {*values}
            changes = {name: value for name, value in changes.items() if name in named}
            if changes and not await change_model(self._records, number, changes):
                raise UnknownRecord(f"the model {number} was removed meanwhile")
            await self._reload()
            return self.catalog.entry(number)

    async def remove(self, number: int) -> None:
        """
        Forget a registered model. What the environment or the file has of its name shows again.

        Raises:
            UnknownRecord, SpecError
        """
        async with self._writing:
            entry = self._own(number)
            used = [r.name for r in self.catalog.routes() if entry.name in r.members]
            under = self._outside.find(entry.name)
            if used and under is None:
                raise SpecError(f"{entry.name} is in the route {used[0]}; take it out there first")
            falls_to = under.source if under else None
            await remove_model(self._records, number, falls_to=falls_to)
            await self._reload()

    def _own(self, number: int) -> RegisteredModel:
        entry = self.catalog.entry(number)
        if entry.source != "database":
            raise SpecError(
                f"{entry.name} comes from {_WHERE[entry.source]}: change it there and start "
                "again, or register a model of that name, which goes before it"
            )
        return entry

    def _check_place(self, definition: ModelInput, *, has_key: bool) -> None:
        check_place(
            definition, has_key=has_key, allow_private=self._settings.allow_private_upstreams
        )

    async def test(self, number: int, *, probe: bool = False) -> ModelTest:
        """
        Ask a model something small; with `probe`, find out how it goes on from a text, and
        write that down where the model is in the database.

        Raises:
            UnknownRecord: There is no such model. What it does wrong itself is in the answer.
        """
        entry = self.catalog.entry(number)
        if entry.problem:
            return ModelTest(None, SpecError(entry.problem))
        try:
            answered = await ask(entry.model, self._http)
        except UnspoolError as error:
            return ModelTest(None, error)
        # Whoever mends a model and tries it need not wait until it has rested.
        self.health.finished(entry.name)
        if not probe:
            return ModelTest(answered, None)
        finding = await probe_prefill(entry.model, self._http)
        if finding.prefill and finding.prefill != "none":
            self.health.found_prefill(entry.name)
        is_kept = bool(finding.prefill) and entry.source == "database"
        if is_kept:
            async with self._writing:
                await change_model(self._records, number, {"prefill": finding.prefill})
                await self._reload()
        return ModelTest(answered, None, finding, is_kept)

    # Routes

    async def add_route(self, definition: RouteInput) -> Route:
        """
        Register a route. One of the file with that name is hidden by it.

        Raises:
            SpecError
        """
        async with self._writing:
            self._check_members(definition)
            if any(entry.name == definition.name for entry in self.catalog.entries()):
                raise SpecError(f"{definition.name} is a model; choose another name")
            if len(self.catalog.routes()) >= MAX_MODELS:
                raise SpecError(f"there are {MAX_MODELS} routes already; remove one first")
            if not await save_route(self._records, _route_columns(definition)):
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
            UnknownRecord, SpecError
        """
        async with self._writing:
            before = self._own_route(name)
            models = [{"model": m, "weight": w} for m, w in before.members.items()]
            whole = {"name": name, "strategy": before.strategy, "models": models, **values}
            said = validated(RouteInput, whole)
            if said.name != name:
                raise SpecError("a route keeps its name; register another one")
            self._check_members(said)
            if not await change_route(self._records, name, _route_columns(said)):
                raise UnknownRecord(f"the route {name} was removed meanwhile")
            await self._reload()
            return self.catalog.route(name)

    async def remove_route(self, name: str) -> None:
        """
        Raises:
            UnknownRecord, SpecError
        """
        async with self._writing:
            self._own_route(name)
            await remove_route(self._records, name)
            await self._reload()

    def _own_route(self, name: str) -> Route:
        route = self.catalog.route(name)
        if route.source != "database":
            raise SpecError(
                f"{name} comes from {_WHERE[route.source]}: change it there and start again, or "
                "register a route of that name, which goes before it"
            )
        return route

    def _check_members(self, definition: RouteInput) -> None:
        routes = {route.name for route in self.catalog.routes()}
        for member in definition.models:
            if member.model in routes:
                raise SpecError(f"{member.model} is a route; a route holds models alone")
            self.catalog.entry(member.model)


_WHERE = {
    "built_in": "the program itself",
    "environment": "the environment",
    "file": "the file of settings",
}


def _secret(settings: Settings) -> str:
    return settings.secret_key.get_secret_value() if settings.secret_key else ""


def _numbered(entry: RegisteredModel, row: ModelRow) -> RegisteredModel:
    return replace(entry, id=row.id, times_ms=(row.created_ms, row.updated_ms))


def _route_of(row: RouteRow) -> Route:
    members = {member["model"]: member["weight"] for member in row.members}
    return Route(row.name, row.strategy, members, "database")  # type: ignore[arg-type]


def _columns(definition: ModelInput) -> dict[str, Any]:
    facts = definition.model_dump(exclude={"api_key"})
    return {**facts, "limits": definition.limits.model_dump(exclude_none=True)}


def _fields(row: ModelRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ModelInput.model_fields if name != "api_key"}


def _route_columns(definition: RouteInput) -> dict[str, Any]:
    members = [member.model_dump() for member in definition.models]
    return {"name": definition.name, "strategy": definition.strategy, "members": members}


def _is_same_place(before: RegisteredModel, definition: ModelInput) -> bool:
    was, will = before.model.base_url, definition.base_url
    is_same = was == will or (was and will and URL(was).origin() == URL(will).origin())
    return bool(is_same) and before.model.provider == definition.provider
