"""
Lists, searches and counts the runs of the index.

Words of three and more characters are found by the trigrams of the full text, also in Chinese.
Shorter ones are looked for in the newest texts alone, up to `SHORT_RUNS` and `SHORT_CHARS`.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

Sort = Literal["newest", "longest", "dearest", "tokens", "slowest"]

SORTS: Final[dict[str, str]] = {
    "longest": "coalesce(r.total_ms, -1)",
    "dearest": "coalesce(r.amount, -1)",
    "tokens": "coalesce(r.tokens, -1)",
    "slowest": "coalesce(r.first_ms, -1)",
}

MAX_HITS: Final = 5000
"""Runs with a word that are counted or sorted, the newest ones."""

SHORT_RUNS: Final = 10_000
SHORT_CHARS: Final = 8 * 1024 * 1024
"""How far a word of one or two characters is looked for."""

MAX_WORDS: Final = 8

AROUND: Final = 30
"""Characters shown on each side of a hit."""

MAX_CHANGES: Final = 500

TRIGRAM: Final = 3

TEMPLATE: Final = "template"
"""The writer of known text: no model, so it has no attempts."""

_ID: Final = re.compile(r"[0-9a-z]{6,26}")


@dataclass(frozen=True, slots=True)
class Criteria:
    """
    Which runs, and in which order. What is empty or None matches every run.

    Attributes:
        model: A model that wrote or was asked, or `template`.
        since_ms, until_ms: When it began, in Unix milliseconds; `until_ms` itself is out.
        top: Leave out children.
        before: The last run of the page before.
        changed: Only runs that have changed since this change.
    """

    q: str = ""
    statuses: Sequence[str] = ()
    flow: str = ""
    model: str = ""
    code: str = ""
    parent: str = ""
    since_ms: int | None = None
    until_ms: int | None = None
    seams: bool = False
    unpriced: bool = False
    top: bool = False
    ids: Sequence[str] = ()
    sort: Sort = "newest"
    before: str = ""
    changed: int | None = None
    limit: int = 50


@dataclass(slots=True)
class Clause:
    """A condition with its values."""

    parts: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def add(self, part: str, **values: Any) -> None:
        self.parts.append(part)
        self.values |= values

    @property
    def where(self) -> str:
        return " and ".join(self.parts) or "true"


@dataclass(frozen=True, slots=True)
class Search:
    """How far a search looked."""

    is_whole: bool = True
    runs: int | None = None
    """If not whole, the number of newest runs that it looked at."""


def words_of(q: str) -> list[str]:
    """Return the words of a query; every one must be in the text."""
    return q.split()[:MAX_WORDS]


def page_of(db: sqlite3.Connection, wanted: Criteria) -> list[dict[str, Any]]:
    """Return one page of runs, and for each the words around the first hit."""
    clause, source = _clause_of(db, wanted)
    if wanted.statuses:
        marks = _named(clause, "status", wanted.statuses)
        clause.add(f"r.status in ({marks})")
    order = "r.no desc"
    if wanted.sort == "newest":
        if wanted.before:
            clause.add("r.no < (select no from runs where id = :before)", before=wanted.before)
        if source.startswith("texts"):
            # The full text yields the newest first by itself, and stops at the end of the page.
            order = "texts.rowid desc"
    else:
        value = SORTS[wanted.sort]
        order = f"{value} desc, r.no desc"
        if wanted.before:
            row = f"select {value}, r.no from runs r where r.id = :before"  # noqa: S608
            clause.add(f"({value}, r.no) < ({row})", before=wanted.before)
    rows = db.execute(
        f"select r.* from {source} where {clause.where} order by {order} limit :limit",  # noqa: S608
        {**clause.values, "limit": wanted.limit},
    ).fetchall()
    found = [dict(row) for row in rows]
    _add_children(db, found)
    if words_of(wanted.q):
        _add_hits(db, found, [wanted.q.strip(), *words_of(wanted.q)])
    return found


def totals_of(db: sqlite3.Connection, wanted: Criteria) -> tuple[dict[str, int], Search]:
    """Count the runs per status, whatever `wanted.statuses` says."""
    clause, source = _clause_of(db, replace(wanted, sort="longest"))
    counts = db.execute(
        f"select r.status, count(*) from {source} where {clause.where} group by r.status",  # noqa: S608
        clause.values,
    ).fetchall()
    return dict(counts), _reach(db, wanted, clause)


def changes_of(
    db: sqlite3.Connection, wanted: Criteria, shown: Sequence[dict[str, Any]]
) -> list[str]:
    """Return the runs that changed too, and are not among those `shown`."""
    rows = db.execute(
        "select id from runs where change > ? order by change limit ?",
        (wanted.changed, MAX_CHANGES),
    )
    known = {row["id"] for row in shown}
    return [run_id for (run_id,) in rows if run_id not in known]


def minutes_of(db: sqlite3.Connection, since_ms: int) -> list[dict[str, int]]:
    """Count the runs that began in each minute: all, failed ones, and others with a seam."""
    rows = db.execute(
        """
        select created_ms / 60000 * 60000 as at_ms, count(*) as runs,
            sum(status = 'failed') as failed, sum(status <> 'failed' and seams > 0) as seams
        from runs where created_ms >= ? group by 1 order by 1
        """,
        (since_ms,),
    )
    return [dict(row) for row in rows]


def flows_of(db: sqlite3.Connection) -> list[str]:
    return [flow for (flow,) in db.execute(_FLOWS)]


_FLOWS: Final = """
with recursive flows (flow) as (
    select min(flow) from runs
    union all
    select (select min(flow) from runs where runs.flow > flows.flow) from flows
    where flow is not null
)
select flow from flows where flow is not null
"""
"""One step for each flow: `distinct` would read every run."""


def _clause_of(db: sqlite3.Connection, wanted: Criteria) -> tuple[Clause, str]:
    """Return the condition without statuses and place, and the tables that it is about."""
    clause = Clause()
    _add_names(clause, wanted)
    if wanted.since_ms is not None:
        clause.add("r.created_ms >= :since", since=wanted.since_ms)
    if wanted.until_ms is not None:
        clause.add("r.created_ms < :until", until=wanted.until_ms)
    for is_on, part in (
        (wanted.seams, "r.seams > 0"),
        (wanted.unpriced, "r.unpriced > 0"),
        (wanted.top, "r.parent is null"),
    ):
        if is_on:
            clause.add(part)
    if wanted.ids:
        clause.add(f"r.id in ({_named(clause, 'id', wanted.ids)})")
    if wanted.changed is not None:
        # A child that changed changes what the row of its parent says.
        clause.add(
            "(r.change > :changed or r.id in (select parent from runs where change > :changed))",
            changed=wanted.changed,
        )
    return clause, _source_of(db, wanted, clause)


def _add_names(clause: Clause, wanted: Criteria) -> None:
    equal = {"flow": wanted.flow, "code": wanted.code, "parent": wanted.parent}
    for name, value in equal.items():
        if value:
            clause.add(f"r.{name} = :{name}", **{name: value})
    if wanted.model == TEMPLATE:
        clause.add("instr(r.writers, :writer) > 0", writer=f'"{TEMPLATE}"')
    elif wanted.model:
        clause.add(
            "r.no in (select run from attempts where model = :model"
            " union select no from runs where model = :model)",
            model=wanted.model,
        )


def _source_of(db: sqlite3.Connection, wanted: Criteria, clause: Clause) -> str:
    words = words_of(wanted.q)
    if not words:
        return "runs r"
    if _ID.fullmatch(wanted.q) and (
        db.execute("select 1 from runs where id like '%' || ?", (wanted.q,)).fetchone()
    ):
        clause.add("r.id like '%' || :id_end", id_end=wanted.q)
        return "runs r"
    long = [word for word in words if len(word) >= TRIGRAM]
    for at, word in enumerate(word for word in words if len(word) < TRIGRAM):
        text = "(select text from texts where rowid = r.no)"
        # Only letters of ASCII have two cases for SQLite; `instr` is twice as quick as `like`.
        test = (
            f"{text} like :short{at} escape '\\'"
            if word.isascii()
            else f"instr({text}, :short{at})"
        )
        value = f"%{_plain(word)}%" if word.isascii() else word
        clause.add(test, **{f"short{at}": value})
    if not long:
        (least,) = db.execute(_SHORT_REACH, (SHORT_RUNS, SHORT_CHARS)).fetchone()
        clause.add("r.no >= :least", least=least or 0)
        return "runs r"
    match = " AND ".join('"{}"'.format(word.replace('"', '""')) for word in long)
    if wanted.sort == "newest" and wanted.changed is None:
        clause.add("texts match :match", match=match)
        return "texts cross join runs r on r.no = texts.rowid"
    hits = f"select texts.rowid from {_OWN_TEXTS} where texts match :match"  # noqa: S608
    clause.add(
        f"r.no in ({hits} order by texts.rowid desc limit :hits)", match=match, hits=MAX_HITS
    )
    return "runs r"


_OWN_TEXTS: Final = "texts cross join runs own on own.no = texts.rowid"
"""The full text has the words of all tenants, `runs` only what the connection may see."""

_SHORT_REACH = """
select min(no) from (
    select no, sum(bytes) over (order by no desc) as chars
    from (select no, bytes from runs order by no desc limit ?)
) where chars <= ?
"""


def _reach(db: sqlite3.Connection, wanted: Criteria, clause: Clause) -> Search:
    """Say whether the search looked at all runs."""
    if "least" in clause.values:
        (older,) = db.execute(
            "select exists (select 1 from runs where no < ?)", (clause.values["least"],)
        ).fetchone()
        return Search(not older, SHORT_RUNS if older else None)
    if "match" in clause.values:
        (more,) = db.execute(
            f"select count(*) from (select 1 from {_OWN_TEXTS} where texts match ? limit ?)",  # noqa: S608
            (clause.values["match"], MAX_HITS + 1),
        ).fetchone()
        return Search(more <= MAX_HITS, MAX_HITS if more > MAX_HITS else None)
    return Search()


def _add_children(db: sqlite3.Connection, found: list[dict[str, Any]]) -> None:
    """Add the number of children in each status."""
    marks = ",".join("?" * len(found))
    rows = db.execute(
        f"select parent, status, count(*) from runs where parent in ({marks}) group by 1, 2",  # noqa: S608
        [row["id"] for row in found],
    )
    children: dict[str, dict[str, int]] = {}
    for parent, status, count in rows:
        children.setdefault(parent, {})[status] = count
    for row in found:
        row["children"] = children.get(row["id"])


def _add_hits(db: sqlite3.Connection, found: list[dict[str, Any]], words: list[str]) -> None:
    """Add the first hit of any of `words`; where several begin at one place, of the earlier."""
    pattern = re.compile("|".join(map(re.escape, words)), re.IGNORECASE)
    for row in found:
        (text,) = db.execute("select text from texts where rowid = ?", (row["no"],)).fetchone()
        row["hit"] = hit_of(text, pattern)


def hit_of(text: str, pattern: re.Pattern[str]) -> dict[str, str] | None:
    """Return the first hit and the words around it, on one line."""
    hit = pattern.search(text)
    if hit is None:
        return None
    start, end = hit.span()
    before, after = text[max(0, start - AROUND) : start], text[end : end + AROUND]
    parts = {"before": before, "match": hit[0], "after": after}
    return {name: re.sub(r"\s+", " ", part) for name, part in parts.items()}


def _named(clause: Clause, name: str, values: Sequence[str]) -> str:
    clause.values |= {f"{name}{at}": value for at, value in enumerate(values)}
    return ",".join(f":{name}{at}" for at in range(len(values)))


def _plain(word: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", word)
