"""`unspool serve` in a process of its own, at a port that it keeps over its deaths."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from support.servers import clean_env

START_S = 20.0
"""Longest start: a machine that does other things too."""

SAY_CHARS_PER_S = "120"
"""Templates as quick as people could still follow: a test waits for each word of them."""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Program:
    """A server over one data directory, started any number of times at one address."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self._data_dir = data_dir
        self._settings = settings
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        argv = ["serve", "--port", str(self._port), "--data-dir", str(self._data_dir), "--json"]
        env = clean_env(UNSPOOL_SAY_CHARS_PER_S=SAY_CHARS_PER_S, **self._settings)
        log = self._data_dir.with_suffix(".log")
        with log.open("ab") as told:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "unspool", *argv],
                cwd=self._data_dir.parent,
                env=env,
                stdout=subprocess.PIPE,
                stderr=told,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"no start; {log} says why"
        assert json.loads(line)["url"] == self.url
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            try:
                httpx.get(f"{self.url}/readyz", trust_env=False).raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError("the server does not answer")

    def kill(self) -> None:
        """As `kill -9`; returns when it is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()


@contextmanager
def running(data_dir: Path, **settings: str) -> Iterator[Program]:
    program = Program(data_dir, **settings)
    program.start()
    try:
        yield program
    finally:
        program.stop()


def first_key(data_dir: Path) -> str:
    """Make the first key of a server, as people do."""
    argv = ["keys", "add", "first", "--scope", "admin", "--data-dir", str(data_dir), "--json"]
    told = subprocess.run(
        [sys.executable, "-m", "unspool", *argv], env=clean_env(), capture_output=True, check=True
    )
    return str(json.loads(told.stdout)["key"])
