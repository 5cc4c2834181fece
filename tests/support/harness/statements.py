"""
Counts the statements that are under way at PostgreSQL, so that virtual time stands still for them.

The connections are asyncpg's own. A message (NOTIFY) counts too, from its sending until every
connection that listens has it, so that it never comes a jump of the clock too late.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest

from support.harness.processes import running_process

Message = tuple["CountedConnection", str, str]
"""Where it will arrive, its channel, and its words."""

NOTIFY = "select pg_notify"


class Statements:
    """What a process waits for."""

    def __init__(self) -> None:
        self.connections: list[CountedConnection] = []
        self._messages: Counter[Message] = Counter()
        self._count = 0

    def is_busy(self) -> bool:
        """Whether PostgreSQL will answer or send something."""
        return self._count > 0 or any(not db.is_closed() for db, _, _ in self._messages)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1

    @contextmanager
    def sent(self, channel: str, words: str) -> Iterator[None]:
        self.connections = [db for db in self.connections if not db.is_closed()]
        messages = [(db, channel, words) for db in self.connections if channel in db._listeners]
        self._messages.update(messages)
        try:
            yield
        except BaseException:
            for message in messages:
                self.arrived(message)
            raise

    def arrived(self, message: Message) -> None:
        self._messages[message] -= 1
        self._messages = +self._messages

    def left(self, db: CountedConnection, channel: str) -> None:
        """A connection listens no more."""
        for message in [each for each in self._messages if each[:2] == (db, channel)]:
            del self._messages[message]


class CountedConnection(asyncpg.Connection):  # type: ignore[type-arg]
    statements: Statements

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        with self.statements.under_way():
            if not query.startswith(NOTIFY):
                return await super().execute(query, *args, **options)
            with self.statements.sent(*args):
                return await super().execute(query, *args, **options)

    async def executemany(self, *args: Any, **options: Any) -> None:
        with self.statements.under_way():
            return await super().executemany(*args, **options)

    async def fetch(self, *args: Any, **options: Any) -> Any:
        with self.statements.under_way():
            return await super().fetch(*args, **options)

    async def fetchrow(self, *args: Any, **options: Any) -> Any:
        with self.statements.under_way():
            return await super().fetchrow(*args, **options)

    async def fetchval(self, *args: Any, **options: Any) -> Any:
        with self.statements.under_way():
            return await super().fetchval(*args, **options)

    async def close(self, **options: Any) -> None:
        with self.statements.under_way():
            await super().close(**options)

    async def remove_listener(self, channel: str, callback: Any) -> None:
        await super().remove_listener(channel, callback)
        self.statements.left(self, channel)

    def _process_notification(self, pid: int, channel: str, words: str) -> None:
        self.statements.arrived((self, channel, words))
        super()._process_notification(pid, channel, words)  # type: ignore[misc]


@contextmanager
def counted_statements() -> Iterator[Statements]:
    """Count the statements of all connections that are opened meanwhile."""
    statements, real = Statements(), asyncpg.connect

    async def connect(*args: Any, **options: Any) -> CountedConnection:
        process = running_process()
        with statements.under_way():
            db: Any = await real(*args, connection_class=CountedConnection, **options)
        db.statements = statements
        statements.connections.append(db)
        if process is not None:
            process.connections.append(db)
            if process.is_dead:
                db.terminate()
                raise ConnectionAbortedError("the process is dead")
        return db  # type: ignore[no-any-return]

    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(asyncpg, "connect", connect)
        yield statements
