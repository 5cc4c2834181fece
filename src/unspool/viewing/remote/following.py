"""Follows a run, and reconnects whenever the connection breaks."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ...formats.sse import Frame
from ...runs.events import Event, decode_event
from .connection import NATIVE, ServerClient, run_events_path
from .errors import EventMissing, NotUnspool, RequestRefused, Unreachable

FIRST_PAUSE_S: Final = 0.2
MAX_PAUSE_S: Final = 5.0
GIVE_UP_S: Final = 60.0
"""Longer than a restart takes; after that, people rather decide themselves."""

PASSING: Final = frozenset({502, 503, 504})
"""Answers of proxies while the server behind them restarts."""


@dataclass(frozen=True, slots=True)
class FollowedRun:
    """An event as received. `event` is None if a newer server sent a type unknown here."""

    seq: int
    line: bytes
    event: Event | None

    @property
    def is_last(self) -> bool:
        return self.event is not None and self.event.is_terminal


class Outage:
    """How long the connection is lost, and the pause before the next try."""

    def __init__(self, notice: Callable[[str], None], *, is_known: bool) -> None:
        self._notice = notice
        self._is_known = is_known
        self._pause_s = FIRST_PAUSE_S
        self._lost_at: float | None = None

    @property
    def has_begun(self) -> bool:
        """Whether a try has failed since data last arrived."""
        return self._lost_at is not None

    def end(self) -> None:
        """Note that data arrived, if only a heartbeat."""
        if self._lost_at is not None:
            self._notice("")
        self._is_known, self._pause_s, self._lost_at = True, FIRST_PAUSE_S, None

    async def wait(self, error: Unreachable | RequestRefused) -> None:
        """Wait before the next try, or raise `error` if another try is useless."""
        if not self._is_known or (
            isinstance(error, RequestRefused) and error.status not in PASSING
        ):
            raise error
        # Within an outage a proxy may answer for a server that restarts; before, it is the address.
        if isinstance(error, NotUnspool) and not self.has_begun:
            raise error
        now = time.monotonic()
        if self._lost_at is None:
            self._lost_at = now
            self._notice("The connection was lost; trying again …")
        if now - self._lost_at + self._pause_s > GIVE_UP_S:
            raise error
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, MAX_PAUSE_S)


async def follow(
    server: ServerClient, run_id: str, *, after: int, is_known: bool, notice: Callable[[str], None]
) -> AsyncGenerator[FollowedRun]:
    """
    Yield every event after `after` once, in order, until the run's last.

    After a break it reconnects at the next event. `is_known`: the run is known to exist, so even
    the first connection is worth another try. It calls `notice` with a sentence when the
    connection is lost, and with "" when it is back.

    Raises:
        Unreachable: Nothing came for `GIVE_UP_S`, or there is no server at all.
        EventMissing: For `GIVE_UP_S` the server has left out the next event.
        RequestRefused: There is no such run, or no such event.
    """
    outage = Outage(notice, is_known=is_known)
    while True:
        try:
            frames_after = server.events(run_events_path(run_id), last_id=str(after), params=NATIVE)
            async with aclosing(frames_after) as batches:
                async for frames in batches:
                    for seen in _new_of(frames, after):
                        outage.end()
                        after = seen.seq
                        yield seen
                        if seen.is_last:
                            return
                    outage.end()
        except (Unreachable, RequestRefused) as error:
            await outage.wait(error)
        else:
            return  # the server says that there is nothing left


def _new_of(frames: Iterable[Frame], after: int) -> Iterator[FollowedRun]:
    """
    Yield the new events among some frames.

    Raises:
        EventMissing: The connection carries something else, or left out an event.
    """
    for frame in frames:
        seq = frame.id or ""
        if not seq.isdecimal() or int(seq) > after + 1:
            raise EventMissing(f"The stream has no event {after + 1} where it should be.")
        if int(seq) == after + 1:
            after += 1
            yield _seen(after, frame.data)


def _seen(seq: int, line: bytes) -> FollowedRun:
    try:
        return FollowedRun(seq, line, decode_event(line))
    except msgspec.DecodeError:
        return FollowedRun(seq, line, None)


async def persist(
    server: ServerClient,
    path: str,
    body: Mapping[str, Any],
    key: str = "",
    *,
    method: str = "POST",
) -> dict[str, Any]:
    """
    Send a request until there is an answer, or none for a minute.

    A POST happens once, under its key. A PATCH sets the same fields again.
    """
    outage = Outage(lambda _: None, is_known=True)
    key = "" if method == "PATCH" else key or secrets.token_hex(16)
    while True:
        try:
            return dict(await server.ask(method, path, body=body, key=key))
        except (Unreachable, RequestRefused) as error:
            await outage.wait(error)


async def remove(server: ServerClient, path: str) -> None:
    """Delete what is at `path`; after a break, a 404 says that the first try has done it."""
    outage = Outage(lambda _: None, is_known=True)
    while True:
        try:
            await server.ask("DELETE", path)
        except (Unreachable, RequestRefused) as error:
            is_gone = isinstance(error, RequestRefused) and error.status == 404
            if is_gone and outage.has_begun:
                return
            await outage.wait(error)
        else:
            return
