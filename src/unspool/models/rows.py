"""Definitions of models and routes as rows of the database, and back."""

from __future__ import annotations

from typing import Any

from ..records.models import ModelRow, RouteRow
from .catalog import Route
from .definitions import ModelInput, RouteInput


def route_of(row: RouteRow) -> Route:
    members = {member["model"]: member["weight"] for member in row.members}
    return Route(row.name, row.strategy, members, "database")  # type: ignore[arg-type]


def columns(definition: ModelInput) -> dict[str, Any]:
    values = definition.model_dump(exclude={"api_key"})
    return {**values, "limits": definition.limits.model_dump(exclude_none=True)}


def fields(row: ModelRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ModelInput.model_fields if name != "api_key"}


def route_columns(definition: RouteInput) -> dict[str, Any]:
    members = [member.model_dump() for member in definition.models]
    return {"name": definition.name, "strategy": definition.strategy, "members": members}
