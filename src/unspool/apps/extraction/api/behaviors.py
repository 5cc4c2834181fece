"""`/api/behaviors`: the behaviours of all people, searched and counted by the database."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from unspool.core import Core
from unspool.records.behaviors import (
    MAX_ACTION_CHARS,
    BehaviorFilter,
    count_matching,
    list_actions,
    list_behaviors,
)
from unspool.records.products import names_of

from .people import MAX_OFFSET, behavior_json

MAX_ACTIONS: Final = 100
"""In the list of actions: the commonest ones."""


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/behaviors", tags=["people (S3)"])
    records = core.records

    @router.get("")
    async def list_all(
        query: Annotated[str, Query(max_length=200)] = "",
        action: Annotated[str, Query(max_length=MAX_ACTION_CHARS)] = "",
        offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        actions: bool = False,
    ) -> dict[str, Any]:
        """List behaviours, the latest first; `actions` adds the commonest actions."""
        wanted = BehaviorFilter(query, action)
        page = await list_behaviors(records, wanted, offset=offset, limit=limit)
        names = await names_of(records, {one.sku for one in page if one.sku})
        total, users = await count_matching(records, wanted)
        return {
            "behaviors": [
                {
                    "user_id": one.user_id,
                    **behavior_json(one),
                    "product": names.get(one.sku or ""),
                }
                for one in page
            ],
            "total": total,
            "users": users,
            **({"actions": await list_actions(records, limit=MAX_ACTIONS)} if actions else {}),
        }

    return router
