"""Edits of a stage by people: a text of their own, one scene or movement, or an earlier result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic import BaseModel, ConfigDict, Field

from unspool.errors import NotReady, SpecError, UnknownRecord
from unspool.records import Records

from ..film import MOVEMENTS, SHOT_SIZES
from ..records import (
    EDITED,
    StageKind,
    StageResult,
    change_stage,
    current_results,
    find_project,
    find_result,
    hold_idle,
    point_at,
)
from ..request import MAX_SCENE_S

_SCENE: Final = frozenset({"title", "description", "narration", "duration_s", "shot_size"})
_CAMERA: Final = frozenset({"movement", "reason"})


class ItemEdit(BaseModel):
    """A scene or a movement, changed by a person; fields that are left out stay as they are."""

    model_config = ConfigDict(extra="forbid")

    number: int = Field(ge=1, le=1000)
    """Of the scene, or of the scene of the movement."""
    title: str = Field("", max_length=200)
    description: str = Field("", min_length=1, max_length=4000)
    narration: str = Field("", max_length=4000)
    duration_s: float | None = Field(None, gt=0, le=MAX_SCENE_S)
    """None: unknown."""
    shot_size: str | None = Field(None, pattern=f"^({'|'.join(SHOT_SIZES)})$")
    movement: str = Field("", pattern=f"^({'|'.join(MOVEMENTS)})$")
    reason: str = Field("", max_length=1000)


async def edit_stage(
    records: Records, project_id: int, kind: StageKind, fields: Mapping[str, Any]
) -> None:
    """
    Apply the given fields: `model`, `input_text`, `result_text`, `result_id`.

    Raises:
        UnknownRecord, NotReady, AlreadyRunning: As for `edit_text` and `go_back`.
        SpecError: The stage is not `rewrite`, which alone has a text of its own.
    """
    await find_project(records, project_id)
    if kind != "rewrite" and {"input_text", "result_text"} & fields.keys():
        raise SpecError(f"the stage {kind} has no text of its own; edit that of rewrite")
    values = {name: fields[name] for name in ("model", "input_text") if name in fields}
    if values:
        await change_stage(records, project_id, kind, values)
    if "result_text" in fields:
        await edit_text(records, project_id, kind, fields["result_text"])
    if "result_id" in fields:
        await go_back(records, project_id, kind, fields["result_id"])


async def edit_text(records: Records, project_id: int, kind: StageKind, text: str) -> None:
    """
    Make a person's text the stage's result; its sources stay those of the edited one.

    Raises:
        NotReady: There is no result to edit.
        AlreadyRunning: A run is writing the stage.
    """
    old = await _editable(records, project_id, kind)
    await _replace(records, old, text, [], {})


async def edit_item(records: Records, project_id: int, kind: StageKind, changed: ItemEdit) -> None:
    """
    Make a result with one changed scene or movement the stage's own.

    What was found in that scene is left out: a person has written it since.

    Raises:
        NotReady, AlreadyRunning: As for `edit_text`.
        UnknownRecord: The result has no such scene.
        SpecError: The stage has no such field.
    """
    await find_project(records, project_id)
    fields = changed.model_dump(exclude_unset=True)
    number = fields.pop("number")
    known = {"storyboard": _SCENE, "camera": _CAMERA}.get(kind, frozenset())
    if not fields or fields.keys() - known:
        raise SpecError(f"an item of {kind} has the fields {sorted(known)}; send one of them")
    old = await _editable(records, project_id, kind)
    name = "number" if kind == "storyboard" else "scene"
    if number not in (numbers := [item[name] for item in old.items]):
        raise UnknownRecord(f"the stage {kind} has no scene {number}; it has {numbers}")
    items = [{**item, **fields} if item[name] == number else item for item in old.items]
    if "movement" in fields:  # the model's own word for another one
        for item in items:
            if item[name] == number:
                item.pop("movement_text", None)
    findings = [one for one in old.details.get("findings", []) if one.get("scene") != number]
    text = json.dumps({"scenes": items}, ensure_ascii=False, indent=1)
    kept = {"findings": findings, "characters": old.details.get("characters", [])}
    await _replace(records, old, text, items, {**kept, "scene": number})


async def _editable(records: Records, project_id: int, kind: StageKind) -> StageResult:
    async with records.session() as session:
        await hold_idle(session, project_id, kind)
    old = (await current_results(records, project_id)).get(kind)
    if old is None:
        raise NotReady(f"the stage {kind} has no result to edit yet; write it first")
    return old


async def _replace(
    records: Records,
    old: StageResult,
    text: str,
    items: list[dict[str, Any]],
    more: Mapping[str, Any],
) -> None:
    """Store a person's result, made of the same sources, and make it the current one."""
    new = StageResult(
        project_id=old.project_id,
        kind=old.kind,
        run_id=None,
        original_text=old.original_text,
        text=text,
        items=items,
        model=EDITED,
        prompt="",
        details={"edited": old.id, "wish": old.details.get("wish", ""), **more},
        made_of=old.made_of,
    )
    async with records.session() as session:
        await hold_idle(session, old.project_id, cast("StageKind", old.kind))
        session.add(new)
        await session.flush()
        await point_at(session, {"project_id": old.project_id, "kind": old.kind}, new.id)
        await session.commit()


async def go_back(records: Records, project_id: int, kind: StageKind, result_id: int) -> None:
    """
    Make an earlier result the current one again.

    Raises:
        UnknownRecord: There is no such result.
        SpecError: The result belongs to another stage.
        AlreadyRunning: A run is writing the stage.
    """
    result = await find_result(records, project_id, result_id)
    if result.kind != kind:
        raise SpecError(
            f"the result {result_id} belongs to {result.kind}, not to {kind}; choose one of {kind}"
        )
    async with records.session() as session:
        await hold_idle(session, project_id, kind)
        await point_at(session, {"project_id": project_id, "kind": kind}, result.id)
        await session.commit()
