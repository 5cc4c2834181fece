"""`/api/v1/projects/`: story projects, their stages, and all results of these (S4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from unspool.core import Core
from unspool.dialects import Options
from unspool.errors import NotReady
from unspool.runs.fork import Changes
from unspool.viewing.streams import first_stream_of

from ..exports import Format, exported, plan_of
from ..records import (
    MAX_NAME_CHARS,
    MAX_TEXT_CHARS,
    StageKind,
    add_project,
    change_project,
    current_results,
    find_project,
    find_result,
    list_projects,
    remove_project,
    results_of,
    stages_of,
)
from .project_edits import ItemEdit, edit_item, edit_stage
from .project_json import (
    brief_json,
    diff_json,
    project_json,
    result_json,
    stage_json,
    words_of,
)

ProjectId = Annotated[int, Path(alias="id", ge=1, lt=2**63)]
ResultId = Annotated[int, Path(alias="result", ge=1, lt=2**63)]
Kind = Annotated[StageKind, Path()]


class ProjectInput(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str = Field(min_length=1, max_length=MAX_NAME_CHARS, examples=["测试项目"])
    original_topic: str = Field("", max_length=MAX_TEXT_CHARS)


class ProjectChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, min_length=1, max_length=MAX_NAME_CHARS)
    original_topic: str | None = Field(None, max_length=MAX_TEXT_CHARS)


class StageChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(None, max_length=128)
    """Model or route that writes it; empty: the default."""
    input_text: str | None = Field(None, max_length=MAX_TEXT_CHARS)
    """For `rewrite`: a text of its own, instead of the topic."""
    result_text: str | None = Field(None, min_length=1, max_length=MAX_TEXT_CHARS)
    """For `rewrite`: a person's version of the result."""
    result_id: int | None = Field(None, ge=1, lt=2**63)
    """An earlier result to make current again."""
    item: ItemEdit | None = None
    """A scene or a movement as a person wants it; the result with it becomes a new one."""


def both(add: Callable[..., Any], path: str, **more: Any) -> Callable[[Any], Any]:
    """Route a path with and without its final slash: clients that post do not follow a 307."""

    def adding(answer: Any) -> Any:
        add(f"{path}/", **more)(answer)
        add(path, include_in_schema=False, **more)(answer)
        return answer

    return adding


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/v1/projects", tags=["story projects (S4)"])
    _add_projects(core, router)
    _add_stages(core, router)
    _add_history(core, router)
    return router


def _add_projects(core: Core, router: APIRouter) -> None:
    records = core.records

    @both(router.get, "")
    async def list_all(
        before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> dict[str, Any]:
        """List projects and how far they are, newest first; `next`: `before` of the next page."""
        page = await list_projects(records, before=before, limit=limit)
        more = page[-1].id if len(page) == limit else None
        return {"projects": await brief_json(core, page), "next": more}

    @both(router.post, "", status_code=201)
    async def add(definition: ProjectInput) -> JSONResponse:
        """Create a project with its stages."""
        project = await add_project(records, definition.name, definition.original_topic)
        headers = {"Location": f"/api/v1/projects/{project.id}/"}
        return JSONResponse(await _whole(core, project.id), 201, headers=headers)

    @both(router.get, "/{id}")
    async def read(project: ProjectId) -> dict[str, Any]:
        """Return a project with its stages."""
        return await _whole(core, project)

    @both(router.patch, "/{id}")
    async def change(project: ProjectId, changes: ProjectChange) -> dict[str, Any]:
        """Change the name or the topic of a project."""
        await change_project(records, project, changes.model_dump(exclude_none=True))
        return await _whole(core, project)

    @both(router.delete, "/{id}", status_code=204)
    async def remove(project: ProjectId) -> Response:
        """Delete a project with its stages and results; its runs stay."""
        await remove_project(records, project)
        return Response(status_code=204)


def _add_stages(core: Core, router: APIRouter) -> None:
    records = core.records

    @both(router.get, "/{id}/stages/{kind}")
    async def read_stage(project: ProjectId, kind: Kind) -> dict[str, Any]:
        """Return a stage with its current result."""
        return await _stage(core, project, kind)

    @both(router.patch, "/{id}/stages/{kind}")
    async def change(project: ProjectId, kind: Kind, changes: StageChange) -> dict[str, Any]:
        """Choose a model, give an input text, edit a result, or go back to an earlier one."""
        if changes.model:
            core.catalog.check(changes.model)
        fields = changes.model_dump(exclude_none=True, exclude={"item"})
        await edit_stage(records, project, kind, fields)
        if changes.item is not None:
            await edit_item(records, project, kind, changes.item)
        return await _stage(core, project, kind)

    @both(router.post, "/{id}/stages/{kind}/pause")
    async def pause(project: ProjectId, kind: Kind) -> dict[str, Any]:
        """Stop the run that writes a stage; its text so far stays, and `resume` continues it."""
        run_id = await _run_of(core, project, kind)
        await core.runner.cancel(run_id, reason="paused by a client")
        return await _stage(core, project, kind)

    @both(router.post, "/{id}/stages/{kind}/resume")
    async def resume(project: ProjectId, kind: Kind, options: Options) -> Response:
        """Continue a paused or failed stage where its text ends; the answer is the stream."""
        run_id = await _run_of(core, project, kind)
        stage = await _stage(core, project, kind)
        if stage["status"] not in {"paused", "failed"}:
            raise NotReady(
                f"the stage {kind} is {stage['status']}; only a paused or failed one can resume"
            )
        dialect = (await core.journal.head(run_id)).dialect
        fork = await core.admission.fork(run_id, Changes(), options)
        return await first_stream_of(core.viewing, fork, dialect, options)


def _add_history(core: Core, router: APIRouter) -> None:
    records = core.records

    @both(router.get, "/{id}/history")
    async def history(
        project: ProjectId, stage: Annotated[StageKind | None, Query()] = None
    ) -> dict[str, Any]:
        """List the results of one stage or of all, newest first."""
        await find_project(records, project)
        results = await results_of(records, project, stage)
        return {"results": [result_json(result) for result in results]}

    @both(router.get, "/{id}/history/{result}")
    async def read(project: ProjectId, result: ResultId) -> dict[str, Any]:
        """Return a result with its prompt and metadata."""
        return result_json(await find_result(records, project, result), whole=True)

    @both(router.get, "/{id}/history/{result}/diff")
    async def diff(
        project: ProjectId,
        result: ResultId,
        against: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    ) -> dict[str, Any]:
        """Compare a result with another one (`against`), or with its original text."""
        new = await find_result(records, project, result)
        old = None if against is None else await find_result(records, project, against)
        before = new.original_text if old is None else words_of(old)
        return await diff_json(before, words_of(new))

    @both(router.get, "/{id}/export")
    async def export(
        project: ProjectId, form: Annotated[Format, Query(alias="format")] = "md"
    ) -> Response:
        """Download the film plan as Markdown, a shot list (CSV), subtitles (SRT) or Fountain."""
        found = await find_project(records, project)
        plan = plan_of(found.name, found.original_topic, await current_results(records, project))
        text, kind = exported(plan, form)
        named = quote(f"{found.name}.{form}", safe="")
        headers = {
            "Content-Disposition": f'attachment; filename="story-{project}.{form}"; '
            f"filename*=UTF-8''{named}",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(text, media_type=kind, headers=headers)


async def _run_of(core: Core, project: int, kind: StageKind) -> str:
    await find_project(core.records, project)
    (stage,) = [s for s in await stages_of(core.records, project) if s.kind == kind]
    if not stage.run_id:
        raise NotReady(f"no run has worked on the stage {kind} yet; start one ({kind}-stream)")
    return stage.run_id


async def _stage(core: Core, project: int, kind: StageKind) -> dict[str, Any]:
    whole = await _whole(core, project)
    return next(dict(stage) for stage in whole["stages"] if stage["stage_type"] == kind)


async def _whole(core: Core, project_id: int) -> dict[str, Any]:
    project = await find_project(core.records, project_id)
    stages = await stage_json(core, project)
    return project_json(project) | {"stages": stages}
