"""One line in the log for each ended run: who asked what, and what became of it. No text."""

from __future__ import annotations

import logging
from typing import Any

from .facts import RunSummary

log = logging.getLogger(__name__)


def facts_of(run: RunSummary) -> dict[str, Any]:
    """Return what is told of a run; None where it is not known."""
    usage = run.usage
    cost = (usage and usage.cost) or {}
    return {
        "run": run.id,
        "tenant": run.tenant,
        "key": run.key or None,
        "flow": run.flow,
        "model": run.model or None,
        "status": run.status,
        "code": run.code or None,
        "seconds": round(run.seconds, 3),
        "prompt_tokens": usage.prompt_tokens if usage else None,
        "completion_tokens": usage.completion_tokens if usage else None,
        "cost": cost.get("amount"),
        "currency": cost.get("currency"),
        "attempts": len(run.requests),
    }


def write_line(run: RunSummary) -> None:
    """Write the line; in JSON, each fact is a field of its own."""
    facts = facts_of(run)
    told = " ".join(f"{name}={value}" for name, value in facts.items() if value is not None)
    log.info("Ended: %s", told, extra=facts)
