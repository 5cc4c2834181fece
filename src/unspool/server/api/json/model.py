"""The JSON of models and routes. It shows at most the last characters of a key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from unspool import plugs
from unspool.errors import UnspoolError
from unspool.models.catalog import Catalog, RegisteredModel, Route
from unspool.models.health import Health
from unspool.models.registry import ModelRegistry, ModelTest
from unspool.providers import Usage
from unspool.viewing.outcomes import Outcomes

from .run import iso

MIN_KEY_CHARS = 20
"""Shortest key whose last four characters we show: they identify it without revealing it."""


def models_json(
    registry: ModelRegistry, outcomes: Mapping[str, Outcomes] = MappingProxyType({})
) -> dict[str, Any]:
    """Return every model by number, and the names of the default ones."""
    models = [entry_json(entry, registry, outcomes) for entry in registry.catalog.entries()]
    return {"models": models, **defaults_json(registry.catalog)}


def defaults_json(catalog: Catalog) -> dict[str, Any]:
    """Return the default model, what was chosen, and the default of each flow."""
    chosen = dict(catalog.chosen)
    return {
        "default": catalog.default,
        "chosen": chosen.pop("", None),
        "chosen_for_flows": chosen,
        "default_for_flows": {flow: catalog.default_for(flow) for flow in plugs.names("flows")},
    }


def entry_json(
    entry: RegisteredModel,
    registry: ModelRegistry,
    outcomes: Mapping[str, Outcomes] = MappingProxyType({}),
) -> dict[str, Any]:
    model, key = entry.model, entry.model.api_key
    prefills = registry.health.prefills
    forms = prefills.forms(model, registry.engine_of(model))
    created, updated = entry.times_ms or (None, None)
    return {
        "id": entry.id,
        "name": model.name,
        "source": entry.source,
        "provider": model.provider,
        "upstream_name": model.upstream_name,
        "base_url": _shown(model.base_url),
        "has_key": bool(key) or entry.has_lost_key,
        "key_end": key[-4:] if len(key) >= MIN_KEY_CHARS else None,
        "params": dict(model.params),
        "limits": asdict(model.limits),
        "prefill": model.prefill,
        "goes_on": next(iter(forms), "none"),
        "evidence": {found.form: asdict(found.evidence) for found in prefills.findings_of(model)},
        "quirks": sorted(model.quirks),
        "max_parallel": model.max_parallel,
        "prices": asdict(model.prices) if model.prices else None,
        "is_active": entry.is_active,
        "is_default": model.name == registry.catalog.default,
        "problem": entry.problem or None,
        "created_at": None if created is None else iso(created),
        "updated_at": None if updated is None else iso(updated),
        "health": _health(registry.health, model.name),
        "recent": _recent(outcomes.get(model.name, Outcomes())),
    }


def _recent(outcomes: Outcomes) -> dict[str, Any]:
    return {
        "requests": outcomes.requests,
        "failures": outcomes.failures,
        "failures_in_row": outcomes.failures_in_row,
        "cause": outcomes.cause,
    }


def route_json(route: Route, registry: ModelRegistry) -> dict[str, Any]:
    names = {entry.name: entry for entry in registry.catalog.entries()}
    members = [
        {
            "model": name,
            "weight": weight,
            "can_be_asked": name in names and names[name].can_be_asked,
            "health": _health(registry.health, name),
        }
        for name, weight in route.members.items()
    ]
    return {
        "name": route.name,
        "source": route.source,
        "strategy": route.strategy,
        "models": members,
        "is_default": route.name == registry.catalog.default,
    }


def tested_json(tested: ModelTest) -> dict[str, Any]:
    answered, finding = tested.answered, tested.finding
    usage = answered.usage if answered else None
    facts: dict[str, Any] = {
        "ok": tested.error is None,
        "text": answered.text if answered else "",
        "first_token_ms": answered.first_token_ms if answered else None,
        "total_ms": answered.total_ms if answered else None,
        "usage": None if usage is None else _usage(usage),
        "error": None if tested.error is None else _error(tested.error),
    }
    if finding is not None:
        facts["probe"] = {
            "prefill": finding.prefill or None,
            "ways": [asdict(each) for each in finding.tried],
            "why": finding.why or None,
            "is_kept": tested.is_kept,
            "max_parallel": tested.max_parallel,
        }
    return facts


def _health(health: Health, name: str) -> dict[str, Any]:
    return {"is_resting": health.is_resting(name), **health.signals(name)}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "basis": "measured" if usage.measured else "estimated",
    }


def _error(error: UnspoolError) -> dict[str, Any]:
    return {"code": error.code, "message": str(error), "status": getattr(error, "status", None)}


def _shown(url: str) -> str:
    """Return an address without its user, password and query, which may hold secrets."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()
