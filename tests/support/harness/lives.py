"""The lives of servers: each from its start to its stop or death."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import pytest

from support.harness.processes import Process
from unspool import Journal, open_journal
from unspool.errors import JournalError
from unspool.execution import adoption
from unspool.execution.runner import Runner
from unspool.generation.generate import GenerationDeps
from unspool.journals import Tuning
from unspool.journals.postgresql_database import following, membership
from unspool.journals.sqlite import SQLiteJournal
from unspool.models.catalog import Catalog
from unspool.models.health import Health
from unspool.providers.upstream.http1 import Client
from unspool.settings import Settings
from unspool.viewing.viewers import Viewing

Result = TypeVar("Result")

EPOCH_S = 1.8e9

GRACE_S = 1.0
"""For requests, when a server stops."""

RHYTHM: Final = {
    adoption: ("ADOPT_S", "ASKED_S", "OBEY_S"),
    membership: ("BEAT_S", "GONE_S", "SILENT_S", "KEEP_S", "TIDY_S", "VACUUM_S", "FOLLOWED_S"),
    following: ("POLL_S", "ASK_S", "IDLE_S"),
}
"""Seconds between what servers do all the time, and after which they miss what others do."""


def slow_down(monkeypatch: pytest.MonkeyPatch, times: float) -> None:
    """Stretch the rhythm of servers: in a long time it would be most of the work."""
    for module, names in RHYTHM.items():
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name) * times)


@dataclass(eq=False)
class Life:
    """One server: the parts, from its start to its stop or death."""

    journal: Journal
    runner: Runner
    viewing: Viewing
    process: Process
    requests: set[asyncio.Task[Any]] = field(default_factory=set)

    @classmethod
    async def begin(
        cls,
        url: str,
        catalog: Callable[[Health], Catalog],
        http: Client,
        random: Callable[[], float],
        settings: Settings,
        tamper: Callable[[Journal], object],
    ) -> Life:
        process = Process()

        async def begin() -> Life:
            loop = asyncio.get_running_loop()
            tuning = Tuning(clock=lambda: EPOCH_S + loop.time())
            journal = await open_journal(url, tuning)
            tamper(journal)
            health = Health(loop.time)
            deps = GenerationDeps(http, health=health, random=random, clock=loop.time)
            runner = Runner(journal, catalog(health), deps, settings)
            runner.watch()
            return cls(journal, runner, Viewing(journal, settings), process)

        return await process.start(begin())

    async def die(self) -> None:
        """As `kill -9`: nothing is written any more, not even by what notices its end."""
        group_commit: Any = self.journal._group_commit  # type: ignore[attr-defined]
        group_commit.is_closed = group_commit._refuses = True
        group_commit._written = lambda *_: None
        if group_commit._timer is not None:
            group_commit._timer.cancel()
        if isinstance(self.journal, SQLiteJournal):
            self.journal._store.close()
        self.process.die()
        self.journal._waiting.close()  # type: ignore[attr-defined]
        self.viewing.close()
        while self.process.tasks:
            await asyncio.wait(self.process.tasks)

    async def stop(self) -> list[str]:
        """As SIGTERM; return what is left of it, a sentence each."""
        self.viewing.close()
        if self.requests:
            await asyncio.wait(self.requests, timeout=GRACE_S)
        for request in self.requests:
            request.cancel()
        await self.process.start(self._close())
        tasks = [f"a stopped server still works: {task}" for task in self.process.tasks]
        open_ = [db for db in self.process.connections if not db.is_closed()]
        return tasks + [f"a stopped server is still connected: {db}" for db in open_]

    async def _close(self) -> None:
        await self.runner.close()
        await self.journal.aclose()

    def start(self, request: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Begin to answer a request."""
        task = self.process.start(request)
        self.requests.add(task)
        task.add_done_callback(self.requests.discard)
        return task

    async def do(self, request: Coroutine[Any, Any, Result]) -> Result:
        """
        Answer a request.

        Raises:
            JournalError: The server has died or stopped meanwhile.
        """
        task = self.start(request)
        await asyncio.wait([task])
        if task.cancelled():
            raise JournalError("the server is gone")
        return task.result()
