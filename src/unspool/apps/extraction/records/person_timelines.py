"""What one person did and what a model saw in it, in one list over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import literal, null, select, union_all

from unspool.records import Records
from unspool.records.behaviors import Behavior
from unspool.records.products import MAX_PAGE_ROWS

from .events import PersonEvent


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """
    Attributes:
        name: The action of a behaviour, or the type of an event.
        context: Of an event; empty for a behaviour.
        run_id: The run that found the event; None for a behaviour.
    """

    kind: Literal["behavior", "event"]
    at: datetime
    name: str
    sku: str | None
    stay_s: float | None
    context: str
    run_id: str | None


async def timeline_of(
    records: Records, user_id: str, *, offset: int = 0, limit: int = 100
) -> list[TimelineEntry]:
    """Return behaviours and events of a person, the latest first; of a moment, the event first."""
    behaviors = select(
        literal("behavior").label("kind"),
        Behavior.at.label("at"),
        Behavior.action.label("name"),
        Behavior.sku.label("sku"),
        Behavior.stay_s.label("stay_s"),
        literal("").label("context"),
        null().label("run_id"),
        Behavior.id.label("number"),
    ).where(Behavior.user_id == user_id)
    events = select(
        literal("event"),
        PersonEvent.at,
        PersonEvent.type,
        null(),
        null(),
        PersonEvent.context,
        PersonEvent.run_id,
        PersonEvent.number,
    ).where(PersonEvent.user_id == user_id)
    both = union_all(behaviors, events).subquery()
    page = (
        select(both)
        .order_by(both.c.at.desc(), both.c.kind.desc(), both.c.number.desc())
        .offset(max(0, offset))
        .limit(max(0, min(limit, MAX_PAGE_ROWS)))
    )
    async with records.session() as session:
        return [TimelineEntry(*row[:7]) for row in await session.execute(page)]
