"""
All connections of a client, and those of them that are kept for the next request.

The one that was used last is used first: the others may grow old and go.
"""

from __future__ import annotations

import asyncio

from .connection import Connection
from .proxies import Place

MAX_IDLE = 256
"""Of all places together; beyond it the one that has been idle longest is closed."""

IDLE_S = 15.0
"""How long one is kept. Servers close theirs after 60 s or 75 s, some after 20 s."""

CLOSE_S = 5.0
"""The longest wait for sockets to close. A socket that is aborted takes a turn of the loop."""


class Pool:
    """Connections to any place; see `connection.Keeper` for what they tell."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._open: set[Connection] = set()
        self._idle: dict[Connection, float] = {}  # until when; the oldest first
        self._of: dict[Place, list[Connection]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._all_lost: asyncio.Future[None] | None = None

    def take(self, place: Place) -> Connection | None:
        """Return an idle connection to a place, if there is one."""
        while connections := self._of.get(place):
            connection = connections[-1]
            self._forget(connection)
            if not connection.transport.is_closing():
                return connection
        return None

    async def aclose(self) -> None:
        """Close all connections, and return when their sockets are closed."""
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self._open):
            connection.abort()
        if self._open:
            self._all_lost = self._all_lost or self._loop.create_future()
            await asyncio.wait([self._all_lost], timeout=CLOSE_S)

    def opened(self, connection: Connection) -> None:
        self._open.add(connection)

    def freed(self, connection: Connection) -> None:
        self._idle[connection] = self._loop.time() + IDLE_S
        self._of.setdefault(connection.place, []).append(connection)
        if len(self._idle) > MAX_IDLE:
            self._close(next(iter(self._idle)))
        if self._timer is None:
            self._timer = self._loop.call_later(IDLE_S, self._sweep)

    def lost(self, connection: Connection) -> None:
        self._forget(connection)
        self._open.discard(connection)
        if not self._open and self._all_lost is not None and not self._all_lost.done():
            self._all_lost.set_result(None)

    def _forget(self, connection: Connection) -> None:
        if self._idle.pop(connection, None) is not None:
            connections = self._of[connection.place]
            connections.remove(connection)
            if not connections:
                del self._of[connection.place]

    def _close(self, connection: Connection) -> None:
        self._forget(connection)
        connection.abort()

    def _sweep(self) -> None:
        """Close what has been idle too long, and look again when the next one will have been."""
        self._timer = None
        now = self._loop.time()
        for connection, until in list(self._idle.items()):
            if until > now:
                self._timer = self._loop.call_at(until, self._sweep)
                break
            self._close(connection)
