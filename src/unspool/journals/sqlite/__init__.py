"""
Runs in one SQLite file: the default journal, durable before anybody sees an event.

Appending puts encoded lines into memory; a flush commits those of all runs in one
transaction, on the event loop (27 µs; a hop to a thread costs three times that),
at once when the journal is quiet, else at most every `commit_window_s`. With
`synchronous=FULL` a commit waits for the disk and so goes to a thread.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import sqlite3
import sys
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from ...errors import JournalError, JournalFull, SetupError, StaleEpoch, UnknownRun
from ...events import Draft, Event, decode_event, encode_event
from ...runs import RunSpec
from .. import Head, Tuning
from ._reel import Reel, Strip, cut, settle
from ._store import Store

log = logging.getLogger(__name__)

BUSY_RETRY_S = 0.02
"""Another process holds the file for a moment."""

FAILED_RETRY_S = 1.0
"""The disk is full or failing; looking oftener would not help it."""

COMMIT_SHARE = 0.05
"""Commits may take so much of the event loop's time; where they would take more, the window
between them is stretched …"""

MAX_STRETCH = 2.5
"""… but no further than this: 5 ms for a window of 2 ms."""

FOREIGN_POLL_S = 0.05
"""A run that another process writes has no bell here."""

SWEEPS = 8
"""A waiter is woken within an eighth of its time-out after it."""

_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"


def new_run_id(now_ms: int) -> str:
    """26 characters: 48 bits of time, so that ids sort by age, and 80 bits nobody can guess."""
    number = now_ms << 80 | secrets.randbits(80)
    return "".join(_BASE32[number >> shift & 31] for shift in range(125, -1, -5))


class SQLiteJournal:
    def __init__(self, url: str, tuning: Tuning) -> None:
        self._path = Path(unquote(urlsplit(url).path))
        self._synchronous = tuning.synchronous
        self._min_window_s = self._window_s = tuning.commit_window_s
        self._cost_s = 0.0  # of a commit on the event loop, a moving average
        self._max_run_bytes = tuning.max_run_bytes
        self._clock = tuning.clock
        self._loop = asyncio.get_running_loop()
        self._store = Store(self._path, synchronous=tuning.synchronous)
        try:
            self._live = {reel.head.run_id: reel for reel in self._store.unended()}
        except (sqlite3.Error, JournalError) as error:
            self._store.close()
            raise SetupError(f"The journal {self._path} cannot be read: {error}") from error
        self._dirty: dict[Reel, None] = {}
        self._stuck: JournalError | None = None
        self._timer: asyncio.Handle | None = None
        self._last_flush = 0.0
        self._writing: asyncio.Future[tuple[int, list[Strip]]] | None = None
        self._tidy = True  # segments may be left over from ended runs
        self._closed = False
        self._refusing = False  # stuck or closed: one look for each token
        self._sweeping: asyncio.TimerHandle | None = None
        self._sweep_s = 1.0

    # Writing

    async def create(self, spec: RunSpec) -> SQLitePen:
        now_ms = int(self._clock() * 1000)
        run_id = new_run_id(now_ms)
        digest = spec.digest
        asked = (spec.flow, spec.model, spec.dialect, digest)
        head = Head(run_id, *asked, "running", 0, epoch=1, created_ms=now_ms, ended_ms=None)
        reel = Reel(self._store.new_no(), head, is_new=True)
        pen = SQLitePen(self, reel)
        facts = {"flow": spec.flow, "model": spec.model, "dialect": spec.dialect}
        started = {**facts, "digest": digest, "input": spec.input}
        self.accept(reel, 1, (Draft("run.started", started),))
        self._live[run_id] = reel
        try:
            await self.commit(reel, 1, reel.seq)
        except BaseException:
            self._dirty.pop(reel, None)
            if reel.is_new:
                self._live.pop(run_id, None)
            raise
        return pen

    async def claim(self, run_id: str) -> SQLitePen:
        while self._writing is not None:
            await asyncio.wait([self._writing])
        try:
            fresh = self._store.claim(run_id)
        except sqlite3.Error as error:
            self._fail(error)
        reel = self._live.setdefault(run_id, fresh)
        if reel is not fresh:
            # Readers hold the reel; the new owner takes it as it is in the file.
            self._dirty.pop(reel, None)
            reel.forget_unseen()
            reel.epoch = fresh.epoch
            reel.ring()
        return SQLitePen(self, reel)

    def accept(self, reel: Reel, epoch: int, drafts: Sequence[Draft]) -> None:
        """Take drafts for the next commit; `Pen.append` says the rest. Runs for each token."""
        if (
            reel.epoch != epoch
            or reel.ending is not None
            or self._refusing
            or reel.total_bytes > self._max_run_bytes
        ):
            self._refuse(reel, epoch)
        at_ms = int(self._clock() * 1000)
        seq, total_bytes = reel.seq, reel.total_bytes
        try:
            for draft in drafts:
                reel.seq += 1
                line = encode_event(Event(reel.seq, draft.type, at_ms, draft.data))
                reel.lines.append(line)
                reel.total_bytes += len(line)
        except BaseException:
            reel.rewind(seq, total_bytes)  # what cannot be encoded leaves no gap
            raise
        if reel not in self._dirty:
            self._dirty[reel] = None
            if self._timer is None and self._writing is None:
                self._arm(self._last_flush + self._window_s - self._loop.time())

    async def commit(self, reel: Reel, epoch: int, seq: int) -> None:
        while reel.visible < seq:
            if reel.epoch != epoch or self._refusing:
                self._refuse(reel, epoch)
            await self._bell(reel)

    async def end(self, reel: Reel, epoch: int, ending: Draft) -> None:
        while self._stuck is not None and self._writing is not None:
            await asyncio.wait([self._writing])  # what it commits must not be forgotten
        if self._stuck is not None and reel.epoch == epoch:
            reel.forget_unseen()
        refusing, self._refusing, limit = self._refusing, False, self._max_run_bytes
        self._max_run_bytes = sys.maxsize
        try:
            self.accept(reel, epoch, (ending,))
        finally:
            self._refusing, self._max_run_bytes = refusing, limit
        reel.ending = ending.type.partition(".")[2], int(self._clock() * 1000)
        while reel.visible < reel.seq and reel.epoch == epoch and not self._closed:
            await self._bell(reel)

    def _bell(self, reel: Reel) -> asyncio.Future[None]:
        waiter = self._loop.create_future()
        reel.waiters[waiter] = math.inf
        return waiter

    def _refuse(self, reel: Reel, epoch: int) -> NoReturn:
        run_id = reel.head.run_id
        if reel.epoch != epoch:
            raise StaleEpoch(f"run {run_id}: epoch {epoch}, now {reel.epoch}")
        if reel.ending is not None:
            raise StaleEpoch(f"run {run_id} has ended")
        if self._stuck is not None:
            raise self._stuck
        if self._closed:
            raise JournalError("the journal is closed")
        raise JournalFull(
            f"run {run_id} has more than {self._max_run_bytes} bytes; raise max_run_bytes if "
            "such runs are meant"
        )

    # Committing

    def _arm(self, wait_s: float) -> None:
        if wait_s > 0:
            self._timer = self._loop.call_later(wait_s, self._flush)
        else:
            self._timer = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        loop = self._loop
        self._timer = None
        self._last_flush = loop.time()
        strips = [cut(reel) for reel in self._dirty]
        self._dirty.clear()
        keep_from = self._keep_from() if self._tidy else None
        if self._synchronous == "FULL":
            write = loop.run_in_executor(None, self._store.write, strips, keep_from)
            self._writing = write
            write.add_done_callback(lambda done: self._written(strips, done))
            return
        try:
            segment, stale = self._store.write(strips, keep_from)
        except sqlite3.Error as error:
            self._not_written(strips, error)
        else:
            self._publish(strips, segment, stale)
            self._cost_s += (loop.time() - self._last_flush - self._cost_s) / 16
            stretched_s = min(self._cost_s / COMMIT_SHARE, self._min_window_s * MAX_STRETCH)
            self._window_s = max(self._min_window_s, stretched_s)

    def _written(self, strips: list[Strip], done: asyncio.Future[tuple[int, list[Strip]]]) -> None:
        self._writing = None
        error = done.exception()
        if isinstance(error, sqlite3.Error):
            self._not_written(strips, error)
        else:
            self._publish(strips, *done.result())
            if self._dirty and self._timer is None:
                self._arm(0)

    def _publish(self, strips: list[Strip], segment: int, stale: list[Strip]) -> None:
        if self._stuck is not None:
            log.warning("The journal can write again.")
            self._stuck, self._refusing = None, False
        self._tidy = False
        for strip in strips:
            if stale and strip in stale:
                self._lost(strip.reel)
                continue
            settle(strip, segment)
            if strip.page:
                self._tidy = True
                if strip.reel.ending is not None and not strip.reel.lines:
                    self._live.pop(strip.reel.head.run_id, None)

    def _not_written(self, strips: list[Strip], error: sqlite3.Error) -> None:
        busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in {
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_LOCKED,
        }
        for strip in strips:
            self._dirty[strip.reel] = None
        if busy:
            self._arm(BUSY_RETRY_S)
            return
        if self._stuck is None:
            log.error(
                "The journal %s cannot be written: %s. Nothing that was shown is lost; make "
                "space, then writing goes on by itself.",
                self._path,
                error,
            )
        self._stuck = JournalFull(f"The journal cannot be written: {error}")
        self._refusing = True
        for strip in strips:
            strip.reel.ring()
        for reel in [reel for reel in self._dirty if reel.is_new]:
            del self._dirty[reel]
        # Those who wrote have been told; what they accepted is tried again all the same,
        # so that an ending reaches the log as soon as there is space.
        self._arm(FAILED_RETRY_S)

    def _lost(self, reel: Reel) -> None:
        """Another process owns the run: its epoch is unknown here, but ours is over."""
        reel.forget_unseen()
        reel.ending = None
        reel.epoch += 1
        self._live.pop(reel.head.run_id, None)
        reel.ring()

    def _keep_from(self) -> int:
        needed = [r.first_segment for r in self._live.values() if r.first_segment is not None]
        return min(needed, default=2**62)

    def _fail(self, error: sqlite3.Error) -> NoReturn:
        raise JournalError(f"The journal {self._path} cannot be used: {error}") from error

    # Reading

    async def read(self, run_id: str, *, after: int, limit: int = 500) -> Sequence[Event]:
        reel = self._live.get(run_id)
        if reel is not None and after + 1 >= reel.base:
            start = after + 1 - reel.base
            lines = reel.lines[start : min(start + limit, reel.visible + 1 - reel.base)]
        else:
            try:
                lines = self._store.read(run_id, after, limit)
            except sqlite3.Error as error:
                self._fail(error)
        return [decode_event(line) for line in lines]

    def wait(self, run_id: str, *, after: int, timeout_s: float) -> Awaitable[object]:
        reel = self._live.get(run_id)
        if reel is None:
            # It has ended a moment ago, or another process writes it: look again soon.
            return asyncio.sleep(min(timeout_s, FOREIGN_POLL_S))
        waiter: asyncio.Future[None] = self._loop.create_future()
        if reel.visible > after:
            waiter.set_result(None)
            return waiter
        if timeout_s < self._sweep_s * SWEEPS:
            self._sweep_s = timeout_s / SWEEPS
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._sweep_s, self._sweep)
        # Whoever gives up waiting leaves a cancelled future behind, until the next ring.
        reel.waiters[waiter] = self._loop.time() + timeout_s
        return waiter

    def _sweep(self) -> None:
        """Wake those who have waited long enough: one timer for all, not one for each token."""
        now = self._loop.time()
        is_waited_for = False
        for reel in self._live.values():
            is_waited_for = is_waited_for or bool(reel.waiters)
            for waiter in [w for w, until in reel.waiters.items() if until <= now or w.done()]:
                del reel.waiters[waiter]
                if not waiter.done():
                    waiter.set_result(None)
        self._sweeping = None
        if is_waited_for:
            self._sweeping = self._loop.call_later(self._sweep_s, self._sweep)

    async def head(self, run_id: str) -> Head:
        try:
            heads = self._store.heads("where id = ?", (run_id,))
        except sqlite3.Error as error:
            self._fail(error)
        if not heads:
            raise UnknownRun(run_id)
        return self._with_seq(heads[0])

    async def heads(
        self, *, before: str = "", limit: int = 50, status: str = "", flow: str = ""
    ) -> list[Head]:
        wanted = {
            "no < (select no from runs where id = ?)": before,
            "status = ?": status,
            "flow = ?": flow,
        }
        used = {clause: value for clause, value in wanted.items() if value}
        where = "where " + " and ".join(used) if used else ""
        try:
            heads = self._store.heads(where, tuple(used.values()), limit)
        except sqlite3.Error as error:
            self._fail(error)
        return [self._with_seq(head) for head in heads]

    async def unended(self) -> list[str]:
        return list(self._live)

    async def aclose(self) -> None:
        while self._dirty or self._writing is not None:
            if self._writing is not None:
                await asyncio.wait([self._writing])
            elif self._stuck is not None:
                break
            else:
                await asyncio.sleep(self._window_s)
        self._closed = self._refusing = True
        for timer in (self._timer, self._sweeping):
            if timer is not None:
                timer.cancel()
        for reel in self._live.values():
            reel.ring()
        self._store.close()

    def _with_seq(self, head: Head) -> Head:
        reel = self._live.get(head.run_id)
        if reel is None:
            return head
        asked = (head.flow, head.model, head.dialect, head.digest)
        return Head(
            head.run_id, *asked, head.status, reel.visible, reel.epoch, head.created_ms, None
        )


class SQLitePen:
    """See `journals.Pen`. Thin, because `append` runs for each token."""

    __slots__ = ("_journal", "_reel", "epoch", "run_id")

    def __init__(self, journal: SQLiteJournal, reel: Reel) -> None:
        self._journal = journal
        self._reel = reel
        self.epoch = reel.epoch
        self.run_id = reel.head.run_id

    def append(self, *drafts: Draft) -> None:
        self._journal.accept(self._reel, self.epoch, drafts)

    @property
    def is_behind(self) -> bool:
        return self._reel.is_behind

    async def commit(self) -> None:
        await self._journal.commit(self._reel, self.epoch, self._reel.seq)

    async def end(self, ending: Draft) -> None:
        await self._journal.end(self._reel, self.epoch, ending)


plug = SQLiteJournal
