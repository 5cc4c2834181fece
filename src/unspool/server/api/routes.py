"""`/api/routes`: names for several models, and the signals of those models."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path
from starlette.responses import JSONResponse, Response

from unspool.core import Core
from unspool.models.definitions import RouteInput

from .json.model import route_json
from .json.places import place

Named = Annotated[str, Path(max_length=128)]


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/routes", tags=["routes"])
    registry = core.registry

    @router.get("")
    async def list_routes() -> dict[str, Any]:
        """List every route by name, with its models and their signals."""
        return {"routes": [route_json(route, registry) for route in registry.catalog.routes()]}

    @router.post("", status_code=201)
    async def add_route(definition: RouteInput) -> JSONResponse:
        """Add a route."""
        route = await registry.add_route(definition)
        await core.audit.note("route.added", route.name, models=list(route.members))
        headers = {"Location": place("/api/routes", route.name)}
        return JSONResponse(route_json(route, registry), 201, headers=headers)

    # A name may hold a slash, as vendors' names do.
    @router.get("/{name:path}")
    async def read_route(name: Named) -> dict[str, Any]:
        """Read one route."""
        return route_json(registry.catalog.route(name), registry)

    @router.patch("/{name:path}")
    async def change_route(
        name: Named, values: Annotated[dict[str, Any], Body()]
    ) -> dict[str, Any]:
        """Change the `strategy` or `models` of a route; a missing field stays."""
        route = await registry.change_route(name, values)
        await core.audit.note("route.changed", route.name, models=list(route.members))
        return route_json(route, registry)

    @router.delete("/{name:path}", status_code=204)
    async def remove_route(name: Named) -> Response:
        """Remove a route."""
        await registry.remove_route(name)
        await core.audit.note("route.removed", name)
        return Response(status_code=204)

    return router
