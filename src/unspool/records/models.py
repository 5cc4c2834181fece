"""
Models and routes: the registered ones, and the number of every model ever seen.

A model of the environment or the file has a row for its number alone; the rest is in its source.
Keys are stored sealed (`secrets`) or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import JSON, BigInteger, ColumnElement, String, Text, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from . import Base, Records, insert_into, now_ms
from .changes import MODELS, note_change

MAX_NAME_CHARS = 128
"""Longest name of a model or a route; vendors use up to about 80."""


class ModelRow(Base):
    __tablename__ = "models"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's name

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(MAX_NAME_CHARS), unique=True)
    source: Mapped[str] = mapped_column(String(16))
    provider: Mapped[str] = mapped_column(String(64), default="")
    upstream_name: Mapped[str] = mapped_column(String(256), default="")
    base_url: Mapped[str] = mapped_column(String(2048), default="")
    sealed_key: Mapped[str] = mapped_column(Text, default="")
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    limits: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The limits of its own; the others come from the settings."""
    prefill: Mapped[str] = mapped_column(String(32), default="")
    quirks: Mapped[list[str]] = mapped_column(default=list)
    max_parallel: Mapped[int | None] = mapped_column(default=None)
    prices: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    is_active: Mapped[bool] = mapped_column(default=True)
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)
    updated_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms, onupdate=now_ms)


class RouteRow(Base):
    __tablename__ = "routes"

    name: Mapped[str] = mapped_column(String(MAX_NAME_CHARS), primary_key=True)
    strategy: Mapped[str] = mapped_column(String(16))
    members: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    """`{"model": name, "weight": number}` each."""
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)
    updated_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms, onupdate=now_ms)


_NOTHING: dict[str, Any] = {
    "provider": "",
    "upstream_name": "",
    "base_url": "",
    "sealed_key": "",
    "params": {},
    "limits": {},
    "prefill": "",
    "quirks": [],
    "max_parallel": None,
    "prices": None,
    "is_active": True,
}
"""The row of a model whose definition is in the environment or the file."""


async def note_models(records: Records, seen: Mapping[str, str]) -> None:
    """Number each of these models (name to source) that has no number yet, in this order."""
    async with records.session() as session:
        stored = await session.execute(select(ModelRow.name, ModelRow.source))
        known = {row.name: row.source for row in stored}
    new = {name: at for name, at in seen.items() if known.get(name) not in {at, "database"}}
    if not new:
        return
    async with records.session() as session:
        await note_change(session, MODELS)
        for name, source in new.items():
            adding = insert_into(session, ModelRow).values(name=name, source=source)
            # Another program may have registered a model of that name since.
            is_ours = ModelRow.source != "database"
            set_ = {"source": source}
            await session.execute(
                adding.on_conflict_do_update(index_elements=["name"], set_=set_, where=is_ours)
            )
        await session.commit()


async def list_models(records: Records) -> list[ModelRow]:
    """Return every row, ordered by number."""
    async with records.session() as session:
        return list(await session.scalars(select(ModelRow).order_by(ModelRow.id)))


async def save_model(records: Records, values: Mapping[str, Any]) -> int | None:
    """
    Register a model; return its number, or None if its name is registered already.

    A model of that name in the environment or the file passes its number on.
    """
    row = {**_NOTHING, **values, "source": "database"}
    async with records.session() as session:
        await note_change(session, MODELS)
        adding = insert_into(session, ModelRow)
        set_ = {**{name: adding.excluded[name] for name in row}, "updated_ms": now_ms()}
        taking = adding.values(**row).on_conflict_do_update(
            index_elements=["name"], set_=set_, where=ModelRow.source != "database"
        )
        number: int | None = await session.scalar(taking.returning(ModelRow.id))
        await session.commit()
    return number


async def change_model(records: Records, number: int, values: Mapping[str, Any]) -> bool:
    """Change these columns of a registered model; return False if it is gone."""
    return await _write(
        records, update(ModelRow).where(*_registered(number)).values(**values), ModelRow.id
    )


async def remove_model(records: Records, number: int, *, falls_to: str | None) -> bool:
    """
    Delete a registered model; return False if it is gone.

    If the environment or the file has a model of that name (`falls_to`), its number stays.
    """
    if falls_to is None:
        return await _write(records, delete(ModelRow).where(*_registered(number)), ModelRow.id)
    return await change_model(records, number, {**_NOTHING, "source": falls_to})


def _registered(number: int) -> tuple[ColumnElement[bool], ...]:
    return ModelRow.id == number, ModelRow.source == "database"


async def list_routes(records: Records) -> list[RouteRow]:
    """Return every registered route, ordered by name."""
    async with records.session() as session:
        return list(await session.scalars(select(RouteRow).order_by(RouteRow.name)))


async def save_route(records: Records, values: Mapping[str, Any]) -> bool:
    """Register a route; return False if its name is registered already."""
    async with records.session() as session:
        await note_change(session, MODELS)
        adding = insert_into(session, RouteRow).values(**values).on_conflict_do_nothing()
        saved = await session.scalar(adding.returning(RouteRow.name))
        await session.commit()
    return saved is not None


async def change_route(records: Records, name: str, values: Mapping[str, Any]) -> bool:
    """Change these columns; return False if the route is gone."""
    changing = update(RouteRow).where(RouteRow.name == name).values(**values)
    return await _write(records, changing, RouteRow.name)


async def remove_route(records: Records, name: str) -> bool:
    """Delete a route; return False if it is gone."""
    return await _write(records, delete(RouteRow).where(RouteRow.name == name), RouteRow.name)


async def _write(records: Records, statement: Any, key: Any) -> bool:
    async with records.session() as session:
        await note_change(session, MODELS)
        written = await session.scalar(statement.returning(key))
        await session.commit()
    return written is not None
