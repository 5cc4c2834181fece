"""What attempts sent to their providers and got back, if `UNSPOOL_KEEP_RAW` is on: the newest."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, String, Text, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from . import Base, Records, insert_into, now_ms

MAX_KEPT: Final = 2000
"""Attempts; older ones go. At most 0.5 GB, and as a rule some 20 MB."""


class ExchangeRow(Base):
    __tablename__ = "exchanges"

    run_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    """Its number in the run."""
    request: Mapped[str] = mapped_column(Text)
    status: Mapped[int | None]
    """Of HTTP; null if no answer came."""
    head: Mapped[str] = mapped_column(Text)
    tail: Mapped[str] = mapped_column(Text)
    left_out_bytes: Mapped[int] = mapped_column(BigInteger)
    """Between `head` and `tail`."""
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms, index=True)


async def save_exchange(records: Records, row: ExchangeRow) -> None:
    """Store one, in place of one of the same attempt, and delete those beyond the newest."""
    names = ("run_id", "attempt", "request", "status", "head", "tail", "left_out_bytes")
    facts = {name: getattr(row, name) for name in names} | {"created_ms": now_ms()}
    async with records.session() as session:
        adding = insert_into(session, ExchangeRow).values(**facts)
        key = ["run_id", "attempt"]
        await session.execute(adding.on_conflict_do_update(index_elements=key, set_=facts))
        newest = select(ExchangeRow.created_ms).order_by(ExchangeRow.created_ms.desc())
        oldest = newest.offset(MAX_KEPT - 1).limit(1).scalar_subquery()
        await session.execute(delete(ExchangeRow).where(ExchangeRow.created_ms < oldest))
        await session.commit()


async def find_exchange(records: Records, run_id: str, attempt: int) -> ExchangeRow | None:
    """Return that of an attempt; None if none was kept."""
    async with records.session() as session:
        return await session.get(ExchangeRow, (run_id, attempt))
