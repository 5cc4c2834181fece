"""
Behaviours: the actions of users, with their times.

A behaviour may name a product that is not in the database, and a user who is not; that creates
the person. Shops export their files in any order. Only `save_behaviors` writes rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Dialect,
    Index,
    String,
    TypeDecorator,
    UniqueConstraint,
    func,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from ..formats.moments import EPOCH, MS
from . import Base, Records, hold, holds, insert_into
from .people import MAX_USER_CHARS, meet
from .products import MAX_PAGE_ROWS, MAX_SKU_CHARS

MAX_ACTION_CHARS = 64
"""Longest name of an action; it is a word or two."""

MAX_STAY_S = 366 * 24 * 3600
"""Longest stay. More is a number in another unit."""


class Moment(TypeDecorator[datetime]):
    """A time with a zone, stored in Unix milliseconds: it sorts, and no driver can shift it."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - EPOCH) // MS

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else EPOCH + value * MS


class Behavior(Base):
    __tablename__ = "behaviors"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    user_id: Mapped[str] = mapped_column(String(MAX_USER_CHARS))
    sku: Mapped[str | None] = mapped_column(String(MAX_SKU_CHARS), default=None, index=True)
    action: Mapped[str] = mapped_column(String(MAX_ACTION_CHARS))
    """The action, in the file's own words: `visit`, `favorite`, `share`, `加购` …"""
    at: Mapped[datetime] = mapped_column(Moment)
    """By the shop's clocks, in its time zone, stored as if UTC; see `unspool.formats.moments`."""
    stay_s: Mapped[float | None] = mapped_column(default=None)
    properties: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """All other columns of the file, under their own names."""
    digest: Mapped[str] = mapped_column(String(32))
    """Of all other columns; equal rows are stored once."""

    __table_args__ = (
        Index(None, "user_id", "at"),
        UniqueConstraint("digest"),
    )


async def behaviors_of(records: Records, user_id: str, *, limit: int) -> list[Behavior]:
    """
    Return the behaviours of a user, oldest first.

    If there are more than `limit`, return the latest, still oldest first.
    """
    latest = (
        select(Behavior)
        .where(Behavior.user_id == user_id)
        .order_by(Behavior.at.desc(), Behavior.id.desc())
        .limit(max(0, limit))
    )
    async with records.session() as session:
        return list(await session.scalars(latest))[::-1]


async def behaviors_between(
    records: Records, user_id: str, first: datetime, last: datetime, *, limit: int
) -> list[Behavior]:
    """Return the behaviours of a user from `first` to `last`, oldest first; at most `limit`."""
    theirs = (
        select(Behavior)
        .where(Behavior.user_id == user_id, Behavior.at >= first, Behavior.at <= last)
        .order_by(Behavior.at, Behavior.id)
        .limit(max(0, limit))
    )
    async with records.session() as session:
        return list(await session.scalars(theirs))


@dataclass(frozen=True, slots=True)
class BehaviorFilter:
    """
    Attributes:
        query: User, SKU or action contains it, in any case.
        action: Exactly this action.
    """

    query: str = ""
    action: str = ""

    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if query := self.query.strip():
            searched = (Behavior.user_id, Behavior.sku, Behavior.action)
            found.append(or_(*(holds(column, query) for column in searched)))
        if self.action:
            found.append(Behavior.action == self.action)
        return found


async def list_behaviors(
    records: Records, which: BehaviorFilter, *, offset: int = 0, limit: int = 50
) -> list[Behavior]:
    """Return a page of the behaviours of all users, the latest first."""
    wanted = (
        select(Behavior)
        .where(*which.conditions())
        .order_by(Behavior.at.desc(), Behavior.id.desc())
        .offset(max(0, offset))
        .limit(max(0, min(limit, MAX_PAGE_ROWS)))
    )
    async with records.session() as session:
        return list(await session.scalars(wanted))


async def count_matching(records: Records, which: BehaviorFilter) -> tuple[int, int]:
    """Return the number of behaviours that match, and of the users they are of."""
    counted = select(func.count(), func.count(Behavior.user_id.distinct())).where(
        *which.conditions()
    )
    async with records.session() as session:
        behaviors, users = (await session.execute(counted)).one()
        return behaviors, users


async def list_actions(records: Records, *, limit: int) -> list[dict[str, Any]]:
    """Return the commonest actions, each with its number of behaviours."""
    number = func.count().label("behaviors")
    counted = (
        select(Behavior.action, number)
        .group_by(Behavior.action)
        .order_by(number.desc(), Behavior.action)
        .limit(limit)
    )
    async with records.session() as session:
        return [{"action": action, "behaviors": n} for action, n in await session.execute(counted)]


async def count_behaviors(records: Records, user_id: str | None = None) -> int:
    """Return the number of behaviours, of one user or of all."""
    counted = select(func.count()).select_from(Behavior)
    if user_id is not None:
        counted = counted.where(Behavior.user_id == user_id)
    async with records.session() as session:
        return await session.scalar(counted) or 0


async def count_users(records: Records) -> int:
    """Return the number of users with at least one behaviour."""
    async with records.session() as session:
        return await session.scalar(select(func.count(Behavior.user_id.distinct()))) or 0


async def save_behaviors(
    session: AsyncSession, rows: Sequence[Mapping[str, Any]]
) -> tuple[int, int]:
    """
    Add the behaviours that are not stored yet. The caller commits.

    Rows with equal user, SKU, action, time, stay and properties are stored once, within a file
    and across files. So importing a file twice changes nothing; in return, two real behaviours
    that look equal in a file, even in their time, count once.

    A row has at least `user_id`, `action` and `at`. Returns the number of added rows, and 0:
    nothing changes a behaviour.
    """
    values = [_complete(row) for row in rows]
    if not values:
        return 0, 0
    # Two files with equal rows in different orders would wait for each other.
    await hold(session, "behaviors")
    await meet(session, (value["user_id"] for value in values))
    adding = insert_into(session, Behavior).on_conflict_do_nothing(index_elements=["digest"])
    # Not every driver counts the rows of many inserts, so the new ones are returned.
    added = await session.execute(adding.returning(_TABLE.c.id), values)
    return len(added.all()), 0


_TABLE = Base.metadata.tables[Behavior.__tablename__]


def _complete(row: Mapping[str, Any]) -> dict[str, Any]:
    given = row.get("properties", {})
    properties = {name: value for name, value in given.items() if value != ""}
    sku, stay_s = row.get("sku") or None, row.get("stay_s")
    at_ms = (row["at"] - EPOCH) // MS
    identity = [row["user_id"], sku, row["action"], at_ms, stay_s, properties]
    canon = msgspec.json.encode(identity, order="deterministic")
    return {
        "user_id": row["user_id"],
        "sku": sku,
        "action": row["action"],
        "at": row["at"],
        "stay_s": stay_s,
        "properties": properties,
        # 128 bits: a collision among 2**40 rows is less likely than a broken disk.
        "digest": hashlib.blake2b(canon, digest_size=16).hexdigest(),
    }
