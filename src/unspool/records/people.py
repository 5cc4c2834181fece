"""
People: the users that copy is written for; their actions are in `behaviors`.

A behaviour of an unknown user creates that person; a file of people adds the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import String, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from ..errors import UnknownRecord
from . import Base, Records, hold, insert_into

MAX_USER_CHARS = 128
"""Longest user id; a UUID has 36 characters, hashed ones 64."""

MAX_AGE = 150
"""Years. A larger number is a year of birth."""


class Person(Base):
    __tablename__ = "people"

    id: Mapped[str] = mapped_column(String(MAX_USER_CHARS), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), default="")
    gender: Mapped[str] = mapped_column(String(32), default="")
    age: Mapped[int | None] = mapped_column(default=None)
    city: Mapped[str] = mapped_column(String(100), default="")
    properties: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """All other columns of the file, under their own names: `income_level` …"""

    def profile(self) -> dict[str, Any]:
        """Return the known properties as JSON, without the empty ones."""
        fields = {"name": self.name, "gender": self.gender, "age": self.age, "city": self.city}
        known = {name: value for name, value in fields.items() if value not in (None, "")}
        return known | self.properties


async def find_person(records: Records, user_id: str) -> Person:
    """
    Return the person with exactly this id.

    Raises:
        UnknownRecord: There is no such person, and no behaviour of one.
    """
    async with records.session() as session:
        person = await session.get(Person, user_id)
    if person is None:
        shown = user_id if len(user_id) <= MAX_USER_CHARS else f"{user_id[: MAX_USER_CHARS - 1]}…"
        raise UnknownRecord(
            f"no user {shown!r}; check the id, or import people or behaviours first"
        )
    return person


async def meet(session: AsyncSession, user_ids: Iterable[str]) -> None:
    """Add people of whom only the id is known, unless they are stored. The caller commits."""
    values = [{**_EMPTY, "id": user_id} for user_id in sorted(set(user_ids))]
    if values:
        adding = insert_into(session, Person).on_conflict_do_nothing(index_elements=["id"])
        await session.execute(adding, values)


_TABLE = Base.metadata.tables[Person.__tablename__]

_EMPTY: dict[str, Any] = {"name": "", "gender": "", "age": None, "city": "", "properties": {}}


async def save_people(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """
    Add people, or change those whose id is stored already. The caller commits.

    A missing or empty column changes nothing. Properties are merged; an empty one is removed.
    A row has `user_id`. Returns the number of added and the number of changed people.
    """
    await hold(session, "people")  # so that nothing changes between reading and merging
    ids = {row["user_id"] for row in rows}
    stored = await session.execute(select(_TABLE).where(_TABLE.c.id.in_(ids)))
    before = {values["id"]: dict(values) for values in stored.mappings()}
    now = dict(before)
    for row in rows:
        now[row["user_id"]] = _merged(now.get(row["user_id"], _EMPTY), row)
    # In one order everywhere: `meet` writes people too, and neither may wait for the other.
    changes = [now[user_id] for user_id in sorted(now) if now[user_id] != before.get(user_id)]
    if changes:
        adding = insert_into(session, Person)
        replaced = {name: adding.excluded[name] for name in _EMPTY}
        await session.execute(
            adding.on_conflict_do_update(index_elements=["id"], set_=replaced), changes
        )
    added = len(now) - len(before)
    return added, len(changes) - added


def _merged(old: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    columns = {name: row[name] for name in _EMPTY if row.get(name) not in (None, "", {})}
    properties = {**old["properties"], **row.get("properties", {})}
    filled = {name: value for name, value in properties.items() if value != ""}
    return {**old, **columns, "id": row["user_id"], "properties": filled}
