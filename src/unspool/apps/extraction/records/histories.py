"""Reads the events of all people, and what is known of these people, for figures over them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

from sqlalchemy import Row, Select, or_, select

from unspool.records import Records
from unspool.records.behaviors import Behavior
from unspool.records.people import Person
from unspool.records.products import Product

from ..evidence import EventHistory
from ..traits import TraitFold
from .events import MAX_SEQUENCES, MAX_TOGETHER, READ_ROWS, PersonEvent

_Select = Select[*tuple[Any, ...]]
_Rows = Sequence[Row[*tuple[Any, ...]]]


def _people(query: str) -> Select[str]:
    """Return the ids of the people with events that match `query`, as in `list_people`."""
    people = select(PersonEvent.user_id).distinct().order_by(PersonEvent.user_id)
    if query := query.strip():
        columns = (Person.id, Person.name, Person.city)
        matching = or_(*(column.icontains(query, autoescape=True) for column in columns))
        people = people.where(PersonEvent.user_id.in_(select(Person.id).where(matching)))
    return people.limit(MAX_SEQUENCES)


async def read_histories(records: Records, *, query: str = "") -> list[EventHistory]:
    """Return the events of each person, oldest first, within the limits of `events`."""
    theirs = (
        select(PersonEvent.user_id, PersonEvent.type, PersonEvent.at)
        .where(PersonEvent.user_id.in_(_people(query)))
        .order_by(PersonEvent.user_id, PersonEvent.at, PersonEvent.number)
        .limit(MAX_TOGETHER)
    )
    found: dict[str, tuple[list[str], list[int]]] = {}
    # One string for each type: there are as many rows as events, and few types.
    types: dict[str, str] = {}

    def take(rows: _Rows) -> None:
        for user_id, kind, at in rows:
            kinds, times = found.setdefault(user_id, ([], []))
            kinds.append(types.setdefault(kind, kind))
            times.append(round(at.timestamp() * 1000))

    async for rows in _parts(records, theirs):
        await asyncio.to_thread(take, rows)
    return [EventHistory(user_id, *events) for user_id, events in found.items()]


async def read_traits(records: Records, *, query: str = "") -> dict[str, dict[str, str]]:
    """Return the traits of the people with events: from their behaviours, and their profiles."""
    people = _people(query).scalar_subquery()
    behaviors = (
        select(
            Behavior.user_id,
            Behavior.at,
            Behavior.properties,
            Product.brand,
            Product.category,
            Product.price,
        )
        .outerjoin(Product, Product.sku == Behavior.sku)
        .where(Behavior.user_id.in_(people))
        .order_by(Behavior.user_id, Behavior.at.desc())
        .limit(MAX_TOGETHER)
    )
    fold = TraitFold()

    def take_behaviors(rows: _Rows) -> None:
        for user_id, at, properties, brand, category, price in rows:
            product = {"brand": brand, "category": category, "price": price}
            known = {name: value for name, value in product.items() if value not in (None, "")}
            fold.behavior(user_id, at, {**properties, **known})

    def take_people(rows: _Rows) -> None:
        for (person,) in rows:
            fold.profile(person.id, person.profile())

    takes: tuple[tuple[_Select, Callable[[_Rows], None]], ...] = (
        (behaviors, take_behaviors),
        (select(Person).where(Person.id.in_(people)), take_people),
    )
    for wanted, take in takes:
        async for rows in _parts(records, wanted):
            await asyncio.to_thread(take, rows)
    return await asyncio.to_thread(fold.traits)


_NO_BUFFER: Final = {"yield_per": READ_ROWS}


async def _parts(records: Records, wanted: _Select) -> AsyncIterator[_Rows]:
    async with records.session() as session:
        rows = await session.stream(wanted.execution_options(**_NO_BUFFER))
        async for part in rows.partitions():
            yield part
