"""`/api/usage`: tokens, cost, failures and times, by local day, flow and model."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query

from unspool.core import Core
from unspool.errors import MissingRight, SpecError
from unspool.formats.moments import zone_of
from unspool.formats.tenancy import present_tenant, working_for
from unspool.runs.principal import present
from unspool.viewing.index.usage import midnight_ms


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/usage", tags=["usage"])

    @router.get("")
    async def read_usage(
        days: Annotated[int, Query(ge=1, le=366)] = 30,
        time_zone: Annotated[str, Query(max_length=64)] = "",
        *,
        all_tenants: bool = False,
    ) -> dict[str, Any]:
        """
        Read the usage of the last days, today among them, newest day first.

        `all_tenants` is for the people who run the server; the default is the tenant of the key.
        """
        if all_tenants and not present.get().is_operator:
            raise MissingRight("only the people who run the server see all tenants")
        name = time_zone or core.settings.time_zone
        try:
            zone = zone_of(name)
        except ValueError as error:
            raise SpecError(str(error)) from None
        await core.indexing.catch_up()
        now_ms = int(time.time() * 1000)
        since_ms = midnight_ms(zone, now_ms, days - 1)
        with working_for(None if all_tenants else present_tenant()):
            usage = await core.index.usage(zone, since_ms, now_ms + 1)
            owners = await core.index.owners(since_ms, now_ms + 1)
        return {
            "days": days,
            "time_zone": name,
            "runs": sum(flow["runs"] for flow in usage["flows"]),
            "is_whole": core.indexing.is_whole,
            **usage,
            "owners": owners,
        }

    return router
