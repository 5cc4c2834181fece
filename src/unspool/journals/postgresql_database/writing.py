"""
Writes the commits of this process: segment after segment, each numbered one higher.

Nearly every commit is one statement and one round trip. A commit whose answer is lost is settled by
its number: the segment is there, or it is not, once the old connection is surely gone.

We use one connection for commits. With two or three, their share locks overtake the claim that
waits for the fence.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final, TypeVar
from zlib import crc32

import asyncpg

from unspool.failpoints import point

from ..live.clock import elapsed_s
from ..live.group_commit import WriteFailed, Written
from ..live.live_run import LiveRun, Strip
from .connections import DOWN, FIRST_PAUSE_S, LONGEST_PAUSE_S, Connection, OneConnection

log = logging.getLogger(__name__)

T = TypeVar("T")

_sending = point("postgresql.sending")
_answered = point("postgresql.answered")

LAST_TRIES_S: Final = 2.0
"""Seconds without a server until a process that stops gives up its last commit."""

_APPEND = """
with me as (select 1 from writers where id = $1 and claims = $2 for share)
insert into segments (writer, n, crc, runs, data) select $1, $3, $4, $5, $6 from me
"""

_WRITE = """
with me as (select 1 from writers where id = $1 and claims = $2 for share),
segment as (
    insert into segments (writer, n, crc, runs, data) select $1, $3, $4, $5, $6 from me returning n
), made as (
    insert into runs (
        no, id, flow, model, dialect, digest, created_ms, parent, forked_from, key, asked, tenant,
        status, epoch, writer
    )
    select new.*, 1, $1 from me, unnest(
        $7::bigint[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[],
        $14::text[], $15::text[], $16::text[], $17::text[], $18::text[], $19::text[]
    ) as new
    on conflict (key) where key is not null do nothing returning no
), paged as (
    insert into pages (run, first, crc, data) select page.* from me, unnest(
        $20::bigint[], $21::bigint[], $22::bigint[], $23::bytea[]
    ) as page
), changed as (
    update runs set seq = new.seq, bytes = new.bytes, status = new.status,
        ended_ms = new.ended_ms, writer = case when new.is_left then 0 else runs.writer end
    from me, unnest(
        $20::bigint[], $24::bigint[], $25::bigint[], $26::text[], $27::bigint[], $28::boolean[]
    ) as new (no, seq, bytes, status, ended_ms, is_left)
    where runs.no = new.no
), noted as (
    update runs set status = new.status
    from me, unnest($29::bigint[], $30::text[]) as new (no, status)
    where runs.no = new.no
)
select (select count(*) from segment) as count, array(select no from made) as made
"""

_OWNED = """
select w.claims, (
    select coalesce(jsonb_object_agg(no, epoch), '{}') from runs
    where writer = w.id and ended_ms is null
)::text as epochs
from writers w where w.id = $1
"""

_FIND = """
select crc, array(select no from runs where no = any($3::bigint[])) as made
from segments where writer = $1 and n = $2
"""

_NEW_WRITER = """
with me as (insert into writers default values returning id)
insert into leases (writer, backend, version) select id, $1, $2 from me returning writer
"""
"""With its first beat, so that nobody takes it for dead."""


@dataclass(slots=True)
class StripColumns:
    """Strips as the values of a statement."""

    data: bytes
    crc: int
    runs: list[int]
    new: list[tuple[Any, ...]] = field(default_factory=list)
    pages: list[tuple[Any, ...]] = field(default_factory=list)
    statuses: list[tuple[Any, ...]] = field(default_factory=list)
    """Of runs that are in neither: a statement may change a row only once."""

    @classmethod
    def of(cls, strips: Sequence[Strip]) -> StripColumns:
        data = b"".join([strip.record for strip in strips])
        batch = cls(data, crc32(data), [strip.live_run.no for strip in strips])
        for strip in strips:
            if strip.live_run.is_new:
                batch.new.append(_new_row(strip))
            elif strip.status and not strip.page:
                batch.statuses.append((strip.live_run.no, strip.status))
            if strip.page:
                batch.pages.append(_page_row(strip))
        return batch

    def values(self) -> list[list[Any]]:
        """Return the columns for `_WRITE`."""
        return [*_columns(self.new, 13), *_columns(self.pages, 9), *_columns(self.statuses, 2)]


def _new_row(strip: Strip) -> tuple[Any, ...]:
    live_run = strip.live_run
    head, claim = live_run.head, live_run.claim
    # A name may hold NUL, the one character that PostgreSQL does not store; the log has it whole.
    request = [name.replace("\0", "\ufffd") for name in (head.flow, head.model, head.dialect)]
    request.append(head.digest)
    key = (claim.key, claim.request_digest) if claim else (None, None)
    ancestors = (head.parent, head.forked_from)
    owner = (head.tenant, strip.status or live_run.status)
    return live_run.no, head.run_id, *request, head.created_ms, *ancestors, *key, *owner


def _page_row(strip: Strip) -> tuple[Any, ...]:
    live_run = strip.live_run
    status, ended_ms = strip.ending or (strip.status or live_run.status, None)
    is_left = strip.ending is not None and ended_ms is None
    page = (live_run.no, live_run.base, crc32(strip.page), strip.page)
    return *page, strip.paged_upto, strip.paged_bytes, status, ended_ms, is_left


def _columns(rows: Sequence[tuple[Any, ...]], count: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[]] * count


class Writer:
    """
    The writer that this process is.

    Attributes:
        id: Its number; a process that was taken for dead gets a new one.
        n: Its last segment.
        lock: Held during a commit, and while this process claims a run of its own.
    """

    def __init__(
        self, url: str, live: Mapping[str, LiveRun], lose: Callable[[LiveRun], None]
    ) -> None:
        """`live`: the runs that this process writes; `lose` is called with one that it lost."""
        self.link = OneConnection(url, prepare=self._prepare)
        self.id = 0
        self.n = 0
        self.lock = asyncio.Lock()
        self.backend = 0
        self.on_written: Callable[[int], None] = _nobody_hears
        """Called with the number of each commit."""
        self.on_renewed: Callable[[], None] = lambda: None
        """Called when this process has become another writer."""
        self._claims = 0
        self._backend_start: Any = None
        self._live = live
        self._lose = lose
        self._is_in_doubt = False
        self._is_closing = False

    async def open(self) -> None:
        """Become a writer; raises one of `DOWN`."""
        await self._enter()

    def write(self, strips: list[Strip], _keep_from: int | None) -> asyncio.Future[Written]:
        """Commit strips; see `group_commit.Write`."""
        return asyncio.ensure_future(self._write(strips))

    async def close(self) -> None:
        self._is_closing = True
        await self.link.close()

    def stop_soon(self) -> None:
        """Give up commits when the server stays away."""
        self._is_closing = True

    async def check(self, claims: int | None) -> None:
        """
        Give up the runs that others have claimed; without a commit we would not notice.

        Args:
            claims: How often others have claimed runs of ours; None: we are no writer any more.

        Raises:
            WriteFailed: The server is away, and we stop; or it refuses.
        """
        if claims != self._claims:
            async with self.lock:
                try:
                    await self._sorted_out([])
                except asyncpg.PostgresError as error:
                    raise WriteFailed(error) from error

    async def _renew(self) -> None:
        """Become another writer, because others have taken this one for dead."""
        log.warning("Other servers took this one for dead; it continues as a new one.")
        await self._patiently(self._enter)
        # In the same turn as the new number: what we adopt from here on is the new writer's.
        for live_run in self._written():
            self._lose(live_run)
        self.on_renewed()

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do some work as soon as the server is there; raises `WriteFailed` if we stop."""
        while True:
            try:
                return await work()
            except DOWN as error:
                self._note_away(error)
                await asyncio.sleep(FIRST_PAUSE_S)

    async def _enter(self) -> None:
        release = version("unspool")
        self.id = await self.link.run(lambda db: db.fetchval(_NEW_WRITER, self.backend, release))
        self.n = self._claims = 0

    async def _prepare(self, db: Connection) -> None:
        """End what our last connection may still be doing; then only this one can commit."""
        if self.backend:
            await db.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
                "where pid = $1 and backend_start = $2",
                self.backend,
                self._backend_start,
            )
        row = await db.fetchrow(
            "select pid, backend_start from pg_stat_activity where pid = pg_backend_pid()"
        )
        assert row is not None
        self.backend, self._backend_start = row["pid"], row["backend_start"]
        if self.id:
            await db.execute(
                "update leases set backend = $2 where writer = $1", self.id, row["pid"]
            )

    async def _write(self, strips: list[Strip]) -> Written:
        async with self.lock:
            return await self._until_settled(strips)

    async def _until_settled(self, strips: list[Strip]) -> Written:
        refused: list[Strip] = []
        pause_s = FIRST_PAUSE_S
        while True:
            batch = StripColumns.of(strips)
            try:
                made = await self.link.run(lambda db, batch=batch: self._try(db, batch))  # type: ignore[misc]
            except DOWN as error:
                self._is_in_doubt = True
                self._note_away(error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            except asyncpg.PostgresError as error:
                self._is_in_doubt = False
                raise WriteFailed(error) from error
            if made is not None:
                break
            try:
                strips, lost = await self._sorted_out(strips)
            except asyncpg.PostgresError as error:
                raise WriteFailed(error) from error
            refused += lost
            if not strips:
                return self.n, refused
        self._is_in_doubt = False
        self.n += 1
        self.on_written(self.n)
        taken = [
            strip for strip in strips if strip.live_run.is_new and strip.live_run.no not in made
        ]
        return self.n, refused + taken

    def _note_away(self, error: BaseException) -> None:
        since = self.link.down_since or elapsed_s()
        if self._is_closing and elapsed_s() - since > LAST_TRIES_S:
            raise WriteFailed(error) from error
        if since > elapsed_s() - FIRST_PAUSE_S:
            log.warning("The journal's database is away (%s); runs wait for it.", error)

    async def _try(self, db: Connection, batch: StripColumns) -> set[int] | None:
        """
        Commit a batch, once, whatever happened to the try before.

        Returns the new runs that are made, or None if runs have another owner: it wrote nothing.
        """
        n = self.n + 1
        new = [row[0] for row in batch.new]
        if self._is_in_doubt:
            found = await db.fetchrow(_FIND, self.id, n, new)
            if found is not None and found["crc"] == batch.crc:
                return set(found["made"])
            self._is_in_doubt = False
        _sending()
        head = (self.id, self._claims, n, batch.crc, batch.runs, batch.data)
        if not (new or batch.pages or batch.statuses):
            count, made = (await db.execute(_APPEND, *head)).rpartition(" ")[2] == "1", []
        else:
            row = await db.fetchrow(_WRITE, *head, *batch.values())
            assert row is not None
            count, made = row["count"] == 1, row["made"]
        _answered()
        return set(made) if count else None

    async def _sorted_out(self, strips: list[Strip]) -> tuple[list[Strip], list[Strip]]:
        """Return the strips whose runs are ours, and those whose runs another writer has."""
        before = self._written()  # a run that we adopt meanwhile is not among them
        epochs = await self._owned()
        if epochs is None:
            new = [strip for strip in strips if strip.live_run.is_new]
            await self._renew()
            return new, [strip for strip in strips if not strip.live_run.is_new]
        ours: list[Strip] = []
        lost: list[Strip] = []
        for strip in strips:
            live_run = strip.live_run
            is_ours = live_run.is_new or epochs.get(live_run.no) == live_run.epoch
            (ours if is_ours else lost).append(strip)
        for live_run in before:
            if epochs.get(live_run.no) != live_run.epoch:
                self._lose(live_run)
        return ours, lost

    def _written(self) -> list[LiveRun]:
        return [live_run for live_run in self._live.values() if not live_run.is_new]

    async def _owned(self) -> Mapping[int, int] | None:
        """Return our runs and their epochs; None: we are no writer any more."""

        async def read() -> asyncpg.Record | None:
            return await self.link.run(lambda db: db.fetchrow(_OWNED, self.id))

        row = await self._patiently(read)
        if row is None:
            return None
        self._claims = row["claims"]
        return {int(no): epoch for no, epoch in json.loads(row["epochs"]).items()}


def _nobody_hears(n: int) -> None:
    """Default of `Writer.on_written`."""
