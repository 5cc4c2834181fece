"""
`python -m bench flat`: whether the last token of a long run costs more than the first.
"""

import argparse
from dataclasses import asdict, dataclass
from itertools import pairwise

import uvloop
from rich.table import Table

from . import figures, load
from .load import Load
from .measure import cpu_s, prepare
from .passes import WARM_UP
from .systems import SYSTEMS, NotReady, Running, log_end, model, running

PARTS = 10


@dataclass(slots=True)
class Marks:
    """Where the server's CPU clock stood each time another tenth had arrived."""

    pid: int
    tokens: int
    seen: list[tuple[int, float]]
    """Tokens so far, CPU seconds so far."""

    def note(self, count: int) -> None:
        # Tokens arrive in bunches, so a mark may lie a little past its tenth;
        # the tokens it really saw are what its CPU is divided by.
        if count * PARTS >= self.tokens * len(self.seen):
            self.seen.append((count, cpu_s(self.pid)))

    def costs_us(self) -> list[float]:
        """CPU microseconds per token of each part."""
        pairs = pairwise(self.seen)
        return [(s1 - s0) * 1e6 / (n1 - n0) for (n0, s0), (n1, s1) in pairs if n1 > n0]


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tokens", type=int, default=20_000, help="length of the run")
    parser.add_argument("--rate", type=float, default=2000, help="tokens/s, 0: unpaced")
    parser.add_argument("--system", choices=SYSTEMS, default="unspool", help="%(default)s")


def run(args: argparse.Namespace) -> int:
    console = figures.console()
    cores = prepare()
    system, wanted = SYSTEMS[args.system], Load(1, args.tokens, args.rate)
    if reason := system.missing() or (None if system.command else "there is nothing to measure"):
        console.print(f"[yellow]flat is left out: {reason}.")
        return 0
    try:
        with model(cores) as there, running(system, cores, there) as server:
            console.print(f"[dim]flat: {system.name}, {wanted.tokens:,} tokens")
            costs_us, error = uvloop.run(_measured(server, wanted))
            ended = log_end(server.log) if error else ""
    except NotReady as failure:
        costs_us, error, ended = [], str(failure), ""
    if error:
        console.print(f"{error}\n{ended}", markup=False, style="red")
    ratio = costs_us[-1] / costs_us[0] if len(costs_us) > 1 else None
    console.print(_table(costs_us, wanted))
    console.print(f"last to first: {figures.shown(ratio, 2)}")
    result = {"cpu_us_per_token": costs_us, "last_to_first": ratio, "error": error}
    asked = {"system": system.name, **asdict(wanted)}
    console.print(f"written: {figures.save('flat', cores, asked, result)}")
    return int(error is not None)


async def _measured(server: Running, wanted: Load) -> tuple[list[float], str | None]:
    assert server.pid is not None
    await load.run(server.target, WARM_UP)
    marks = Marks(server.pid, wanted.tokens, [(0, cpu_s(server.pid))])
    (outcome,) = load.outcomes(await load.run(server.target, wanted, marks.note), wanted)
    return marks.costs_us(), outcome.error


def _table(costs_us: list[float], wanted: Load) -> Table:
    pace = f"at {wanted.per_s:g}/s" if wanted.per_s else "unpaced"
    table = Table(title=f"One run of {wanted.tokens:,} tokens {pace}")
    table.add_column("tenth", justify="right")
    table.add_column("CPU µs/token", justify="right")
    for number, cost_us in enumerate(costs_us, start=1):
        table.add_row(str(number), figures.shown(cost_us))
    return table
