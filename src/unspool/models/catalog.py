"""
The models and routes by name, and the order in which a run asks the models of a route.

A name is one model or one route. If two share a name, the database wins over the file, and the
file over the environment. The built-in model is always there.

The next step of a run sees a change; a step in progress keeps its models.

A key may be held to some models. Of a route that it does not list it gets those that it does.
"""

from __future__ import annotations

import random as chance
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ..errors import SpecError, UnknownRecord
from ..providers import FREE, Model
from ..runs.principal import present
from .definitions import Source, Strategy
from .health import Health

OFFLINE = Model(name="offline", provider="offline", upstream_name="offline", prices=FREE)
"""The built-in model: always there, needs no key and no network."""

MAX_NAMES_SHOWN: Final = 20
"""Names in one message; the API lists them all."""


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model and its source."""

    model: Model
    source: Source = "environment"
    id: int = 0
    """Its number, the same as long as the data directory lives; 0: it has none (yet)."""
    is_active: bool = True
    problem: str = ""
    """Why it cannot be asked, and what to do about it; empty: it can."""
    has_lost_key: bool = False
    """The database holds its key, but the key cannot be unsealed."""
    times_ms: tuple[int, int] | None = None
    """First seen and last changed, Unix milliseconds."""

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def can_be_asked(self) -> bool:
        return self.is_active and not self.problem


@dataclass(frozen=True, slots=True)
class Route:
    """A name for several models."""

    name: str
    strategy: Strategy
    members: Mapping[str, float]
    """Their weights by their names, in order."""
    source: Source = "file"


class Catalog:
    """
    Models and routes by name.

    Args:
        models: Its models before the first `fill`, besides the built-in one. The first one is
            the default.
        random: Returns numbers from 0 up to 1.

    Attributes:
        default: The model or route for requests that name none.
        chosen: The defaults that people chose, by flow; that of the empty one is for all.
    """

    def __init__(
        self,
        models: Sequence[Model] = (),
        *,
        health: Health | None = None,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self.default = OFFLINE.name
        self.chosen: Mapping[str, str] = {}
        self._health = health or Health()
        self._random = random
        self._turns: Counter[str] = Counter()
        self._entries: dict[str, RegisteredModel] = {}
        self._routes: dict[str, Route] = {}
        entries = [RegisteredModel(model) for model in models]
        self.fill(
            [*entries, RegisteredModel(OFFLINE, "built_in")], [], [model.name for model in models]
        )

    def fill(
        self,
        entries: Sequence[RegisteredModel],
        routes: Sequence[Route],
        defaults: Sequence[str],
        chosen: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """
        Replace the contents. The default is the chosen one, else the first of `defaults` that can
        be asked.
        """
        named: dict[str, RegisteredModel | Route] = {}
        ranked: list[RegisteredModel | Route] = [*entries, *routes]
        for entry in sorted(ranked, key=_rank):
            named[entry.name] = entry
        self._entries = {
            name: entry for name, entry in named.items() if isinstance(entry, RegisteredModel)
        }
        self._routes = {name: entry for name, entry in named.items() if isinstance(entry, Route)}
        self.chosen = dict(chosen)
        ranks = [*([chosen[""]] if "" in chosen else []), *defaults]
        self.default = next((name for name in ranks if self._is_askable(name)), OFFLINE.name)

    def default_for(self, flow: str) -> str:
        """Return the model or route for requests of this flow that name none."""
        chosen = self.chosen.get(flow, "")
        return chosen if chosen and self._is_askable(chosen) else self.default

    def names(self) -> list[str]:
        """Return the names of all models and routes that can be asked."""
        return [name for name in (*self._entries, *self._routes) if self._is_askable(name)]

    def entries(self) -> list[RegisteredModel]:
        """Return every model, ordered by number, including those that cannot be asked."""
        return sorted(self._entries.values(), key=lambda entry: entry.id)

    def routes(self) -> list[Route]:
        return [self._routes[name] for name in sorted(self._routes)]

    def entry(self, key: int | str) -> RegisteredModel:
        """
        Return a model by its number or its name, whether or not it can be asked.

        Raises:
            UnknownRecord: There is no such model.
        """
        entries = self._entries
        if isinstance(key, str):
            found = entries.get(key)
        else:
            found = next((entry for entry in entries.values() if entry.id == key), None)
        if found is None:
            raise self._unknown(key)
        return found

    def route(self, name: str) -> Route:
        """
        Return a route by its name.

        Raises:
            UnknownRecord: There is no such route.
        """
        if name not in self._routes:
            have = ", ".join(sorted(self._routes)[:MAX_NAMES_SHOWN]) or "none yet"
            raise UnknownRecord(f"no route {name[:64]!r}; have: {have}")
        return self._routes[name]

    def has_name(self, name: str) -> bool:
        return name in self._entries or name in self._routes

    def model(self, key: int | str) -> Model:
        """
        Return the model of this number or name.

        Raises:
            UnknownRecord: There is no such model.
            SpecError: The model cannot be asked.
        """
        entry = self.entry(key)
        if not entry.can_be_asked:
            raise _unaskable(entry)
        return entry.model

    def check(self, name: str, flow: str = "") -> None:
        """
        Check that `name` (empty: the default of `flow`) has a model that can be asked.

        Raises the errors of `models_for`, and advances no route's turn.
        """
        self._members(name or self.default_for(flow))

    def models_for(self, name: str, flow: str = "", *, stand_in: bool = True) -> list[Model]:
        """
        Return the models to ask for `name` (empty: the default of `flow`), in order.

        Empty if only the offline model is left and `stand_in` is False.

        Raises:
            UnknownRecord: No model or route has that name.
            SpecError: None of its models can be asked.
            MissingRight: The present key may ask none of them.
        """
        used = name or self.default_for(flow)
        models = self._members(used)
        if (route := self._routes.get(used)) is not None:
            models = self._in_order(route, models)
        if not name and models == [OFFLINE] and not stand_in:
            return []
        return models

    def members(self, name: str, flow: str = "") -> list[Model]:
        """
        Return the models that a run with this name may ask; no route's turn advances.

        Raises the errors of `models_for`.
        """
        return self._members(name or self.default_for(flow))

    def _members(self, name: str) -> list[Model]:
        """Return the models of a name that the present key may ask, in their listed order."""
        found = self._found(name)
        allowed = present.get().askable(name, [model.name for model in found])
        return [model for model in found if model.name in allowed]

    def _found(self, name: str) -> list[Model]:
        route = self._routes.get(name)
        if route is None:
            return [self.model(name)]
        entries = [self._entries.get(member) for member in route.members]
        askable = [entry.model for entry in entries if entry is not None and entry.can_be_asked]
        if not askable:
            raise SpecError(
                f"no model of the route {name!r} can be asked: {', '.join(route.members)}; add one "
                "that can"
            )
        return askable

    def _in_order(self, route: Route, models: list[Model]) -> list[Model]:
        """Return the models in the order to ask them; resting ones come last."""
        awake: list[Model] = []
        resting: list[Model] = []
        for model in models:
            (resting if self._health.is_resting(model.name) else awake).append(model)
        if not awake:
            awake, resting = resting, []
        match route.strategy:
            case "ordered":
                first = 0
            case "round_robin":
                first = self._turns[route.name] % len(awake)
                self._turns[route.name] += 1
                # The next model in turn is also the first to stand by.
                awake, first = awake[first:] + awake[:first], 0
            case "random":
                first = int(self._random() * len(awake))
            case "weighted":
                weights = [route.members[model.name] for model in awake]
                first = _drawn(weights, self._random())
            case "least_loaded":
                awake = sorted(awake, key=lambda model: self._health.in_flight(model.name))
                first = 0
        return [awake[first], *awake[:first], *awake[first + 1 :], *resting]

    def _is_askable(self, name: str) -> bool:
        if (route := self._routes.get(name)) is not None:
            members = [self._entries.get(member) for member in route.members]
            return any(entry is not None and entry.can_be_asked for entry in members)
        entry = self._entries.get(name)
        return entry is not None and entry.can_be_asked

    def _unknown(self, key: int | str) -> UnknownRecord:
        if isinstance(key, int):
            return UnknownRecord(f"no model with the number {key}; `GET /api/models` lists them")
        have = ", ".join(self.names()[:MAX_NAMES_SHOWN])
        return UnknownRecord(f"no model {key[:64]!r}; have: {have}")


_RANKS: Final[dict[Source, int]] = {"environment": 1, "file": 2, "database": 3, "built_in": 4}
"""If two share a name, the higher one wins; nothing takes the name of the built-in model."""


def _rank(entry: RegisteredModel | Route) -> int:
    return _RANKS[entry.source]


def _unaskable(entry: RegisteredModel) -> SpecError:
    why = entry.problem or "it is switched off; switch it on (`is_active`)"
    return SpecError(f"the model {entry.model.name!r} cannot be asked: {why}")


def _drawn(weights: Sequence[float], at: float) -> int:
    """Return the index whose share of the weights holds `at`, a number from 0 up to 1."""
    left = at * sum(weights)
    for index, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return index
    return len(weights) - 1
