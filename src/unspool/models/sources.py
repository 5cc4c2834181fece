"""
The models and routes from outside the database: the environment, the file, and the built-in
model. Read once, at the start.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..settings import Settings
from .catalog import OFFLINE, Catalog, RegisteredModel, Route
from .config_file import Config, find_config, models_of, read_config
from .environment import limits_from, model_from, models_beside


class ConfiguredModels:
    """
    The models and routes of the environment and the file, and the built-in model.

    Raises:
        SetupError: The file is invalid.
    """

    def __init__(self, settings: Settings) -> None:
        path = find_config(settings.config)
        self.config = Config() if path is None else read_config(path)
        named = model_from(settings)
        vendors = models_beside(named, settings)
        self.entries = [RegisteredModel(model) for model in ([named] if named else []) + vendors]
        self.entries += [
            RegisteredModel(model, "file", problem=problem)
            for model, problem in models_of(
                self.config,
                settings.variable,
                limits_from(settings),
                allow_private=settings.allow_private_upstreams,
            )
        ]
        self.entries.append(RegisteredModel(OFFLINE, "built_in"))
        self._routes = [
            Route(route.name, route.strategy, {m.model: m.weight for m in route.models}, "file")
            for route in self.config.routes
        ]
        self._defaults = [named.name] if named else []
        self._defaults += [self.config.default] if self.config.default else []
        self._defaults += [model.name for model in vendors]

    def catalog(self) -> Catalog:
        """Return a catalog of these alone."""
        catalog = Catalog()
        self.fill(catalog, self.entries, [], {})
        return catalog

    def fill(
        self,
        catalog: Catalog,
        entries: list[RegisteredModel],
        routes: list[Route],
        chosen: Mapping[str, str],
    ) -> None:
        """
        Fill a catalog with these entries and routes, with the routes of the file, and with the
        chosen defaults.
        """
        by_age = sorted(entries, key=lambda entry: entry.id)
        others = [entry.name for entry in by_age if entry.source != "built_in"]
        catalog.fill(entries, [*self._routes, *routes], [*self._defaults, *others], chosen)

    def find(self, name: str) -> RegisteredModel | None:
        """Return the model that a name would mean without the database, if any."""
        found = [entry for entry in self.entries if entry.name == name]
        return found[-1] if found else None
