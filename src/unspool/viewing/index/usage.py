"""Sums tokens, cost and times over the runs of the index, by local day, flow and model."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

DAY: Final = timedelta(days=1)
DAY_MS: Final = 86_400_000
QUARTER_MS: Final = 900_000
"""Clocks change at a quarter of an hour."""

_ROWS: Final = """
select {day} as day, r.flow, a.model, count(distinct r.no) as runs, count(*) as attempts,
    sum(a.status = 'failed') as failures,
    sum(not a.is_counted and a.status <> 'running') as uncounted,
    coalesce(sum(a.prompt_tokens), 0) as prompt_tokens,
    coalesce(sum(a.completion_tokens), 0) as completion_tokens,
    max(a.is_counted and not a.is_measured) as is_estimated,
    sum(a.is_counted and a.amount is null) as unpriced,
    a.currency, sum(a.amount) as amount
from runs r join attempts a on a.run = r.no
where r.created_ms >= :since and r.created_ms < :until
group by 1, 2, 3, a.currency
"""
"""One row for each currency; `currency` is empty where nothing has a price."""

_TEMPLATES: Final = """
select {day} as day, r.flow, 'template' as model, count(*) as runs from runs r
where r.created_ms >= :since and r.created_ms < :until and r.writers = '["template"]'
    and not exists (select 1 from attempts a where a.run = r.no)
group by 1, 2
"""
"""Runs that a template wrote without asking a model."""

_TIMES: Final = """
with counted as (
    select {key} as name, {value} as ms,
        row_number() over (partition by {key} order by {value}) as place,
        count(*) over (partition by {key}) as total
    from {source}
    where r.created_ms >= :since and r.created_ms < :until and {value} is not null
)
select name, total, min(case when place * 2 >= total then ms end) as p50_ms,
    min(case when place * 100 >= total * 95 then ms end) as p95_ms
from counted group by name
"""

_FLOWS: Final = """
select r.flow as name, count(*) as runs, sum(r.status = 'failed') as failed,
    sum(r.status = 'incomplete') as incomplete, sum(r.status = 'cancelled') as cancelled,
    sum(r.ended_ms is null) as live
from runs r where r.created_ms >= :since and r.created_ms < :until group by 1
"""


MAX_OWNERS: Final = 1000
"""Of the most tokens first."""

_OWNERS: Final = """
select r.tenant, r.key, r.user, count(distinct r.no) as runs, count(a.number) as attempts,
    coalesce(sum(a.prompt_tokens), 0) as prompt_tokens,
    coalesce(sum(a.completion_tokens), 0) as completion_tokens,
    sum(a.is_counted and a.amount is null) as unpriced, a.currency, sum(a.amount) as amount
from runs r join attempts a on a.run = r.no
where r.created_ms >= :since and r.created_ms < :until
group by 1, 2, 3, a.currency
order by sum(a.prompt_tokens + a.completion_tokens) desc, 1, 2, 3 limit :most
"""
"""One row for each currency, as above."""


def owners_of(db: sqlite3.Connection, since_ms: int, until_ms: int) -> list[dict[str, Any]]:
    """Return what each tenant, key and end user has used."""
    times = {"since": since_ms, "until": until_ms, "most": MAX_OWNERS}
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in map(dict, db.execute(_OWNERS, times)):
        currency, amount = row.pop("currency"), row.pop("amount")
        owner = row["tenant"], row["key"], row["user"]
        known = found.get(owner)
        if known is None:
            known = found[owner] = {**row, "costs": []}
        else:  # in another currency
            known["runs"] = max(known["runs"], row["runs"])
            for name in ("attempts", "prompt_tokens", "completion_tokens", "unpriced"):
                known[name] += row[name]
        if amount is not None and currency:
            known["costs"].append({"currency": currency, "amount": amount})
    return list(found.values())


def usage_of(
    db: sqlite3.Connection, zone: tzinfo, since_ms: int, until_ms: int
) -> dict[str, list[dict[str, Any]]]:
    """
    Return `rows` by day, flow and model, `flows` by their outcomes, and `times`.

    Times are medians and 95th percentiles in milliseconds: of a model's answers, and of the runs
    of a flow.
    """
    times = {"since": since_ms, "until": until_ms}
    day = day_sql(zone, since_ms, until_ms)
    rows = [dict(row) for row in db.execute(_ROWS.format(day=day), times)]
    templates = [dict(row) for row in db.execute(_TEMPLATES.format(day=day), times)]
    for row in (*rows, *templates):
        row["day"] = (datetime(1970, 1, 1, tzinfo=UTC) + row["day"] * DAY).date().isoformat()
    return {
        "rows": _merged([*rows, *templates]),
        "flows": [dict(row) for row in db.execute(_FLOWS, times)],
        "times": list(_times(db, times)),
    }


def _times(db: sqlite3.Connection, times: dict[str, int]) -> Iterator[dict[str, Any]]:
    whole = "attempts a join runs r on r.no = a.run and a.status = 'finished'"
    kinds = {"model": ("a.model", whole, "a."), "flow": ("r.flow", "runs r", "r.")}
    for kind, (key, source, table) in kinds.items():
        for of in ("first", "total"):
            sql = _TIMES.format(key=key, value=f"{table}{of}_ms", source=source)
            for row in db.execute(sql, times):
                yield {"by": kind, "of": of, **dict(row)}


def _merged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join the rows of one day, flow and model that differ in their currency."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        key = row["day"], row["flow"], row["model"]
        is_priced = row.get("amount") is not None and row["currency"]
        costs = [{name: row[name] for name in ("currency", "amount")}] if is_priced else []
        counts = {name: row.get(name, 0) for name in _COUNTS}
        counts["is_estimated"] = bool(row.get("is_estimated"))
        known = found.get(key)
        if known is None:
            facts = {name: row[name] for name in ("day", "flow", "model")}
            found[key] = {**facts, **counts, "costs": costs}
            continue
        for name in _COUNTS:
            # A run with attempts in two currencies is one run.
            known[name] = (max if name == "runs" else int.__add__)(known[name], counts[name])
        known["is_estimated"] |= counts["is_estimated"]
        known["costs"] += costs
    return [found[key] for key in sorted(found, reverse=True)]


_COUNTS: Final = (
    *("runs", "attempts", "failures", "uncounted", "prompt_tokens", "completion_tokens"),
    "unpriced",
)


def day_sql(zone: tzinfo, since_ms: int, until_ms: int) -> str:
    """Return SQL for the number of the local day, with the clocks' changes in between."""
    offsets = list(_offsets(zone, since_ms, until_ms))
    offset = str(offsets[-1][1])
    if len(offsets) > 1:
        cases = " ".join(
            f"when r.created_ms < {upto} then {ms}"
            for (upto, _), (_, ms) in zip(offsets[1:], offsets, strict=False)
        )
        offset = f"case {cases} else {offset} end"
    return f"(r.created_ms + ({offset})) / {DAY_MS}"


def _offsets(zone: tzinfo, since_ms: int, until_ms: int) -> Iterator[tuple[int, int]]:
    """Yield from when on (Unix ms) the clocks are how far ahead (ms), to a quarter of an hour."""
    at_ms = since_ms // QUARTER_MS * QUARTER_MS
    last = _offset(zone, at_ms)
    yield at_ms, last
    while at_ms < until_ms:
        next_ms = min(at_ms + DAY_MS, until_ms)
        offset = _offset(zone, next_ms)
        while last != offset and _offset(zone, at_ms) == last:
            at_ms += QUARTER_MS
        if last != offset:
            yield at_ms, offset
        at_ms, last = next_ms, offset


def _offset(zone: tzinfo, at_ms: int) -> int:
    offset = datetime.fromtimestamp(at_ms / 1000, zone).utcoffset() or timedelta()
    return round(offset / timedelta(milliseconds=1))


def midnight_ms(zone: tzinfo, now_ms: int, days_ago: int) -> int:
    """Return when the local day began that is so many days ago."""
    now = datetime.fromtimestamp(now_ms / 1000, zone)
    began = now.replace(hour=0, minute=0, second=0, microsecond=0) - days_ago * DAY
    return round(began.timestamp() * 1000)
