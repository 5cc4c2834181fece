"""Reading the vectors in conformance/."""

from __future__ import annotations

from typing import Any

from unspool.runs.events import Event
from unspool.runs.run import fold


def events_of(listed: list[dict[str, Any]]) -> list[Event]:
    return [Event(**event) for event in listed]


def state_of(listed: list[dict[str, Any]]) -> dict[str, Any]:
    run = fold(events_of(listed))
    return {
        "seq": run.seq,
        "status": run.status,
        "text": run.text,
        "steps": {name: [step.text, step.finished, step.model] for name, step in run.steps.items()},
        "attempts": [[attempt.number, attempt.model, attempt.status] for attempt in run.attempts],
        "notes": run.notes,
        "items": run.items,
        "warnings": run.warnings,
        "result": run.result,
        "error": run.error,
        "first_token_ms": run.first_token_ms,
        "ended_ms": run.ended_ms,
    }
