"""
Story projects, their stages, and all results of each stage.

A stage has a status and points at its current result. Results are only added, so going back means
pointing at an earlier one. A result stores the digest of its sources; if the sources have changed
since, it is stale, and so is every result after it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

import msgspec
from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from unspool.errors import AlreadyRunning, SpecError, UnknownRecord
from unspool.records import Base, Records, hold, insert_into

StageKind = Literal["rewrite", "storyboard", "camera"]
"""In order: each stage works on the result of the one before it."""

STAGES: Final[tuple[StageKind, ...]] = get_args(StageKind)

StageStatus = Literal["pending", "queued", "running", "completed", "paused", "failed"]

MAX_NAME_CHARS: Final = 200
MAX_TEXT_CHARS: Final = 200_000
"""Of a topic, an input or an edited result: a short novel."""

MAX_PAGE_ROWS: Final = 500

EDITED: Final = "edited"
"""Stands in the place of a model's name if a person wrote the result."""


def _now_ms() -> int:
    return int(time.time() * 1000)


class Project(Base):
    __tablename__ = "projects"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's name

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(MAX_NAME_CHARS))
    original_topic: Mapped[str] = mapped_column(Text, default="")
    created_ms: Mapped[int] = mapped_column(BigInteger, default=_now_ms)
    updated_ms: Mapped[int] = mapped_column(BigInteger, default=_now_ms, onupdate=_now_ms)


class Stage(Base):
    __tablename__ = "stages"

    project_id: Mapped[int] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    status: Mapped[str] = mapped_column(String(16), default="pending")
    run_id: Mapped[str] = mapped_column(String(64), default="")
    """The newest run that worked on it."""
    model: Mapped[str] = mapped_column(String(128), default="")
    """Model or route that writes it; empty: the default."""
    input_text: Mapped[str] = mapped_column(Text, default="")
    """For `rewrite`: a text of its own, instead of the project's topic."""
    result_id: Mapped[int | None] = mapped_column(default=None)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    updated_ms: Mapped[int] = mapped_column(BigInteger, default=_now_ms, onupdate=_now_ms)


class StageResult(Base):
    """A result of any stage; the seed's ContentRewrite."""

    __tablename__ = "stage_results"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    run_id: Mapped[str | None] = mapped_column(String(64), default=None)
    """None: a person wrote it."""
    original_text: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    """The rewritten text; for the other stages, the model's answer."""
    items: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    """Scenes, or camera movements."""
    model: Mapped[str] = mapped_column(String(260), default="")
    prompt: Mapped[str] = mapped_column(Text, default="")
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    made_of: Mapped[str] = mapped_column(String(64))
    """Digest of its sources (`digest_of`)."""
    created_ms: Mapped[int] = mapped_column(BigInteger, default=_now_ms)

    __table_args__ = (
        Index(None, "project_id", "kind"),
        Index("uq_stage_results_run_id_kind", "run_id", "kind", unique=True),
    )


def digest_of(*parts: Any) -> str:
    """Return a digest of some sources."""
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


# Projects


async def add_project(records: Records, name: str, topic: str) -> Project:
    """Store a new project with its stages."""
    async with records.session() as session:
        project = Project(name=name, original_topic=topic)
        session.add(project)
        await session.flush()
        session.add_all(Stage(project_id=project.id, kind=kind) for kind in STAGES)
        await session.commit()
    return project


async def list_projects(records: Records, *, before: int | None, limit: int) -> list[Project]:
    """Return projects, newest first; `before` is the last id of the previous page."""
    newest = select(Project).order_by(Project.id.desc()).limit(min(limit, MAX_PAGE_ROWS))
    if before is not None:
        newest = newest.where(Project.id < before)
    async with records.session() as session:
        return list(await session.scalars(newest))


async def find_project(records: Records, project_id: int) -> Project:
    """
    Return the project with this id.

    Raises:
        UnknownRecord: There is none.
    """
    async with records.session() as session:
        found = await session.get(Project, project_id)
    if found is None:
        raise UnknownRecord(f"no project {project_id}; `GET /api/v1/projects/` lists them")
    return found


async def change_project(records: Records, project_id: int, values: dict[str, Any]) -> Project:
    """
    Change columns of a project, and return it.

    Raises:
        UnknownRecord: There is no such project.
    """
    await find_project(records, project_id)
    if values:
        async with records.session() as session:
            await session.execute(update(Project).where(Project.id == project_id).values(**values))
            await session.commit()
    return await find_project(records, project_id)


async def remove_project(records: Records, project_id: int) -> None:
    """
    Delete a project with its stages and results; its runs stay.

    Raises:
        UnknownRecord: There is no such project.
        SpecError: A run is writing one of its stages.
    """
    await find_project(records, project_id)
    async with records.session() as session:
        await hold(session, _subject(project_id))
        live = select(Stage.kind).where(Stage.project_id == project_id, Stage.status == "running")
        if (running := await session.scalar(live)) is not None:
            raise SpecError(f"a run is writing the stage {running}; pause it first")
        await session.execute(delete(Project).where(Project.id == project_id))
        await session.commit()


# Stages


async def stages_of(records: Records, project_id: int) -> list[Stage]:
    """Return the stages of a project, in their order."""
    async with records.session() as session:
        rows = await session.scalars(select(Stage).where(Stage.project_id == project_id))
        return sorted(rows, key=lambda stage: STAGES.index(stage.kind))


async def stages_by_project(records: Records, project_ids: Sequence[int]) -> dict[int, list[Stage]]:
    """Return the stages of some projects, in their order."""
    wanted = select(Stage).where(Stage.project_id.in_(project_ids))
    found: dict[int, list[Stage]] = {project_id: [] for project_id in project_ids}
    async with records.session() as session:
        for stage in await session.scalars(wanted):
            found[stage.project_id].append(stage)
    for stages in found.values():
        stages.sort(key=lambda stage: STAGES.index(stage.kind))
    return found


async def change_stage(
    records: Records, project_id: int, kind: StageKind, values: dict[str, Any]
) -> None:
    """Change columns of a stage."""
    async with records.session() as session:
        await session.execute(
            update(Stage).where(Stage.project_id == project_id, Stage.kind == kind).values(**values)
        )
        await session.commit()


async def claim_stages(
    records: Records,
    project_id: int,
    kinds: Sequence[StageKind],
    run_id: str,
    *,
    input_text: str | None = None,
) -> str | None:
    """
    Claim stages for a run: the first becomes `running`, the others `queued`.

    `input_text` becomes that of `rewrite`; None leaves it as it is.

    Idempotent. If another run has one of them, return its id and change nothing.
    """
    async with records.session() as session:
        await hold(session, _subject(project_id))  # so that two runs claim one after the other
        mine = (Stage.project_id == project_id, Stage.kind.in_(kinds))
        busy = select(Stage.run_id).where(
            *mine, Stage.status.in_(("running", "queued")), Stage.run_id != run_id
        )
        if (other := await session.scalar(busy)) is not None:
            return other
        for number, kind in enumerate(kinds):
            values = {"run_id": run_id, "status": "queued" if number else "running"}
            if kind == "rewrite" and input_text is not None:
                values["input_text"] = input_text
            taking = update(Stage).where(Stage.project_id == project_id, Stage.kind == kind)
            await session.execute(taking.values(**values, error=None))
        await session.commit()
    return None


async def hold_idle(session: AsyncSession, project_id: int, kind: StageKind) -> None:
    """
    Keep runs from claiming a stage, up to the end of this transaction. Call it first.

    Raises:
        AlreadyRunning: A run is writing the stage.
    """
    await hold(session, _subject(project_id))
    busy = select(Stage.run_id).where(
        Stage.project_id == project_id,
        Stage.kind == kind,
        Stage.status.in_(("running", "queued")),
    )
    if (run_id := await session.scalar(busy)) is not None:
        raise AlreadyRunning(f"the stage {kind}", run_id)


def _subject(project_id: int) -> str:
    """Return what is held by those who claim stages of a project, or remove it."""
    return f"project {project_id}"


# Results


async def results_of(
    records: Records, project_id: int, kind: StageKind | None = None
) -> list[StageResult]:
    """Return the results of one stage or of all, newest first."""
    newest = select(StageResult).where(StageResult.project_id == project_id)
    if kind is not None:
        newest = newest.where(StageResult.kind == kind)
    async with records.session() as session:
        rows = await session.scalars(newest.order_by(StageResult.id.desc()).limit(MAX_PAGE_ROWS))
        return list(rows)


async def find_result(records: Records, project_id: int, result_id: int) -> StageResult:
    """
    Return the result with this id.

    Raises:
        UnknownRecord: The project has none.
    """
    async with records.session() as session:
        found = await session.get(StageResult, result_id)
    if found is None or found.project_id != project_id:
        raise UnknownRecord(
            f"no result {result_id} in project {project_id}; "
            f"`GET /api/v1/projects/{project_id}/history/` lists them"
        )
    return found


async def current_results(records: Records, project_id: int) -> dict[StageKind, StageResult]:
    """Return the current result of each stage that has one."""
    found: Any = await results_by_project(records, [project_id])
    return dict(found.get(project_id, {}))


async def results_by_project(
    records: Records, project_ids: Sequence[int]
) -> dict[int, dict[str, StageResult]]:
    """Return the current result of each stage of some projects that has one."""
    chosen = (
        select(StageResult)
        .join(Stage, Stage.result_id == StageResult.id)
        .where(Stage.project_id.in_(project_ids))
    )
    found: dict[int, dict[str, StageResult]] = {}
    async with records.session() as session:
        for row in await session.scalars(chosen):
            found.setdefault(row.project_id, {})[row.kind] = row
    return found


async def add_result(session: AsyncSession, values: dict[str, Any]) -> int:
    """Add a result, once per run and stage, and return its id. The caller commits."""
    adding = insert_into(session, StageResult).values(created_ms=_now_ms(), **values)
    await session.execute(adding.on_conflict_do_nothing(index_elements=["run_id", "kind"]))
    mine = select(StageResult.id).where(
        StageResult.run_id == values["run_id"], StageResult.kind == values["kind"]
    )
    found: int | None = await session.scalar(mine)
    assert found is not None
    return found


async def point_at(session: AsyncSession, result: StageResult | dict[str, Any], id_: int) -> None:
    """Make a result the current one of its stage. The caller commits."""
    columns = result if isinstance(result, dict) else vars(result)
    pointing = update(Stage).where(
        Stage.project_id == columns["project_id"], Stage.kind == columns["kind"]
    )
    await session.execute(pointing.values(result_id=id_, status="completed", error=None))
