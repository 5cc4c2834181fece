"""
The beats of this process, and the watch over those of others.

A process is dead when *we* have seen its beat unchanged for a time, over a connection that did not
break. A lock of its connection says whether that is still open: while it is, we wait longer, for a
process that is only slow. Time decides when to try; the fence alone decides who writes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import asyncpg

from unspool.failpoints import point

from ..live.clock import elapsed_s
from ..live.group_commit import WriteFailed
from .connections import DOWN, Connection, OneConnection, Reads
from .writing import Writer

log = logging.getLogger(__name__)

_beating = point("postgresql.beating")
_burying = point("postgresql.burying")
_ringing = point("postgresql.ringing")

BEAT_S: Final = 0.5
"""Seconds between two beats."""

GONE_S: Final = 1.5
"""Seconds without a beat until a process is dead whose connection has ended."""

SILENT_S: Final = 5.0
"""… and one whose connection is open: it may be stopped, or very slow."""

KEEP_S: Final = 5.0
"""Seconds that segments stay after nobody needs them, for readers in other processes."""

TIDY_S: Final = 1.0
"""Seconds between two deletions of old segments."""

VACUUM_S: Final = 5.0
"""
Seconds between two vacuums of our own: the server's comes once a minute, and the table would have
four times the size.
"""

FOLLOWED_S: Final = 10.0
"""Seconds for which another process hears our commits after it has asked to."""

RING_S: Final = 0.002
"""Seconds between two rings."""

LOCK: Final = 0x756E7370

_BEAT = """
update leases set beat = clock_timestamp() where writer = $1
returning (select claims from writers where id = $1)
"""

_OTHERS = "select writer, extract(epoch from beat)::float8 as beat from leases where writer <> $1"

_IS_HELD = """
select exists (
    select from pg_locks where locktype = 'advisory' and classid = $1 and objid = $2
    and granted and database = (select oid from pg_database where datname = current_database())
)
"""

_LEFT = """
select distinct writer from runs where ended_ms is null
and writer <> $1 and writer not in (select writer from leases)
"""

_BURY = """
with gone as (
    delete from writers w where id = $1 and id <> 0
    and not exists (select from runs where writer = w.id and ended_ms is null) returning id
), leases_gone as (delete from leases where writer in (select id from gone))
delete from segments where writer in (select id from gone)
"""


@dataclass(slots=True)
class _SeenBeat:
    """The last beat of a process, and when we saw it first."""

    beat: float
    at: float


class Membership:
    """The part of a journal that lives as long as its process."""

    def __init__(
        self, url: str, writer: Writer, reads: Reads, *, needed: Callable[[], int]
    ) -> None:
        """`needed` returns the oldest segment that a run of ours needs."""
        self._writer = writer
        self._reads = reads
        self._locked = 0
        self._needed = needed
        # A ring or a beat that a crash of the server swallows harms nobody.
        self._link = OneConnection(url, prepare=self._prepare, synchronous_commit="off")
        self._seen: dict[int, _SeenBeat] = {}
        self._generation = 0
        self._followed_until = 0.0
        self._ringing: asyncio.Task[None] | None = None
        self._kept: list[tuple[float, int, int]] = []
        """When which writer, which we were, made which segment."""
        self._vacuumed_at = elapsed_s()
        self._is_tidy = True
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Give the first beat; raises one of `DOWN`."""
        await self._give_beat()
        self._tasks = [
            asyncio.create_task(self._live(), name="beats"),
            asyncio.create_task(self._tidy(), name="old segments"),
        ]

    async def close(self) -> None:
        """End; others see at once that we are gone."""
        for task in self._tasks:
            task.cancel()
        if self._ringing is not None:
            self._ringing.cancel()
        with suppress(*DOWN, asyncpg.PostgresError):
            async with asyncio.timeout(1):
                await self._link.run(lambda db: db.execute(_BURY, self._writer.id))
        await self._link.close()

    async def _prepare(self, db: Connection) -> None:
        # Shared: our last connection may be broken, and the server not know it for hours.
        self._locked = self._writer.id
        await db.execute("select pg_advisory_lock_shared($1, $2)", LOCK, self._locked)

    async def _live(self) -> None:
        while True:
            try:
                await self._give_beat()
            except DOWN:
                pass
            except (WriteFailed, asyncpg.PostgresError) as error:
                log.warning("This server cannot give a beat: %s", error)
            await asyncio.sleep(BEAT_S)

    async def _give_beat(self) -> None:
        _beating()
        claims = await self._link.run(lambda db: db.fetchval(_BEAT, self._writer.id))
        # Not on the link: it waits for a commit, and a ring must not wait for it.
        await self._writer.check(claims)
        if self._locked != self._writer.id:
            await self._link.run(self._prepare)

    # Others

    async def dead(self) -> list[int]:
        """
        Return the writers whose runs need an owner; call it every half second.

        Raises:
            JournalError: The server is away.
        """

        async def look(db: Connection) -> list[int]:
            writer = self._writer.id
            if self._generation != self._link.generation:
                self._generation = self._link.generation
                self._seen.clear()  # while we were away ourselves, nobody is dead
            rows = await db.fetch(_OTHERS, writer)
            late = self._late({row["writer"]: row["beat"] for row in rows})
            left = [row["writer"] for row in await db.fetch(_LEFT, writer)]
            return left + [
                other for other, silent_s in late if await self._is_dead(db, other, silent_s)
            ]

        try:
            # On the connection of our own beats: another one may come back before it.
            return await self._link.run(look)
        except DOWN as error:
            raise self._reads.failure(error) from error

    def _late(self, beats: dict[int, float]) -> list[tuple[int, float]]:
        """Return the writers without a new beat, and for how many seconds."""
        now = elapsed_s()
        for writer in self._seen.keys() - beats.keys():
            del self._seen[writer]
        for writer, beat in beats.items():
            seen = self._seen.get(writer)
            if seen is None or seen.beat != beat:
                self._seen[writer] = _SeenBeat(beat, now)
        silent = {writer: now - seen.at for writer, seen in self._seen.items()}
        return [(writer, silent_s) for writer, silent_s in silent.items() if silent_s >= GONE_S]

    @staticmethod
    async def _is_dead(db: Connection, writer: int, silent_s: float) -> bool:
        return silent_s >= SILENT_S or not await db.fetchval(_IS_HELD, LOCK, writer)

    async def bury(self, writer: int) -> None:
        """Delete a dead writer that has no runs any more; its process can then write nothing."""
        _burying()
        await self._reads.run(lambda db: db.execute(_BURY, writer))

    # Rings

    def note_followed(self) -> None:
        """Ring for each commit, for a while: another process has asked."""
        self._followed_until = elapsed_s() + FOLLOWED_S
        self.ring(self._writer.n)

    def ring(self, n: int) -> None:
        """Tell those who follow us that commit `n` is there; a lost ring costs them a second."""
        _ringing()
        self._kept.append((elapsed_s(), self._writer.id, n))
        if self._ringing is None and elapsed_s() < self._followed_until:
            self._ringing = asyncio.create_task(self._ring())

    async def _ring(self) -> None:
        try:
            rung = -1
            while rung != self._writer.n:
                rung = self._writer.n
                with suppress(*DOWN):
                    await self.send(f"unspool_w{self._writer.id}", str(rung))
                await asyncio.sleep(RING_S)
        finally:
            self._ringing = None

    async def send(self, channel: str, message: str) -> None:
        """Send a message to the listeners of a channel; raises one of `DOWN`."""
        await self._link.run(lambda db: db.execute("select pg_notify($1, $2)", channel, message))

    # Old segments

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_S)
            try:
                await self._link.run(self._delete_old)
            except DOWN:
                pass
            except asyncpg.PostgresError as error:
                log.warning("Old segments cannot be deleted: %s", error)

    async def _delete_old(self, db: Connection) -> None:
        now = elapsed_s()
        me = self._writer.id
        old = [(writer, n) for at, writer, n in self._kept if at < now - KEEP_S]
        del self._kept[: len(old)]
        # Those of the writer that we were before are gone: the numbers begin again.
        if old and old[-1][0] == me:
            upto = min(old[-1][1], self._needed() - 1)
            delete = "delete from segments where writer = $1 and n <= $2"
            self._is_tidy &= (await db.execute(delete, me, upto)).endswith(" 0")
        if not self._is_tidy and now - self._vacuumed_at > VACUUM_S:
            self._is_tidy, self._vacuumed_at = True, now
            await db.execute("vacuum (truncate false, skip_locked) segments")
