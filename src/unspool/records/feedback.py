"""What people think of a run: good or bad, and why. One opinion for each run, the latest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from sqlalchemy import BigInteger, String, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from . import Base, Records, insert_into, now_ms

MAX_NOTE_CHARS: Final = 2000
"""A few paragraphs: more is a document of its own."""

Verdict = Literal["up", "down"]


class FeedbackRow(Base):
    __tablename__ = "feedback"

    run_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    verdict: Mapped[str] = mapped_column(String(8))
    note: Mapped[str] = mapped_column(String(MAX_NOTE_CHARS))
    updated_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms, onupdate=now_ms)


async def save_feedback(records: Records, run_id: str, verdict: Verdict, note: str) -> None:
    """Store what somebody thinks of a run, in place of what was stored before."""
    facts = {"verdict": verdict, "note": note, "updated_ms": now_ms()}
    async with records.session() as session:
        adding = insert_into(session, FeedbackRow).values(run_id=run_id, **facts)
        await session.execute(
            adding.on_conflict_do_update(index_elements=["run_id"], set_=facts),
        )
        await session.commit()


async def remove_feedback(records: Records, run_id: str) -> None:
    """Withdraw it; a repeat changes nothing."""
    async with records.session() as session:
        await session.execute(delete(FeedbackRow).where(FeedbackRow.run_id == run_id))
        await session.commit()


async def feedback_of(records: Records, run_ids: Iterable[str]) -> Mapping[str, FeedbackRow]:
    """Return what is stored of these runs, by run."""
    async with records.session() as session:
        wanted = select(FeedbackRow).where(FeedbackRow.run_id.in_(list(run_ids)))
        return {row.run_id: row for row in await session.scalars(wanted)}
