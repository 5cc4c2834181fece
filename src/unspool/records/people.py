"""
People: who did what is in `behaviors`.

Whoever did anything is somebody: a row of behaviours makes the person it names, if there is
none yet, and a file of people adds what else is known of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, String, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from ..errors import UnknownRecord
from . import Base, Records, insert_into
from .products import MAX_PAGE_ROWS

MAX_USER_CHARS = 128
"""Longest user id; a UUID has 36 characters, hashed ones 64."""

MAX_AGE = 150
"""Years. More is a year of birth."""


class Person(Base):
    __tablename__ = "people"

    id: Mapped[str] = mapped_column(String(MAX_USER_CHARS), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), default="")
    gender: Mapped[str] = mapped_column(String(32), default="")
    age: Mapped[int | None] = mapped_column(default=None)
    city: Mapped[str] = mapped_column(String(100), default="")
    properties: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Everything else that is known, under the file's own names: `income_level` …"""

    def profile(self) -> dict[str, Any]:
        """Return what is known, as JSON; what is not is left out."""
        facts = {"name": self.name, "gender": self.gender, "age": self.age, "city": self.city}
        known = {name: value for name, value in facts.items() if value not in (None, "")}
        return known | self.properties


async def find_person(records: Records, user_id: str) -> Person:
    """
    Return the person with exactly this id.

    Raises:
        UnknownRecord: There is none, and no behaviour of one.
    """
    async with records.session() as session:
        person = await session.get(Person, user_id)
    if person is None:
        shown = user_id if len(user_id) <= MAX_USER_CHARS else f"{user_id[: MAX_USER_CHARS - 1]}…"
        raise UnknownRecord(
            f"no user {shown!r}; check the id, or import people or behaviours first"
        )
    return person


async def list_people(
    records: Records, *, query: str = "", after: str = "", limit: int = 50
) -> list[Person]:
    """
    Return people in the order of their ids.

    `query` is text that id, name or city must contain, in any case; `after` is the last id of
    the page before; `limit` is cut to `MAX_PAGE_ROWS`.
    """
    wanted = select(Person).where(*_matching(query)).order_by(Person.id)
    if after:
        wanted = wanted.where(Person.id > after)
    async with records.session() as session:
        page = await session.scalars(wanted.limit(max(0, min(limit, MAX_PAGE_ROWS))))
        return list(page)


async def count_people(records: Records, *, query: str = "") -> int:
    """Return how many people `list_people` would go through."""
    counted = select(func.count()).select_from(Person).where(*_matching(query))
    async with records.session() as session:
        return await session.scalar(counted) or 0


def _matching(query: str) -> list[ColumnElement[bool]]:
    query = query.strip()
    searched = (Person.id, Person.name, Person.city)
    return [or_(*(c.icontains(query, autoescape=True) for c in searched))] if query else []


async def meet(session: AsyncSession, user_ids: Iterable[str]) -> None:
    """Add those of whom nothing but the id is known, where they are not there. Commits nothing."""
    values = [{**_EMPTY, "id": user_id} for user_id in sorted(set(user_ids))]
    if values:
        adding = insert_into(session, Person).on_conflict_do_nothing(index_elements=["id"])
        await session.execute(adding, values)


_TABLE = Base.metadata.tables[Person.__tablename__]

_EMPTY: dict[str, Any] = {"name": "", "gender": "", "age": None, "city": "", "properties": {}}


async def save_people(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """
    Add people, or change those whose id is there already. The caller commits.

    Columns that a row does not have, or has empty, stay as they are. Properties are merged; an
    empty one is removed. A row has `user_id`. Returns how many were added, and how many are
    different now from what they were.
    """
    ids = {row["user_id"] for row in rows}
    stored = await session.execute(select(_TABLE).where(_TABLE.c.id.in_(ids)))
    before = {values["id"]: dict(values) for values in stored.mappings()}
    now = dict(before)
    for row in rows:
        now[row["user_id"]] = _merged(now.get(row["user_id"], _EMPTY), row)
    changes = [values for user_id, values in now.items() if values != before.get(user_id)]
    if changes:
        adding = insert_into(session, Person)
        replaced = {name: adding.excluded[name] for name in _EMPTY}
        await session.execute(
            adding.on_conflict_do_update(index_elements=["id"], set_=replaced), changes
        )
    added = len(now) - len(before)
    return added, len(changes) - added


def _merged(old: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    facts = {name: row[name] for name in _EMPTY if row.get(name) not in (None, "", {})}
    properties = {**old["properties"], **row.get("properties", {})}
    kept = {name: value for name, value in properties.items() if value != ""}
    return {**old, **facts, "id": row["user_id"], "properties": kept}
