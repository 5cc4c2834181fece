"""
Runs in one SQLite file, the default journal: events are durable before readers see them.

Appending puts encoded lines into memory; a flush commits those of all runs in one
transaction, on the event loop (27 µs; a hop to a thread costs three times that),
at once when the journal is quiet, else at most every `commit_window_s`.

`live/` holds live runs and commits them, `sqlite_file/` has tables and statements. This module
opens them and reads.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, Unpack
from urllib.parse import unquote, urlsplit
from weakref import WeakValueDictionary

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
from .live.clock import never_back
from .live.creating import Creating
from .live.group_commit import BUSY_RETRY_S, GroupCommit, GroupPen, Write
from .live.live_run import LiveRun
from .live.waiting import Waiters
from .sqlite_file import pruning
from .sqlite_file.store import Store, is_busy

CLAIM_TRIES = 250
"""Tries to claim a run while another process holds the file: 5 s in all."""

FOREIGN_POLL_S = 0.05
"""Seconds between reads of another process's run, which rings no bell here."""


class SQLitePen(GroupPen):
    """See `journals.RunPen`."""

    __slots__ = ()

    async def release(self, last: Draft) -> None:
        self.append(last)
        await self.commit()
        self.drop()


class SQLiteJournal:
    def __init__(self, url: str, tuning: Tuning) -> None:
        self._path = Path(unquote(urlsplit(url).path))
        self._loop = asyncio.get_running_loop()
        self._store = Store(self._path, synchronous=tuning.synchronous)
        try:
            self._live = {live_run.head.run_id: live_run for live_run in self._store.unended()}
            tuning = replace(tuning, clock=never_back(tuning.clock, self._latest_ms()))
        except (sqlite3.Error, JournalError) as error:
            self._store.close()
            raise SetupError(f"The journal {self._path} cannot be read: {error}") from error
        self._group_commit = GroupCommit(
            self._write_of(tuning), self._live, tuning, where=str(self._path)
        )
        self._unowned = dict.fromkeys(self._live)
        """Runs that no pen of this process writes."""
        self._asks: list[Ask] = []
        self._is_asked = asyncio.Event()
        self._names: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.on_viewers: Callable[[str], object] = nobody_watches
        self._creating = Creating(
            self._group_commit,
            self._live,
            keyed=self._keyed,
            new_no=self._new_no,
            pen_of=self._pen,
        )
        self._waiting = Waiters(self._live.values)

    def _write_of(self, tuning: Tuning) -> Write:
        """Return what writes: a commit that waits for the disk runs in a thread."""
        if tuning.synchronous != "FULL":
            return self._store.write
        return lambda strips, keep_from: self._loop.run_in_executor(
            None, self._store.write, strips, keep_from
        )

    async def create(
        self,
        spec: RunSpec,
        claim: Claim | None = None,
        history: Sequence[Draft] = (),
        before: BeforeRun | None = None,
    ) -> SQLitePen:
        return await self._creating.create(spec, claim, history, before)

    async def _keyed(self, key: str) -> tuple[str, str] | None:
        try:
            return self._store.keyed(key)
        except sqlite3.Error as error:
            self._fail(error)

    async def _new_no(self) -> int:
        return self._store.new_no()

    async def claim(self, run_id: str) -> SQLitePen:
        pen = await self._claim(run_id)
        self._unowned.pop(run_id, None)
        return pen

    async def _claim(self, run_id: str) -> SQLitePen:
        live_run = await self._claimed(run_id)
        old, self._live[run_id] = self._live.get(run_id), live_run
        if old is not None:
            old.epoch = live_run.epoch  # its pen is stale
            self._group_commit.drop(old)
        return self._pen(live_run)

    def _pen(self, live_run: LiveRun) -> SQLitePen:
        return SQLitePen(self._group_commit, live_run, self._unowned)

    async def adopt(self, limit: int) -> list[RunPen]:
        pens: list[RunPen] = []
        run_ids = sorted(self._unowned)[:limit]
        for run_id in run_ids:
            with suppress(UnknownRun):  # another process has ended it
                pens.append(await self._claim(run_id))
        for run_id in run_ids:
            # Not before: nobody asks for something that the caller does not know of yet.
            self._unowned.pop(run_id, None)
        if pens:
            self._is_asked.set()
        return pens

    async def _claimed(self, run_id: str) -> LiveRun:
        for _ in range(CLAIM_TRIES):
            await self._group_commit.idle()  # a commit in its thread holds the connection
            try:
                return self._store.claim(run_id)
            except sqlite3.Error as error:
                if not is_busy(error):
                    self._fail(error)
            await asyncio.sleep(BUSY_RETRY_S)
        raise JournalError(f"The journal {self._path} is held by another process; try again")

    async def ask(self, ask: Ask) -> None:
        if ask.run_id in self._live:
            self._asks.append(ask)
            self._is_asked.set()

    async def asked(self, timeout_s: float) -> list[Ask]:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._is_asked.wait()
        self._is_asked.clear()
        asks = [ask for ask in self._asks if ask.run_id not in self._unowned]
        # Those for runs without an owner wait; those for ended runs have no reader.
        self._asks = [ask for ask in self._asks if ask.run_id in self._unowned]
        return asks

    @asynccontextmanager
    async def exclusive(self, name: str) -> AsyncGenerator[None]:
        async with self._names.setdefault(name, asyncio.Lock()):
            yield

    async def note_viewers(self, run_ids: Sequence[str]) -> None:
        """There is no other process."""

    async def read(self, run_id: str, *, after: int, limit: int = 500) -> Sequence[Event]:
        live_run = self._live.get(run_id)
        if live_run is not None and after + 1 >= live_run.base:
            lines = live_run.shown(after, limit)
        else:
            try:
                lines = self._store.read(run_id, after, limit)
            except sqlite3.Error as error:
                self._fail(error)
            if live_run is not None:  # its pages end where its lines in memory begin
                lines += live_run.shown(after, limit - len(lines))
        return [decode_event(line) for line in lines]

    def wait(self, run_id: str, *, after: int, timeout_s: float) -> Awaitable[object]:
        live_run = self._live.get(run_id)
        if live_run is None:
            # It just ended, or another process writes it: read again soon.
            return asyncio.sleep(min(timeout_s, FOREIGN_POLL_S))
        return self._waiting.wait(live_run, after, timeout_s)

    def listen(self, run_id: str, *, after: int, heard: Heard) -> Callable[[], None] | None:
        live_run = self._live.get(run_id)
        if live_run is None or live_run.visible != after or self._group_commit.is_closed:
            return None
        return live_run.listen(heard)

    async def head(self, run_id: str) -> Head:
        try:
            heads = self._store.heads("where id = ?", (run_id,))
        except sqlite3.Error as error:
            self._fail(error)
        if not heads:
            raise UnknownRun(run_id)
        return self._with_seq(heads[0])

    async def heads(
        self, *, before: str = "", limit: int = 50, **wanted: Unpack[Wanted]
    ) -> list[Head]:
        conditions, values = conditions_of(before, wanted)
        where = "where " + " and ".join(conditions).replace("{}", "?")
        try:
            heads = self._store.heads(where, values, limit)
        except sqlite3.Error as error:
            self._fail(error)
        return [self._with_seq(head) for head in heads]

    async def unended(self) -> dict[str, Status]:
        return {run_id: live_run.status for run_id, live_run in self._live.items()}

    async def oldest(
        self, *, after: str = "", before_ms: int | None = None, limit: int = 50
    ) -> list[EndedRun]:
        return await asyncio.to_thread(pruning.oldest, self._path, after, before_ms, limit)

    async def forget(self, run_ids: Sequence[str]) -> int:
        return await asyncio.to_thread(pruning.forget, self._path, run_ids)

    def check(self) -> None:
        self._group_commit.check()

    def commits(self) -> tuple[float, int]:
        return self._group_commit.commits()

    async def used_bytes(self) -> int:
        return await asyncio.to_thread(pruning.used_bytes, self._path)

    async def give_back(self, *, at_rest: bool = False) -> bool:
        work = pruning.rebuild if at_rest else pruning.give_back
        return await asyncio.to_thread(work, self._path)

    async def aclose(self) -> None:
        await self._group_commit.close()
        self._waiting.close()
        self._store.close()

    def _latest_ms(self) -> int:
        lines = [live_run.lines[-1] for live_run in self._live.values() if live_run.lines]
        return max([self._store.latest_ms(), *(decode_event(line).at_ms for line in lines)])

    def _fail(self, error: sqlite3.Error) -> NoReturn:
        raise JournalError(f"The journal {self._path} cannot be used: {error}") from error

    def _with_seq(self, head: Head) -> Head:
        live_run = self._live.get(head.run_id)
        if live_run is None:
            return head
        return replace(head, seq=live_run.visible, epoch=live_run.epoch, ended_ms=None)


async def plug(url: str, tuning: Tuning) -> SQLiteJournal:
    """
    Open the journal in a file.

    Raises:
        SetupError: It cannot be opened.
    """
    return SQLiteJournal(url, tuning)
