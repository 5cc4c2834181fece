"""
`unspool serve` in a process of its own, which can be killed.

A process is forked from one that has the program loaded, which takes most of a start; `is_plain`
starts the program as people do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import unspool
from unspool import failpoints

LIBRARIES = (
    "aiosqlite",
    "asyncpg",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
)
"""What the program loads by name."""

START_S = 40.0
"""Longest start: a machine that does other things too."""

_forks: list[ForkServerContext] = []


def _nursery() -> ForkServerContext:
    if not _forks:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([*LIBRARIES, *_program()])
        _forks.append(context)
    return _forks[0]


def _program() -> Iterator[str]:
    """Every module of the program but those that run something when they are imported."""
    root = Path(unspool.__file__).parent
    for path in sorted(root.rglob("*.py")):
        names = path.relative_to(root.parent).with_suffix("").parts
        if not {"__main__", "__init__", "migrations"} & set(names):
            yield ".".join(names)


def _serve(argv: list[str], env: dict[str, str], out: str) -> None:
    os.environ.clear()
    os.environ.update(env)
    if failpoints.VARIABLE in env:
        # Modules read where to die when they are imported.
        for name in [name for name in sys.modules if name.partition(".")[0] == "unspool"]:
            del sys.modules[name]
    for number, name in ((1, out), (2, out + ".log")):
        opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
    sys.argv = ["unspool", *argv]
    from unspool.cli import main

    main()


class Program:
    """A server over one data directory, started any number of times."""

    def __init__(
        self, data_dir: Path, env: dict[str, str], *, is_plain: bool = False, port: int = 0
    ) -> None:
        self.data_dir = data_dir
        self.port = port
        self.url = "http://127.0.0.1:9"  # nobody listens there
        self.kills = 0
        self.ready_s: list[float] = []
        """How long each start took."""
        self.env = env
        self._is_plain = is_plain
        self._starts = 0
        self._forked: BaseProcess | None = None
        self._spawned: subprocess.Popen[bytes] | None = None

    async def start(self, *, crash_at: str = "") -> bool:
        """Start it and return when it is ready; false where it died before."""
        self._starts += 1
        out = self.data_dir.parent / f"{self.data_dir.name}.{self._starts}.out"
        argv = ["serve", "--port", str(self.port), "--data-dir", str(self.data_dir), "--json"]
        env = self.env | ({"UNSPOOL_CRASH_AT": crash_at} if crash_at else {})
        began = time.monotonic()
        self._launch(argv, env, out)
        while time.monotonic() - began < START_S:
            if out.exists() and (line := out.read_text()).endswith("\n"):
                self.url = json.loads(line)["url"]
                self.ready_s.append(time.monotonic() - began)
                return True
            if not self.is_alive:
                return False
            await asyncio.sleep(0.01)
        raise TimeoutError(f"no start; {out}.log says why")

    def _launch(self, argv: list[str], env: dict[str, str], out: Path) -> None:
        if self._is_plain:
            with out.open("wb") as told, Path(f"{out}.log").open("wb") as log:
                command = [sys.executable, "-m", "unspool", *argv]
                self._spawned = subprocess.Popen(command, env=env, stdout=told, stderr=log)
        else:
            self._forked = _nursery().Process(target=_serve, args=(argv, env, str(out)))
            self._forked.start()

    @property
    def is_alive(self) -> bool:
        if self._spawned is not None:
            return self._spawned.poll() is None
        return self._forked is not None and self._forked.is_alive()

    @property
    def pid(self) -> int:
        process = self._spawned or self._forked
        assert process is not None
        assert process.pid is not None
        return process.pid

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """As `kill -9`; returns when it is gone."""
        self.send(signal.SIGKILL)
        self.wait()

    def wait(self, within_s: float = 10.0) -> int | None:
        """Wait for its end and return how it ended."""
        if self._spawned is not None:
            return self._spawned.wait(within_s)
        assert self._forked is not None
        self._forked.join(within_s)
        return self._forked.exitcode

    async def has_died(self, within_s: float = 10.0) -> bool:
        """Wait for its death; whether it came in time."""
        until = time.monotonic() + within_s
        while self.is_alive and time.monotonic() < until:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)
        return not self.is_alive
