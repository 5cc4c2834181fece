"""`/api/tags`, `/api/show`, `/api/version`: what Ollama's clients ask for before they chat."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, Field

from unspool.core import Core
from unspool.errors import SpecError
from unspool.providers.upstream.vendors import quirks_of

from .openai_models import askable, check_name

SINCE: Final = "1970-01-01T00:00:00Z"
"""A time must stand there; names have none."""

UNKNOWN: Final = {"format": "", "family": "", "parameter_size": "", "quantization_level": ""}


class ShowRequest(BaseModel):
    model: str = Field("", max_length=128)
    name: str = Field("", max_length=128)
    """The older name of `model`."""


def plug(core: Core) -> APIRouter:
    router = APIRouter(tags=["Ollama"])

    @router.get("/api/tags")
    async def list_tags() -> dict[str, Any]:
        """List the models and routes that the key may ask."""
        facts = {"modified_at": SINCE, "size": 0, "digest": "", "details": UNKNOWN}
        return {"models": [{"name": name, "model": name, **facts} for name in askable(core)]}

    @router.post("/api/show")
    async def show_name(request: ShowRequest) -> dict[str, Any]:
        """Tell what may be sent to a model or a route; clients offer tools and images by it."""
        name = request.model or request.name
        if not name:
            raise SpecError("model: name a model")
        check_name(core, name)
        sees = any("no_images" not in quirks_of(it) for it in core.catalog.members(name))
        able = ["completion", "tools", *(["vision"] if sees else [])]
        about = {"modified_at": SINCE, "details": UNKNOWN, "model_info": {}}
        return {**about, "template": "", "parameters": "", "capabilities": able}

    @router.get("/api/version")
    async def read_version() -> dict[str, str]:
        """Read the version of this server, which is no version of Ollama."""
        return {"version": version("unspool")}

    return router
