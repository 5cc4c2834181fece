"""The first event of a run, which holds its request."""

from __future__ import annotations

from ..formats.tenancy import DEFAULT
from .events import Draft, Event
from .run import RunSpec


def started(spec: RunSpec) -> Draft:
    """Return the first event of a run, which holds the request."""
    facts: dict[str, object] = {"flow": spec.flow, "model": spec.model, "dialect": spec.dialect}
    if spec.cancel_after_s is not None:
        facts["cancel_after_s"] = spec.cancel_after_s
    if spec.continues:
        facts["continues"] = True
    if spec.parent:
        facts["parent"] = spec.parent
    if spec.forked_from is not None:
        facts["forked_from"] = spec.forked_from
    if spec.aside:
        facts["aside"] = list(spec.aside)
    if spec.tenant != DEFAULT:
        facts["tenant"] = spec.tenant
    if spec.key:
        facts["key"] = spec.key
    if spec.user:
        facts["user"] = spec.user
    return Draft("run.started", {**facts, "digest": spec.digest, "input": spec.input})


def spec_of(event: Event) -> RunSpec:
    """Return the request, from the first event of a run."""
    request = event.data
    names = (
        *("flow", "input", "model", "dialect"),
        *("cancel_after_s", "continues", "parent", "forked_from", "aside"),
        *("tenant", "key", "user"),
    )
    return RunSpec(**{name: request[name] for name in names if name in request})
