"""Sessions of people that ended before their time: somebody signed out."""

from __future__ import annotations

from sqlalchemy import String, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from . import Base, Records, insert_into, now_ms


class EndedSessionRow(Base):
    __tablename__ = "ended_sessions"

    id: Mapped[str] = mapped_column(String(24), primary_key=True)
    until_ms: Mapped[int]
    """When it would have ended by itself; then the row goes."""


async def end_session(records: Records, session_id: str, until_ms: int) -> None:
    """Note that a session holds no more; a repeat changes nothing."""
    async with records.session() as session:
        await session.execute(delete(EndedSessionRow).where(EndedSessionRow.until_ms <= now_ms()))
        row = {"id": session_id, "until_ms": until_ms}
        adding = insert_into(session, EndedSessionRow).values(row)
        await session.execute(adding.on_conflict_do_nothing())
        await session.commit()


async def ended_sessions(records: Records, session_ids: list[str]) -> set[str]:
    """Return those that were ended."""
    wanted = select(EndedSessionRow.id).where(EndedSessionRow.id.in_(session_ids))
    async with records.session() as session:
        return set(await session.scalars(wanted))
