"""The default models that people chose: one for all flows, and one for each flow if they like."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import String, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from . import Base, Records
from .changes import MODELS, note_change
from .models import MAX_NAME_CHARS

MAX_FLOW_CHARS = 64


class DefaultModelRow(Base):
    __tablename__ = "default_models"

    flow: Mapped[str] = mapped_column(String(MAX_FLOW_CHARS), primary_key=True)
    """Empty: all flows that have none of their own."""
    model: Mapped[str] = mapped_column(String(MAX_NAME_CHARS))
    """A model or a route."""


async def read_defaults(records: Records) -> dict[str, str]:
    """Return the chosen names by flow."""
    async with records.session() as session:
        rows = await session.scalars(select(DefaultModelRow))
        return {row.flow: row.model for row in rows}


async def change_defaults(records: Records, changes: Mapping[str, str | None]) -> None:
    """Store these choices; None withdraws one."""
    async with records.session() as session:
        await note_change(session, MODELS)
        await session.execute(delete(DefaultModelRow).where(DefaultModelRow.flow.in_([*changes])))
        session.add_all(
            DefaultModelRow(flow=flow, model=model) for flow, model in changes.items() if model
        )
        await session.commit()
