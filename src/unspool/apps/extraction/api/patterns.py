"""`/api/v1/patterns`: frequent sequences of people's events."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from unspool.core import Core

from ..flows.causal_graph import pattern_json, patterns_in
from ..frequent_patterns import MAX_LENGTH, MAX_PATTERNS


def plug(core: Core) -> APIRouter:
    router = APIRouter(tags=["events (S3)"])

    @router.get("/api/v1/patterns")
    async def read_patterns(
        min_support: Annotated[float, Query(gt=0, le=1)] = 0.2,
        max_length: Annotated[int, Query(ge=2, le=MAX_LENGTH)] = 4,
        limit: Annotated[int, Query(ge=1, le=MAX_PATTERNS)] = 50,
    ) -> dict[str, Any]:
        """Return frequent sequences of event types over all people, the most frequent first."""
        mined = await patterns_in(
            core.records, min_support=min_support, max_length=max_length, most=limit
        )
        return {
            "users": mined.users,
            "is_whole": mined.is_whole,
            "patterns": [pattern_json(one) for one in mined.patterns],
        }

    return router
