"""`/api/audit`: who changed keys, tenants, shares, models and routes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from unspool.core import Core
from unspool.records.audit import AuditRow
from unspool.runs.principal import present

from .json.run import iso

MAX_ID = 2**63 - 1


def _row_json(row: AuditRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": iso(row.at_ms),
        "tenant": row.tenant,
        "actor": {"kind": row.actor_kind, "id": row.actor},
        "action": row.action,
        "subject": row.subject,
        "detail": row.detail,
    }


def plug(core: Core) -> APIRouter:
    router = APIRouter(tags=["access"])

    @router.get("/api/audit")
    async def audit(
        before: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> dict[str, Any]:
        """
        List changes of the tenant, the newest first; the people who run the server see all.

        `next` is the `before` of the next page; null: there is none.
        """
        rows = await core.audit.rows(present.get(), before=before, limit=limit + 1)
        more = rows[limit - 1].id if len(rows) > limit else None
        return {"rows": [_row_json(row) for row in rows[:limit]], "next": more}

    return router
