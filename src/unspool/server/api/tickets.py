"""`/v1/tickets`: open one run to a page; `/api/session`: open the console with a key."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field, SecretStr
from starlette.responses import JSONResponse, Response

from unspool.core import Core
from unspool.core.access import MAX_TICKET_S, SESSION_S, TICKET_S
from unspool.formats.written import StrictInput
from unspool.runs.principal import Scope

from ..gate import COOKIE
from .json.ticket import ticket_json


class TicketInput(StrictInput):
    run: str = Field(min_length=1, max_length=64)
    scope: Literal["runs:read", "runs:write"] = "runs:read"
    """`runs:write`: the page may cancel and steer, too."""
    ttl_s: float = Field(TICKET_S, gt=0, le=MAX_TICKET_S)
    """Seconds in which it must connect; an open stream goes on after that."""


class SessionInput(StrictInput):
    key: SecretStr = Field(max_length=1024)


def plug(core: Core) -> APIRouter:
    router = APIRouter(tags=["access"])

    @router.post("/v1/tickets", status_code=201)
    async def ticket(wanted: TicketInput) -> dict[str, Any]:
        """Return a ticket for one run, to add as `?ticket=` where a page cannot send headers."""
        await core.journal.head(wanted.run)
        scopes: list[Scope] = ["runs:read"]
        scopes += ["runs:write"] if wanted.scope == "runs:write" else []
        return ticket_json(core, wanted.run, scopes, wanted.ttl_s)

    @router.post("/api/session")
    async def begin(request: Request, given: SessionInput) -> Response:
        """Open the console with a key: the browser keeps a cookie for twelve hours."""
        session = await core.access.session_of(given.key.get_secret_value())
        answer = JSONResponse(_session_json(core))
        if session:
            answer.set_cookie(
                COOKIE,
                session,
                max_age=int(SESSION_S),
                path=request.scope.get("root_path") or "/",
                secure=request.url.scheme == "https",
                httponly=True,
                samesite="strict",
            )
        return answer

    @router.get("/api/session")
    async def session() -> dict[str, Any]:
        """Say whether this server needs a key."""
        return _session_json(core)

    @router.delete("/api/session", status_code=204)
    async def end(request: Request) -> Response:
        """Let the browser forget its cookie."""
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, path=request.scope.get("root_path") or "/")
        return answer

    return router


def _session_json(core: Core) -> dict[str, Any]:
    return {"access": "open" if core.access.is_open else "keys"}
