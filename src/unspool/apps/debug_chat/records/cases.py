"""
Test cases and the verdicts on them.

A case is the input of a chat and what its answer must be like. An evaluation asks models with it;
each answer is a run, and its verdict stays when runs are deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, delete, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from unspool.errors import UnknownRecord
from unspool.records import Base, Records, insert_into, now_ms

MAX_NAME_CHARS: Final = 200
MAX_RUN_ID_CHARS: Final = 64


class CaseRow(Base):
    __tablename__ = "cases"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's name

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(MAX_NAME_CHARS))
    input: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Of the flow `chat`."""
    expectation: Mapped[dict[str, Any]] = mapped_column(default=dict)
    run_id: Mapped[str] = mapped_column(String(MAX_RUN_ID_CHARS), default="")
    """The run that it was saved from; empty: somebody wrote it."""
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)
    updated_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms, onupdate=now_ms)


class VerdictRow(Base):
    __tablename__ = "verdicts"

    evaluation: Mapped[str] = mapped_column(String(MAX_RUN_ID_CHARS), primary_key=True)
    """The run of the evaluation."""
    number: Mapped[int] = mapped_column(primary_key=True)
    """Of the answer within it, from 1."""
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id", ondelete="CASCADE"))
    model: Mapped[str] = mapped_column(String(128))
    run_id: Mapped[str] = mapped_column(String(MAX_RUN_ID_CHARS), default="")
    """The run of the answer."""
    verdict: Mapped[str] = mapped_column(String(16))
    """`passed`, `failed`, or `error`: there is no whole answer."""
    misses: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    at_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)

    __table_args__ = (Index(None, "case_id", "model", "at_ms"),)


async def list_cases(records: Records, *, after: int = 0, limit: int = 200) -> list[CaseRow]:
    """Return cases by number, from behind `after`."""
    wanted = select(CaseRow).where(CaseRow.id > after).order_by(CaseRow.id).limit(limit)
    async with records.session() as session:
        return list(await session.scalars(wanted))


async def count_cases(records: Records) -> int:
    async with records.session() as session:
        return await session.scalar(select(func.count()).select_from(CaseRow)) or 0


async def find_cases(records: Records, numbers: Sequence[int]) -> list[CaseRow]:
    """
    Return the cases with these numbers, in that order.

    Raises:
        UnknownRecord: One of them does not exist.
    """
    async with records.session() as session:
        rows = await session.scalars(select(CaseRow).where(CaseRow.id.in_(numbers)))
        found = {row.id: row for row in rows}
    for number in numbers:
        if number not in found:
            raise _unknown(number)
    return [found[number] for number in numbers]


async def add_case(records: Records, values: Mapping[str, Any]) -> CaseRow:
    """Store a case."""
    async with records.session() as session:
        row = CaseRow(**values)
        session.add(row)
        await session.commit()
        return row


async def change_case(records: Records, number: int, values: Mapping[str, Any]) -> None:
    """
    Change these columns.

    Raises:
        UnknownRecord: There is no such case.
    """
    async with records.session() as session:
        changing = update(CaseRow).where(CaseRow.id == number).values(**values)
        changed = await session.scalar(changing.returning(CaseRow.id))
        await session.commit()
    if changed is None:
        raise _unknown(number)


async def remove_case(records: Records, number: int) -> None:
    """
    Delete a case and its verdicts.

    Raises:
        UnknownRecord: There is no such case.
    """
    async with records.session() as session:
        removing = delete(CaseRow).where(CaseRow.id == number).returning(CaseRow.id)
        removed = await session.scalar(removing)
        await session.commit()
    if removed is None:
        raise _unknown(number)


async def keep_verdicts(records: Records, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store the verdicts of an evaluation; those that are there stay, and so do removed cases."""
    if not rows:
        return
    async with records.session() as session:
        cases = {row["case_id"] for row in rows}
        theirs = select(CaseRow.id).where(CaseRow.id.in_(cases)).order_by(CaseRow.id)
        # Locked, so that nobody removes one before its verdict is stored.
        known = set(await session.scalars(theirs.with_for_update(read=True, key_share=True)))
        for row in rows:
            if row["case_id"] in known:
                adding = insert_into(session, VerdictRow).values(**row)
                await session.execute(adding.on_conflict_do_nothing())
        await session.commit()


async def verdicts_of(records: Records, case_id: int, *, limit: int = 100) -> list[VerdictRow]:
    """Return the newest verdicts on a case, newest first."""
    newest = (
        select(VerdictRow)
        .where(VerdictRow.case_id == case_id)
        .order_by(VerdictRow.at_ms.desc(), VerdictRow.evaluation.desc(), VerdictRow.number)
        .limit(limit)
    )
    async with records.session() as session:
        return list(await session.scalars(newest))


async def latest_verdicts(
    records: Records, case_ids: Sequence[int]
) -> list[tuple[VerdictRow, str | None]]:
    """Return the latest verdict on each case by each model, with the verdict before it."""
    newest_first = (VerdictRow.at_ms.desc(), VerdictRow.evaluation.desc())
    each_model = (VerdictRow.case_id, VerdictRow.model)
    place = func.row_number().over(partition_by=each_model, order_by=newest_first)
    before = func.lead(VerdictRow.verdict).over(partition_by=each_model, order_by=newest_first)
    ranked = (
        select(
            VerdictRow.evaluation,
            VerdictRow.number,
            place.label("place"),
            before.label("before"),
        )
        .where(VerdictRow.case_id.in_(case_ids))
        .subquery()
    )
    newest = select(VerdictRow, ranked.c.before).join(
        ranked,
        (ranked.c.evaluation == VerdictRow.evaluation)
        & (ranked.c.number == VerdictRow.number)
        & (ranked.c.place == 1),
    )
    async with records.session() as session:
        rows = await session.execute(newest.order_by(VerdictRow.case_id, VerdictRow.model))
        return [(verdict, earlier) for verdict, earlier in rows]


def _unknown(number: int) -> UnknownRecord:
    return UnknownRecord(f"no case with the number {number}; `GET /api/cases` lists them")
