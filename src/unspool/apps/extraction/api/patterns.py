"""Figures over people's events: `/api/v1/patterns`, `/api/v1/event-types`, `/api/v1/drop-off`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query

from unspool.core import Core
from unspool.errors import UnknownRecord

from ..drop_off import drop_off
from ..event_lines import MAX_TYPE_CHARS
from ..evidence import MAX_WINDOW_DAYS, WINDOW_DAYS, EventHistory, repeats
from ..frequent_patterns import MAX_LENGTH, MAX_PATTERNS
from ..graph_patterns import PatternSearch, find_type, mined_patterns, outcome_in
from ..kept_figures import KeptFigures
from ..records.histories import read_traits

MAX_TYPES = 200
"""Event types in one answer, the commonest ones."""

WindowDays = Annotated[float, Query(gt=0, le=MAX_WINDOW_DAYS)]
Words = Annotated[str, Query(max_length=200)]
EventType = Annotated[str, Query(max_length=MAX_TYPE_CHARS)]


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["events (S3)"])
    kept = KeptFigures(core.records)

    @router.get("/patterns")
    async def read_patterns(
        min_support: Annotated[float, Query(gt=0, le=1)] = 0.2,
        max_length: Annotated[int, Query(ge=2, le=MAX_LENGTH)] = 4,
        limit: Annotated[int, Query(ge=1, le=MAX_PATTERNS)] = 50,
        outcome: EventType = "",
        window_days: WindowDays = WINDOW_DAYS,
        query: Words = "",
    ) -> dict[str, Any]:
        """Return frequent sequences of event types with their figures, the most frequent first."""
        asked = PatternSearch(min_support, max_length, limit, outcome, window_days)

        async def answer() -> dict[str, Any]:
            histories = await kept.histories(query)
            wanted = replace(asked, outcome=_type(outcome, histories) if outcome else "")
            mined, patterns = await asyncio.to_thread(mined_patterns, histories, wanted)
            return {"users": mined.users, "is_whole": mined.is_whole, "patterns": patterns}

        return await kept.of(("patterns", query, asked), answer)

    @router.get("/event-types")
    async def read_types(
        window_days: WindowDays = WINDOW_DAYS, query: Words = ""
    ) -> dict[str, Any]:
        """Return the types of events, with how many people have each, and again in time."""

        async def answer() -> dict[str, Any]:
            return await asyncio.to_thread(_types, await kept.histories(query), window_days)

        return await kept.of(("types", query, window_days), answer)

    @router.get("/drop-off")
    async def read_drop_off(
        start: EventType,
        outcome: EventType = "",
        window_days: WindowDays = WINDOW_DAYS,
        query: Words = "",
        after: Annotated[str, Query(max_length=128)] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> dict[str, Any]:
        """
        Return the people with `start` and no `outcome` in time, and how they differ.

        `next` is the `after` of the next page of people. An event type that nobody has: 404.
        """

        async def answer() -> dict[str, Any]:
            histories = await kept.histories(query)
            first, last = _type(start, histories), outcome_in(histories, outcome)
            if not last:
                last = _type(outcome, histories)
            traits = await read_traits(core.records, query=query)
            groups = await asyncio.to_thread(
                drop_off, histories, traits, start=first, outcome=last, window_days=window_days
            )
            return {
                "start": first,
                "outcome": last,
                "window_days": window_days,
                "dropped": len(groups.dropped),
                "reached": len(groups.reached),
                "undecided": len(groups.undecided),
                "differences": [one.facts() for one in groups.differences],
                "people": groups.dropped,
            }

        figures = await kept.of(("drop-off", query, start, outcome, window_days), answer)
        rest = [user_id for user_id in figures["people"] if user_id > after]
        following = rest[limit - 1] if len(rest) > limit else None
        return {**figures, "people": rest[:limit], "next": following}

    return router


def _type(word: str, histories: Sequence[EventHistory]) -> str:
    found = find_type(word, histories)
    if not found:
        raise UnknownRecord(f"no event of the type {word!r}; `GET /api/v1/event-types` lists them")
    return found


def _types(histories: Sequence[EventHistory], window_days: float) -> dict[str, Any]:
    people = Counter(kind for one in histories for kind in set(one.types))
    events = Counter(kind for one in histories for kind in one.types)
    kinds = sorted(people, key=lambda kind: (-people[kind], kind))[:MAX_TYPES]
    again = repeats(histories, kinds, window_days=window_days)
    return {
        "users": len(histories),
        "outcome": outcome_in(histories),
        "types": [{"type": kind, "events": events[kind], **again[kind]} for kind in kinds],
    }
