"""
The last extraction of each person: how it ended, and whether its events wait to be accepted.

A row is written when an extraction begins and when it ends, together with the events, so a list
of thousands of people needs no log of a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, String, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from unspool.errors import NotReady
from unspool.records import Base, Records, hold, insert_into, now_ms
from unspool.records.people import MAX_USER_CHARS

from .events import RUN_ID_CHARS, PersonEvent, replace_events

MIN_BEFORE: Final = 8
"""Stored events below which fewer new ones are no sudden drop."""

MIN_SHARE: Final = 0.5
"""Of the stored events: with a smaller share, the new ones wait to be accepted."""


class ExtractionRow(Base):
    __tablename__ = "extractions"

    user_id: Mapped[str] = mapped_column(String(MAX_USER_CHARS), primary_key=True)
    run_id: Mapped[str] = mapped_column(String(RUN_ID_CHARS))
    status: Mapped[str] = mapped_column(String(16))
    """That of the run, or `pending`: its events wait to be accepted."""
    code: Mapped[str] = mapped_column(String(64), default="")
    """Why the run did not complete."""
    found: Mapped[int] = mapped_column(default=0)
    """Number of events that it found."""
    changed_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)


async def begin_extraction(records: Records, user_id: str, run_id: str) -> None:
    """Record that an extraction of a person goes on. A repeat changes nothing."""
    async with records.session() as session:
        await hold(session, _subject(user_id))
        row = await session.get(ExtractionRow, user_id)
        # A run that ended already is only told again.
        if row is None or row.run_id < run_id:
            await _write(session, user_id, run_id, status="running")
            await session.commit()


@dataclass(frozen=True, slots=True)
class Ending:
    """How an extraction ended; `since` is the time of the first behaviour that was read."""

    status: str
    code: str
    since: datetime | None


async def end_extraction(
    records: Records,
    user_id: str,
    run_id: str,
    events: Sequence[Mapping[str, Any]],
    ending: Ending,
) -> int:
    """
    Record how an extraction ended, and replace the person's events if the new ones are better.

    Returns the number of stored events if there are far fewer new ones: those then wait. Only
    stored events from `ending.since` on count.
    """
    status, code = ending.status, ending.code
    async with records.session() as session:
        await hold(session, _subject(user_id))
        stored = await _count(session, user_id, run_id)
        comparable = await _count(session, user_id, run_id, ending.since)
        is_drop = comparable >= MIN_BEFORE and len(events) < MIN_SHARE * comparable
        is_whole = status == "completed"
        if events and (is_whole or not stored) and not is_drop:
            await replace_events(session, user_id, run_id, events)
        waits = is_whole and bool(events) and is_drop
        row = await session.get(ExtractionRow, user_id)
        if row is None or row.run_id <= run_id:
            status, code = ("pending", "fewer_than_before") if waits else (status, code)
            facts = {"status": status, "code": code, "found": len(events)}
            await _write(session, user_id, run_id, **facts)
        await session.commit()
    return comparable if waits else 0


async def accept_events(
    records: Records, user_id: str, run_id: str, events: Sequence[Mapping[str, Any]]
) -> None:
    """
    Replace a person's events by those of the run that waits to be accepted.

    Raises:
        NotReady: The events of this run do not wait.
    """
    async with records.session() as session:
        await hold(session, _subject(user_id))
        taking = (
            update(ExtractionRow)
            .where(
                ExtractionRow.user_id == user_id,
                ExtractionRow.run_id == run_id,
                ExtractionRow.status == "pending",
            )
            .values({"status": "completed", "code": "", "changed_ms": now_ms()})
        )
        if await session.scalar(taking.returning(ExtractionRow.user_id)) is None:
            raise NotReady(f"no events of the run {run_id} wait for {user_id[:64]!r}")
        await replace_events(session, user_id, run_id, events)
        await session.commit()


async def extractions_of(records: Records, user_ids: Sequence[str]) -> dict[str, ExtractionRow]:
    """Return the last extraction of each of these people; those without one are left out."""
    wanted = select(ExtractionRow).where(ExtractionRow.user_id.in_(user_ids))
    async with records.session() as session:
        return {row.user_id: row for row in await session.scalars(wanted)}


def _subject(user_id: str) -> str:
    """Return what is held while the events of a person are replaced."""
    return f"events {user_id}"


async def _count(
    session: AsyncSession, user_id: str, run_id: str, since: datetime | None = None
) -> int:
    """Count the stored events of earlier runs."""
    counted = select(func.count()).where(
        PersonEvent.user_id == user_id, PersonEvent.run_id != run_id
    )
    if since is not None:
        counted = counted.where(PersonEvent.at >= since)
    return await session.scalar(counted) or 0


async def _write(session: AsyncSession, user_id: str, run_id: str, **facts: Any) -> None:
    values = {"run_id": run_id, "code": "", "found": 0, **facts, "changed_ms": now_ms()}
    adding = insert_into(session, ExtractionRow).values(user_id=user_id, **values)
    await session.execute(adding.on_conflict_do_update(index_elements=["user_id"], set_=values))
