"""Edits of a stage by people: a text of their own, or an earlier result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unspool.errors import AlreadyRunning, NotReady, SpecError
from unspool.records import Records

from ..records import (
    EDITED,
    StageKind,
    StageResult,
    change_stage,
    current_results,
    find_project,
    find_result,
    point_at,
    stages_of,
)


async def edit_stage(
    records: Records, project_id: int, kind: StageKind, fields: Mapping[str, Any]
) -> None:
    """
    Apply the given fields: `model`, `input_text`, `result_text`, `result_id`.

    Raises:
        UnknownRecord, NotReady, AlreadyRunning: As for `edit` and `go_back`.
        SpecError: The stage is not `rewrite`, which alone has a text of its own.
    """
    await find_project(records, project_id)
    if kind != "rewrite" and {"input_text", "result_text"} & fields.keys():
        raise SpecError(f"the stage {kind} has no text of its own; edit that of rewrite")
    values = {name: fields[name] for name in ("model", "input_text") if name in fields}
    if values:
        await change_stage(records, project_id, kind, values)
    if "result_text" in fields:
        await edit(records, project_id, kind, fields["result_text"])
    if "result_id" in fields:
        await go_back(records, project_id, kind, fields["result_id"])


async def edit(records: Records, project_id: int, kind: StageKind, text: str) -> None:
    """
    Make a person's text the stage's result; its sources stay those of the edited one.

    Raises:
        NotReady: There is no result to edit.
        AlreadyRunning: A run is writing the stage.
    """
    await _check_idle(records, project_id, kind)
    old = (await current_results(records, project_id)).get(kind)
    if old is None:
        raise NotReady(f"the stage {kind} has no result to edit yet; write it first")
    new = StageResult(
        project_id=project_id,
        kind=kind,
        run_id=None,
        original_text=old.original_text,
        text=text,
        items=[],
        model=EDITED,
        prompt="",
        details={"edited": old.id, "wish": old.details.get("wish", "")},
        made_of=old.made_of,
    )
    async with records.session() as session:
        session.add(new)
        await session.flush()
        await point_at(session, {"project_id": project_id, "kind": kind}, new.id)
        await session.commit()


async def go_back(records: Records, project_id: int, kind: StageKind, result_id: int) -> None:
    """
    Make an earlier result the current one again.

    Raises:
        UnknownRecord: There is no such result.
        SpecError: The result belongs to another stage.
        AlreadyRunning: A run is writing the stage.
    """
    await _check_idle(records, project_id, kind)
    result = await find_result(records, project_id, result_id)
    if result.kind != kind:
        raise SpecError(
            f"the result {result_id} belongs to {result.kind}, not to {kind}; choose one of {kind}"
        )
    async with records.session() as session:
        await point_at(session, {"project_id": project_id, "kind": kind}, result.id)
        await session.commit()


async def _check_idle(records: Records, project_id: int, kind: StageKind) -> None:
    for stage in await stages_of(records, project_id):
        if stage.kind == kind and stage.status in {"running", "queued"}:
            raise AlreadyRunning(f"the stage {kind}", stage.run_id)
