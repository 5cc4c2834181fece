"""
People for a list: which of them, in what order, and how many in all. The database does the work.

A batch asks the same question, so it reaches exactly the people that a list shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from unspool.records import Records
from unspool.records.behaviors import Behavior
from unspool.records.people import Person
from unspool.records.products import MAX_PAGE_ROWS

from .events import PersonEvent
from .extractions import ExtractionRow

State = Literal[
    "", "with_events", "without_events", "never", "running", "completed", "failed", "pending"
]
"""Which people, by their events and their last extraction; empty: all."""

Sort = Literal["id", "name", "city", "behaviors", "events", "changed"]

MAX_CITIES: Final = 100
"""In the list of cities: the largest ones."""

FAILED: Final = ("failed", "incomplete", "cancelled")


@dataclass(frozen=True, slots=True)
class PeopleFilter:
    """
    Attributes:
        query: Id, name or city contains it, in any case.
        state: See `State`.
        city: Exactly this city.
        has_behaviors: Only people with a behaviour.
    """

    query: str = ""
    state: State = ""
    city: str = ""
    has_behaviors: bool = False

    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if query := self.query.strip():
            searched = (Person.id, Person.name, Person.city)
            found.append(or_(*(c.icontains(query, autoescape=True) for c in searched)))
        if self.city:
            found.append(Person.city == self.city)
        if self.has_behaviors:
            found.append(Person.id.in_(select(Behavior.user_id)))
        if self.state:
            found.append(_in_state(self.state))
        return found


def _in_state(state: State) -> ColumnElement[bool]:
    extracted = select(ExtractionRow.user_id)
    match state:
        case "with_events":
            return Person.id.in_(select(PersonEvent.user_id))
        case "without_events":
            return Person.id.not_in(select(PersonEvent.user_id))
        case "never":
            return Person.id.not_in(extracted)
        case "failed":
            return Person.id.in_(extracted.where(ExtractionRow.status.in_(FAILED)))
        case _:
            return Person.id.in_(extracted.where(ExtractionRow.status == state))


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list; `after` is the last id of the page before, for the order by id."""

    sort: Sort = "id"
    is_descending: bool = False
    after: str = ""
    offset: int = 0
    limit: int = 50


@dataclass(frozen=True, slots=True)
class ListedPerson:
    person: Person
    behaviors: int
    events: int
    extraction: ExtractionRow | None


async def list_people(
    records: Records,
    which: PeopleFilter,
    page: Page,
) -> list[ListedPerson]:
    """Return a page of people."""
    rows = _rows().where(*which.conditions())
    key = _KEYS[page.sort]
    ordered = key.desc().nulls_last() if page.is_descending else key.asc().nulls_last()
    rows = rows.order_by(ordered, Person.id)
    if page.after:
        rows = rows.where(Person.id > page.after)
    rows = rows.offset(max(0, page.offset)).limit(max(0, min(page.limit, MAX_PAGE_ROWS)))
    async with records.session() as session:
        return [ListedPerson(*row) for row in await session.execute(rows)]


async def listed_person(records: Records, user_id: str) -> ListedPerson | None:
    """Return one person with the counts; None: there is none of this id."""
    async with records.session() as session:
        row = (await session.execute(_rows().where(Person.id == user_id))).one_or_none()
    return None if row is None else ListedPerson(*row)


async def ids_of(records: Records, which: PeopleFilter, *, limit: int) -> list[str]:
    """Return the ids of the people, in their order."""
    ids = select(Person.id).where(*which.conditions()).order_by(Person.id).limit(limit)
    async with records.session() as session:
        return list(await session.scalars(ids))


async def totals_of(records: Records, which: PeopleFilter) -> dict[str, int]:
    """Return the number of people, and of their behaviours and events."""
    matching = which.conditions()
    people = select(func.count()).select_from(Person).where(*matching)
    counts: dict[str, Select[Any]] = {"people": people}
    owners: dict[str, InstrumentedAttribute[str]] = {
        "behaviors": Behavior.user_id,
        "events": PersonEvent.user_id,
    }
    for name, owner in owners.items():
        counts[name] = (
            select(func.count())
            .select_from(Person)
            .join(owner.class_, owner == Person.id)
            .where(*matching)
        )
    async with records.session() as session:
        return {name: await session.scalar(count) or 0 for name, count in counts.items()}


async def states_of(records: Records, which: PeopleFilter) -> dict[str, int]:
    """Return the number of people by the state of their last extraction; `never`: none yet."""
    state = func.coalesce(ExtractionRow.status, "never")
    counted = (
        select(state, func.count())
        .select_from(Person)
        .outerjoin(ExtractionRow, ExtractionRow.user_id == Person.id)
        .where(*which.conditions())
        .group_by(state)
    )
    async with records.session() as session:
        return {row[0]: row[1] for row in await session.execute(counted)}


async def cities_of(records: Records) -> list[dict[str, Any]]:
    """Return the largest cities, each with its number of people."""
    counted = (
        select(Person.city, func.count().label("people"))
        .where(Person.city != "")
        .group_by(Person.city)
        .order_by(func.count().desc(), Person.city)
        .limit(MAX_CITIES)
    )
    async with records.session() as session:
        return [{"city": city, "people": n} for city, n in await session.execute(counted)]


_BEHAVIORS = (
    select(func.count())
    .where(Behavior.user_id == Person.id)
    .correlate(Person)
    .scalar_subquery()
    .label("behaviors")
)
_EVENTS = (
    select(func.count())
    .where(PersonEvent.user_id == Person.id)
    .correlate(Person)
    .scalar_subquery()
    .label("events")
)
_KEYS: Final[dict[Sort, ColumnElement[Any]]] = {
    "id": Person.id.expression,
    "name": Person.name.expression,
    "city": Person.city.expression,
    "behaviors": _BEHAVIORS,
    "events": _EVENTS,
    "changed": ExtractionRow.changed_ms.expression,
}


def _rows() -> Select[Any]:
    return select(Person, _BEHAVIORS, _EVENTS, ExtractionRow).outerjoin(
        ExtractionRow, ExtractionRow.user_id == Person.id
    )
