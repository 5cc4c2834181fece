"""`/api/timelines`: the timelines of several runs, without their texts."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query

from unspool.core import Core
from unspool.runs.timeline import BUCKET_S, TWELFTHS, Gap, Stretch, Timeline, Wait
from unspool.runs.usage import total

MAX_RUNS = 100
"""Runs in one request: twice as many as a page shows at once."""

MAX_ATTEMPTS = 40
"""Attempts of one run: a row of ticks."""

MAX_POINTS = 60
"""Points of one run: a row is some 240 pixels wide."""


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/timelines", tags=["timelines"])

    @router.get("")
    async def read_timelines(
        run: Annotated[list[str], Query(max_length=MAX_RUNS)],
    ) -> dict[str, Any]:
        """Read the timelines of these runs; leave out unknown ones and those too slow to read."""
        found = await core.timelines.of(dict.fromkeys(run))
        timelines = [
            {"run": run_id, **timeline_json(timeline), "viewers": core.viewing.count(run_id)}
            for run_id, timeline in found.items()
        ]
        return {"timelines": timelines}

    return router


def timeline_json(timeline: Timeline) -> dict[str, Any]:
    """Return a timeline as PROTOCOL.md describes it."""
    step = max(1, -(-int(timeline.last_s / BUCKET_S) // MAX_POINTS))
    usage = total((attempt.usage, attempt.cost) for attempt in timeline.attempts.values())
    tokens = usage and usage.completion_tokens
    is_counted = timeline.end is not None and tokens is not None
    return {
        "end": timeline.end,
        "last_s": round(timeline.last_s, 3),
        "about": timeline.about,
        "bucket_s": round(step * BUCKET_S, 3),
        "stretches": [_stretch_json(stretch, step) for stretch in timeline.stretches],
        "seams": [_seam_json(seam) for seam in timeline.seams],
        "attempts": [
            {"model": attempt.model, "status": attempt.status, "strategy": attempt.strategy}
            for attempt in islice(timeline.attempts.values(), MAX_ATTEMPTS)
        ],
        "recoveries": timeline.recoveries,
        "waits": [_wait_json(wait) for wait in timeline.waits],
        "progress": timeline.progress,
        "tokens": tokens if is_counted else -(-timeline.twelfths // TWELFTHS),
        "tokens_basis": usage.basis if usage and is_counted else "estimated",
        "cost": usage and usage.cost,
        "error": timeline.error,
    }


def _seam_json(seam: Gap) -> dict[str, Any]:
    facts = asdict(seam)
    facts["from"] = facts.pop("writer")
    return {**facts, "t0": round(seam.t0, 3), "t1": round(seam.t1, 3)}


def _wait_json(wait: Wait) -> dict[str, Any]:
    facts = asdict(wait)
    times = {name: facts[name] for name in ("t0", "t1", "until")}
    return facts | {name: None if at is None else round(at, 3) for name, at in times.items()}


def _stretch_json(stretch: Stretch, step: int) -> dict[str, Any]:
    buckets = stretch.buckets
    # Merge buckets by their mean: thickness is a speed.
    groups = [buckets[at : at + step] for at in range(0, len(buckets), step)]
    speeds = [round(sum(group) / len(group) / BUCKET_S, 2) for group in groups]
    return {
        "model": stretch.model,
        "t0": round(stretch.t0, 3),
        "t1": round(stretch.t1, 3),
        "per_s": speeds,
    }
