"""`/v1/flows`: the installed flows, and the input of each."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from unspool import plugs
from unspool.core import Core
from unspool.errors import UnknownRecord
from unspool.flows import open_flow


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/v1/flows", tags=["flows"])

    @router.get("")
    async def list_flows() -> dict[str, Any]:
        """
        List every flow with its name, its purpose, and the JSON Schema of its input.

        `is_own`: it does not come with unspool; somebody has added it.
        """
        return {"flows": [_flow_json(name) for name in plugs.names("flows")]}

    @router.get("/{name}")
    async def read_flow(name: str) -> dict[str, Any]:
        """Read one flow."""
        if name not in plugs.names("flows"):
            raise UnknownRecord(f"no flow {name[:64]!r}; `GET /v1/flows` lists the installed ones")
        return _flow_json(name)

    return router


def _flow_json(name: str) -> dict[str, Any]:
    flow = open_flow(name)
    return {
        "name": name,
        "says": flow.description,
        "is_own": plugs.is_own("flows", name),
        "input": flow.input_model.model_json_schema(),
    }
