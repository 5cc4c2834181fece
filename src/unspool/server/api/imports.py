"""`/api/imports`: files of products, behaviours and people, uploaded and imported."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import FileResponse, JSONResponse, Response

from unspool.core import Core
from unspool.records.csv_import.shelves import Upload

FILE_TYPES = ("text/csv", "application/gzip", "application/octet-stream")
"""No form of a page on another site can send one of these without being asked."""

Mapping = dict[str, dict[str, str]]


class ImportView(BaseModel):
    model_config = ConfigDict(extra="forbid")

    mapping: Mapping = Field(default_factory=dict, max_length=3)
    """For each kind our columns, each with its header in the file."""
    time_zone: str = Field("", max_length=64)
    """The shop's time zone; empty: `UNSPOOL_TIME_ZONE`."""


class ImportStart(ImportView):
    kinds: list[str] = Field(min_length=1, max_length=3)
    """`products`, `behaviors`, `people`; one file may hold several."""


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/imports", tags=["imports"])
    uploads = core.uploads

    @router.get("")
    async def list_uploads() -> dict[str, Any]:
        """List the uploads, newest first."""
        shown = [_upload_json(upload) for upload in await uploads.listed()]
        return {"imports": shown, "time_zone": core.settings.time_zone}

    @router.post("", status_code=201)
    async def upload_file(
        request: Request, name: Annotated[str, Query(max_length=200)] = "file.csv"
    ) -> Response:
        """Take in a CSV file, packed with gzip or not; it is the body of the request."""
        if request.headers.get("content-type", "").split(";")[0] not in FILE_TYPES:
            raise HTTPException(415, f"send it as {' or '.join(FILE_TYPES)}")
        upload = await uploads.receive(name, request.stream())
        view = await uploads.look(upload)
        body = {**_upload_json(upload), "preview": view}
        return JSONResponse(body, 201, {"location": f"/api/imports/{upload.id}"})

    @router.get("/{id}")
    async def read_upload(id: str) -> dict[str, Any]:
        """Return an upload and how far its import is."""
        return _upload_json(await uploads.find(id))

    @router.post("/{id}/preview")
    async def preview(id: str, view: ImportView) -> dict[str, Any]:
        """Return the first rows, and how they would be stored with this mapping."""
        return await uploads.look(await uploads.find(id), view.mapping, view.time_zone)

    @router.post("/{id}/start", status_code=202)
    async def start(id: str, wanted: ImportStart) -> dict[str, Any]:
        """Start the import."""
        started = await uploads.begin(id, wanted.kinds, wanted.mapping, wanted.time_zone)
        return _upload_json(started)

    @router.post("/{id}/cancel")
    async def cancel(id: str) -> dict[str, Any]:
        """Stop the import; what is stored stays."""
        return _upload_json(await uploads.cancel(id))

    @router.get("/{id}/rejected")
    async def rejected(id: str) -> Response:
        """Return the rejected rows as CSV: kind, line, reason, and the row itself."""
        path = await uploads.rejected(id)
        return FileResponse(path, media_type="text/csv", filename="rejected.csv")

    @router.delete("/{id}", status_code=204)
    async def remove(id: str) -> None:
        """Delete the file; what it brought stays."""
        await uploads.remove(id)

    return router


def _upload_json(upload: Upload) -> dict[str, Any]:
    return asdict(upload)
