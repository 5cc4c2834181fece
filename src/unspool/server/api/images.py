"""`/api/images/{sha256}`: an image of a prompt, for the pages that show the prompt."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from unspool.core import Core
from unspool.records.images import find_images

HEADERS = {
    # The bytes belong to the digest, and no browser is to see anything else in them.
    "Cache-Control": "private, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/images", tags=["images"])

    @router.get("/{sha256}", response_class=Response)
    async def read(sha256: Annotated[str, Path(pattern="^[0-9a-f]{64}$")]) -> Response:
        """Read an image by the digest that the input of a run names."""
        image = (await find_images(core.records, [sha256]))[sha256]
        return Response(image.data, media_type=image.type, headers=HEADERS)

    return router
