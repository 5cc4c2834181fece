"""`/api/presets`: store, change and remove prompts for repeated use."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Path
from pydantic import Field
from sqlalchemy.exc import IntegrityError
from starlette.responses import JSONResponse, Response

from unspool.core import Core
from unspool.errors import SpecError
from unspool.formats.written import Params, StrictInput, validated
from unspool.records import Records
from unspool.records.presets import (
    MAX_NAME_CHARS,
    PresetRow,
    PresetVersionRow,
    change_preset,
    count_presets,
    find_preset,
    find_version,
    list_presets,
    list_versions,
    remove_preset,
    save_preset,
)

from .json.places import place
from .json.run import iso
from .models import MAX_NUMBER

MAX_PRESETS: Final = 1000
"""Most presets: nobody finds one in a longer list."""

FIELD: Final = re.compile(r"\{\{\s*(\w{1,64})\s*\}\}")
"""A variable to fill in: `{{topic}}`."""

Number = Annotated[int, Path(alias="id", ge=1, le=MAX_NUMBER)]


class Preset(StrictInput):
    name: str = Field(min_length=1, max_length=MAX_NAME_CHARS, pattern=r"^\P{Cc}+$")
    system_prompt: str = Field("", max_length=50_000)
    prompt: str = Field("", max_length=200_000, examples=["用三句话介绍{{topic}}"])
    """A template: its user fills in `{{topic}}`."""
    params: Params = Field(default_factory=dict)
    """Parameters for the model: `temperature`, `max_tokens` …"""


class Filling(StrictInput):
    variables: dict[str, Annotated[str, Field(max_length=200_000)]] = Field(
        default_factory=dict, max_length=200
    )
    """A value for each variable."""
    version: int | None = Field(None, ge=1, le=MAX_NUMBER)
    """None: the present one."""


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/presets", tags=["presets"])
    records = core.records

    @router.get("")
    async def all_presets() -> dict[str, Any]:
        """List every preset, by number."""
        return {"presets": [preset_json(row) for row in await list_presets(records)]}

    @router.post("", status_code=201)
    async def add_preset(preset: Preset) -> JSONResponse:
        """Store a preset."""
        if await count_presets(records) >= MAX_PRESETS:
            raise SpecError(f"there are {MAX_PRESETS} presets already; remove one first")
        number = await save_preset(records, preset.model_dump())
        if number is None:
            raise _name_taken(preset.name)
        headers = {"Location": place("/api/presets", number)}
        return JSONResponse(preset_json(await find_preset(records, number)), 201, headers=headers)

    @router.get("/{id}")
    async def read_preset(number: Number) -> dict[str, Any]:
        """Read one preset."""
        return preset_json(await find_preset(records, number))

    @router.patch("/{id}")
    async def alter_preset(
        number: Number, values: Annotated[dict[str, Any], Body()]
    ) -> dict[str, Any]:
        """Change the given fields of a preset; the others stay."""
        await _alter(records, number, values)
        return preset_json(await find_preset(records, number))

    @router.delete("/{id}", status_code=204)
    async def delete_preset(number: Number) -> Response:
        """Remove a preset."""
        await remove_preset(records, number)
        return Response(status_code=204)

    _add_versions(router, records)
    return router


async def _alter(records: Records, number: int, values: dict[str, Any]) -> None:
    row = await find_preset(records, number)
    before = {name: getattr(row, name) for name in Preset.model_fields}
    preset = validated(Preset, {**before, **values})
    changes = {name: it for name, it in preset.model_dump().items() if name in values}
    try:
        if changes:
            await change_preset(records, number, changes)
    except IntegrityError:
        raise _name_taken(preset.name) from None


def _add_versions(router: APIRouter, records: Records) -> None:
    @router.get("/{id}/versions")
    async def read_versions(number: Number) -> dict[str, Any]:
        """List every version of a preset, newest first; the first one is the present one."""
        row = await find_preset(records, number)
        earlier = [_version_json(each) for each in await list_versions(records, number)]
        return {"versions": [_version_json(row), *earlier]}

    @router.post("/{id}/fill")
    async def fill_preset(number: Number, filling: Filling) -> dict[str, Any]:
        """Return a preset, or a version of it, with values in place of its variables."""
        row: PresetRow | PresetVersionRow = await find_preset(records, number)
        if filling.version is not None and filling.version != row.version:
            row = await find_version(records, number, filling.version)
        missing = [name for name in _variables(row) if name not in filling.variables]
        if missing:
            raise SpecError(f"values are missing for the variables {', '.join(missing)}")

        def filled(text: str) -> str:
            return FIELD.sub(lambda found: filling.variables[found[1]], text)

        prompt, system = filled(row.prompt), filled(row.system_prompt)
        facts = {"version": row.version, "prompt": prompt, "system_prompt": system}
        return {**facts, "params": row.params}


def preset_json(row: PresetRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "system_prompt": row.system_prompt,
        "prompt": row.prompt,
        "variables": _variables(row),
        "version": row.version,
        "params": row.params,
        "created_at": iso(row.created_ms),
        "updated_at": iso(row.updated_ms),
    }


def _variables(row: PresetRow | PresetVersionRow) -> list[str]:
    return list(dict.fromkeys(FIELD.findall(row.prompt) + FIELD.findall(row.system_prompt)))


def _version_json(row: PresetRow | PresetVersionRow) -> dict[str, Any]:
    begun_ms = row.updated_ms if isinstance(row, PresetRow) else row.created_ms
    return {
        "version": row.version,
        "system_prompt": row.system_prompt,
        "prompt": row.prompt,
        "variables": _variables(row),
        "params": row.params,
        "created_at": iso(begun_ms),
    }


def _name_taken(name: str) -> SpecError:
    return SpecError(f"a preset named {name!r} exists already; choose another name")
