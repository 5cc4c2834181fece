"""The question and the answer of the list of runs, as docs/protocol/native.md describes them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from pydantic import BaseModel, BeforeValidator, Field

from unspool.core import Core
from unspool.errors import UnknownRun
from unspool.journals import Wanted
from unspool.records.feedback import feedback_of
from unspool.viewing.index import Criteria, Totals
from unspool.viewing.index.listing import Sort

from .run import feedback_json, head_json, iso

MINUTES: Final = 30
"""Minutes of the bars above the list."""

Moment = Annotated[
    datetime | None, BeforeValidator(lambda value: None if value == "" else value), Field()
]
Flag = Annotated[bool, BeforeValidator(lambda value: value or False)]
Code = Annotated[str, Field(max_length=32)]
Name = Annotated[str, Field(max_length=64)]


class RunFilter(BaseModel):
    """Which runs; what is empty matches every run."""

    q: str = Field("", max_length=200)
    """Words that are all in its input or text, or the end of its id."""
    status: list[Code] = Field(default_factory=list, max_length=8)
    flow: Name = ""
    model: str = Field("", max_length=128)
    code: Name = ""
    """The code of its error."""
    parent: Name = ""
    since: Moment = None
    until: Moment = None
    seams: Flag = False
    unpriced: Flag = False
    top: Flag = False
    """Leave out children."""
    sort: Sort = "newest"

    def wanted(self, **more: Any) -> Criteria:
        """Return it as the index takes it."""
        names = ("q", "flow", "model", "code", "parent", "seams", "unpriced", "top", "sort")
        facts: dict[str, Any] = {name: getattr(self, name) for name in names}
        facts |= {"since_ms": _ms(self.since), "until_ms": _ms(self.until)}
        return Criteria(**facts, statuses=tuple(filter(None, self.status)), **more)


class RunQuery(RunFilter):
    """One page of the list."""

    before: Name = ""
    limit: int = Field(50, ge=1, le=500)
    changed: int | None = Field(None, ge=0)
    totals: Flag = False
    minutes: Flag = False

    @property
    def is_plain(self) -> bool:
        """Whether the journal itself can answer."""
        plain = {"before", "limit", "flow", "parent", "status"}
        named = {name for name in self.model_fields_set if getattr(self, name)}
        return named <= plain and len(self.status) <= 1 and self.changed is None


async def plain_list(core: Core, query: RunQuery) -> dict[str, Any]:
    """Answer from the journal alone."""
    status = next(iter(query.status), "")
    wanted = Wanted(status=status, flow=query.flow, parent=query.parent)
    heads = await core.journal.heads(before=query.before, limit=query.limit, **wanted)
    more = heads[-1].run_id if len(heads) == query.limit else None
    return {"runs": await _judged(core, [head_json(head) for head in heads]), "next": more}


async def indexed_list(core: Core, query: RunQuery) -> dict[str, Any]:
    """Answer from the index."""
    await core.indexing.catch_up()
    more = {"before": query.before, "limit": query.limit, "changed": query.changed}
    wanted = query.wanted(**more)
    listed = await core.index.listed(wanted)
    runs = [await _live(core, row) for row in listed.runs]
    is_same = query.changed is not None and listed.change == query.changed
    totals = await core.index.totals(query.wanted()) if query.totals and not is_same else None
    minutes = None
    if query.minutes and not is_same:
        since_ms = (int(time.time() * 1000) // 60_000 - MINUTES + 1) * 60_000
        minutes = [
            {"at": iso(minute.pop("at_ms")), **minute}
            for minute in await core.index.minutes(since_ms)
        ]
    return {
        "runs": await _judged(core, [run for run in runs if run is not None]),
        "next": listed.runs[-1]["id"] if len(listed.runs) == query.limit else None,
        "change": listed.change,
        "is_stale": listed.is_stale,
        "others": listed.others,
        "is_whole": core.indexing.is_whole,
        "totals": totals and _totals_json(totals),
        "minutes": minutes,
    }


async def _judged(core: Core, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return runs with what people think of them."""
    given = await feedback_of(core.records, [run["id"] for run in runs])
    return [run | {"feedback": feedback_json(given.get(run["id"]))} for run in runs]


def _totals_json(totals: Totals) -> dict[str, Any]:
    search = totals.search
    searched = None if search.is_whole else search.runs
    return {"statuses": totals.statuses, "flows": totals.flows, "searched": searched}


async def _live(core: Core, row: dict[str, Any]) -> dict[str, Any] | None:
    """Return the JSON of a row; the journal says how far a live run is. None: it is deleted."""
    facts = row_json(row)
    if row["ended_ms"] is not None:
        return facts
    with suppress(UnknownRun):
        return facts | head_json(await core.journal.head(row["id"]))
    return None


def row_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the index as the list shows it."""
    names = ("id", "flow", "model", "dialect", "status", "last_seq", "total_ms")
    counts = ("unpriced", "seams", "recoveries", "warnings", "parent", "forked_from", "children")
    basis = "measured" if row["is_measured"] else "estimated"
    cost = {"amount": row["amount"], "currency": row["currency"], "basis": basis}
    usage = {
        "prompt_tokens": row["prompt_tokens"],
        "completion_tokens": row["completion_tokens"],
        "total_tokens": row["tokens"],
        "basis": basis,
    }
    return {
        **{name: row[name] for name in names},
        "created_at": iso(row["created_ms"]),
        "ended_at": None if row["ended_ms"] is None else iso(row["ended_ms"]),
        "code": row["code"] or None,
        "first_token_ms": row["first_ms"],
        "usage": usage if row["tokens"] is not None else None,
        "cost": cost if row["amount"] is not None else None,
        **{name: row[name] for name in counts},
        "about": msgspec.json.decode(row["about"]),
        "writers": msgspec.json.decode(row["writers"]),
        "hit": row.get("hit"),
    }


def _ms(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    # A time without a zone is UTC, as all times of this API.
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)
