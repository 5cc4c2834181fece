"""
Processes, each on its core, and what they take: CPU seconds and memory.

The server under test runs alone on one core; model and viewers share another.
Otherwise the harness would steal from what it measures.
"""

import asyncio
import contextlib
import functools
import os
import resource
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

OPEN_FILES = 65_536
"""Wanted limit of open files: each viewer is a socket on both sides."""

STOP_S = 10.0
"""How long a process may take to end when asked, before it is killed."""

SAMPLE_S = 0.2
"""Distance between two looks at the memory under load; a look costs about 0.1 ms."""

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the server, and the core of model and viewers."""

    server: int
    harness: int

    @classmethod
    def choose(cls) -> "Cores":
        """The first and the last core this process may use; the same one if there is one."""
        allowed = sorted(os.sched_getaffinity(0))
        return cls(server=allowed[0], harness=allowed[-1])

    @property
    def apart(self) -> bool:
        return self.server != self.harness


@functools.cache  # once moved, this process no longer sees the other cores
def prepare() -> Cores:
    """Move this process to the harness core and let it and its children open many files."""
    cores = Cores.choose()
    os.sched_setaffinity(0, {cores.harness})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return cores


@contextlib.contextmanager
def child(
    command: Sequence[str], *, core: int, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` on `core`, its output in `log`, and end it on the way out."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Between fork and exec, so that not one thread starts elsewhere.
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),  # noqa: PLW1509
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def tree(pid: int) -> list[int]:
    """`pid` and all that descend from it."""
    found = [pid]
    for parent in found:  # grows while it is read
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found.extend(int(word) for word in task.read_text().split())
    return found


def cpu_s(pid: int) -> float:
    """CPU seconds (user and system, all threads) of the process tree of `pid` so far."""
    return sum(_own_cpu_s(member) + _reaped_cpu_s(member) for member in tree(pid))


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; none if the process is gone."""
    try:
        # The second field is a name in brackets and may hold anything, brackets too.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _own_cpu_s(pid: int) -> float:
    try:
        # clock_getcpuclockid(3): the same sum as in /proc/PID/stat, in
        # nanoseconds. A tick there is 10 ms, as much as 250 tokens cost.
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        fields = _stat(pid)
        return sum(map(int, fields[11:13])) / _TICKS_PER_S


def _reaped_cpu_s(pid: int) -> float:
    """CPU seconds of children that have ended: they are no longer in the tree."""
    return sum(map(int, _stat(pid)[13:15])) / _TICKS_PER_S


def busy_s(core: int) -> float:
    """Seconds `core` was not idle so far, for whomever, a hypervisor's other guests included."""
    for line in Path("/proc/stat").read_text().split("\n"):
        name, *ticks = line.split() or [""]
        if name == f"cpu{core}":
            idle = sum(map(int, ticks[3:5]))  # idle, iowait; eighth is steal, ninth a part of user
            return (sum(map(int, ticks[:8])) - idle) / _TICKS_PER_S
    return 0.0


def rss_bytes(pid: int) -> int:
    """Resident memory of the process tree; pages shared by two members count twice."""
    total = 0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{member}/statm").read_text().split()[1]) * _PAGE_BYTES
    return total


@dataclass(slots=True)
class Meter:
    """What one process tree took between `start` and `stop`; without a pid, nothing."""

    pid: int | None
    core: int
    cpu_s: float = 0.0
    others_s: float = 0.0
    """What the rest of the machine took of the same core: a disturbed figure says so."""
    wall_s: float = 0.0
    rss_base_bytes: int = 0
    rss_peak_bytes: int = 0
    rss_after_bytes: int = 0
    _watching: asyncio.Task[None] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Note where the tree stands and begin to watch its memory."""
        self.wall_s = -time.monotonic()
        if self.pid is not None:
            self.rss_base_bytes = self.rss_peak_bytes = rss_bytes(self.pid)
            self._watching = asyncio.create_task(self._watch(self.pid))
            self.others_s = -busy_s(self.core)
            self.cpu_s = -cpu_s(self.pid)

    def stop(self) -> None:
        """Note what was taken since `start`."""
        self.wall_s += time.monotonic()
        if self.pid is not None:
            self.cpu_s += cpu_s(self.pid)
            self.others_s = max(0.0, self.others_s + busy_s(self.core) - self.cpu_s)
            self.rss_after_bytes = rss_bytes(self.pid)
            self.rss_peak_bytes = max(self.rss_peak_bytes, self.rss_after_bytes)
        if self._watching is not None:
            self._watching.cancel()

    async def _watch(self, pid: int) -> None:
        while True:
            await asyncio.sleep(SAMPLE_S)
            self.rss_peak_bytes = max(self.rss_peak_bytes, rss_bytes(pid))
