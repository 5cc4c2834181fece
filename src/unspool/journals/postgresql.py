"""
Runs in a PostgreSQL database that any number of processes share.

Each process writes its own runs, in one commit for all of them, and other processes follow these
commits. A process that dies is noticed in seconds, and others adopt its runs; a fence keeps it from
writing if it wakes. The database is the truth; rings between processes are only hints.

`live/` holds live runs and commits them, `postgresql_database/` has the rest. This module opens the
parts and reads.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import chain
from typing import Final, Unpack

import asyncpg

from ..errors import JournalError, SetupError, UnknownRun
from ..runs.events import Draft, Event, decode_event
from ..runs.run import RunSpec, Status
from . import (
    Ask,
    BeforeRun,
    Claim,
    EndedRun,
    Head,
    Heard,
    RunPen,
    Tuning,
    Wanted,
    conditions_of,
    nobody_watches,
)
from .live.clock import elapsed_s, never_back
from .live.creating import Creating
from .live.group_commit import GroupCommit, GroupPen
from .live.live_run import LiveRun
from .live.waiting import Waiters
from .postgresql_database import pruning
from .postgresql_database.adopting import Adopting
from .postgresql_database.connections import DOWN, Reads, plain_url, where_of
from .postgresql_database.following import FollowedRuns
from .postgresql_database.membership import Membership
from .postgresql_database.reading import TableReader
from .postgresql_database.schema import bring_up_to_date
from .postgresql_database.writing import Writer

UNKNOWN_POLL_S: Final = 0.05
"""Seconds between reads of a run that nobody writes or follows here yet."""

PATIENCE_S: Final = 5.0
"""Seconds that the database may be away until new runs are refused; live ones wait for it."""

PROBE_S: Final = 3.0
"""Seconds for a ring to come back at the start."""

EXCLUSIVE: Final = 2
"""Connections that may wait for a name at once; reading needs the others."""

WATCHED: Final = "watched "
IDS: Final = 200
"""Ids of runs in one message, which may have 8,000 bytes."""

_NAMES: Final = 0x6E616D65
"""The class of advisory locks for names."""


class PostgreSQLPen(GroupPen):
    """See `journals.RunPen`."""

    __slots__ = ()

    async def release(self, last: Draft) -> None:
        await self._group_commit.release(self._live_run, self.epoch, last)


class PostgreSQLJournal:
    """Open one with `plug`."""

    def __init__(self, url: str, tuning: Tuning) -> None:
        self.where = where_of(url)
        self._live: dict[str, LiveRun] = {}
        self._reads = Reads(url, self.where)
        self._reading = TableReader(self._reads)
        self._writer = Writer(url, self._live, self._lose)
        self._group_commit = GroupCommit(
            self._writer.write, self._live, tuning, where=self.where, is_followed=True
        )
        self._membership = Membership(
            url, self._writer, self._reads, needed=self._group_commit.keep_from
        )
        self._following = FollowedRuns(
            url, ask_to_ring=self._ask_to_ring, channel=self._channel, told=self._told
        )
        self._writer.on_written = self._membership.ring
        self._writer.on_renewed = self._following.listen_again
        self._creating = Creating(
            self._group_commit,
            self._live,
            keyed=self._reading.keyed,
            new_no=self._reading.new_no,
            pen_of=self._pen,
        )
        self._waiting = Waiters(self._all_live)
        self._adopting = Adopting(
            self._live, self._reads, self._reading, self._writer, self._membership
        )
        self._adopting.on_lost = self._group_commit.drop
        self._adopting.on_taken = self._following.leave
        self._is_asked = asyncio.Event()
        self.on_viewers: Callable[[str], object] = nobody_watches
        self._is_heard = asyncio.Event()
        self._exclusive = asyncio.Semaphore(EXCLUSIVE)

    async def open(self) -> None:
        """Become a writer of the database; raises one of `DOWN`, or `SetupError`."""
        await self._writer.open()
        await self._membership.open()
        self._group_commit.clock = never_back(
            self._group_commit.clock, await self._reading.latest_ms()
        )
        self._following.start()
        await self._check_rings()

    async def _check_rings(self) -> None:
        try:
            async with asyncio.timeout(PROBE_S):
                while not self._is_heard.is_set():
                    await self._membership.send(self._channel(), "probe")
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0.1):
                            await self._is_heard.wait()
        except TimeoutError:
            raise _pooled(self.where, "Messages (LISTEN, NOTIFY)") from None

    # Writing

    async def create(
        self,
        spec: RunSpec,
        claim: Claim | None = None,
        history: Sequence[Draft] = (),
        before: BeforeRun | None = None,
    ) -> PostgreSQLPen:
        self.check()
        return await self._creating.create(spec, claim, history, before)

    async def claim(self, run_id: str) -> PostgreSQLPen:
        return self._pen(await self._adopting.claim(run_id))

    async def adopt(self, limit: int) -> list[RunPen]:
        live_runs = await self._adopting.adopt(limit)
        if live_runs:
            self._is_asked.set()
        return [self._pen(live_run) for live_run in live_runs]

    def _pen(self, live_run: LiveRun) -> PostgreSQLPen:
        return PostgreSQLPen(self._group_commit, live_run, self._adopting.unowned)

    def _lose(self, live_run: LiveRun) -> None:
        self._group_commit.lose(live_run)

    # Messages between processes

    def _channel(self) -> str:
        return f"unspool_c{self._writer.id}"

    def _told(self, message: str) -> None:
        self._is_heard.set()
        if message == "follow":
            self._membership.note_followed()
        elif message == "asked":
            self._is_asked.set()
        elif message.startswith(WATCHED):
            for run_id in message.removeprefix(WATCHED).split():
                if run_id in self._live:
                    self.on_viewers(run_id)

    async def note_viewers(self, run_ids: Sequence[str]) -> None:
        for writer, ids in self._following.by_writer(run_ids).items():
            for start in range(0, len(ids), IDS):
                with suppress(*DOWN):
                    words = " ".join(ids[start : start + IDS])
                    await self._membership.send(f"unspool_c{writer}", WATCHED + words)

    async def _ask_to_ring(self, writer: int) -> None:
        await self._membership.send(f"unspool_c{writer}", "follow")

    async def ask(self, ask: Ask) -> None:
        writer = await self._reading.ask(ask.run_id, ask.kind, ask.message)
        if writer is not None:
            with suppress(*DOWN):
                await self._membership.send(f"unspool_c{writer}", "asked")

    async def asked(self, timeout_s: float) -> list[Ask]:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._is_asked.wait()
        self._is_asked.clear()
        run_ids = [run_id for run_id in self._live if run_id not in self._adopting.unowned]
        found = await self._reading.asked(run_ids)
        return [Ask(run_id, kind, message) for run_id, kind, message in found]

    # Reading

    async def read(self, run_id: str, *, after: int, limit: int = 500) -> Sequence[Event]:
        live_run = self._known(run_id)
        if live_run is not None and after + 1 >= live_run.base:
            lines = live_run.shown(after, limit)
        else:
            lines = await self._lines(run_id, after, limit)
        return [decode_event(line) for line in lines]

    async def _lines(self, run_id: str, after: int, limit: int) -> list[bytes]:
        if (live_run := self._known(run_id)) is not None:
            no = live_run.no
        else:
            place = await self._reading.place(run_id)
            if place is None:
                raise UnknownRun(run_id)
            no = place.no
            if not place.has_ended:
                live_run = await self._following.follow(run_id)
        lines: list[bytes] = []
        while live_run is None or after + len(lines) + 1 < live_run.base:
            found = await self._reading.page_lines(no, after + len(lines), limit - len(lines))
            lines += found
            # Its writer may have moved more of it to a page.
            live_run = self._known(run_id)
            if not found or len(lines) >= limit or live_run is None:
                break
        if live_run is not None:
            lines += live_run.shown(after + len(lines), limit - len(lines))
        return lines

    def _known(self, run_id: str) -> LiveRun | None:
        return self._live.get(run_id) or self._following.get(run_id)

    def _all_live(self) -> chain[LiveRun]:
        return chain(self._live.values(), self._following.live_runs())

    def wait(self, run_id: str, *, after: int, timeout_s: float) -> Awaitable[object]:
        live_run = self._known(run_id)
        if live_run is None:
            # It has just ended, or we follow it from the next read on.
            self._following.want(run_id)
            return asyncio.sleep(min(timeout_s, UNKNOWN_POLL_S))
        return self._waiting.wait(live_run, after, timeout_s)

    def listen(self, run_id: str, *, after: int, heard: Heard) -> Callable[[], None] | None:
        live_run = self._known(run_id)
        if live_run is None or live_run.visible != after or self._group_commit.is_closed:
            return None
        return live_run.listen(heard)

    async def head(self, run_id: str) -> Head:
        live_run = self._live.get(run_id)
        if live_run is not None and not live_run.is_new:
            return _head_of(live_run)
        heads = await self._reading.heads("where id = $1", (run_id,), 1)
        if not heads:
            raise UnknownRun(run_id)
        await self._following.catch_up(heads[0])  # a reader who knows the head can read up to it
        return heads[0]

    async def heads(
        self, *, before: str = "", limit: int = 50, **wanted: Unpack[Wanted]
    ) -> list[Head]:
        conditions, values = conditions_of(before, wanted)
        marks = (f"${at}" for at in range(1, len(values) + 1))
        where = "where " + " and ".join(conditions).format(*marks)
        heads = await self._reading.heads(where, values, limit)
        ours = {run_id: run for run_id, run in self._live.items() if not run.is_new}
        return [_head_of(ours[head.run_id]) if head.run_id in ours else head for head in heads]

    async def unended(self) -> dict[str, Status]:
        return await self._reading.unended()

    @asynccontextmanager
    async def exclusive(self, name: str) -> AsyncGenerator[None]:
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], signed=True)
        try:
            async with self._exclusive, self._reads.connection() as db:
                section = db.transaction()
                await section.start()
                await db.execute("select pg_advisory_xact_lock($1, $2)", _NAMES, number)
                try:
                    yield
                finally:
                    try:
                        await section.rollback()
                    except DOWN:  # it held the lock and nothing else: what was done inside is done
                        db.terminate()
        except DOWN as error:
            raise self._reads.failure(error) from error

    async def oldest(
        self, *, after: str = "", before_ms: int | None = None, limit: int = 50
    ) -> list[EndedRun]:
        return await self._reads.run(lambda db: pruning.oldest(db, after, before_ms, limit))

    async def forget(self, run_ids: Sequence[str]) -> int:
        return await self._reads.run(lambda db: pruning.forget(db, run_ids))

    def check(self) -> None:
        self._group_commit.check()
        since = self._writer.link.down_since
        if since is not None and elapsed_s() - since > PATIENCE_S:
            raise self._reads.failure(TimeoutError("it does not answer"))

    def commits(self) -> tuple[float, int]:
        return self._group_commit.commits()

    async def used_bytes(self) -> int:
        return await self._reads.run(pruning.used_bytes)

    async def give_back(self, *, at_rest: bool = False) -> bool:
        return False  # PostgreSQL reuses the room by itself, and its autovacuum returns some

    async def aclose(self) -> None:
        self._writer.stop_soon()
        await self._group_commit.close()
        self._waiting.close()
        await self._following.close()
        await self._membership.close()
        await self._writer.close()
        await self._reads.close()


def _head_of(live_run: LiveRun) -> Head:
    return replace(
        live_run.head,
        status=live_run.status,
        seq=live_run.visible,
        epoch=live_run.epoch,
        ended_ms=None,
    )


def _pooled(where: str, what: str) -> SetupError:
    return SetupError(
        f"{what} do not pass through {where}: a connection pooler in transaction mode stands "
        "before it. Name the database itself."
    )


async def plug(url: str, tuning: Tuning) -> PostgreSQLJournal:
    """
    Open the journal in a database.

    Raises:
        SetupError: It cannot be opened.
    """
    url = plain_url(url)
    await bring_up_to_date(url)
    journal = PostgreSQLJournal(url, tuning)
    try:
        await journal.open()
    except SetupError:
        await journal.aclose()
        raise
    except (*DOWN, asyncpg.PostgresError, JournalError, ValueError) as error:
        await journal.aclose()
        if isinstance(error, asyncpg.UndefinedTableError):  # our search_path was left out
            raise _pooled(journal.where, "Settings of a connection") from error
        reason = str(error) or type(error).__name__
        raise SetupError(
            f"The database {journal.where} cannot be used: {reason}. Start it, or correct "
            "UNSPOOL_DATABASE_URL."
        ) from error
    return journal
