"""A system in processes of its own, which can be started, asked to end, and killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import httpx

from support.servers import clean_env

from ..views import View

READY_S = 90.0
"""The largest of them imports for ten seconds on an idle machine."""


COMING_BACK = frozenset({"breaks", "keeps", "second", "kills", "deploys_long", "later"})
"""All that needs an answer which outlives its connection."""


class NotRunning(Exception):
    """A process ended, or never came up; the text has the end of its log."""


class Child:
    """One process with all its children."""

    def __init__(self, command: Sequence[str | Path], env: Mapping[str, str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"{Path(command[0]).name}.log"
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                cwd=folder,
                env=clean_env(**env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """As the kernel does when memory is gone: nothing is flushed, nobody is told."""
        self.signal(signal.SIGKILL)
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    async def terminate(self, grace_s: float) -> bool:
        """Ask it to end, as a deploy does, and kill it after the grace; true if it ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        ends_s = time.monotonic() + grace_s
        while self._process.poll() is None and time.monotonic() < ends_s:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        ended = self._process.poll() is not None
        self.kill()
        return ended

    async def until_ready(self, port: int, path: str) -> None:
        """Wait until it answers `path` with 200; an empty path: until it listens."""
        ends_s = time.monotonic() + READY_S
        async with httpx.AsyncClient(trust_env=False) as http:
            while time.monotonic() < ends_s:
                if self._process.poll() is not None:
                    break
                if await _answers(http, port, path):
                    return
                await asyncio.sleep(0.05)
        end = self.log.read_text(errors="replace")[-2000:]
        raise NotRunning(f"{self.log.name}: {self._process.poll()}\n{end}")


async def _answers(http: httpx.AsyncClient, port: int, path: str) -> bool:
    try:
        if path:
            return (await http.get(f"http://127.0.0.1:{port}{path}")).status_code == 200
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
    except (OSError, httpx.HTTPError):
        return False
    return True


class Program:
    """
    One system. Subclasses say how it runs and how its own clients read.

    Attributes:
        port: Where it listens, the same after each start.
        starts_s: How long each start took.
    """

    name: ClassVar[str]
    ready_path: ClassVar[str] = ""
    resumes: ClassVar[bool] = False
    """Whether a viewer can come back to an answer; if not, `join` is never asked."""
    stops: ClassVar[bool] = False
    """Whether a viewer can stop an answer otherwise than by leaving."""
    not_made_for: ClassVar[frozenset[str]] = frozenset()
    """Cells of the table in which a figure would judge what its documents do not promise."""
    key: ClassVar[str] = "torture"
    """What it wants as a bearer key; most look at none."""

    def __init__(self, folder: Path, model_url: str) -> None:
        self.folder = folder
        self.model_url = model_url
        self.port = free_port()
        self.starts_s: list[float] = []
        self._child: Child | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pids(self) -> list[int]:
        """The processes that belong to it."""
        return [self.child.pid]

    @property
    def child(self) -> Child:
        assert self._child is not None, "not started"
        return self._child

    def command(self) -> list[str | Path]:
        """Return what starts it."""
        raise NotImplementedError

    def env(self) -> dict[str, str]:
        """Return its settings in the environment."""
        return {}

    async def start(self) -> None:
        began_s = time.monotonic()
        self._child = Child(self.command(), self.env(), self.folder)
        await self._child.until_ready(self.port, self.ready_path)
        self.starts_s.append(time.monotonic() - began_s)

    async def kill(self) -> None:
        self.child.kill()

    async def terminate(self, grace_s: float) -> bool:
        """Ask it to end; false if it had to be killed after the grace."""
        return await self.child.terminate(grace_s)

    async def restart_all(self) -> None:
        """Kill and start all that belongs to it, its stores included."""
        await self.kill()
        await self.start()

    async def close(self) -> None:
        """End all that belongs to it."""
        if self._child is not None:
            self._child.kill()

    async def read(self, view: View) -> None:
        """Ask, and read to the end; cancelling it breaks the viewer's connection."""
        raise NotImplementedError

    async def join(self, view: View) -> None:
        """Read an answer that exists, from where `view` is: a return, or another viewer."""
        raise NotImplementedError

    async def stop(self, view: View) -> None:
        """Stop the answer for good, while the viewer still reads."""
        raise NotImplementedError

    def request(self, prompt: str) -> tuple[str, dict[str, object]]:
        """Return path and body of a plain request, for measuring."""
        raise NotImplementedError


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
