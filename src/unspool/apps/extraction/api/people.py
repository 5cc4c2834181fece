"""`/api/people`: people with their behaviours and events."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from unspool.core import Core
from unspool.errors import UnknownRecord
from unspool.journals import read_all
from unspool.records.behaviors import Behavior, behaviors_between, behaviors_of
from unspool.records.people import MAX_USER_CHARS, find_person
from unspool.records.products import names_of
from unspool.runs.run import Run
from unspool.server.api.runs import whole

from ..flows.extraction import MAX_BEHAVIORS, events_in
from ..records.events import PersonEvent, events_of
from ..records.extractions import accept_events
from ..records.people_pages import (
    ListedPerson,
    Page,
    PeopleFilter,
    Sort,
    State,
    cities_of,
    list_people,
    listed_person,
    states_of,
    totals_of,
)
from ..records.person_timelines import TimelineEntry, timeline_of
from ..standing import Standing, standings

UserId = Annotated[str, Path(alias="id", max_length=MAX_USER_CHARS)]
Limit = Annotated[int, Query(ge=1, le=1000)]

MAX_OFFSET = 10_000_000

AROUND: Final = timedelta(days=1)
"""Before and after the events: their behaviours are within a visit, or the same day."""


class Acceptance(BaseModel):
    model_config = ConfigDict(extra="forbid")

    run: str = Field(min_length=1, max_length=32)
    """The run whose events are accepted."""


class PeopleQuery(BaseModel):
    """Which people, and in what order."""

    query: str = Field("", max_length=200)
    """Id, name or city contains it."""
    state: State = ""
    city: str = Field("", max_length=100)
    has_behaviors: bool = False
    sort: Sort = "id"
    descending: bool = False
    cities: bool = False
    """List the cities too."""


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/people", tags=["people (S3)"])
    records = core.records

    @router.get("")
    async def list_all(
        which: Annotated[PeopleQuery, Query()],
        after: Annotated[str, Query(max_length=MAX_USER_CHARS)] = "",
        offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> dict[str, Any]:
        """
        List people: search, filters, order and page by page, with the totals of all that match.

        `next` is the `after` of the next page in the order by id, `run` a live extraction.
        """
        wanted = PeopleFilter(which.query, which.state, which.city, which.has_behaviors)
        page = Page(which.sort, which.descending, after, offset, limit)
        people = await list_people(records, wanted, page)
        totals = await totals_of(records, wanted)
        return {
            "people": [_person_json(person) for person in people],
            "total": totals["people"],
            "behaviors": totals["behaviors"],
            "events": totals["events"],
            "states": await states_of(records, wanted),
            "next": people[-1].person.id if len(people) == limit and which.sort == "id" else None,
            **({"cities": await cities_of(records)} if which.cities else {}),
        }

    _add_person(router, core)
    return router


def _add_person(router: APIRouter, core: Core) -> None:
    """Add the routes of one person; the shortest path last, as it takes any other."""
    records = core.records

    @router.get("/{id:path}/behaviors")
    async def read_behaviors(user_id: UserId, limit: Limit = 200) -> dict[str, Any]:
        """Return the latest behaviours, oldest first."""
        await find_person(records, user_id)
        behaviors = await behaviors_of(records, user_id, limit=limit)
        return {"behaviors": [behavior_json(behavior) for behavior in behaviors]}

    @router.get("/{id:path}/events")
    async def read_events(
        user_id: UserId, limit: Limit = 200, grounds: bool = False
    ) -> dict[str, Any]:
        """
        Return the latest events, oldest first, and the run that produced them.

        With `grounds`, each has its behaviour, and what does not stand about it.
        """
        await find_person(records, user_id)
        events = await events_of(records, user_id, limit=limit)
        if not (events and grounds):
            run = events[0].run_id if events else None
            return {"run": run, "events": [_event_json(event) for event in events]}
        first, last = events[0].at - AROUND, events[-1].at + AROUND
        behaviors = await behaviors_between(records, user_id, first, last, limit=MAX_BEHAVIORS)
        names = await names_of(records, {one.sku for one in behaviors if one.sku})
        found = await asyncio.to_thread(standings, events, behaviors, names)
        return {"run": events[0].run_id, "events": [_standing_json(one) for one in found]}

    @router.get("/{id:path}/timeline")
    async def read_timeline(
        user_id: UserId,
        offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> dict[str, Any]:
        """Return behaviours and events in one list, the latest first."""
        await find_person(records, user_id)
        entries = await timeline_of(records, user_id, offset=offset, limit=limit)
        names = await names_of(records, {one.sku for one in entries if one.sku})
        return {"entries": [_entry_json(one, names) for one in entries]}

    @router.post("/{id:path}/events/accept")
    async def accept(user_id: UserId, acceptance: Acceptance) -> dict[str, Any]:
        """Replace a person's events by those that wait, because there are far fewer of them."""
        await find_person(records, user_id)
        run = Run()
        async for events in read_all(core.journal, acceptance.run):
            for event in events:
                run.apply(event)
        await accept_events(records, user_id, acceptance.run, events_in(run))
        return await read_events(user_id)

    @router.get("/{id:path}")
    async def read_person(user_id: UserId) -> dict[str, Any]:
        """Return a person; `progress` is that of a live extraction, as in `GET /v1/runs/{id}`."""
        await find_person(records, user_id)
        found = await listed_person(records, user_id)
        if found is None:
            raise UnknownRecord(f"no user {user_id!r}")
        person = _person_json(found)
        await core.eta.learn("extraction")
        run = await whole(core, person["run"]) if person["run"] else {"progress": None}
        return {**person, "progress": run["progress"]}


def _person_json(listed: ListedPerson) -> dict[str, Any]:
    person, extraction = listed.person, listed.extraction
    is_live = extraction is not None and extraction.status == "running"
    return {
        "id": person.id,
        "name": person.name,
        "gender": person.gender,
        "age": person.age,
        "city": person.city,
        "properties": person.properties,
        "behaviors": listed.behaviors,
        "events": listed.events,
        "run": extraction.run_id if extraction is not None and is_live else None,
        "extraction": None
        if extraction is None
        else {
            "run": extraction.run_id,
            "status": extraction.status,
            "code": extraction.code,
            "found": extraction.found,
            "changed_ms": extraction.changed_ms,
        },
    }


def behavior_json(behavior: Behavior) -> dict[str, Any]:
    """Return a behaviour as JSON."""
    return {
        "at": f"{behavior.at:%Y-%m-%d %H:%M:%S}",
        "action": behavior.action,
        "sku": behavior.sku,
        "stay_s": behavior.stay_s,
        "properties": behavior.properties,
    }


def _event_json(event: PersonEvent) -> dict[str, Any]:
    at = f"{event.at:%Y-%m-%d %H:%M:%S}"
    return {"type": event.type, "at": at, "context": event.context}


def _standing_json(one: Standing) -> dict[str, Any]:
    finding = one.finding
    return {
        **_event_json(one.event),
        "behavior": None if one.behavior is None else behavior_json(one.behavior),
        "finding": None if finding is None else {"kind": finding.kind, "known": finding.known},
    }


def _entry_json(one: TimelineEntry, names: Mapping[str, str]) -> dict[str, Any]:
    facts = {"kind": one.kind, "at": f"{one.at:%Y-%m-%d %H:%M:%S}"}
    if one.kind == "event":
        return {**facts, "type": one.name, "context": one.context, "run": one.run_id}
    product = {"sku": one.sku, "product": names.get(one.sku or "")}
    return {**facts, "action": one.name, **product, "stay_s": one.stay_s}
