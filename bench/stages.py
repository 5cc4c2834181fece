"""
`python -m bench stages`: where in the server a token's CPU goes.

The server runs with a profiler that looks at its stack on every tick of the CPU it uses
(`sampling.py`). Its figures are dearer than those of `streams`: the shares are what counts.
"""

import argparse
import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import uvloop
from rich.table import Table

from . import figures, load, passes
from .load import Load
from .measure import Cores, prepare
from .passes import WARM_UP
from .systems import Model, NotReady, Place, Running, System, model, running

WRITTEN_S = 10.0
"""How long the server may take to write what it has seen."""


@dataclass(slots=True)
class Found:
    """The CPU of a load by stage, in microseconds per token."""

    system: str
    tokens: int
    samples: int
    stages_us: dict[str, float]
    kernel_share: float
    """Share of the main thread's CPU that was the kernel's: reading, writing, waiting."""
    errors: int


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--streams", type=int, default=100, help="viewers at once")
    parser.add_argument("--rate", type=float, default=50, help="tokens/s of each")
    parser.add_argument("--tokens", type=int, default=400, help="tokens of each")
    passes.add_system_options(parser, "unspool")


def run(args: argparse.Namespace) -> int:
    console = figures.console()
    cores = prepare()
    wanted = Load(args.streams, args.tokens, args.rate)
    results = []
    for system in passes.systems(args, console):
        if not system.name.startswith("unspool"):
            console.print(f"[yellow]{system.name} is left out: its stages are not ours.")
            continue
        console.print(f"[dim]stages: {system.name}")
        sampled = replace(system, command=_sampled)
        try:
            with model(cores, tls=args.tls) as there, running(sampled, cores, there) as server:
                results.append(uvloop.run(_measured(system, server, there, wanted, cores)))
        except NotReady as failure:
            console.print(str(failure), markup=False, style="red")
            return 1
    for found in results:
        console.print(_table(found, wanted))
        console.print(
            f"{found.samples:,} samples; {found.kernel_share:.0%} of the main thread's CPU was the "
            f"kernel's; {found.errors} errors"
        )
    asked = asdict(wanted) | {"tls": args.tls, "max_delay_ms": args.max_delay_ms}
    saved = figures.save("stages", cores, asked, [asdict(found) for found in results])
    console.print(f"written: {saved}")
    return int(any(found.errors for found in results))


def _report(folder: Path) -> Path:
    return folder / "stages.json"


def _sampled(place: Place) -> list[str]:
    serve = ["serve", "--port", str(place.port), "--data-dir", str(place.data)]
    return [sys.executable, "-m", "bench.sampling", str(_report(place.folder)), *serve]


async def _measured(
    system: System, server: Running, there: Model, wanted: Load, cores: Cores
) -> Found:
    assert server.pid is not None
    await load.run(server.target, WARM_UP)
    os.kill(server.pid, signal.SIGUSR1)
    one = await passes.measured(server, there, wanted, cores)
    os.kill(server.pid, signal.SIGUSR1)
    told = _read(_report(server.log.parent))
    tokens = len(one.latency_ms)
    # What follows the last sample of a stage is nobody's: spread it, so that the sum is right.
    scale = told["main_s"] / sum(told["stages_s"].values()) * 1e6 / max(1, tokens)
    stages_us = {stage: seconds * scale for stage, seconds in told["stages_s"].items()}
    stages_us["other threads (the disk)"] = told["threads_s"] * 1e6 / max(1, tokens)
    share = told["main_kernel_s"] / told["main_s"]
    return Found(system.name, tokens, told["samples"], stages_us, share, len(one.errors))


def _read(path: Path) -> dict[str, Any]:
    deadline_s = time.monotonic() + WRITTEN_S
    while not path.exists():
        if time.monotonic() > deadline_s:
            raise NotReady("the server has not told its stages")
        time.sleep(0.05)
    return json.loads(path.read_text())


def _table(found: Found, wanted: Load) -> Table:
    pace = f"at {wanted.per_s:g}/s"
    title = f"{found.system}: {wanted.streams} streams of {wanted.tokens} tokens {pace}"
    table = Table(title=title)
    table.add_column("stage")
    table.add_column("CPU µs/token", justify="right")
    table.add_column("share", justify="right")
    total_us = sum(found.stages_us.values())
    for stage, cost_us in sorted(found.stages_us.items(), key=lambda item: -item[1]):
        table.add_row(stage, figures.shown(cost_us), f"{cost_us / total_us:.0%}")
    table.add_section()
    table.add_row("all", figures.shown(total_us), "100%")
    return table
