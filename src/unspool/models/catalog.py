"""
Which models there are, and which of them a run asks, in which order.

A name is one model or one route. Of two with one name, that of the database goes before that
of the file, and that before the environment's. The built-in model is always there.

What changes here is seen by the next step of a run; a step in progress keeps what it had.
"""

from __future__ import annotations

import random as chance
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import SpecError, UnknownRecord
from ..providers import FREE, Model
from .definitions import Source, Strategy
from .health import Health

OFFLINE = Model(name="offline", provider="offline", upstream_name="offline", prices=FREE)
"""The built-in model: always there, needs no key and no network."""

MAX_NAMES_TOLD: Final = 20
"""Of the names that a message lists; who has more of them looks at the list itself."""


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model and where it is from."""

    model: Model
    source: Source = "environment"
    id: int = 0
    """Its number, the same as long as the data directory lives; 0: it has none (yet)."""
    is_active: bool = True
    problem: str = ""
    """What keeps it from being asked, and what to do about it; empty: nothing."""
    has_lost_key: bool = False
    """Its key is written down, and cannot be read."""
    times_ms: tuple[int, int] | None = None
    """When it was first seen and last changed, Unix time."""

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
        models: What it holds until it is filled, beside the built-in model. The first one is
            the default.
        random: Returns numbers from 0 up to 1.

    Attributes:
        default: Name of what answers where no name is given.
    """

    def __init__(
        self,
        models: Sequence[Model] = (),
        *,
        health: Health | None = None,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self.default = OFFLINE.name
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
        self, entries: Sequence[RegisteredModel], routes: Sequence[Route], defaults: Sequence[str]
    ) -> None:
        """
        Hold these from now on, and no others. The default is the first of `defaults` that
        can be asked.
        """
        found: dict[str, RegisteredModel | Route] = {}
        ranked: list[RegisteredModel | Route] = [*entries, *routes]
        for each in sorted(ranked, key=_rank):
            found[each.name] = each
        self._entries = {
            name: each for name, each in found.items() if isinstance(each, RegisteredModel)
        }
        self._routes = {name: each for name, each in found.items() if isinstance(each, Route)}
        self.default = next((name for name in defaults if self._is_askable(name)), OFFLINE.name)

    def names(self) -> list[str]:
        """Return all names that can be asked for."""
        return [name for name in (*self._entries, *self._routes) if self._is_askable(name)]

    def entries(self) -> list[RegisteredModel]:
        """Return every model by its number, also those that cannot be asked."""
        return sorted(self._entries.values(), key=lambda entry: entry.id)

    def routes(self) -> list[Route]:
        return [self._routes[name] for name in sorted(self._routes)]

    def entry(self, key: int | str) -> RegisteredModel:
        """
        Return a model by its number or its name, whether or not it can be asked.

        Raises:
            UnknownRecord
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
        Raises:
            UnknownRecord
        """
        if name not in self._routes:
            have = ", ".join(sorted(self._routes)[:MAX_NAMES_TOLD]) or "none yet"
            raise UnknownRecord(f"no route {name[:64]!r}; have: {have}")
        return self._routes[name]

    def has_name(self, name: str) -> bool:
        return name in self._entries or name in self._routes

    def model(self, key: int | str) -> Model:
        """
        Return the model of this number or name.

        Raises:
            UnknownRecord: There is none.
            SpecError: There is, but it cannot be asked.
        """
        entry = self.entry(key)
        if not entry.can_be_asked:
            raise _unaskable(entry)
        return entry.model

    def check(self, name: str) -> None:
        """
        Make sure that there is something to ask under `name` (empty: the default).

        Raises as `models_for` does, and takes nobody's turn.
        """
        self._members(name or self.default)

    def models_for(self, name: str, *, stand_in: bool = True) -> list[Model]:
        """
        Return the models to ask for `name` (empty: the default), in order.

        Empty where only the offline model is left and `stand_in` forbids it.

        Raises:
            UnknownRecord: There is no model and no route of that name.
            SpecError: There is, but nothing in it can be asked.
        """
        models = self._members(name or self.default)
        if (route := self._routes.get(name or self.default)) is not None:
            models = self._in_order(route, models)
        if not name and models == [OFFLINE] and not stand_in:
            return []
        return models

    def _members(self, name: str) -> list[Model]:
        """Return what can be asked under a name, as it is listed."""
        route = self._routes.get(name)
        if route is None:
            return [self.model(name)]
        found = [self._entries.get(member) for member in route.members]
        askable = [entry.model for entry in found if entry is not None and entry.can_be_asked]
        if not askable:
            raise SpecError(
                f"no model of the route {name!r} can be asked: {', '.join(route.members)}; put one "
                "into it that can"
            )
        return askable

    def _in_order(self, route: Route, models: list[Model]) -> list[Model]:
        """The one whose turn it is first, then the others; those that rest last of all."""
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
                # Who comes next in turn also stands by first.
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
        have = ", ".join(self.names()[:MAX_NAMES_TOLD])
        return UnknownRecord(f"no model {key[:64]!r}; have: {have}")


_RANKS: Final[dict[Source, int]] = {"environment": 1, "file": 2, "database": 3, "built_in": 4}
"""Of two of one name the higher one counts; nothing takes the name of the built-in model."""


def _rank(each: RegisteredModel | Route) -> int:
    return _RANKS[each.source]


def _unaskable(entry: RegisteredModel) -> SpecError:
    why = entry.problem or "it is switched off; switch it on (`is_active`)"
    return SpecError(f"the model {entry.model.name!r} cannot be asked: {why}")


def _drawn(weights: Sequence[float], at: float) -> int:
    """Return the place whose share of the weights holds `at`, a number from 0 up to 1."""
    left = at * sum(weights)
    for place, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return place
    return len(weights) - 1
