"""
Follows the runs that other processes write.

One reader for all of them: it asks the writers to ring, and reads their new segments at each ring,
and once a second in case that a ring was lost. A followed run is in memory as if this process wrote
it, so any number of viewers here cost the database nothing.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import asyncpg

from unspool.errors import JournalError
from unspool.runs.events import decode_event

from .. import Head
from ..live.clock import elapsed_s
from ..live.live_run import LiveRun
from .claiming import HEAD, apply, live_run_of, load
from .connections import DOWN, FIRST_PAUSE_S, LONGEST_PAUSE_S, Connection, OneConnection

log = logging.getLogger(__name__)

POLL_S: Final = 1.0
"""Seconds between two looks without a ring."""

ASK_S: Final = 3.0
"""Seconds between two requests to a writer to ring."""

IDLE_S: Final = 10.0
"""Seconds for which we follow a run that has no reader any more: one may come back."""

SEGMENTS: Final = 500
"""Segments in one read."""

KEPT_BYTES: Final = 1024 * 1024
"""A followed run with more than this gives up the events that its pages have."""

CLAIMED: Final = "claimed"
"""The message on a writer's channel when another one has taken runs from it."""

_NEWS = """
select s.writer, s.n, s.crc, s.data from segments s
join unnest($1::bigint[], $2::bigint[]) as followed (writer, n)
on s.writer = followed.writer and s.n > followed.n
order by s.writer, s.n limit $3
"""

_RUNS = f"select no, bytes, writer, {HEAD} from runs where id = any($1::text[])"  # noqa: S608

_OWNERS = "select no, writer, seq, bytes, ended_ms from runs where no = any($1::bigint[])"

_LAST = "select coalesce(max(n), 0) from segments where writer = $1"


class Followed:
    """A run that another process writes, and who that is."""

    __slots__ = ("live_run", "used_at", "writer")

    def __init__(self, live_run: LiveRun, writer: int) -> None:
        self.live_run = live_run
        self.writer = writer
        self.used_at = elapsed_s()


class FollowedRuns:
    """The followed runs of one journal, by id."""

    def __init__(
        self,
        url: str,
        *,
        ask_to_ring: Callable[[int], Awaitable[object]],
        channel: Callable[[], str],
        told: Callable[[str], object],
    ) -> None:
        """
        Args:
            url: The database.
            ask_to_ring: Asks a writer to ring for its commits, for a while.
            channel: Returns the channel for messages to this process.
            told: Called with each of them.
        """
        self._link = OneConnection(url, prepare=self._listen)
        self._ask_to_ring = ask_to_ring
        self._runs: dict[str, Followed] = {}
        self._upto: dict[int, int] = {}
        """By writer: the last segment that we have read."""
        self._asked_at: dict[int, float] = {}
        self._opening: dict[str, asyncio.Future[LiveRun | None]] = {}
        self._catching_up: list[asyncio.Future[None]] = []
        self._news = asyncio.Event()
        self._channel = channel
        self._told = told
        self._task: asyncio.Task[None] | None = None
        self._looked_at = -math.inf

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._follow(), name="runs of other processes")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        for future in self._opening.values():
            future.cancel()
        for behind in self._catching_up:
            behind.cancel()
        for followed in self._runs.values():
            followed.live_run.send_away()
        await self._link.close()

    def get(self, run_id: str) -> LiveRun | None:
        """Return a run if we follow it already."""
        followed = self._runs.get(run_id)
        if followed is None:
            return None
        followed.used_at = elapsed_s()
        return followed.live_run

    def live_runs(self) -> list[LiveRun]:
        return [followed.live_run for followed in self._runs.values()]

    def by_writer(self, run_ids: Sequence[str]) -> dict[int, list[str]]:
        """Return those runs that we follow, by their writer."""
        found: dict[int, list[str]] = {}
        for run_id in run_ids:
            if (followed := self._runs.get(run_id)) is not None:
                found.setdefault(followed.writer, []).append(run_id)
        return found

    async def follow(self, run_id: str) -> LiveRun | None:
        """
        Begin to follow a run, and return it; None: it has ended, or does not exist.

        Raises:
            JournalError: The server is away.
        """
        if (known := self.get(run_id)) is not None:
            return known
        return await asyncio.shield(self.want(run_id))

    def want(self, run_id: str) -> asyncio.Future[LiveRun | None]:
        """Follow a run soon."""
        future = self._opening.get(run_id)
        if future is None:
            future = self._opening[run_id] = asyncio.get_running_loop().create_future()
            future.add_done_callback(_seen)
            self._news.set()
        return future

    async def catch_up(self, head: Head) -> None:
        """
        Read at least what `head` tells of its run, if we follow that.

        Raises:
            JournalError: The server is away.
        """
        followed = self._runs.get(head.run_id)
        if followed is not None and (head.ended_ms or followed.live_run.visible < head.seq):
            future = asyncio.get_running_loop().create_future()
            self._catching_up.append(future)
            self._news.set()
            await future

    def leave(self, run_id: str) -> None:
        """Follow a run no more, because this process writes it now."""
        followed = self._runs.pop(run_id, None)
        if followed is not None:
            followed.live_run.send_away()

    async def _listen(self, db: Connection) -> None:
        await db.add_listener(self._channel(), self._message)
        for writer in self._upto:
            await db.add_listener(f"unspool_w{writer}", self._heard)
        self._asked_at.clear()

    def listen_again(self) -> None:
        """Listen to a new channel."""
        self._link.break_off()
        self._news.set()

    def _message(self, _db: object, _pid: int, _channel: str, message: object) -> None:
        self._told(str(message))

    def _heard(self, _db: object, _pid: int, _channel: str, message: object) -> None:
        if message == CLAIMED:
            self._looked_at = -math.inf
        self._news.set()

    async def _follow(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await self._link.run(self._step)
                pause_s = FIRST_PAUSE_S
                await self._wait()
            except DOWN as error:
                self._fail(error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            except (JournalError, asyncpg.PostgresError) as error:
                log.error("Runs of other servers cannot be followed: %s", error)  # noqa: TRY400
                self._fail(error)
                for run_id in list(self._runs):
                    self.leave(run_id)
                await asyncio.sleep(POLL_S)

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._news.wait()
        self._news.clear()

    def _fail(self, error: BaseException) -> None:
        reason = str(error) or type(error).__name__
        failure = JournalError(f"The journal cannot be reached: {reason}")
        opening, self._opening = self._opening, {}
        for future in opening.values():
            if not future.done():
                future.set_exception(failure)
        catching_up, self._catching_up = self._catching_up, []
        for behind in catching_up:
            if not behind.done():
                behind.set_exception(failure)

    async def _step(self, db: Connection) -> None:
        catching_up = list(self._catching_up)
        if catching_up:
            self._looked_at = -math.inf
        if self._opening:
            await self._open(db)
        await self._read_news(db)
        if elapsed_s() - self._looked_at >= POLL_S:
            self._looked_at = elapsed_s()
            await self._look_at_owners(db)
        del self._catching_up[: len(catching_up)]
        for future in catching_up:
            if not future.done():
                future.set_result(None)
        await self._ask()

    async def _open(self, db: Connection) -> None:
        """Load the wanted runs, in one snapshot that is newer than what we have read."""
        opening, self._opening = self._opening, {}
        try:
            async with db.transaction(isolation="repeatable_read", readonly=True):
                # A second request may have come while the first was under way.
                new = [run_id for run_id in opening if run_id not in self._runs]
                rows = await db.fetch(_RUNS, new)
                found = [
                    Followed(live_run_of(row), row["writer"])
                    for row in rows
                    if row["ended_ms"] is None
                ]
                await self._load(db, found)
        except BaseException as error:
            self._opening |= {k: v for k, v in opening.items() if k not in self._opening}
            self._fail(error)
            raise
        for followed in found:
            # One that was wanted twice is here already, with its listeners.
            self._runs.setdefault(followed.live_run.head.run_id, followed)
        for run_id, future in opening.items():
            if not future.done():
                future.set_result(self.get(run_id))

    async def _load(self, db: Connection, found: list[Followed]) -> None:
        for writer in {followed.writer for followed in found}:
            if writer not in self._upto:
                await db.add_listener(f"unspool_w{writer}", self._heard)
                self._upto[writer] = await db.fetchval(_LAST, writer)
            runs = [followed.live_run for followed in found if followed.writer == writer]
            await load(db, writer, runs)

    async def _read_news(self, db: Connection) -> None:
        while self._upto:
            rows = await db.fetch(_NEWS, list(self._upto), list(self._upto.values()), SEGMENTS)
            gaps = False
            by_no = {followed.live_run.no: followed.live_run for followed in self._runs.values()}
            for row in rows:
                writer, n = row["writer"], row["n"]
                # Segments between were deleted: their runs are in pages.
                gaps = gaps or n != self._upto[writer] + 1
                self._upto[writer] = n
                if not gaps:
                    for live_run, before in apply(by_no, row):
                        _publish(live_run, before)
            if gaps:
                await self._reload(db, list(self._runs.values()))
            if len(rows) < SEGMENTS:
                return

    async def _look_at_owners(self, db: Connection) -> None:
        """Notice the runs that have ended or have another writer, and leave those unused."""
        by_no = {followed.live_run.no: followed for followed in self._runs.values()}
        rows = await db.fetch(_OWNERS, list(by_no)) if by_no else []
        moved = []
        for row in rows:
            followed = by_no.pop(row["no"])
            if row["writer"] != followed.writer or row["ended_ms"] is not None:
                followed.writer = row["writer"]
                moved.append(followed)
            elif followed.live_run.total_bytes - followed.live_run.paged_bytes > KEPT_BYTES:
                followed.live_run.forget_paged(row["seq"], row["bytes"])
        if moved:
            await self._reload(db, moved)
        now = elapsed_s()
        unused = [f for f in self._runs.values() if not _is_used(f) and f.used_at < now - IDLE_S]
        for followed in [*by_no.values(), *unused]:
            self.leave(followed.live_run.head.run_id)
        await self._leave_writers(db)

    async def _reload(self, db: Connection, runs: list[Followed]) -> None:
        """Read from the tables what runs have besides what we know."""
        for followed in runs:
            live_run = followed.live_run
            before = live_run.visible
            async with db.transaction(isolation="repeatable_read", readonly=True):
                rows = await db.fetch(_RUNS, [live_run.head.run_id])
                if not rows:
                    continue
                fresh = live_run_of(rows[0])
                followed.writer = rows[0]["writer"]
                is_in_pages = fresh.visible > before or rows[0]["ended_ms"] is not None
                if not is_in_pages:
                    await self._load(db, [followed])
            if is_in_pages:  # its newest events are there, and readers read them there
                self.leave(live_run.head.run_id)
            elif live_run.visible > before:
                _publish(live_run, before)

    async def _leave_writers(self, db: Connection) -> None:
        used = {followed.writer for followed in self._runs.values()}
        for writer in self._upto.keys() - used:
            del self._upto[writer]
            self._asked_at.pop(writer, None)
            await db.remove_listener(f"unspool_w{writer}", self._heard)

    async def _ask(self) -> None:
        now = elapsed_s()
        for writer in self._upto:
            if writer and self._asked_at.get(writer, -math.inf) < now - ASK_S:
                self._asked_at[writer] = now
                with suppress(*DOWN):
                    await self._ask_to_ring(writer)


def _is_used(followed: Followed) -> bool:
    return bool(followed.live_run.listeners or followed.live_run.waiters)


def _publish(live_run: LiveRun, before: int) -> None:
    """Show the events after `before` to the readers of a followed run."""
    live_run.ring()
    if live_run.listeners:
        lines = live_run.shown(before, live_run.visible - before)
        live_run.tell([decode_event(line) for line in lines])


def _seen(future: asyncio.Future[LiveRun | None]) -> None:
    """Mark the error of a future as seen: nobody may wait for it."""
    if not future.cancelled():
        future.exception()
