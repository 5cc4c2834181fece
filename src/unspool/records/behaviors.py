"""
Behaviours: the actions of users, with their times.

A behaviour may name a product that is not in the database, and a user who is not; that creates
the person. Shops export their files in any order. Only `save_behaviors` writes rows.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
from sqlalchemy import (
    BigInteger,
    CursorResult,
    Dialect,
    Index,
    String,
    TypeDecorator,
    UniqueConstraint,
    func,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from . import Base, Records, insert_into
from .people import MAX_USER_CHARS, meet
from .products import MAX_SKU_CHARS

MAX_ACTION_CHARS = 64
"""Longest name of an action; it is a word or two."""

MAX_STAY_S = 366 * 24 * 3600
"""Longest stay. More is a number in another unit."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class Moment(TypeDecorator[datetime]):
    """A time with a zone, stored in Unix milliseconds: it sorts, and no driver can shift it."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // _MS

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + value * _MS


class Behavior(Base):
    __tablename__ = "behaviors"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    user_id: Mapped[str] = mapped_column(String(MAX_USER_CHARS))
    sku: Mapped[str | None] = mapped_column(String(MAX_SKU_CHARS), default=None, index=True)
    action: Mapped[str] = mapped_column(String(MAX_ACTION_CHARS))
    """The action, in the file's own words: `visit`, `favorite`, `share`, `加购` …"""
    at: Mapped[datetime] = mapped_column(Moment)
    """The time in UTC. A time without a zone counts as UTC, so it reads as in the file."""
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


async def count_behaviors(records: Records, user_id: str | None = None) -> int:
    """Return the number of behaviours, of one user or of all."""
    counted = select(func.count()).select_from(Behavior)
    if user_id is not None:
        counted = counted.where(Behavior.user_id == user_id)
    async with records.session() as session:
        return await session.scalar(counted) or 0


async def behavior_counts(records: Records, user_ids: Sequence[str]) -> dict[str, int]:
    """Return the number of behaviours of each of these users; users without any are left out."""
    counted = (
        select(Behavior.user_id, func.count().label("behaviors"))
        .where(Behavior.user_id.in_(user_ids))
        .group_by(Behavior.user_id)
    )
    async with records.session() as session:
        return {row.user_id: row.behaviors for row in await session.execute(counted)}


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
    await meet(session, (value["user_id"] for value in values))
    adding = insert_into(session, Behavior).on_conflict_do_nothing(index_elements=["digest"])
    result = await session.execute(adding, values)
    return cast("CursorResult[Any]", result).rowcount, 0


def _complete(row: Mapping[str, Any]) -> dict[str, Any]:
    given = row.get("properties", {})
    properties = {name: value for name, value in given.items() if value != ""}
    sku, stay_s = row.get("sku") or None, row.get("stay_s")
    at_ms = (row["at"] - _EPOCH) // _MS
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


# Reading the cells of shops' files

_DAY_AND_TIME = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?"
    r"(?:[T ]*(\d{1,2})[:时](\d{1,2})分?(?:[:]?(\d{1,2})秒?(?:[.,](\d{1,6})\d*)?)?)?"
)
_UNIX_S = re.compile(r"\d{9,10}(?:\.\d+)?")
_UNIX_MS = re.compile(r"\d{13}")
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)")
_YEARS = range(1970, 2201)


def read_moment(cell: str) -> datetime:
    """
    Read ISO 8601, `2025-11-24 09:50:50`, `2025/11/24 9:50`, Unix seconds or milliseconds.

    A time without a zone counts as UTC.

    Raises:
        ValueError: It is none of these, or lies outside the years 1970 to 2200.
    """
    text = unicodedata.normalize("NFKC", cell).strip()
    try:
        moment = _moment(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("is not a time such as 2025-11-24 09:50:50") from error
    if moment.year not in _YEARS:
        raise ValueError("lies outside the years 1970 to 2200")
    return moment


def _moment(text: str) -> datetime:
    if _UNIX_S.fullmatch(text):
        # Not float(): its microseconds would differ between machines' roundings.
        seconds, _, part = text.partition(".")
        return _EPOCH + timedelta(seconds=int(seconds), microseconds=int(part[:6].ljust(6, "0")))
    if _UNIX_MS.fullmatch(text):
        return _EPOCH + int(text) * _MS
    if found := _DAY_AND_TIME.fullmatch(text) or _COMPACT.fullmatch(text):
        fields = [field or "0" for field in found.groups()]
        part = fields[6].ljust(6, "0") if len(fields) > 6 else "0"
        year, month, day, hour, minute, second = (int(field) for field in fields[:6])
        return datetime(year, month, day, hour, minute, second, int(part), tzinfo=UTC)
    return datetime.fromisoformat(text)
