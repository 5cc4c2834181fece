"""
The log of sales copy, a row per run, and the outcomes of runs.

The row comes from its run when that ends, under the run's id. People set the outcome, for runs of
any flow. Both stay when runs are deleted: reports cover months, texts do not.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from sqlalchemy import BigInteger, Double, Index, String, cast, func, select
from sqlalchemy.orm import Mapped, mapped_column

from unspool.records import Base, Records, insert_into
from unspool.records.products import Product

MAX_RUN_ID_CHARS: Final = 64

MAX_PAGE_ROWS: Final = 500

MAX_PARTS: Final = 20
"""Styles or categories in a report; further ones hold a handful of runs."""


class CopyRow(Base):
    __tablename__ = "copies"

    run_id: Mapped[str] = mapped_column(String(MAX_RUN_ID_CHARS), primary_key=True)
    sku: Mapped[str] = mapped_column(String(64))
    style: Mapped[str] = mapped_column(String(32))
    user_id: Mapped[str] = mapped_column(String(64), default="")
    experiment: Mapped[str] = mapped_column(String(64), default="")
    arm: Mapped[str] = mapped_column(String(64), default="")
    status: Mapped[str] = mapped_column(String(16))
    models: Mapped[list[str]] = mapped_column(default=list)
    """Writers of the posts, as steps have them: `qwen`, `template`, `qwen+template`."""
    first_token_ms: Mapped[int | None] = mapped_column(BigInteger, default=None)
    total_ms: Mapped[int] = mapped_column(BigInteger)
    created_ms: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        Index(None, "experiment", "arm"),
        Index(None, "created_ms"),
        Index(None, "sku", "style", "user_id"),
        Index(None, "user_id", "created_ms"),
    )


class OutcomeRow(Base):
    __tablename__ = "outcomes"

    run_id: Mapped[str] = mapped_column(String(MAX_RUN_ID_CHARS), primary_key=True)
    is_adopted: Mapped[bool]
    step: Mapped[str] = mapped_column(String(128), default="")
    """The adopted part; empty: all of it."""
    at_ms: Mapped[int] = mapped_column(BigInteger)


@dataclass(frozen=True, slots=True)
class StoredCopy:
    """See `CopyRow`."""

    run_id: str
    sku: str
    style: str
    user_id: str
    experiment: str
    arm: str
    status: str
    models: list[str]
    first_token_ms: int | None
    total_ms: int
    created_ms: int


@dataclass(frozen=True, slots=True)
class ArmCount:
    """The figures of one arm."""

    arm: str
    shown: int
    """Runs that were completed."""
    judged: int
    """Completed runs with an outcome."""
    adopted: int
    total_ms: float | None
    """Mean time of a run."""


async def keep_copy(records: Records, copied: StoredCopy) -> None:
    """Write a row, once: a second call changes nothing."""
    async with records.session() as session:
        adding = insert_into(session, CopyRow).values(**asdict(copied))
        await session.execute(adding.on_conflict_do_nothing(index_elements=["run_id"]))
        await session.commit()


async def count_runs(records: Records, sku: str, style: str, user_id: str) -> int:
    """Return how many runs there were for a product, a style and a reader (empty: for nobody)."""
    wanted = select(func.count()).where(
        CopyRow.sku == sku, CopyRow.style == style, CopyRow.user_id == user_id
    )
    async with records.session() as session:
        return await session.scalar(wanted) or 0


async def keep_outcome(records: Records, run_id: str, *, is_adopted: bool, step: str) -> None:
    """Set the outcome of a run; it replaces an earlier one."""
    fields = {"is_adopted": is_adopted, "step": step, "at_ms": int(time.time() * 1000)}
    async with records.session() as session:
        adding = insert_into(session, OutcomeRow).values(run_id=run_id, **fields)
        await session.execute(adding.on_conflict_do_update(index_elements=["run_id"], set_=fields))
        await session.commit()


async def list_copies(
    records: Records,
    *,
    before_ms: int | None = None,
    experiment: str = "",
    runs: Sequence[str] = (),
    limit: int = 50,
) -> list[tuple[CopyRow, OutcomeRow | None]]:
    """
    Return rows with their outcomes, newest first; `limit` is cut to `MAX_PAGE_ROWS`.

    `runs` are the only ones that are wanted; empty: all.
    """
    wanted = select(CopyRow, OutcomeRow).outerjoin(OutcomeRow, OutcomeRow.run_id == CopyRow.run_id)
    if before_ms is not None:
        wanted = wanted.where(CopyRow.created_ms < before_ms)
    if experiment:
        wanted = wanted.where(CopyRow.experiment == experiment)
    if runs:
        wanted = wanted.where(CopyRow.run_id.in_(runs))
    newest = wanted.order_by(CopyRow.created_ms.desc(), CopyRow.run_id.desc())
    async with records.session() as session:
        rows = await session.execute(newest.limit(max(0, min(limit, MAX_PAGE_ROWS))))
        return [(copy, outcome) for copy, outcome in rows]


async def arm_before(records: Records, experiment: str, user_id: str) -> str:
    """Return the arm of a person's first run in an experiment; empty: there is none."""
    wanted = (
        select(CopyRow.arm)
        .where(CopyRow.user_id == user_id, CopyRow.experiment == experiment)
        .order_by(CopyRow.created_ms)
        .limit(1)
    )
    async with records.session() as session:
        return await session.scalar(wanted) or ""


async def count_arms(records: Records, experiment: str) -> Sequence[ArmCount]:
    """Return the figures of each arm that has completed a run."""
    wanted = _counted(experiment, CopyRow.arm).group_by(CopyRow.arm)
    async with records.session() as session:
        return [ArmCount(*row) for row in await session.execute(wanted)]


async def count_parts(
    records: Records, experiment: str, by: Literal["style", "category"]
) -> dict[str, list[ArmCount]]:
    """Return the same by style, or by category of the product; the most frequent ones."""
    part: Any = CopyRow.style if by == "style" else func.coalesce(Product.category, "")
    wanted = _counted(experiment, part, CopyRow.arm).group_by(part, CopyRow.arm)
    if by == "category":
        wanted = wanted.outerjoin(Product, Product.sku == CopyRow.sku)
    parts: dict[str, list[ArmCount]] = {}
    async with records.session() as session:
        ordered = wanted.order_by(func.count().desc(), part, CopyRow.arm)
        for name, *row in await session.execute(ordered.limit(MAX_PAGE_ROWS)):
            parts.setdefault(name, []).append(ArmCount(*row))
    return dict(list(parts.items())[:MAX_PARTS])


def _counted(experiment: str, *parts: Any) -> Any:
    return (
        select(
            *parts,
            func.count(),
            func.count(OutcomeRow.run_id),
            func.count().filter(OutcomeRow.is_adopted),
            func.avg(cast(CopyRow.total_ms, Double)),  # of whole numbers it may be a decimal
        )
        .select_from(CopyRow)
        .outerjoin(OutcomeRow, OutcomeRow.run_id == CopyRow.run_id)
        .where(CopyRow.experiment == experiment, CopyRow.status == "completed")
    )
