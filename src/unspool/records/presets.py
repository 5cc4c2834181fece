"""Presets: prompts to use again, with their system prompt and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String, Text, delete, func, select
from sqlalchemy.orm import Mapped, mapped_column

from ..errors import UnknownRecord
from . import Base, Records, insert_into, now_ms

MAX_NAME_CHARS = 100


class PresetRow(Base):
    __tablename__ = "presets"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's name

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(MAX_NAME_CHARS), unique=True)
    system_prompt: Mapped[str] = mapped_column(Text, default="")
    prompt: Mapped[str] = mapped_column(Text, default="")
    """A template: the user fills in `{{topic}}`."""
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Passed to the model: `temperature`, `max_tokens` …"""
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    """Grows with each change of the fields above but the name."""
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)
    updated_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms, onupdate=now_ms)


class PresetVersionRow(Base):
    """An earlier version of a preset; the present one is in `PresetRow`."""

    __tablename__ = "preset_versions"

    preset_id: Mapped[int] = mapped_column(
        ForeignKey("presets.id", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(primary_key=True)
    system_prompt: Mapped[str] = mapped_column(Text)
    prompt: Mapped[str] = mapped_column(Text)
    params: Mapped[dict[str, Any]] = mapped_column()
    created_ms: Mapped[int] = mapped_column(BigInteger)
    """When the preset got this version."""


CONTENT = ("system_prompt", "prompt", "params")
"""The fields that have versions."""

MAX_VERSIONS = 200
"""Earlier versions of one preset; the oldest goes first."""


async def list_presets(records: Records) -> list[PresetRow]:
    """Return every preset, ordered by number."""
    async with records.session() as session:
        return list(await session.scalars(select(PresetRow).order_by(PresetRow.id)))


async def count_presets(records: Records) -> int:
    async with records.session() as session:
        return await session.scalar(select(func.count()).select_from(PresetRow)) or 0


async def find_preset(records: Records, number: int) -> PresetRow:
    """
    Return the preset with this number.

    Raises:
        UnknownRecord: There is none.
    """
    async with records.session() as session:
        row = await session.get(PresetRow, number)
    if row is None:
        raise _unknown(number)
    return row


async def save_preset(records: Records, values: Mapping[str, Any]) -> int | None:
    """Store a preset; return its number, or None if its name is taken."""
    async with records.session() as session:
        adding = insert_into(session, PresetRow).values(**values).on_conflict_do_nothing()
        number: int | None = await session.scalar(adding.returning(PresetRow.id))
        await session.commit()
    return number


async def change_preset(records: Records, number: int, values: Mapping[str, Any]) -> None:
    """
    Change these columns. If the content changes, the version before is kept.

    Raises:
        UnknownRecord: There is none with this number.
        IntegrityError: Another preset has that name.
    """
    async with records.session() as session:
        row = await session.get(PresetRow, number, with_for_update=True)
        if row is None:
            raise _unknown(number)
        if any(name in values and values[name] != getattr(row, name) for name in CONTENT):
            content = {name: getattr(row, name) for name in CONTENT}
            old = {"preset_id": number, "version": row.version, "created_ms": row.updated_ms}
            session.add(PresetVersionRow(**old, **content))
            row.version += 1
            too_old = row.version - MAX_VERSIONS
            await session.execute(
                delete(PresetVersionRow).where(
                    PresetVersionRow.preset_id == number, PresetVersionRow.version < too_old
                )
            )
        for name, value in values.items():
            setattr(row, name, value)
        await session.commit()


async def list_versions(records: Records, number: int) -> list[PresetVersionRow]:
    """Return the earlier versions of a preset, newest first."""
    theirs = select(PresetVersionRow).where(PresetVersionRow.preset_id == number)
    async with records.session() as session:
        return list(await session.scalars(theirs.order_by(PresetVersionRow.version.desc())))


async def find_version(records: Records, number: int, version: int) -> PresetVersionRow:
    """
    Return an earlier version of a preset.

    Raises:
        UnknownRecord: It never had that version, or it is too old.
    """
    async with records.session() as session:
        row = await session.get(PresetVersionRow, (number, version))
    if row is None:
        raise UnknownRecord(
            f"preset {number} has no version {version}; `GET /api/presets/{number}/versions` "
            "lists them"
        )
    return row


async def remove_preset(records: Records, number: int) -> None:
    """
    Delete a preset. No other preset gets its number.

    Raises:
        UnknownRecord: There is none with this number.
    """
    async with records.session() as session:
        removing = delete(PresetRow).where(PresetRow.id == number).returning(PresetRow.id)
        removed = await session.scalar(removing)
        await session.commit()
    if removed is None:
        raise _unknown(number)


def _unknown(number: int) -> UnknownRecord:
    return UnknownRecord(f"no preset with the number {number}; `GET /api/presets` lists them")
