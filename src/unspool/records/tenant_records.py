"""
The records of each tenant, in a database of its own: the same tables, and nothing to mix up.

A file `tenants/<id>.db` beside the records, or a PostgreSQL schema `tenant_<id>`. So no query
needs to know of tenants, and none can forget one. What all tenants share (models, keys, tenants
themselves) is in the records of the operator, which are those of a server without keys.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from ..formats.tenancy import DEFAULT, present_tenant, working_for
from . import Records, hold

MAX_OPEN: Final = 64
"""
Tenants whose records stay open; the one that waited longest is closed for another. More are open
only while all of them are at work.
"""

CONNECTIONS: Final = 2
"""Of one tenant."""


@dataclass(slots=True)
class _Opened:
    """The open records of one tenant."""

    records: Records
    number: int
    """Of this opening, among all."""
    uses: int = 0
    """Sessions that are open now."""


class TenantRecords(Records):
    """
    The records of the present tenant; see `tenancy`.

    Attributes:
        operator: The records that all tenants share.
    """

    def __init__(self, operator: Records, place: str | Path) -> None:
        super().__init__(operator._engine, operator.where)  # noqa: SLF001 - the same database
        self.operator = operator
        self._place = place
        self._open: OrderedDict[str, _Opened] = OrderedDict()
        self._openings = 0
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        async with self._using() as records, records.session() as session:
            yield session

    @asynccontextmanager
    async def turn(self, subject: str) -> AsyncIterator[None]:
        async with self._using() as records, records.turn(subject):
            yield

    async def version(self) -> int | None:
        async with self._using() as records:
            version = await records.version()
            opened = self._open.get(present_tenant() or DEFAULT)
        # A file that is opened again counts from the beginning.
        return version if version is None or opened is None else (opened.number << 32) + version

    async def aclose(self) -> None:
        for opened in self._open.values():
            await opened.records.aclose()
        self._open.clear()
        await self.operator.aclose()

    @asynccontextmanager
    async def _using(self) -> AsyncIterator[Records]:
        """Keep the records of the present tenant open."""
        tenant = present_tenant() or DEFAULT
        if tenant == DEFAULT:
            yield self.operator
            return
        if tenant not in self._open:
            async with self._opening:
                if tenant not in self._open:
                    records = await self._opened(tenant)
                    self._openings += 1
                    self._open[tenant] = _Opened(records, self._openings)
        opened = self._open[tenant]
        opened.uses += 1
        try:
            yield opened.records
        finally:
            opened.uses -= 1
            self._open.move_to_end(tenant)
            await self._close_idle()

    async def _close_idle(self) -> None:
        if len(self._open) <= MAX_OPEN:
            return
        idle = [tenant for tenant, opened in self._open.items() if not opened.uses]
        closed = [self._open.pop(tenant) for tenant in idle[: len(self._open) - MAX_OPEN]]
        for opened in closed:
            await opened.records.aclose()

    async def _opened(self, tenant: str) -> Records:
        if isinstance(self._place, Path):
            return await Records.open(file_of(self._place, tenant), most=CONNECTIONS)
        schema = schema_of(tenant)
        async with self.operator.session() as session:
            await hold(session, "migrations")  # two servers may open the same tenant at once
            await session.execute(text(f"create schema if not exists {schema}"))
            await session.commit()
        return await Records.open(self._place, schema=schema, most=CONNECTIONS)


def file_of(place: Path, tenant: str) -> Path:
    """Return the file of a tenant, beside that of the operator."""
    assert tenant.isalnum(), tenant
    return place.parent / "tenants" / f"{tenant}.db"


def schema_of(tenant: str) -> str:
    """Return the schema of a tenant in PostgreSQL."""
    assert tenant.isalnum(), tenant  # it becomes a part of statements
    return f"tenant_{tenant}"


async def prepare(place: str | Path, tenants: Iterable[str] = ()) -> None:
    """
    Give the records of the operator and of tenants the tables of this version; create new ones.

    Raises:
        SetupError, RecordsError: A database cannot be used.
    """
    records = TenantRecords(await Records.open(place), place)
    try:
        for tenant in tenants:
            with working_for(tenant):
                async with records.session():
                    pass  # the first session opens the database
    finally:
        await records.aclose()
