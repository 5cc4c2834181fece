"""Deletes ended runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .. import EndedRun
from .connections import Connection

ROW_BYTES: Final = 512
"""Bytes of a run beside its events, in its row and the indexes."""

_WHOLE = """
r.ended_ms is not null
and not exists (select from runs c where c.parent = r.id and c.ended_ms is null)
"""
"""We delete a parent only when all its children have ended."""

_OLDEST = f"""
select r.id, r.ended_ms,
    r.bytes + coalesce((select sum(bytes) from runs c where c.parent = r.id), 0)::bigint
from runs r
where {_WHOLE} and r.no > coalesce((select no from runs where id = $1), 0)
and (r.parent is null or not exists (select from runs p where p.id = r.parent))
and ($2::bigint is null or r.ended_ms < $2) order by r.no limit $3
"""  # noqa: S608

_FORGET = f"""
with whole as (select no, id from runs r where id = any($1::text[]) and {_WHOLE}),
gone as (
    select no from whole union select no from runs where parent in (select id from whole)
), pages_gone as (delete from pages where run in (select no from gone))
delete from runs where no in (select no from gone)
"""  # noqa: S608


async def oldest(db: Connection, after: str, before_ms: int | None, limit: int) -> list[EndedRun]:
    """Return ended runs, oldest first, after run `after`."""
    return [EndedRun(*row) for row in await db.fetch(_OLDEST, after, before_ms, limit)]


async def forget(db: Connection, run_ids: Sequence[str]) -> int:
    """Delete the ended runs of `run_ids` and their children; return how many."""
    return int((await db.execute(_FORGET, list(run_ids))).rpartition(" ")[2])


async def used_bytes(db: Connection) -> int:
    """Return the bytes of all runs; the room that the server keeps for new ones does not count."""
    query = "select coalesce(sum(bytes), 0)::bigint + $1 * count(*) from runs"
    return int(await db.fetchval(query, ROW_BYTES))
