"""`/api/budgets`: what a tenant, a key or an end user may spend and ask, and what is spent."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path
from starlette.responses import Response

from unspool.core import Core
from unspool.errors import MissingRight, SpecError, UnknownRecord
from unspool.records import Records
from unspool.records.budgets import (
    BudgetInput,
    BudgetRow,
    budgets_of,
    delete_budget,
    find_budget,
    put_budget,
)
from unspool.records.keys import find_key
from unspool.records.reservations import accounts_of, budget_json
from unspool.runs.principal import present

from .keys import managed_tenant

MAX_BUDGETS: Final = 10_000
"""Of all tenants."""

BudgetId = Annotated[str, Path(alias="id", pattern=r"^[a-z0-9]{12}$")]


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/budgets", tags=["access"])
    records = core.records.operator

    @router.get("")
    async def budgets() -> dict[str, Any]:
        """List the budgets of the tenant with their accounts; operators see all."""
        who = present.get()
        rows = await budgets_of(records, None if who.is_operator else who.tenant)
        return {"budgets": await _shown(records, rows)}

    @router.put("")
    async def put(wanted: BudgetInput) -> dict[str, Any]:
        """Set a budget, or change it; what was spent stays."""
        tenant = await _tenant(records, wanted)
        if len(await budgets_of(records)) >= MAX_BUDGETS:
            raise SpecError(f"there are {MAX_BUDGETS} budgets already; delete some")
        facts = wanted.facts(core.settings.time_zone)
        row = await put_budget(records, tenant, wanted.kind, wanted.subject, facts)
        core.budgets.forget(tenant)
        await core.audit.note("budget.changed", row.id, tenant=tenant, kind=row.kind)
        return (await _shown(records, [row]))[0]

    @router.get("/{id}")
    async def budget(budget_id: BudgetId) -> dict[str, Any]:
        return (await _shown(records, [await _own(records, budget_id)]))[0]

    @router.delete("/{id}", status_code=204)
    async def delete(budget_id: BudgetId) -> Response:
        """Delete a budget and what it counted; its runs go on without it."""
        row = await _own(records, budget_id)
        if row.kind == "tenant" and not present.get().is_operator:
            raise MissingRight("only the people who run the server change a tenant's budget")
        await delete_budget(records, budget_id)
        core.budgets.forget(row.tenant)
        await core.audit.note("budget.removed", row.id, tenant=row.tenant, kind=row.kind)
        return Response(status_code=204)

    return router


async def _own(records: Records, budget_id: str) -> BudgetRow:
    row = await find_budget(records, budget_id)
    if row is None or not present.get().manages(row.tenant):
        raise UnknownRecord(f"there is no budget {budget_id}")
    return row


async def _tenant(records: Records, wanted: BudgetInput) -> str:
    """Return the tenant whose budget the caller may set."""
    tenant = await managed_tenant(records, wanted.tenant)
    if wanted.kind == "tenant" and not present.get().is_operator:
        raise MissingRight("only the people who run the server change a tenant's budget")
    if wanted.kind == "key":
        key = await find_key(records, wanted.subject)
        if key is None or key.tenant != tenant:
            raise UnknownRecord(f"there is no key {wanted.subject}")
    return tenant


async def _shown(records: Records, rows: list[BudgetRow]) -> list[dict[str, Any]]:
    accounts = await accounts_of(records, [row.id for row in rows])
    return [budget_json(row, accounts) for row in rows]
