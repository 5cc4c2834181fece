"""
`python -m bench start`: whether a run begins as quickly beside many ended ones.

One server is started over an empty journal and one over a journal with `--runs` ended runs,
written through the journal itself; they then answer short runs, one after another, in turn.
"""

import argparse
import asyncio
import http.client
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from . import figures
from .measure import cpu_s, prepare
from .systems import SYSTEMS, NotReady, Running, model, running

ORDER = {"tokens": 1, "per_s": 0}
AT_ONCE = 500
"""Runs written together: they share commits."""

REQUESTS = 300
WARM_UP = 30


@dataclass(slots=True)
class Found:
    """First frame and CPU of a short run beside `runs` ended ones; medians."""

    runs: int
    first_frame_ms: float
    first_frame_p99_ms: float
    cpu_us: float


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=100_000, help="ended runs in the journal")


def run(args: argparse.Namespace) -> int:
    console = figures.console()
    cores = prepare()
    if reason := SYSTEMS["unspool"].missing():
        console.print(f"[yellow]start is left out: {reason}.")
        return 0
    with tempfile.TemporaryDirectory(prefix="unspool-bench-") as name:
        console.print(f"[dim]start: writing {args.runs:,} ended runs")
        folder, system = Path(name), SYSTEMS["unspool"]
        uvloop.run(_fill(folder / "full", args.runs))
        try:
            with (
                model(cores) as there,
                running(system, cores, there, data=folder / "empty") as empty,
                running(system, cores, there, data=folder / "full") as full,
            ):
                results = _measured({0: empty, args.runs: full})
        except NotReady as failure:
            console.print(str(failure), markup=False, style="red")
            return 1
    for found in results:
        console.print(
            f"beside {found.runs:>7,} ended runs: first frame {found.first_frame_ms:.2f} ms "
            f"(p99 {found.first_frame_p99_ms:.2f}), {found.cpu_us:.0f} µs CPU a run"
        )
    ratio = results[1].first_frame_ms / results[0].first_frame_ms
    console.print(f"full to empty: {ratio:.2f}")
    result = {"found": [asdict(found) for found in results], "full_to_empty": ratio}
    console.print(f"written: {figures.save('start', cores, dict(ORDER), result)}")
    return 0


async def _fill(folder: Path, count: int) -> None:
    from unspool.journals import open_journal, sqlite_url
    from unspool.runs.events import Draft
    from unspool.runs.run import RunSpec

    journal = await open_journal(sqlite_url(folder / "journal.db"))

    async def ended() -> None:
        pen = await journal.create(RunSpec("chat", {"prompt": "a run that has ended"}))
        pen.append(Draft("step.started", {"step": "answer"}))
        for _ in range(8):
            pen.append(Draft("text.delta", {"step": "answer", "text": "eight times so much "}))
        await pen.end(Draft("run.completed"))

    for _ in range(0, count, AT_ONCE):
        await asyncio.gather(*(ended() for _ in range(AT_ONCE)))
    await journal.aclose()


def _measured(servers: dict[int, Running]) -> list[Found]:
    """Ask the servers in turn, so that a slow moment of the machine is one for both."""
    times_ms: dict[int, list[float]] = {runs: [] for runs in servers}
    cpu_before_s: dict[int, float] = {}
    for number in range(WARM_UP + REQUESTS):
        for runs, server in servers.items():
            assert server.pid is not None
            if number == WARM_UP:
                cpu_before_s[runs] = cpu_s(server.pid)
            took_ms = _first_frame_ms(server.target.port)
            if number >= WARM_UP:
                times_ms[runs].append(took_ms)
    found = []
    for runs, server in servers.items():
        assert server.pid is not None
        ascending = sorted(times_ms[runs])
        cpu_us = (cpu_s(server.pid) - cpu_before_s[runs]) / REQUESTS * 1e6
        median_ms, p99_ms = ascending[REQUESTS // 2], ascending[int(REQUESTS * 0.99)]
        found.append(Found(runs, median_ms, p99_ms, cpu_us))
    return found


def _first_frame_ms(port: int) -> float:
    """Start a run, read its stream to the end, return when the first byte came."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        body = json.dumps({"prompt": json.dumps(ORDER)})
        began = time.perf_counter()
        connection.request("POST", "/ai/stream", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read(1)
        took_ms = (time.perf_counter() - began) * 1000
        response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise NotReady(f"POST /ai/stream answered {response.status}")
    return took_ms
