"""How each model continues a text: the evidence of `models.prefills`, stored."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import BigInteger, String, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from . import Base, Records, hold, now_ms
from .models import MAX_NAME_CHARS


class FindingRow(Base):
    __tablename__ = "findings"

    model: Mapped[str] = mapped_column(String(MAX_NAME_CHARS), primary_key=True)
    deployment: Mapped[str] = mapped_column(String(16), primary_key=True)
    """A digest of where the model was: at another address it is another one."""
    form: Mapped[str] = mapped_column(String(32), primary_key=True)
    """A form of prefill."""
    place: Mapped[int]
    """Its place among the forms of a model, the best first."""
    went_on: Mapped[int]
    started_anew: Mapped[int]
    refused: Mapped[int]
    """Numbers of requests with such an outcome."""
    updated_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms, onupdate=now_ms)


async def list_findings(records: Records) -> list[FindingRow]:
    """Return all findings, by model, the best form first."""
    async with records.session() as session:
        by_place = select(FindingRow).order_by(FindingRow.model, FindingRow.place)
        return list(await session.scalars(by_place))


async def replace_findings(records: Records, model: str, rows: Iterable[FindingRow]) -> None:
    """Store all that is known of one model."""
    async with records.session() as session:
        await hold(session, f"findings {model}")
        await session.execute(delete(FindingRow).where(FindingRow.model == model))
        session.add_all(rows)
        await session.commit()
