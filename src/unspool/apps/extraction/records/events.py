"""
Events: the steps that a model sees in a person's behaviours.

They come from the log of one run (`flows.extraction`), carry its id, and replace those of an
earlier run of the same person, all in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Index, String, delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from unspool.records import Base, Records, insert_into
from unspool.records.behaviors import Moment
from unspool.records.people import MAX_USER_CHARS

from ..event_lines import MAX_CONTEXT_CHARS, MAX_TYPE_CHARS

MAX_SEQUENCES: Final = 10_000
"""People in one search for patterns: a few seconds of work; more people add nothing."""

MAX_TOGETHER: Final = 500_000
"""Events of all of them: some tens of megabytes of memory."""

READ_ROWS: Final = 1000
"""Rows read between two turns of the event loop."""

RUN_ID_CHARS: Final = 32
"""A run's id has 26."""


class PersonEvent(Base):
    __tablename__ = "events"

    run_id: Mapped[str] = mapped_column(String(RUN_ID_CHARS), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    """Its position among the events of the run, from 1."""
    user_id: Mapped[str] = mapped_column(String(MAX_USER_CHARS))
    type: Mapped[str] = mapped_column(String(MAX_TYPE_CHARS))
    at: Mapped[datetime] = mapped_column(Moment)
    context: Mapped[str] = mapped_column(String(MAX_CONTEXT_CHARS))

    __table_args__ = (Index(None, "user_id", "at"),)


async def replace_events(
    session: AsyncSession, user_id: str, run_id: str, events: Sequence[Mapping[str, Any]]
) -> None:
    """
    Replace all events of a person. The caller commits.

    An event has `type`, `at` (a `datetime` with its zone) and `context`. A repeat changes
    nothing.
    """
    await session.execute(delete(PersonEvent).where(PersonEvent.user_id == user_id))
    values = [
        {"run_id": run_id, "number": number, "user_id": user_id, **event}
        for number, event in enumerate(events, start=1)
    ]
    if values:
        await session.execute(insert_into(session, PersonEvent), values)


async def events_of(records: Records, user_id: str, *, limit: int) -> list[PersonEvent]:
    """Return a person's events, oldest first; if there are more than `limit`, the latest."""
    latest = (
        select(PersonEvent)
        .where(PersonEvent.user_id == user_id)
        .order_by(PersonEvent.at.desc(), PersonEvent.number.desc())
        .limit(max(0, limit))
    )
    async with records.session() as session:
        return list(await session.scalars(latest))[::-1]
