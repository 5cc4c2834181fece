"""`/api/progress`: how exact the estimates of the time left were."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from unspool import plugs
from unspool.core import Core
from unspool.viewing.eta import FILLED, MOMENTS, Quality


def plug(core: Core) -> APIRouter:
    router = APIRouter(tags=["progress"])

    @router.get("/api/progress")
    async def read_progress() -> dict[str, Any]:
        """For each flow and model, count the runs behind the estimates and rate their errors."""
        await core.eta.learn(*plugs.names("flows"), at_most=FILLED)
        return {"flows": [_json(quality) for quality in core.eta.quality()]}

    return router


def _json(quality: Quality) -> dict[str, Any]:
    moments = [f"{share:.0%}" for share in MOMENTS]
    return {
        "flow": quality.flow,
        "model": quality.model,
        "runs": quality.runs,
        "foretold": quality.foretold,
        "median_error": {at: _round(e) for at, e in zip(moments, quality.share, strict=True)},
        "median_error_s": {at: _round(e) for at, e in zip(moments, quality.off_s, strict=True)},
        "in_band": _round(quality.in_band),
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
