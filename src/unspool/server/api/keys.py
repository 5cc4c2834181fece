"""`/api/keys` and `/api/tenants`: who may use this server. A key is shown once."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.responses import JSONResponse, Response

from unspool.core import Core
from unspool.core.access import present_actor
from unspool.errors import MissingRight, SpecError, UnknownRecord
from unspool.formats.tenancy import DEFAULT
from unspool.formats.written import StrictInput
from unspool.records import Records
from unspool.records.keys import (
    KeyRow,
    NewKey,
    TenantRow,
    add_key,
    add_tenant,
    find_key,
    find_tenant,
    list_keys,
    list_tenants,
    renew_key,
    revoke_key,
)
from unspool.runs.principal import Scope, present

from .json.places import place
from .json.run import iso

MAX_KEYS: Final = 10_000
"""Of all tenants."""

MAX_DAYS: Final = 3650

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^\P{Cc}+$")]
KeyId = Annotated[str, Path(alias="id", pattern=r"^[a-z0-9]{12}$")]
Origin = Annotated[str, Field(max_length=253, pattern=r"^https?://[A-Za-z0-9.\-\[\]:]+$")]


class NewTenant(StrictInput):
    name: Name


class NewKeyInput(StrictInput):
    name: Name
    tenant: str = Field("", max_length=64)
    """Name or id; empty: that of the caller."""
    scopes: list[Scope] = Field(["runs:read", "runs:write"], min_length=1, max_length=7)
    models: list[Annotated[str, Field(max_length=128)]] = Field(default_factory=list, max_length=50)
    """Models and routes that it may ask; empty: all."""
    flows: list[Annotated[str, Field(max_length=64)]] = Field(default_factory=list, max_length=50)
    """Flows that it may start; empty: all."""
    origins: list[Origin] = Field(default_factory=list, max_length=20)
    """Pages of these origins may use it, such as `https://shop.example`."""
    days: float | None = Field(None, gt=0, le=MAX_DAYS)
    """Until it expires; None: never."""


def _key_json(row: KeyRow) -> dict[str, Any]:
    facts = ("id", "name", "tenant", "scopes", "models", "flows", "origins")
    times = ("created", "expires", "used", "revoked")
    return {name: getattr(row, name) for name in facts} | {
        f"{name}_at": iso(ms) if (ms := getattr(row, f"{name}_ms")) is not None else None
        for name in times
    }


def _tenant_json(row: TenantRow) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "created_at": iso(row.created_ms)}


def plug(core: Core) -> APIRouter:
    router = APIRouter(tags=["access"])
    _add_keys(router, core)
    _add_tenants(router, core)
    return router


async def managed_tenant(records: Records, name_or_id: str) -> str:
    """
    Return the id of a tenant whose keys and budgets the caller may set; empty: his own.

    Raises:
        UnknownRecord: There is none for him.
    """
    who = present.get()
    tenant = await find_tenant(records, name_or_id) if name_or_id else who.tenant
    if tenant is None or not who.manages(tenant):
        raise UnknownRecord(f"there is no tenant {name_or_id}")
    return tenant


async def _own(records: Records, key_id: str) -> KeyRow:
    """Return a key that the caller may manage; those of others do not exist for him."""
    row = await find_key(records, key_id)
    if row is None or not present.get().manages(row.tenant):
        raise UnknownRecord(f"there is no key {key_id}")
    return row


async def _made(records: Records, new: NewKeyInput) -> NewKey:
    who = present.get()
    tenant = await managed_tenant(records, new.tenant)
    if lacking := [scope for scope in new.scopes if not who.may(scope)]:
        raise MissingRight(f"a key cannot give the scope {lacking[0]}, which it lacks itself")
    if len(await list_keys(records)) >= MAX_KEYS:
        raise SpecError(f"there are {MAX_KEYS} keys already; revoke some, or add a server")
    facts = new.model_dump(include={"scopes", "models", "flows", "origins"})
    return await add_key(records, tenant, new.name, **facts, days=new.days, by=present_actor())


def _add_keys(router: APIRouter, core: Core) -> None:
    records = core.records.operator

    @router.get("/api/keys")
    async def keys() -> dict[str, Any]:
        """List the keys of the tenant; the people who run the server see all."""
        who = present.get()
        rows = await list_keys(records, None if who.is_operator else who.tenant)
        return {"keys": [_key_json(row) for row in rows]}

    @router.post("/api/keys", status_code=201)
    async def add(new: NewKeyInput) -> JSONResponse:
        """Make a key. The answer has its text, which is nowhere else."""
        made = await _made(records, new)
        core.access.forget(made.row.id)  # a page may use it at once
        answer = {"key": made.text, **_key_json(made.row)}
        return JSONResponse(answer, 201, headers={"Location": place("/api/keys", made.row.id)})

    @router.get("/api/keys/{id}")
    async def key(key_id: KeyId) -> dict[str, Any]:
        return _key_json(await _own(records, key_id))

    @router.post("/api/keys/{id}/renew")
    async def renew(key_id: KeyId) -> dict[str, Any]:
        """Give a key a new secret; the one before holds too, until the next renewal."""
        await _own(records, key_id)
        text = await renew_key(records, key_id, present_actor())
        if text is None:
            raise SpecError("the key is revoked; make another one")
        core.access.forget(key_id)
        return {"key": text, "id": key_id}

    @router.delete("/api/keys/{id}", status_code=204)
    async def revoke(key_id: KeyId) -> Response:
        """Revoke a key, its tickets and sessions; open streams end within a second."""
        await _own(records, key_id)
        await revoke_key(records, key_id, present_actor())
        core.access.forget(key_id)
        return Response(status_code=204)


def _add_tenants(router: APIRouter, core: Core) -> None:
    records = core.records.operator

    @router.get("/api/tenants")
    async def tenants() -> dict[str, Any]:
        """List the tenants; `default` is that of the people who run the server."""
        rows = await list_tenants(records)
        first = {"id": DEFAULT, "name": DEFAULT, "created_at": None}
        return {"tenants": [first, *(_tenant_json(row) for row in rows)]}

    @router.post("/api/tenants", status_code=201)
    async def add(new: NewTenant) -> JSONResponse:
        """Add a tenant: its runs and records are its own."""
        row = None if new.name == DEFAULT else await add_tenant(records, new.name, present_actor())
        if row is None:
            raise SpecError(f"a tenant named {new.name} is there already; choose another name")
        return JSONResponse(_tenant_json(row), 201)
