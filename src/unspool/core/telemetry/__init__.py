"""
What operators see of runs: figures, traces, webhooks, and a line in the log.

A run costs nothing here while it goes on. When it has ended, its log is read once, behind the
streams, and all of them are made from that; they have the times of the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from ...errors import JournalError, UnknownRun
from ...formats.tenancy import working_for
from ...journals import Journal, read_all
from .exposition import WRITE_S, Exposition
from .facts import RunSummary
from .metrics import ServerMetrics
from .webhooks import Webhooks

log = logging.getLogger(__name__)

WAITING: Final = 10_000
"""Ended runs that wait to be read; of more, the oldest are not told."""

CLOSE_S: Final = 0.5
"""Seconds to read the last runs when the server stops."""

Report = Callable[[RunSummary], object]
"""Tells somebody of an ended run. Return at once."""


class Telemetry:
    """Reads the logs of ended runs for those who tell of them."""

    def __init__(
        self,
        journal: Journal,
        metrics: ServerMetrics,
        webhooks: Webhooks,
        exposition: Exposition,
        reports: Sequence[Report],
    ) -> None:
        self._journal = journal
        self.metrics = metrics
        self.webhooks = webhooks
        self.exposition = exposition
        self._reports = (metrics.count, *reports)
        self._ended: deque[str] = deque()
        self._has_news = asyncio.Event()
        self._is_read = asyncio.Event()
        self._is_read.set()
        self._tasks: list[asyncio.Task[None]] = []

    def note_ended(self, run_id: str, _request: object = None) -> None:
        """Remember that a run has ended."""
        if len(self._ended) >= WAITING:
            self._ended.popleft()
            self.metrics.uncounted.inc()
        self._ended.append(run_id)
        self._is_read.clear()
        self._has_news.set()

    def watch(self) -> None:
        """Work until `close`."""
        with working_for(None):
            self._tasks.append(asyncio.create_task(self._work(), name="telemetry"))
            if self.exposition.is_shared:
                self._tasks.append(asyncio.create_task(self._write(), name="figures of workers"))

    async def settled(self) -> None:
        """Return when all runs that have ended are told."""
        await self._is_read.wait()

    async def close(self) -> None:
        """Tell of the runs that have ended, as far as there is time."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.settled()
        except TimeoutError:
            log.warning("%d ended runs are in no figures", len(self._ended))
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self.exposition.close()

    async def _work(self) -> None:
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            while self._ended:
                await self._tell(self._ended.popleft())
                await asyncio.sleep(0)
            self._is_read.set()

    async def _tell(self, run_id: str) -> None:
        run = RunSummary(run_id)
        try:
            async for events in read_all(self._journal, run_id):
                for event in events:
                    run.apply(event)
        except (UnknownRun, JournalError) as error:
            log.warning("Run %s is in no figures: %s", run_id, error)
            self.metrics.uncounted.inc()
            return
        if not run.status:  # it was deleted meanwhile
            self.metrics.uncounted.inc()
            return
        for report in self._reports:
            try:
                report(run)
            except Exception:
                log.exception("Run %s is not told everywhere", run_id)

    async def _write(self) -> None:
        while True:
            self.exposition.write()
            await asyncio.sleep(WRITE_S)
