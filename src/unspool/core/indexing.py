"""
Keeps the index of runs up to the journal.

It looks at the journal when a run has ended or somebody asks, so it finds what happened while this
server was not there, or at another one. `catch_up` writes the runs that began, ended, or began or
ceased to wait for people since its last call; `reconcile` goes through all of the journal, once
after each start, and writes old runs that are missing.

It works behind the streams: a little at a time, and it rests many times as long as it worked.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile
from typing import Final

from ..errors import JournalError, UnknownRun
from ..formats.tenancy import working_for
from ..journals import Head, Journal, read_all
from ..viewing.index import RunIndex
from ..viewing.index.facts import RunFacts, RunRow

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""Seconds at least between two looks at the journal."""

NEWEST: Final = 20
"""Runs in one page of a look; it goes on while all of them are new."""

PAGE: Final = 200
"""Runs of one step of `reconcile`."""

BATCH_EVENTS: Final = 4000
BATCH_RUNS: Final = 40
"""Events and runs in one commit: some 10 ms."""

IDLE_SHARE: Final = 0.5
BUSY_SHARE: Final = 0.05
"""Shares of the time to work in, without live runs and with some."""

FILL_S: Final = 0.3
"""How long a question waits for a new index: a small journal is read by then."""

ASKED_EVENTS: Final = 20_000
"""Events to read before a question is answered: some 50 ms."""


class Indexing:
    """Writes the rows of one index from one journal."""

    def __init__(self, journal: Journal, index: RunIndex) -> None:
        self._journal = journal
        self._index = index
        self._one_at_a_time = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._waiting: dict[str, Head] = {}
        """Runs that began, oldest first, and are not in the index yet."""
        self._is_filled = asyncio.Event()
        self._has_gone = False
        """Runs were deleted since the last look."""
        self._has_news = asyncio.Event()
        self._has_news.set()

    @property
    def is_whole(self) -> bool:
        """Whether the index has all runs of the journal."""
        return self._is_filled.is_set() and not self._waiting

    def watch(self) -> None:
        """Work until `close`."""
        self._task = asyncio.create_task(self._work(), name="run index")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def note_deleted(self) -> None:
        """Remember that the journal has deleted runs."""
        self._has_gone = True
        self._has_news.set()

    def note_ended(self, _run_id: str, _spec: object) -> None:
        """Remember that a run has ended."""
        self._has_news.set()

    async def catch_up(self, *, most: int = ASKED_EVENTS) -> None:
        """
        Write the runs that began or got another status since the last call.

        Where the index cannot be written, it stays as it was.

        Args:
            most: Events to read; the rest is left to the next call.
        """
        try:
            if self._task is not None and not self._is_filled.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._is_filled.wait(), FILL_S)
            with working_for(None):  # the index has the runs of all tenants
                async with self._one_at_a_time:
                    await self._catch_up(most)
        except sqlite3.Error as error:
            log.warning("The index of runs waits: %s", error)
            self._has_news.set()

    async def _catch_up(self, most: int) -> None:
        if self._has_gone:
            self._has_gone = False
            await self._erase_oldest()
        await self._find_new()
        left = await self._put([*self._waiting], most)
        if left:
            left = await self._put(await self._changed(), left)
        if not left:
            self._has_news.set()

    async def reconcile(self) -> None:
        """Go through the journal, newest runs first: write missing rows, remove others."""
        before = newer = ""
        has_met_known = not await self._index.oldest(1)
        while True:
            started = time.monotonic()
            async with self._one_at_a_time:
                heads = await self._journal.heads(before=before, limit=PAGE)
                ids = [head.run_id for head in heads]
                is_last = len(heads) < PAGE
                known = await self._index.between("" if is_last else ids[-1], newer)
                await self._erase_deleted(set(known) - set(ids))
                missing = await self._index.unknown(ids)
                if not has_met_known:
                    # Those newer than all that the index has are not missing, but new.
                    new = len(list(takewhile(set(missing).__contains__, ids)))
                    missing, has_met_known = missing[new:], new < len(ids)
                    self._has_news.set()
            await self._rest(time.monotonic() - started)
            await self._put_missing(missing)
            if is_last:
                break
            before = newer = ids[-1]
        await self._index.note_filled()
        self._is_filled.set()

    async def _work(self) -> None:
        is_checked = False
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            started = time.monotonic()
            try:
                # A file that was filled once lacks only what began since then.
                if await self._index.is_filled():
                    self._is_filled.set()
                async with self._one_at_a_time:
                    await self._catch_up(BATCH_EVENTS)
                if not is_checked:
                    await self.reconcile()
                    is_checked = True
            except (JournalError, sqlite3.Error) as error:
                log.warning("The index of runs waits: %s", error)
                self._has_news.set()
                await asyncio.sleep(LOOK_S)
            await self._rest(time.monotonic() - started)
            if not self._waiting:
                await asyncio.sleep(LOOK_S)

    async def _rest(self, worked_s: float) -> None:
        share = BUSY_SHARE if await self._journal.unended() else IDLE_SHARE
        await asyncio.sleep(worked_s * (1 / share - 1))

    async def _find_new(self) -> None:
        """Remember the runs that began since the last look."""
        found: list[Head] = []
        before = ""
        is_empty = not await self._index.oldest(1)
        while True:
            heads = await self._journal.heads(before=before, limit=NEWEST)
            new = set(await self._index.unknown([head.run_id for head in heads]))
            new -= self._waiting.keys()
            found += [head for head in heads if head.run_id in new]
            # `reconcile` fills a new index, from the newest run to the oldest.
            if len(new) < NEWEST or (is_empty and len(found) >= PAGE):
                break
            before = heads[-1].run_id
        self._waiting |= {head.run_id: head for head in reversed(found)}

    async def _changed(self) -> list[str]:
        """Return the runs whose status is another one than was written, live ones first."""
        now = await self._journal.unended()
        written = await self._index.live()
        changed = [run_id for run_id, status in written.items() if now.get(run_id) != status]
        return sorted(changed, key=lambda run_id: run_id not in now)

    async def _put(self, run_ids: Sequence[str], most: int) -> int:
        """Write rows in this order until `most` events are read; return how many are left."""
        rows: list[RunRow] = []
        for place, run_id in enumerate(run_ids, start=1):
            row = await self._row(run_id)
            if row is None:
                await self._index.erase([run_id])
                self._waiting.pop(run_id, None)
            else:
                rows.append(row)
                most -= row.last_seq if row.ended_ms is not None else 1
            if most <= 0 or len(rows) >= BATCH_RUNS or place == len(run_ids):
                await self._index.put(rows)
                for each in rows:
                    self._waiting.pop(each.id, None)
                rows = []
            if most <= 0:
                break
        return max(0, most)

    async def _row(self, run_id: str) -> RunRow | None:
        """
        Return the row of a run: after all its events, or after the first if it has not ended.

        None: it was deleted.
        """
        facts = RunFacts()
        with suppress(UnknownRun):
            head = await self._journal.head(run_id)
            upto = 1 if head.ended_ms is None else None
            async for events in read_all(self._journal, run_id, upto=upto):
                for event in events:
                    facts.apply(event)
            return facts.row(head)
        return None

    async def _put_missing(self, missing: Sequence[str]) -> None:
        """Write the rows of runs, newest first, that are older than most of the index."""
        for start in range(0, len(missing), BATCH_RUNS):
            started = time.monotonic()
            rows: list[RunRow] = []
            events = 0
            for run_id in missing[start : start + BATCH_RUNS]:
                row = await self._row(run_id)
                if row is None:
                    continue
                rows.append(row)
                events += row.last_seq
                if events >= BATCH_EVENTS:
                    await self._put_older(rows, started)
                    rows, events, started = [], 0, time.monotonic()
            await self._put_older(rows, started)

    async def _put_older(self, rows: list[RunRow], started: float) -> None:
        if rows:
            async with self._one_at_a_time:
                # A look in the meantime may have found some; it writes them as new ones.
                older = [row for row in rows if row.id not in self._waiting]
                await self._index.put(older, older=True)
            await self._rest(time.monotonic() - started)

    async def _erase_oldest(self) -> None:
        """Remove deleted runs: the journal deletes the oldest ones first."""
        has_gone = True
        while has_gone:
            has_gone = await self._erase_deleted(await self._index.oldest(PAGE))

    async def _erase_deleted(self, run_ids: Sequence[str] | set[str]) -> bool:
        """Remove those runs that the journal no longer has; return whether there were any."""
        gone = []
        for run_id in run_ids:
            try:
                await self._journal.head(run_id)
            except UnknownRun:
                gone.append(run_id)
        if gone:
            await self._index.erase(gone)
        return bool(gone)
