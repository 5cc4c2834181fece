"""`/v1/models`: the names that can be asked, as OpenAI's clients list them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from unspool.core import Core
from unspool.errors import MissingRight, SpecError, UnknownRecord


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/v1/models", tags=["OpenAI"])

    @router.get("")
    async def list_names() -> dict[str, Any]:
        """List the models and routes that the key may ask."""
        return {"object": "list", "data": [_facts(core, name) for name in askable(core)]}

    # A name may hold a slash, as vendors' names do.
    @router.get("/{name:path}")
    async def read_name(name: Annotated[str, Path(max_length=128)]) -> dict[str, Any]:
        """Read one of them."""
        check_name(core, name)
        return _facts(core, name)

    return router


def check_name(core: Core, name: str) -> None:
    """
    Raises:
        UnknownRecord: No model or route has this name.
        MissingRight: The present key may not ask it.
    """
    if not core.catalog.has_name(name):
        raise UnknownRecord(f"no model {name!r}; `GET /v1/models` lists them")
    core.catalog.check(name)


def askable(core: Core) -> list[str]:
    """Return the names of the models and routes that the present key may ask."""
    return [name for name in core.catalog.names() if _may_ask(core, name)]


def _may_ask(core: Core, name: str) -> bool:
    try:
        core.catalog.check(name)
    except (MissingRight, SpecError):
        return False
    return True


def _facts(core: Core, name: str) -> dict[str, Any]:
    members = core.catalog.members(name)
    owner = members[0].provider if len(members) == 1 else "route"
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
