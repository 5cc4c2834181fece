"""
The log of sales copy, a row per run, and the outcomes of runs.

The row comes from its run when that ends, under the run's id. People set the outcome, for runs of
any flow. Both stay when runs are deleted: reports cover months, texts do not.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, Index, String, func, select
from sqlalchemy.orm import Mapped, mapped_column

from unspool.records import Base, Records, insert_into

MAX_RUN_ID_CHARS: Final = 64

MAX_PAGE_ROWS: Final = 500


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

    __table_args__ = (Index(None, "experiment", "arm"), Index(None, "created_ms"))


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


async def keep_outcome(records: Records, run_id: str, *, is_adopted: bool, step: str) -> None:
    """Set the outcome of a run; it replaces an earlier one."""
    fields = {"is_adopted": is_adopted, "step": step, "at_ms": int(time.time() * 1000)}
    async with records.session() as session:
        adding = insert_into(session, OutcomeRow).values(run_id=run_id, **fields)
        await session.execute(adding.on_conflict_do_update(index_elements=["run_id"], set_=fields))
        await session.commit()


async def list_copies(
    records: Records, *, before_ms: int | None = None, experiment: str = "", limit: int = 50
) -> list[tuple[CopyRow, OutcomeRow | None]]:
    """Return rows with their outcomes, newest first; `limit` is cut to `MAX_PAGE_ROWS`."""
    wanted = select(CopyRow, OutcomeRow).outerjoin(OutcomeRow, OutcomeRow.run_id == CopyRow.run_id)
    if before_ms is not None:
        wanted = wanted.where(CopyRow.created_ms < before_ms)
    if experiment:
        wanted = wanted.where(CopyRow.experiment == experiment)
    newest = wanted.order_by(CopyRow.created_ms.desc(), CopyRow.run_id.desc())
    async with records.session() as session:
        rows = await session.execute(newest.limit(max(0, min(limit, MAX_PAGE_ROWS))))
        return [(copy, outcome) for copy, outcome in rows]


async def count_arms(records: Records, experiment: str) -> Sequence[ArmCount]:
    """Return the figures of each arm that has completed a run."""
    wanted: Any = (
        select(
            CopyRow.arm,
            func.count(),
            func.count(OutcomeRow.run_id),
            func.count().filter(OutcomeRow.is_adopted),
            func.avg(CopyRow.total_ms),
        )
        .outerjoin(OutcomeRow, OutcomeRow.run_id == CopyRow.run_id)
        .where(CopyRow.experiment == experiment, CopyRow.status == "completed")
        .group_by(CopyRow.arm)
    )
    async with records.session() as session:
        return [ArmCount(*row) for row in await session.execute(wanted)]
