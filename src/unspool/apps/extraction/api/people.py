"""`/api/people`: people with their behaviours and events."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from unspool.core import Core
from unspool.journals import Journal
from unspool.records.behaviors import Behavior, behavior_counts, behaviors_of
from unspool.records.people import MAX_USER_CHARS, Person, count_people, find_person, list_people
from unspool.server.api.runs import whole

from ..records.events import PersonEvent, event_counts, events_of

UserId = Annotated[str, Path(alias="id", max_length=MAX_USER_CHARS)]
Limit = Annotated[int, Query(ge=1, le=1000)]


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/people", tags=["people (S3)"])
    records = core.records

    async def shown(people: list[Person]) -> list[dict[str, Any]]:
        ids = [person.id for person in people]
        behaviors, events = await behavior_counts(records, ids), await event_counts(records, ids)
        runs = await runs_of(core.journal)
        return [
            {
                "id": person.id,
                "name": person.name,
                "gender": person.gender,
                "age": person.age,
                "city": person.city,
                "properties": person.properties,
                "behaviors": behaviors.get(person.id, 0),
                "events": events.get(person.id, 0),
                "run": runs.get(person.id),
            }
            for person in people
        ]

    @router.get("")
    async def list_all(
        query: Annotated[str, Query(max_length=200)] = "",
        after: Annotated[str, Query(max_length=MAX_USER_CHARS)] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> dict[str, Any]:
        """List people by id; `next` is the `after` of the next page, `run` a live extraction."""
        people = await list_people(records, query=query, after=after, limit=limit)
        return {
            "people": await shown(people),
            "total": await count_people(records, query=query),
            "next": people[-1].id if len(people) == limit else None,
        }

    @router.get("/{id}")
    async def read_person(user_id: UserId) -> dict[str, Any]:
        """Return a person; `progress` is that of a live extraction, as in `GET /v1/runs/{id}`."""
        (person,) = await shown([await find_person(records, user_id)])
        await core.eta.learn("extraction")
        run = await whole(core, person["run"]) if person["run"] else {"progress": None}
        return {**person, "progress": run["progress"]}

    @router.get("/{id}/behaviors")
    async def read_behaviors(user_id: UserId, limit: Limit = 200) -> dict[str, Any]:
        """Return the latest behaviours, oldest first."""
        await find_person(records, user_id)
        behaviors = await behaviors_of(records, user_id, limit=limit)
        return {"behaviors": [_behavior_json(behavior) for behavior in behaviors]}

    @router.get("/{id}/events")
    async def read_events(user_id: UserId, limit: Limit = 200) -> dict[str, Any]:
        """Return the latest events, oldest first, and the run that produced them."""
        await find_person(records, user_id)
        events = await events_of(records, user_id, limit=limit)
        return {
            "run": events[0].run_id if events else None,
            "events": [_event_json(event) for event in events],
        }

    return router


async def runs_of(journal: Journal) -> dict[str, str]:
    """Return the newest live extraction of each person."""
    heads = await journal.heads(status="running", flow="extraction", limit=500)
    runs: dict[str, str] = {}
    for head in heads:
        (started,) = await journal.read(head.run_id, after=0, limit=1)
        runs.setdefault(started.data["input"].get("user_id", ""), head.run_id)
    return runs


def _behavior_json(behavior: Behavior) -> dict[str, Any]:
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
