"""
Runs in one SQLite file, the default journal: events are durable before readers see them.

Appending puts encoded lines into memory; a flush commits those of all runs in one
transaction, on the event loop (27 µs; a hop to a thread costs three times that),
at once when the journal is quiet, else at most every `commit_window_s`.

`sqlite_file/` has the parts: tables, statements, a run in memory, the commits. This module opens
them and reads.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, Unpack
from urllib.parse import unquote, urlsplit

from ..errors import JournalError, KeyTaken, SetupError, UnknownRun
from ..runs.events import Draft, Event, decode_event
from ..runs.run import RunSpec
from . import Claim, EndedRun, Head, Heard, Tuning, Wanted, started
from .sqlite_file import pruning
from .sqlite_file.group_commit import BUSY_RETRY_S, GroupCommit, SQLitePen, is_busy
from .sqlite_file.live_run import LiveRun
from .sqlite_file.store import Store

CLAIM_TRIES = 250
"""Tries to claim a run while another process holds the file: 5 s in all."""

FOREIGN_POLL_S = 0.05
"""Seconds between reads of another process's run, which rings no bell here."""

SWEEPS = 8
"""A waiter wakes at most an eighth of its time-out late."""

_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _BASE32 for second in _BASE32]


def new_run_id(now_ms: int) -> str:
    """26 characters: 48 bits of time, so that ids sort by age, and 80 random bits."""
    number = now_ms << 80 | secrets.randbits(80)
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])


MAX_BACK_S = 86_400.0
"""
A clock that is further behind the journal's last time was wrong before, and is right now. Up to
this, the journal goes on from that time, so that runs stay in order and no duration is negative.
"""


def _never_back(clock: Callable[[], float], latest_ms: int) -> Callable[[], float]:
    """Return the clock, or one that is as far ahead of it as the journal is."""
    ahead_s = latest_ms / 1000 - clock()
    return clock if not 0 < ahead_s <= MAX_BACK_S else lambda: clock() + ahead_s


class SQLiteJournal:
    def __init__(self, url: str, tuning: Tuning) -> None:
        self._path = Path(unquote(urlsplit(url).path))
        self._loop = asyncio.get_running_loop()
        self._store = Store(self._path, synchronous=tuning.synchronous)
        try:
            self._live = {live_run.head.run_id: live_run for live_run in self._store.unended()}
            tuning = replace(tuning, clock=_never_back(tuning.clock, self._latest_ms()))
        except (sqlite3.Error, JournalError) as error:
            self._store.close()
            raise SetupError(f"The journal {self._path} cannot be read: {error}") from error
        self._group_commit = GroupCommit(self._store, self._live, tuning)
        self._making: dict[str, asyncio.Future[SQLitePen]] = {}
        """Runs that we are creating, by the key of their request."""
        self._sweeping: asyncio.TimerHandle | None = None
        self._sweep_s = 1.0

    async def create(
        self, spec: RunSpec, claim: Claim | None = None, history: Sequence[Draft] = ()
    ) -> SQLitePen:
        if claim is None:
            return await self._create(spec, None, history)
        while (making := self._making.get(claim.key)) is not None:
            await asyncio.wait([making])  # the same request, a moment ago
        self._check_key(claim)
        making = self._making[claim.key] = asyncio.ensure_future(self._create(spec, claim, history))
        making.add_done_callback(lambda _: self._making.pop(claim.key))
        return await asyncio.shield(making)

    def _check_key(self, claim: Claim) -> None:
        try:
            taken = self._store.keyed(claim.key)
        except sqlite3.Error as error:
            self._fail(error)
        if taken is not None:
            raise KeyTaken(*taken)

    async def _create(
        self, spec: RunSpec, claim: Claim | None, history: Sequence[Draft]
    ) -> SQLitePen:
        now_ms = int(self._group_commit.clock() * 1000)
        run_id = new_run_id(now_ms)
        request = (spec.flow, spec.model, spec.dialect, spec.digest)
        head = Head(
            *(run_id, *request, "running", 0),
            epoch=1,
            created_ms=now_ms,
            ended_ms=None,
            parent=spec.parent or None,
            forked_from=spec.forked_from["run"] if spec.forked_from else None,
        )
        live_run = LiveRun(self._store.new_no(), head, is_new=True, claim=claim)
        pen = SQLitePen(self._group_commit, live_run)
        pen.append(started(spec), *history)
        self._live[run_id] = live_run
        try:
            await pen.commit()
        except BaseException:
            if live_run.is_new:
                self._group_commit.drop(live_run)
                self._live.pop(run_id, None)
            raise
        return pen

    async def claim(self, run_id: str) -> SQLitePen:
        live_run = await self._claimed(run_id)
        old, self._live[run_id] = self._live.get(run_id), live_run
        if old is not None:
            old.epoch = live_run.epoch  # its pen is stale
            self._group_commit.drop(old)
        return SQLitePen(self._group_commit, live_run)

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

    async def read(self, run_id: str, *, after: int, limit: int = 500) -> Sequence[Event]:
        live_run = self._live.get(run_id)
        if live_run is not None and after + 1 >= live_run.base:
            start = after + 1 - live_run.base
            lines = live_run.lines[start : min(start + limit, live_run.visible + 1 - live_run.base)]
        else:
            try:
                lines = self._store.read(run_id, after, limit)
            except sqlite3.Error as error:
                self._fail(error)
            if live_run is not None:  # its pages end where its lines in memory begin
                lines += live_run.lines[
                    : min(limit - len(lines), live_run.visible + 1 - live_run.base)
                ]
        return [decode_event(line) for line in lines]

    def wait(self, run_id: str, *, after: int, timeout_s: float) -> Awaitable[object]:
        live_run = self._live.get(run_id)
        if live_run is None:
            # It just ended, or another process writes it: read again soon.
            return asyncio.sleep(min(timeout_s, FOREIGN_POLL_S))
        waiter: asyncio.Future[None] = self._loop.create_future()
        if live_run.visible > after:
            waiter.set_result(None)
            return waiter
        if timeout_s < self._sweep_s * SWEEPS:
            self._sweep_s = timeout_s / SWEEPS
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._sweep_s, self._wake_late)
        # A waiter that gives up leaves a cancelled future behind, until the next ring.
        live_run.waiters[waiter] = self._loop.time() + timeout_s
        return waiter

    def listen(self, run_id: str, *, after: int, heard: Heard) -> Callable[[], None] | None:
        live_run = self._live.get(run_id)
        if live_run is None or live_run.visible != after or self._group_commit.is_closed:
            return None
        return live_run.listen(heard)

    def _wake_late(self) -> None:
        """Wake waiters whose time is over: one timer for all, not one for each token."""
        now = self._loop.time()
        is_waited_for = False
        for live_run in self._live.values():
            is_waited_for = is_waited_for or bool(live_run.waiters)
            for waiter in [w for w, until in live_run.waiters.items() if until <= now or w.done()]:
                del live_run.waiters[waiter]
                if not waiter.done():
                    waiter.set_result(None)
        self._sweeping = None
        if is_waited_for:
            self._sweeping = self._loop.call_later(self._sweep_s, self._wake_late)

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
        clauses = {"no < (select no from runs where id = ?)": before}
        clauses |= {f"{name} = ?": str(wanted.get(name, "")) for name in Wanted.__annotations__}
        used = {clause: value for clause, value in clauses.items() if value}
        where = "where " + " and ".join(used) if used else ""
        try:
            heads = self._store.heads(where, tuple(used.values()), limit)
        except sqlite3.Error as error:
            self._fail(error)
        return [self._with_seq(head) for head in heads]

    async def unended(self) -> list[str]:
        return list(self._live)

    async def oldest(
        self, *, after: str = "", before_ms: int | None = None, limit: int = 50
    ) -> list[EndedRun]:
        return await asyncio.to_thread(pruning.oldest, self._path, after, before_ms, limit)

    async def forget(self, run_ids: Sequence[str]) -> int:
        return await asyncio.to_thread(pruning.forget, self._path, run_ids)

    def check(self) -> None:
        self._group_commit.check()

    async def used_bytes(self) -> int:
        return await asyncio.to_thread(pruning.used_bytes, self._path)

    async def give_back(self, *, at_rest: bool = False) -> bool:
        work = pruning.rebuild if at_rest else pruning.give_back
        return await asyncio.to_thread(work, self._path)

    async def aclose(self) -> None:
        await self._group_commit.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
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


plug = SQLiteJournal
