"""
Group commit: commits the accepted events of all runs, and then shows them to readers.

A flush commits the new lines of all runs in one transaction: at once if the journal was quiet, else
at the end of the window. The store writes them at once, on the event loop, or returns a future:
then later events wait for the next flush.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from typing import NoReturn

from unspool.errors import JournalError, JournalFull, StaleEpoch
from unspool.failpoints import point
from unspool.runs.events import Draft, Event, encode_event

from .. import Tuning
from .live_run import BACKLOG_BYTES, QUESTION_EVENTS, LiveRun, Strip, cut, settle

log = logging.getLogger(__name__)

_committing = point("journal.committing")
_committed = point("journal.committed")
_published = point("journal.published")

BUSY_RETRY_S = 0.02
"""Seconds to wait while another process holds the file."""

FAILED_RETRY_S = 1.0
"""Seconds between tries while the disk is full or failing."""

COMMIT_SHARE = 0.05
"""
The share of the event loop's time that commits may take; above it the window between them
stretches …
"""

MAX_STRETCH = 2.5
"""… but no further than this: 5 ms for a window of 2 ms."""

News = tuple[LiveRun, Sequence[Event]]
"""A run that has listeners, and its events in a commit."""

Written = tuple[int, list[Strip]]
"""The segment of a commit, and the strips that the store refused: another owner has their run."""

Write = Callable[[list[Strip], int | None], Written | asyncio.Future[Written]]
"""
Commits strips in one transaction, now or soon; segments before the number are no longer needed.
It raises `WriteFailed` if it wrote nothing.
"""


class WriteFailed(Exception):
    """
    Attributes:
        is_busy: Another process holds the store for a moment; false for a lasting error.
    """

    def __init__(self, reason: object, *, is_busy: bool = False) -> None:
        super().__init__(str(reason))
        self.is_busy = is_busy


class GroupCommit:
    """
    Writes one journal.

    Args:
        write: Writes to the store.
        live: Belongs to the journal: the runs that it writes, by id.
        where: The name of the store in messages.
        is_followed: See `cut`.
    """

    def __init__(
        self,
        write: Write,
        live: dict[str, LiveRun],
        tuning: Tuning,
        *,
        where: str,
        is_followed: bool = False,
    ) -> None:
        self.clock = tuning.clock
        self.is_closed = False
        self._write = write
        self._where = where
        self._is_followed = is_followed
        self._live = live
        self._min_window_s = self._window_s = tuning.commit_window_s
        self._max_run_bytes = tuning.max_run_bytes
        self._cost_s = 0.0  # time of a commit, a moving average
        self._failures = 0
        self._loop = asyncio.get_running_loop()
        self._dirty: dict[LiveRun, None] = {}
        self._stuck: JournalError | None = None
        self._refuses = False  # stuck or closed: one check per token
        self._timer: asyncio.Handle | None = None
        self._last_flush = 0.0
        self._writing: asyncio.Future[Written] | None = None
        self._tidy = True  # ended runs may have left segments behind

    def accept(self, live_run: LiveRun, epoch: int, drafts: Sequence[Draft]) -> None:
        """Take drafts for the next commit; see `Pen.append`."""
        if self._must_refuse(live_run, epoch):
            self._refuse(live_run, epoch)
        self._add(live_run, drafts)

    def accept_text(self, live_run: LiveRun, epoch: int, step: str, text: str) -> bool:
        """Take one text for the next commit; see `Pen.append_text`. Runs for each token."""
        if self._must_refuse(live_run, epoch):
            self._refuse(live_run, epoch)
        seq = live_run.seq + 1
        at_ms = int(self.clock() * 1000)
        event = Event(seq, "text.delta", at_ms, {"step": step, "text": text})
        line = encode_event(event)
        live_run.seq = seq
        live_run.lines.append(line)
        live_run.unseen.append(event)
        live_run.total_bytes += len(line)
        if live_run not in self._dirty:
            self._soil(live_run)
        return live_run.total_bytes - live_run.committed_bytes > BACKLOG_BYTES

    def _must_refuse(self, live_run: LiveRun, epoch: int) -> bool:
        return (
            live_run.epoch != epoch
            or live_run.ending is not None
            or self._refuses
            or live_run.total_bytes > self._max_run_bytes
        )

    async def commit(self, live_run: LiveRun, epoch: int, seq: int) -> None:
        """Wait until event `seq` is committed; see `Pen.commit`."""
        while live_run.visible < seq:
            if live_run.epoch != epoch or self._refuses:
                self._refuse(live_run, epoch)
            await self._bell(live_run)

    async def end(self, live_run: LiveRun, epoch: int, ending: Draft) -> None:
        """Add the last event and wait for its commit; see `Pen.end`."""
        while self._stuck is not None and self._writing is not None:
            await self.idle()  # do not drop events that the thread is committing
        if live_run.epoch != epoch or live_run.ending is not None or self.is_closed:
            self._refuse(live_run, epoch)
        if self._stuck is not None:
            live_run.forget_unseen()
        self._add(live_run, (ending,))
        live_run.ending = ending.type.partition(".")[2], int(self.clock() * 1000)
        await self._ended(live_run, epoch)

    async def release(self, live_run: LiveRun, epoch: int, last: Draft) -> None:
        """Add a last event of this process, and move all events to a page; see `RunPen.release`."""
        self.accept(live_run, epoch, (last,))
        live_run.ending = live_run.next_status, None
        await self._ended(live_run, epoch)

    async def _ended(self, live_run: LiveRun, epoch: int) -> None:
        while live_run.visible < live_run.seq and live_run.epoch == epoch and not self.is_closed:
            await self._bell(live_run)

    def drop(self, live_run: LiveRun) -> None:
        """Forget accepted events of a run that are not committed, and send its readers away."""
        self._dirty.pop(live_run, None)
        live_run.forget_unseen()
        live_run.send_away()

    async def idle(self) -> None:
        """Return when no commit is under way in the thread."""
        while self._writing is not None:
            await asyncio.wait([self._writing])

    async def close(self) -> None:
        """Commit accepted events, if the disk allows it, and refuse new ones."""
        while self._dirty or self._writing is not None:
            await self.idle()
            if self._stuck is not None:
                break
            await asyncio.sleep(self._window_s)
        self.is_closed = self._refuses = True
        if self._timer is not None:
            self._timer.cancel()
        for live_run in self._live.values():
            live_run.send_away()

    def _add(self, live_run: LiveRun, drafts: Sequence[Draft]) -> None:
        at_ms = int(self.clock() * 1000)
        seq, total_bytes = live_run.seq, live_run.total_bytes
        try:
            for draft in drafts:
                live_run.seq += 1
                event = Event(live_run.seq, draft.type, at_ms, draft.data)
                line = encode_event(event)
                live_run.lines.append(line)
                live_run.unseen.append(event)
                live_run.total_bytes += len(line)
                if event.type in QUESTION_EVENTS:
                    live_run.note_question(event)
        except BaseException:
            live_run.rewind(seq, total_bytes)  # an event that cannot be encoded leaves no gap
            raise
        if live_run not in self._dirty:
            self._soil(live_run)

    def _soil(self, live_run: LiveRun) -> None:
        """Note that a run has something to commit."""
        self._dirty[live_run] = None
        if self._timer is None and self._writing is None:
            self._arm(self._last_flush + self._window_s - self._loop.time())

    def _bell(self, live_run: LiveRun) -> asyncio.Future[None]:
        waiter = self._loop.create_future()
        live_run.waiters[waiter] = math.inf
        return waiter

    def check(self) -> None:
        """See `Journal.check`."""
        if self._stuck is not None:
            raise self._stuck
        if self.is_closed:
            raise JournalError("the journal is closed")

    def commits(self) -> tuple[float, int]:
        """See `Journal.commits`."""
        return self._cost_s, self._failures

    def _refuse(self, live_run: LiveRun, epoch: int) -> NoReturn:
        run_id = live_run.head.run_id
        if live_run.epoch != epoch:
            raise StaleEpoch(f"run {run_id}: epoch {epoch}, now {live_run.epoch}")
        if live_run.ending is not None:
            raise StaleEpoch(f"run {run_id} has ended")
        self.check()
        raise JournalFull(
            f"run {run_id} has more than {self._max_run_bytes} bytes; raise max_run_bytes if "
            "you want such runs"
        )

    def _arm(self, wait_s: float) -> None:
        if wait_s > 0:
            self._timer = self._loop.call_later(wait_s, self._flush)
        else:
            self._timer = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        loop = self._loop
        self._timer = None
        self._last_flush = loop.time()
        strips = [cut(live_run, is_followed=self._is_followed) for live_run in self._dirty]
        self._dirty.clear()
        keep_from = self.keep_from() if self._tidy else None
        _committing()
        try:
            written = self._write(strips, keep_from)
        except WriteFailed as error:
            self._not_written(strips, error)
            return
        if written.__class__ is tuple:  # `isinstance` is a call, for each token of a quiet server
            news = self._publish(strips, *written)
            self._cost_s += (loop.time() - self._last_flush - self._cost_s) / 16
            stretched_s = min(self._cost_s / COMMIT_SHARE, self._min_window_s * MAX_STRETCH)
            self._window_s = max(self._min_window_s, stretched_s)
            _tell(news)
        else:
            assert isinstance(written, asyncio.Future)
            self._writing = written
            written.add_done_callback(lambda done: self._written(strips, done))

    def _written(self, strips: list[Strip], done: asyncio.Future[Written]) -> None:
        self._writing = None
        try:
            written = done.result()
        except WriteFailed as error:
            self._not_written(strips, error)
        else:
            news = self._publish(strips, *written)
            self._cost_s += (self._loop.time() - self._last_flush - self._cost_s) / 16
            if self._dirty and self._timer is None:
                self._arm(self._last_flush + self._window_s - self._loop.time())
            _tell(news)

    def _publish(self, strips: list[Strip], segment: int, stale: list[Strip]) -> list[News]:
        """Show a commit to readers and return the news for listeners, who come after."""
        _committed()
        if self._stuck is not None:
            log.warning("The journal can write again.")
            self._stuck, self._refuses = None, False
        self._tidy = False
        news: list[News] = []
        for strip in strips:
            if stale and strip in stale:
                self.lose(strip.live_run)
                continue
            events = settle(strip, segment)
            if strip.live_run.listeners:
                news.append((strip.live_run, events))
            if strip.page:
                self._tidy = True
                if strip.ending is not None:
                    self._live.pop(strip.live_run.head.run_id, None)
        _published()
        return news

    def _not_written(self, strips: list[Strip], error: WriteFailed) -> None:
        self._failures += 1
        for strip in strips:
            self._dirty[strip.live_run] = None
        if error.is_busy:
            self._arm(BUSY_RETRY_S)
            return
        if self._stuck is None:
            log.error(
                "The journal %s cannot write: %s. No event that a viewer saw is lost; make "
                "space, and writing continues by itself.",
                self._where,
                error,
            )
        self._stuck = JournalFull(f"The journal cannot be written: {error}")
        self._refuses = True
        for strip in strips:
            strip.live_run.ring()
        for live_run in [live_run for live_run in self._dirty if live_run.is_new]:
            del self._dirty[live_run]
        # The writers have their error; we still try their events again, so that an ending
        # reaches the log as soon as there is space.
        self._arm(FAILED_RETRY_S)

    def lose(self, live_run: LiveRun) -> None:
        """Another process owns the run: our epoch is over, and we do not know the new one."""
        live_run.retire()
        live_run.ending = None
        if self._live.get(live_run.head.run_id) is live_run:
            del self._live[live_run.head.run_id]
        live_run.send_away()

    def keep_from(self) -> int:
        """Return the oldest segment that a live run needs."""
        needed = [r.first_segment for r in self._live.values() if r.first_segment is not None]
        return min(needed, default=2**62)


def _tell(news: list[News]) -> None:
    """
    Tell listeners, once all runs of a commit are settled.

    It is no part of what a commit costs, so it does not stretch the window.
    """
    for live_run, events in news:
        live_run.tell(events)
        if live_run.ending is not None and live_run.ending[1] is None:
            live_run.send_away()  # it continues elsewhere


class GroupPen:
    """
    The part of `journals.RunPen` that group commit gives; `append_text` runs for each token.

    `unowned` belongs to the journal: the runs that no pen writes.
    """

    __slots__ = ("_group_commit", "_live_run", "_unowned", "epoch", "run_id")

    def __init__(
        self, group_commit: GroupCommit, live_run: LiveRun, unowned: dict[str, None]
    ) -> None:
        self._group_commit = group_commit
        self._live_run = live_run
        self._unowned = unowned
        self.epoch = live_run.epoch
        self.run_id = live_run.head.run_id

    def append(self, *drafts: Draft) -> None:
        self._group_commit.accept(self._live_run, self.epoch, drafts)

    def append_text(self, step: str, text: str) -> bool:
        return self._group_commit.accept_text(self._live_run, self.epoch, step, text)

    @property
    def is_behind(self) -> bool:
        return self._live_run.is_behind

    @property
    def size(self) -> int:
        return self._live_run.total_bytes

    async def commit(self) -> None:
        await self._group_commit.commit(self._live_run, self.epoch, self._live_run.seq)

    async def end(self, ending: Draft) -> None:
        await self._group_commit.end(self._live_run, self.epoch, ending)

    def drop(self) -> None:
        self._unowned[self.run_id] = None
