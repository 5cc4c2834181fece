"""The database of a server, for commands that work on it directly, also while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from ..errors import SpecError
from ._bootstrap import read_settings, start_logging

if TYPE_CHECKING:
    from ..records import Records

T = TypeVar("T")

# SQLAlchemy takes a quarter of a second to import: only where it is needed.


def with_records(data_dir: object, work: Callable[[Records], Awaitable[T]]) -> T:
    """Open the records, work on them, and close them."""
    from ..records import Records, place_of

    start_logging("WARNING")
    settings = read_settings(data_dir=data_dir)

    async def working() -> T:
        records = await Records.open(place_of(settings))
        try:
            return await work(records)
        finally:
            await records.aclose()

    return asyncio.run(working())


async def tenant_of(records: Records, name: str) -> str:
    """
    Return the id of a tenant.

    Raises:
        SpecError: There is none of this name or id.
    """
    from ..records.keys import find_tenant

    tenant = await find_tenant(records, name)
    if tenant is None:
        raise SpecError(f"There is no tenant {name}; `unspool tenants add` adds one.")
    return tenant
