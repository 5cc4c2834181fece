"""`/api/usage`: tokens and cost, by day, flow and model."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from unspool.core import Core
from unspool.journals import Head
from unspool.runs.timeline import AttemptSummary, Timeline

from .json.run import iso

MAX_RUNS: Final = 5000
"""Runs to count in one request, newest first; with more, `is_whole` is false."""

PAGE: Final = 200
DAY_MS: Final = 86_400_000


@dataclass(slots=True)
class UsageRow:
    """One day, flow and model."""

    runs: set[str] = field(default_factory=set)
    attempts: int = 0
    failures: int = 0
    uncounted: int = 0
    """Attempts that ended without a report of their usage."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    is_estimated: bool = False
    costs: dict[str, float] = field(default_factory=dict)

    def add(self, run_id: str, attempt: AttemptSummary) -> None:
        self.runs.add(run_id)
        self.attempts += 1
        self.failures += attempt.status == "failed"
        usage = attempt.usage
        if usage is None:
            self.uncounted += attempt.status != "running"
            return
        self.prompt_tokens += usage["prompt_tokens"] or 0
        self.completion_tokens += usage["completion_tokens"] or 0
        self.is_estimated |= usage["basis"] != "measured"
        if attempt.cost is not None:
            currency = attempt.cost["currency"]
            self.costs[currency] = self.costs.get(currency, 0.0) + attempt.cost["amount"]


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/usage", tags=["usage"])

    @router.get("")
    async def read_usage(days: Annotated[int, Query(ge=1, le=366)] = 30) -> dict[str, Any]:
        """Read the usage of the last days, newest day first."""
        since_ms = int(time.time() * 1000) - days * DAY_MS
        rows: dict[tuple[str, str, str], UsageRow] = {}
        counted, is_whole = 0, True
        async for page in _pages(core, since_ms):
            heads = page[: MAX_RUNS - counted]
            timelines = await core.timelines.of(head.run_id for head in heads)
            is_whole &= len(heads) == len(page) and len(timelines) == len(heads)
            counted += len(timelines)
            for head in heads:
                if head.run_id in timelines:
                    _count(rows, head, timelines[head.run_id])
            if not is_whole:
                break
        return {
            "days": days,
            "runs": counted,
            "is_whole": is_whole,
            "rows": [_row_json(key, row) for key, row in sorted(rows.items(), reverse=True)],
        }

    return router


async def _pages(core: Core, since_ms: int) -> AsyncIterator[list[Head]]:
    """Yield pages of runs that began since then, newest first."""
    before = ""
    while page := await core.journal.heads(before=before, limit=PAGE):
        recent = [head for head in page if head.created_ms >= since_ms]
        if recent:
            yield recent
        if len(recent) < PAGE:
            return
        before = page[-1].run_id


def _count(rows: dict[tuple[str, str, str], UsageRow], head: Head, timeline: Timeline) -> None:
    day = iso(head.created_ms)[:10]
    for attempt in timeline.attempts.values():
        rows.setdefault((day, head.flow, attempt.model), UsageRow()).add(head.run_id, attempt)
    if not timeline.attempts and timeline.stretches:  # a template wrote all of it
        rows.setdefault((day, head.flow, "template"), UsageRow()).runs.add(head.run_id)


def _row_json(key: tuple[str, str, str], row: UsageRow) -> dict[str, Any]:
    day, flow, model = key
    return {
        "day": day,
        "flow": flow,
        "model": model,
        "runs": len(row.runs),
        "attempts": row.attempts,
        "failures": row.failures,
        "uncounted": row.uncounted,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "is_estimated": row.is_estimated,
        "costs": [
            {"currency": currency, "amount": amount} for currency, amount in row.costs.items()
        ],
    }
