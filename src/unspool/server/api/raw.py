"""`/v1/runs/{id}/attempts/{number}/raw`: what an attempt sent, and what came back."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path

from unspool.core import Core
from unspool.records.exchanges import ExchangeRow, find_exchange

from .models import MAX_NUMBER

Number = Annotated[int, Path(ge=1, le=MAX_NUMBER)]


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/v1/runs", tags=["runs"])

    @router.get("/{run_id}/attempts/{number}/raw")
    async def read_raw(run_id: str, number: Number) -> dict[str, Any]:
        """Read the request of an attempt and the two ends of its answer, where they were kept."""
        await core.journal.head(run_id)
        row = await find_exchange(core.records, run_id, number)
        return {"run": run_id, "attempt": number, "is_kept": core.settings.keep_raw, **_json(row)}

    return router


def _json(row: ExchangeRow | None) -> dict[str, Any]:
    if row is None:
        return {"request": None, "response": None}
    try:
        request = json.loads(row.request)
    except ValueError:  # it was cut
        request = row.request
    names = ("status", "head", "tail", "left_out_bytes")
    response = {name: getattr(row, name) for name in names}
    return {"request": request, "response": response if row.status is not None else None}
