"""`/api/tags` and `/api/version`: what Ollama's clients ask for before they chat."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter

from unspool.core import Core

from .openai_models import askable

SINCE: Final = "1970-01-01T00:00:00Z"
"""A time must stand there; names have none."""

UNKNOWN: Final = {"format": "", "family": "", "parameter_size": "", "quantization_level": ""}


def plug(core: Core) -> APIRouter:
    router = APIRouter(tags=["Ollama"])

    @router.get("/api/tags")
    async def list_tags() -> dict[str, Any]:
        """List the models and routes that the key may ask."""
        facts = {"modified_at": SINCE, "size": 0, "digest": "", "details": UNKNOWN}
        return {"models": [{"name": name, "model": name, **facts} for name in askable(core)]}

    @router.get("/api/version")
    async def read_version() -> dict[str, str]:
        """Read the version of this server, which is no version of Ollama."""
        return {"version": version("unspool")}

    return router
