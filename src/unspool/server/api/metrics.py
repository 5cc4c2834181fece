"""`/metrics`: figures for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response

from unspool.core import Core


def plug(core: Core) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/metrics", response_class=Response)
    async def read_metrics() -> Response:
        """Read the figures of this process, and of the other workers behind its port."""
        return Response(
            core.telemetry.exposition.text(), headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4}
        )

    return router
