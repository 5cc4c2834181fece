"""
Finds runs for this process to adopt, and takes them.

These are runs that were released, runs of the dead, and runs of our own that nobody here carries: a
pen has failed, a request was cancelled while its run was created, or a claim broke off.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import asyncpg

from unspool.errors import JournalError, UnknownRun

from ..live.clock import elapsed_s
from ..live.live_run import LiveRun
from .claiming import Wish, take
from .connections import DOWN, Reads
from .following import CLAIMED
from .membership import Membership
from .reading import TableReader
from .writing import Writer

CHECK_S: Final = 5.0
"""Seconds between two looks for runs of our own that nobody here carries."""


class Adopting:
    """
    Adopts runs for one journal.

    Attributes:
        unowned: Runs of our writer that no pen writes.
        on_lost: Called with a run in memory that is no longer the run.
        on_taken: Called with the id of a run that this process writes from now on.
    """

    def __init__(
        self,
        live: dict[str, LiveRun],
        reads: Reads,
        reading: TableReader,
        writer: Writer,
        membership: Membership,
    ) -> None:
        """`live`: the runs that this process writes, by id."""
        self._live = live
        self._reads = reads
        self._reading = reading
        self._writer = writer
        self._membership = membership
        self.unowned: dict[str, None] = {}
        self.on_lost: Callable[[LiveRun], object]
        self.on_taken: Callable[[str], object]
        self._is_in_doubt = False  # a claim has failed: the runs may be ours all the same
        self._checked_at = elapsed_s()

    async def claim(self, run_id: str) -> LiveRun:
        """Take a run from its owner, or from an earlier pen of ours; see `Journal.claim`."""
        while True:
            if run_id in self._live:
                self._retire(run_id)
                self.unowned[run_id] = None
            place = await self._reading.place(run_id)
            if place is None or place.has_ended:
                raise UnknownRun(run_id)
            # None: another process has taken it meanwhile.
            if taken := await self._take(Wish(place.writer, place.no)):
                return taken[0]

    async def adopt(self, limit: int) -> list[LiveRun]:
        """See `Journal.adopt`."""
        found: list[LiveRun] = []
        try:
            await self._adopt_ours(found, limit)
            await self._adopt_left(found, limit)
        except JournalError:
            if not found:  # else they are ours, and must not wait
                raise
        return found

    async def _adopt_ours(self, found: list[LiveRun], limit: int) -> None:
        if self._is_in_doubt or elapsed_s() - self._checked_at > CHECK_S:
            ours = await self._reading.unended_of(self._writer.id)
            self._is_in_doubt, self._checked_at = False, elapsed_s()
            self.unowned |= dict.fromkeys(run_id for run_id in ours if run_id not in self._live)
        for run_id in list(self.unowned)[:limit]:
            place = await self._reading.place(run_id)
            self._retire(run_id)
            # Others may have taken it meanwhile: then it is theirs.
            if place is not None and place.writer == self._writer.id and not place.has_ended:
                found += await self._take(Wish(place.writer, place.no))
            self.unowned.pop(run_id, None)

    async def _adopt_left(self, found: list[LiveRun], limit: int) -> None:
        for writer in await self._membership.dead():
            if len(found) < limit:
                taken = await self._take(Wish(writer, most=limit - len(found)))
                found += taken
                if writer and not taken:
                    await self._membership.bury(writer)

    async def _take(self, wish: Wish) -> list[LiveRun]:
        if wish.old == self._writer.id:
            async with self._writer.lock:  # no commit of the old pens comes after the claim
                taken = await self._taken(wish)
        else:
            taken = await self._taken(wish)
        if taken:
            with suppress(*DOWN):
                await self._membership.send(f"unspool_w{wish.old}", CLAIMED)
        return taken

    async def _taken(self, wish: Wish) -> list[LiveRun]:
        me = self._writer.id
        try:
            async with self._reads.connection() as db:
                live_runs = await take(db, me, wish)
        except (*DOWN, asyncpg.PostgresError) as error:
            self._is_in_doubt = True
            raise self._reads.failure(error) from error
        if me != self._writer.id:
            return []  # we were taken for dead meanwhile: the runs are nobody's
        for live_run in live_runs:
            run_id = live_run.head.run_id
            self._retire(run_id)
            self._live[run_id] = live_run
            self.on_taken(run_id)
            self.unowned.pop(run_id, None)
        return live_runs

    def _retire(self, run_id: str) -> None:
        """Forget a run in memory; nothing that it still holds is committed."""
        old = self._live.pop(run_id, None)
        if old is not None:
            old.retire()
            self.on_lost(old)
