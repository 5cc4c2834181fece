"""
`python -m bench start`: whether a run begins as quickly beside many ended ones.

The same server is started over an empty journal and over one with `--runs` ended runs,
written through the journal itself; each then answers short runs, one after another.
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
    results = []
    with tempfile.TemporaryDirectory(prefix="unspool-bench-") as folder:
        console.print(f"[dim]start: writing {args.runs:,} ended runs")
        full = Path(folder) / "full"
        uvloop.run(_fill(full, args.runs))
        try:
            for place, count in ((Path(folder) / "empty", 0), (full, args.runs)):
                with (
                    model(cores) as (port, _),
                    running(SYSTEMS["unspool"], cores, port, data=place) as server,
                ):
                    results.append(_measured(server, count))
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
    from unspool.events import Draft
    from unspool.journals import open_journal, sqlite_url
    from unspool.runs import RunSpec

    journal = open_journal(sqlite_url(folder / "journal.db"))

    async def ended() -> None:
        pen = await journal.create(RunSpec("chat", {"prompt": "a run that has ended"}))
        pen.append(Draft("step.started", {"step": "answer"}))
        for _ in range(8):
            pen.append(Draft("text.delta", {"step": "answer", "text": "eight times so much "}))
        await pen.end(Draft("run.completed"))

    for _ in range(0, count, AT_ONCE):
        await asyncio.gather(*(ended() for _ in range(AT_ONCE)))
    await journal.aclose()


def _measured(server: Running, runs: int) -> Found:
    assert server.pid is not None
    for _ in range(WARM_UP):
        _first_frame_ms(server.target.port)
    cpu_before = cpu_s(server.pid)
    times = sorted(_first_frame_ms(server.target.port) for _ in range(REQUESTS))
    cpu_us = (cpu_s(server.pid) - cpu_before) / REQUESTS * 1e6
    return Found(runs, times[len(times) // 2], times[int(len(times) * 0.99)], cpu_us)


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
