"""
Which scope each route needs: one table, and a test that finds the routes it lacks.

A pattern covers a path and everything below it. Reading needs the first scope, anything else the
second. `Operator` routes change what all tenants share.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..errors import MissingRight
from ..runs.principal import Principal, Scope
from .console import PAGES

PUBLIC: Final = frozenset(
    {
        *(page for page in PAGES if "{" not in page),
        *("/healthz", "/readyz", "/openapi.json", "/docs", "/theme.js", "/icon.svg"),
        *("/api/session", "/api/session/begin", "/api/session/return"),
    }
)
"""Without a key: they tell nothing. Those of `/api/session` look at what they are sent."""

PUBLIC_BELOW: Final = (
    *("/assets/", "/client/", "/docs-files/", "/runs/", "/view/", "/story/", "/data/", "/share/"),
    "/v1/shared/",
)
"""Pages, their files, the client; and what share links show, each a secret of its own."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a path needs."""

    path: re.Pattern[str]
    read: Scope
    write: Scope
    for_operator: bool = False
    """Writing needs an admin of the default tenant."""


def _rule(paths: str, read: Scope, write: Scope, *, for_operator: bool = False) -> Rule:
    names = "|".join(paths.split())
    return Rule(re.compile(rf"(?:{names})(?:/.*)?"), read, write, for_operator)


RULES: Final = (
    _rule("/v1/tickets", "runs:read", "runs:read"),
    _rule("/v1/runs /v1/flows /v1/conversations", "runs:read", "runs:write"),
    _rule("/v1/chat/completions /v1/responses /v1/models", "runs:read", "runs:write"),
    _rule("/api/show", "runs:read", "runs:read"),
    _rule("/api/chat /api/tags /api/version", "runs:read", "runs:write"),
    _rule("/api/timelines /api/progress /api/exports", "runs:read", "runs:write"),
    _rule("/api/copies /api/images /api/conversations", "runs:read", "runs:write"),
    _rule("/ai/stream /ai/generate/copy /ai/analyze/product", "runs:read", "runs:write"),
    _rule("/api/debug", "runs:read", "runs:write"),
    _rule("/v1/messages /v1/ui/chat /v1/agui /v1/streams", "runs:read", "runs:write"),
    _rule("/api/v1/causal-graph /api/v1/events", "runs:read", "runs:write"),
    _rule("/api/v1/projects", "records:read", "runs:write"),
    _rule("/api/models /api/routes", "runs:read", "models:write", for_operator=True),
    _rule("/api/tools /api/presets /api/cases", "records:read", "records:write"),
    _rule("/api/products /api/behaviors /api/people", "records:read", "records:write"),
    _rule("/api/imports /api/experiments", "records:read", "records:write"),
    _rule("/api/v1/graphs /api/v1/patterns", "records:read", "records:write"),
    _rule("/api/v1/event-types /api/v1/drop-off", "records:read", "records:write"),
    _rule("/api/usage", "usage:read", "usage:read"),
    _rule("/api/settings /api/prune /api/tenants", "admin", "admin", for_operator=True),
    _rule("/metrics", "admin", "admin", for_operator=True),
    _rule("/api/keys /api/budgets /api/audit", "admin", "admin"),
)

READS: Final = frozenset({"GET", "HEAD", "OPTIONS", "WEBSOCKET"})


def rule_for(path: str) -> Rule | None:
    """Return the rule of a path; None: nothing is known of it."""
    return next((rule for rule in RULES if rule.path.fullmatch(path)), None)


def is_public(path: str) -> bool:
    """Whether a path needs no key."""
    return path in PUBLIC or path.startswith(PUBLIC_BELOW)


def check(who: Principal, method: str, path: str) -> None:
    """
    Check that a principal may do this.

    Raises:
        MissingRight: It may not; the message names what it lacks.
    """
    if who.run and not f"{path}/".startswith(f"{_opened_by(who.run)}/"):
        raise MissingRight("this ticket opens one run or conversation, and this is not it")
    rule = rule_for(path)
    scope = "admin" if rule is None else (rule.read if method in READS else rule.write)
    if rule is None and not who.may(scope):
        raise MissingRight(f"no path {path[:200]}, or one for admins alone; check the address")
    if not who.may(scope):
        lacks = "the key lacks" if who.person is None else f"your role, {who.person.role}, lacks"
        raise MissingRight(f"this needs the scope {scope}, which {lacks}")
    if rule is not None and rule.for_operator and _changes(rule, method) and not who.is_operator:
        raise MissingRight("this is for the people who run the server: keys of the default tenant")


def _opened_by(ticket: str) -> str:
    """Return the path that a ticket for a run or for `conversation 7` opens, with those below."""
    kind, space, number = ticket.partition(" ")
    return f"/v1/{kind}s/{number}" if space else f"/v1/runs/{ticket}"


def _changes(rule: Rule, method: str) -> bool:
    return method not in READS or rule.read == "admin"
