"""
The supervisor: several servers behind one port, for several processors.

It serves nothing itself. It holds the sockets of the port, one for each seat, and starts a
worker for each: this program again, as a fresh process. A worker that dies gets a successor on
the same socket, where new connections wait meanwhile; if it dies again and again, its socket is
closed between the starts, and the others get its connections. SIGHUP replaces the workers one
after the other, and a new one listens before the old one stops, so no connection is refused.

The first worker starts alone: it makes or migrates the database, and a wrong setting is said once.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from ..errors import SetupError
from .worker import NUMBER, SOCKETS, STOP_S

START_S: Final = 120.0
"""Longest start of a worker. A migration of a large database takes a minute; more is a hang."""

MIN_PAUSE_S: Final = 1.0
MAX_PAUSE_S: Final = 30.0
"""Between the starts of a worker that dies again and again. The first successor comes at once."""

STEADY_S: Final = 60.0
"""A worker that has lived so long did not die of its start."""

STOPS: Final = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger(__name__)


class StartFailed(Exception):
    """A worker has ended before it was ready, or it took too long."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(_told(exit_code))
        self.exit_code = exit_code


@dataclass(eq=False)
class _Worker:
    number: int
    process: asyncio.subprocess.Process
    facts: dict[str, Any] = field(default_factory=dict)
    ended: asyncio.Task[int] | None = None
    started_s: float = 0.0

    async def end(self) -> int:
        """Wait for the end; return the exit code, negative for a signal."""
        assert self.ended is not None
        return await asyncio.shield(self.ended)


@dataclass(eq=False)
class _Seat:
    """A socket of the port, and the worker that listens on it."""

    sock: socket.socket
    worker: _Worker | None = None
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Supervisor:
    """
    Workers over the sockets of one port.

    Args:
        command: What starts a worker; it finds its sockets in its environment (`worker`).
        count: How many workers there are.
        listen: Opens a listening socket of the port; raises `SetupError`.
        on_ready: Called with what the first worker says, when all are ready.
    """

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        listen: Callable[[], socket.socket],
        on_ready: Callable[[dict[str, Any]], None],
    ) -> None:
        self._command = command
        self._listen = listen
        self._seats = [_Seat(listen()) for _ in range(count)]
        self._on_ready = on_ready
        self._workers: set[_Worker] = set()
        self._renewal = asyncio.Event()
        # One more than seats: during a replacement there are two workers at one.
        self._numbers = set(range(count + 1))
        self._was_killed = False
        self._signal: signal.Signals | None = None

    async def run(self) -> int:
        """
        Keep workers until SIGTERM or SIGINT.

        Returns:
            The exit code; negative: the signal that a single server would have died of.
        """
        self._watch_signals()
        try:
            await self._start_all()
            async with asyncio.TaskGroup() as tasks:
                for seat in self._seats:
                    tasks.create_task(self._keep(seat))
                tasks.create_task(self._renew_when_asked())
        except StartFailed as error:
            if error.exit_code > 0:  # it has said why
                return error.exit_code
            log.warning("a worker has ended before it was ready (%s)", error)
            return 1
        except asyncio.CancelledError:
            if self._signal is None:
                raise
        finally:
            for seat in self._seats:  # new connections are for another server
                seat.sock.close()
            await self._end(set(self._workers))
        if self._was_killed:
            return 1
        return -signal.SIGTERM if self._signal == signal.SIGTERM else 0

    def _watch_signals(self) -> None:
        loop, main = asyncio.get_running_loop(), asyncio.current_task()
        assert main is not None
        # `nohup` has it ignored.
        had_terminal = _has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN

        def hung_up() -> None:
            if had_terminal and not _has_terminal():  # its window was closed
                self._stop(signal.SIGTERM, main)
            else:
                self._renewal.set()

        for number in STOPS:
            loop.add_signal_handler(number, self._stop, number, main)
        loop.add_signal_handler(signal.SIGHUP, hung_up)

    def _stop(self, number: signal.Signals, main: asyncio.Task[Any]) -> None:
        if self._signal is None:
            self._signal = number
            main.cancel()
        elif number == signal.SIGINT:  # a second Ctrl-C
            self._was_killed = True
            for worker in self._workers:
                _send(worker, signal.SIGKILL)

    async def _start_all(self) -> None:
        first, *others = self._seats
        first.worker = await self._started(first)
        workers = await asyncio.gather(*(self._started(seat) for seat in others))
        for seat, worker in zip(others, workers, strict=True):
            seat.worker = worker
        self._on_ready(first.worker.facts)

    async def _started(self, seat: _Seat) -> _Worker:
        """
        Start a worker at a seat, and wait until it is ready.

        Raises:
            StartFailed: It is not, and has ended.
        """
        worker, said = await self._spawned(seat)
        try:
            async with asyncio.timeout(START_S):
                line = await said.readline()
        except TimeoutError:
            log.warning("worker %d is not ready after %.0f s", worker.number, START_S)
            _send(worker, signal.SIGKILL)
            line = b""
        if not line:
            raise StartFailed(await worker.end())
        worker.facts = json.loads(line)
        worker.started_s = asyncio.get_running_loop().time()
        return worker

    async def _spawned(self, seat: _Seat) -> tuple[_Worker, asyncio.StreamReader]:
        ours, theirs = socket.socketpair()
        said, link = await asyncio.open_connection(sock=ours)
        number = min(self._numbers)
        self._numbers.remove(number)
        fds = (seat.sock.fileno(), theirs.fileno())
        env = {**os.environ, NUMBER: str(number), SOCKETS: ",".join(map(str, fds))}
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    env=env,
                    pass_fds=fds,
                    process_group=0,  # Ctrl-C is for the supervisor, which tells the others
                )
            except OSError as error:
                link.close()
                self._numbers.add(number)
                log.warning("cannot start a process: %s", error.strerror)
                raise StartFailed(1) from error
        worker = _Worker(number, process)
        self._workers.add(worker)
        worker.ended = asyncio.create_task(self._ended(worker, link))
        return worker, said

    async def _ended(self, worker: _Worker, link: asyncio.StreamWriter) -> int:
        code = await worker.process.wait()
        link.close()
        self._workers.discard(worker)
        self._numbers.add(worker.number)
        return code

    async def _keep(self, seat: _Seat) -> None:
        """Give the worker of a seat a successor whenever it dies."""
        pause_s = 0.0
        while True:
            worker = seat.worker
            assert worker is not None
            code = await worker.end()
            async with seat.changing:
                if seat.worker is not worker:  # it was replaced
                    continue
                lived_s = asyncio.get_running_loop().time() - worker.started_s
                pause_s = 0.0 if lived_s > STEADY_S else pause_s
                log.error(
                    "worker %d has died (%s); the next one starts in %.0f s",
                    *(worker.number, _told(code), pause_s),
                )
                seat.worker = await self._successor(seat, pause_s)
                pause_s = _longer(pause_s)

    async def _successor(self, seat: _Seat, pause_s: float) -> _Worker:
        while True:
            try:
                if pause_s:
                    seat.sock.close()
                    await asyncio.sleep(pause_s)
                    seat.sock = self._listen()
                worker = await self._started(seat)
            except (StartFailed, SetupError) as error:
                pause_s = _longer(pause_s)
                log.warning("a worker did not start (%s); again in %.0f s", error, pause_s)
            else:
                log.info("worker %d is ready", worker.number)
                return worker

    async def _renew_when_asked(self) -> None:
        while True:
            await self._renewal.wait()
            self._renewal.clear()
            try:
                for seat in self._seats:
                    await self._replace(seat)
            except StartFailed as error:
                log.warning("the new worker did not start (%s); the old ones stay", error)
            else:
                log.info("all workers are replaced")

    async def _replace(self, seat: _Seat) -> None:
        """
        Put a new worker in the seat of a living one.

        Raises:
            StartFailed: The new one does not start; the old one stays.
        """
        async with seat.changing:
            old, seat.worker = seat.worker, await self._started(seat)
        assert old is not None
        await self._end({old})

    async def _end(self, workers: set[_Worker]) -> None:
        """Let workers end in good order; kill those that do not in time."""
        ending = [worker.ended for worker in workers if worker.ended is not None]
        for worker in workers:
            _send(worker, signal.SIGTERM)
        if not ending:
            return
        _, late = await asyncio.wait(ending, timeout=STOP_S)
        if late:
            log.error("%d workers did not stop in %.0f s and are killed", len(late), STOP_S)
            self._was_killed = self._signal is not None
            for worker in workers:
                _send(worker, signal.SIGKILL)
            await asyncio.wait(late)


def _send(worker: _Worker, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        worker.process.send_signal(number)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _longer(pause_s: float) -> float:
    return min(max(MIN_PAUSE_S, 2 * pause_s), MAX_PAUSE_S)


def _told(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def supervise(
    command: Sequence[str],
    count: int,
    listen: Callable[[], socket.socket],
    on_ready: Callable[[dict[str, Any]], None],
) -> int:
    """Run a `Supervisor` in an event loop of its own; return its exit code."""

    async def running() -> int:
        return await Supervisor(command, count, listen, on_ready).run()

    return asyncio.run(running())
