"""
Numbers that tell a server whether what it keeps in memory of the records still holds.

A transaction that changes such records raises the number of their subject; see `models.following`
for the reader. The row is also a lock: writers of one subject come one after the other.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import String, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from . import Base, Records, insert_into

MODELS: Final = "models"
"""Models, routes and default models."""


class ChangeRow(Base):
    __tablename__ = "changes"

    subject: Mapped[str] = mapped_column(String(32), primary_key=True)
    number: Mapped[int] = mapped_column(default=1)


async def note_change(session: AsyncSession, subject: str) -> None:
    """Raise the number of a subject. The caller commits, and does this first."""
    adding = insert_into(session, ChangeRow).values(subject=subject, number=1)
    raised = {"number": ChangeRow.number + 1}
    await session.execute(adding.on_conflict_do_update(index_elements=["subject"], set_=raised))


async def number_of(records: Records, subject: str) -> int:
    """Return the number of a subject; 0: nothing was ever changed."""
    async with records.session() as session:
        wanted = select(ChangeRow.number).where(ChangeRow.subject == subject)
        return await session.scalar(wanted) or 0
