"""`/api/tools`: register, change, try and remove the tools that models may call."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from unspool import plugs
from unspool.core import Core
from unspool.errors import UnknownRecord
from unspool.runs.principal import present
from unspool.tools.calling.registry import StoredTool, ToolInput

from .json.places import place
from .json.run import iso
from .models import MAX_NUMBER

Number = Annotated[int, Path(alias="id", ge=1, le=MAX_NUMBER)]


class ToolTrial(BaseModel):
    model_config = ConfigDict(extra="forbid")

    arguments: dict[str, Any] = Field(default_factory=dict)


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/tools", tags=["tools"])
    tool_registry = core.tool_registry

    @router.get("")
    async def list_tools() -> dict[str, Any]:
        """List every tool by number, and the names of the Python functions."""
        tools = await tool_registry.all()
        names = {"entry_points": plugs.names("tools"), "mcp_servers": tool_registry.mcp.names}
        return {"tools": [tool_json(it) for it in tools], **names}

    @router.post("", status_code=201)
    async def add_tool(definition: ToolInput) -> JSONResponse:
        """Register a tool without calling it; `…/test` does that."""
        tool = await tool_registry.add(definition)
        headers = {"Location": place("/api/tools", tool.row.id)}
        return JSONResponse(tool_json(tool), 201, headers=headers)

    @router.get("/mcp/{server}")
    async def list_offered(server: Annotated[str, Path(max_length=64)]) -> dict[str, Any]:
        """List the tools that an MCP server offers, to register some of them."""
        if not present.get().is_operator:  # to list them may start a program
            raise UnknownRecord(f"there is no MCP server {server}")
        offered = await tool_registry.mcp.tools(server)
        facts = [
            {"name": tool.name, "description": tool.description, "parameters": tool.input_schema}
            for tool in offered
        ]
        return {"server": server, "tools": facts}

    @router.get("/{id}")
    async def read_tool(number: Number) -> dict[str, Any]:
        """Read one tool."""
        return tool_json(await tool_registry.one(number))

    @router.patch("/{id}")
    async def change_tool(
        number: Number, values: Annotated[dict[str, Any], Body()]
    ) -> dict[str, Any]:
        """Change the given fields of a tool; the others stay."""
        return tool_json(await tool_registry.change(number, values))

    @router.delete("/{id}", status_code=204)
    async def remove_tool(number: Number) -> Response:
        """Remove a tool."""
        await tool_registry.remove(number)
        return Response(status_code=204)

    @router.post("/{id}/test")
    async def try_tool(number: Number, request: ToolTrial | None = None) -> dict[str, Any]:
        """Call a tool once with these arguments. 200 even if it fails; `code` then tells why."""
        row = (await tool_registry.one(number)).row
        arguments = request.arguments if request is not None else {}
        began = time.perf_counter()
        key = f"test-{secrets.token_hex(8)}"
        answer = await core.calls.carry_out(row, row.parameters, arguments, key)
        total_ms = round((time.perf_counter() - began) * 1000, 1)
        facts = {"ok": not answer.code, "content": answer.content, "code": answer.code or None}
        return {**facts, "total_ms": total_ms}

    return router


def tool_json(tool: StoredTool) -> dict[str, Any]:
    """Return a tool; of its request headers, only the names."""
    row = tool.row
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "parameters": row.parameters,
        "answer": row.answer,
        "limit_s": row.limit_s,
        "approve": row.approve,
        "problem": tool.problem or None,
        "created_at": iso(row.created_ms),
        "updated_at": iso(row.updated_ms),
    }
