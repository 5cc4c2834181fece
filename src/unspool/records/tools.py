"""
Tools: functions that a model may call, and how the server answers each call.

The values of headers are secret, so the table stores them sealed (`secrets`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Double, String, Text, delete, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from ..errors import UnknownRecord
from . import Base, Records, insert_into, now_ms

MAX_NAME_CHARS = 64
"""The limit of OpenAI and Anthropic."""


class ToolRow(Base):
    __tablename__ = "tools"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's name

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(MAX_NAME_CHARS), unique=True)
    description: Mapped[str] = mapped_column(Text, default="")
    parameters: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """JSON Schema of its arguments."""
    answer: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """`kind` is `mock`, `python` or `http`; the other fields depend on it."""
    sealed_headers: Mapped[str] = mapped_column(Text, default="")
    """Names and values of an HTTP call's headers, as JSON, sealed; empty for none."""
    limit_s: Mapped[float] = mapped_column(Double, default=30.0)
    """Time limit of one call, in seconds."""
    approve: Mapped[bool] = mapped_column(default=False)
    """A person must agree to each call."""
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)
    updated_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms, onupdate=now_ms)


async def list_tools(records: Records) -> list[ToolRow]:
    """Return every tool, ordered by number."""
    async with records.session() as session:
        return list(await session.scalars(select(ToolRow).order_by(ToolRow.id)))


async def find_tools(records: Records, numbers: Sequence[int]) -> list[ToolRow]:
    """
    Return the tools with these numbers, each once, in this order.

    Raises:
        UnknownRecord: A number belongs to no tool.
    """
    async with records.session() as session:
        found = await session.scalars(select(ToolRow).where(ToolRow.id.in_(numbers)))
        by_number = {row.id: row for row in found}
    for number in numbers:
        if number not in by_number:
            raise UnknownRecord(f"no tool with the number {number}; `GET /api/tools` lists them")
    return [by_number[number] for number in dict.fromkeys(numbers)]


async def count_tools(records: Records) -> int:
    async with records.session() as session:
        return await session.scalar(select(func.count()).select_from(ToolRow)) or 0


async def save_tool(records: Records, values: Mapping[str, Any]) -> int | None:
    """Store a tool; return its number, or None if its name is taken."""
    async with records.session() as session:
        adding = insert_into(session, ToolRow).values(**values).on_conflict_do_nothing()
        number: int | None = await session.scalar(adding.returning(ToolRow.id))
        await session.commit()
    return number


async def change_tool(records: Records, number: int, values: Mapping[str, Any]) -> bool:
    """
    Change these columns; return False if the tool is gone.

    Raises:
        IntegrityError: Another tool has that name.
    """
    async with records.session() as session:
        changing = update(ToolRow).where(ToolRow.id == number).values(**values)
        changed = await session.scalar(changing.returning(ToolRow.id))
        await session.commit()
    return changed is not None


async def remove_tool(records: Records, number: int) -> bool:
    """Delete a tool; return False if it is gone. No other tool gets its number."""
    async with records.session() as session:
        removing = delete(ToolRow).where(ToolRow.id == number).returning(ToolRow.id)
        removed = await session.scalar(removing)
        await session.commit()
    return removed is not None
