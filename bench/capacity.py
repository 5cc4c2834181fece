"""
`python -m bench capacity`: how many streams one core carries.

A ramp: each step is one load on the same server, until tokens come too late, the first ones
come too late, or one is lost or doubled. The last good step is the answer, unless the harness
itself was at its end.
"""

import argparse
from dataclasses import asdict, dataclass

import uvloop
from rich.console import Console
from rich.table import Table

from . import figures, load, passes
from .load import Load
from .measure import Cores, prepare
from .passes import WARM_UP, Pass
from .systems import Model, NotReady, Running, log_end, model, running

STEPS = (100, 200, 300, 400, 500, 600, 800, 1000)

MAX_LATENCY_MS = 50.0
"""Of the 99th percentile: what nobody who reads along sees."""

MAX_FIRST_TOKEN_MS = 100.0
"""Of the 99th percentile: what still feels like an answer at once."""

HARNESS_LIMIT = 0.85
"""Share of its core beyond which the harness, not the server, may be what is late."""


OTHERS_LIMIT = 0.1
"""Share of the server's core beyond which it is not the server's limit that was found."""


@dataclass(slots=True)
class Step:
    """One step of the ramp. `failure` is the reason why it was the last one, if it was."""

    streams: int
    cpu_us_per_token: float | None
    latency_p99_ms: float | None
    first_token_p99_ms: float | None
    server_busy: float | None
    others_busy: float | None
    harness_busy: float
    failure: str | None

    @classmethod
    def of(cls, streams: int, one: Pass) -> "Step":
        latency_ms = figures.quantile(one.latency_ms, 0.99)
        first_ms = figures.quantile(sorted(one.first_token_ms), 0.99)
        busy = one.server_busy, one.others_busy, one.harness_busy
        failure = _failure(one, latency_ms, first_ms)
        return cls(streams, one.cpu_us_per_token, latency_ms, first_ms, *busy, failure)


def _failure(one: Pass, latency_ms: float | None, first_ms: float | None) -> str | None:
    if one.errors:
        return f"{len(one.errors)} streams went wrong: {one.errors[0]}"
    if latency_ms is None or latency_ms > MAX_LATENCY_MS:
        return f"added latency above {MAX_LATENCY_MS:g} ms"
    if first_ms is None or first_ms > MAX_FIRST_TOKEN_MS:
        return f"first token above {MAX_FIRST_TOKEN_MS:g} ms"
    return None


def options(parser: argparse.ArgumentParser) -> None:
    steps = ",".join(map(str, STEPS))
    parser.add_argument(
        "--steps", type=passes.numbers, default=list(STEPS), help=f"streams at once: {steps}"
    )
    parser.add_argument("--rate", type=float, default=50, help="tokens/s of each")
    parser.add_argument("--tokens", type=int, default=200, help="tokens of each")
    passes.add_system_options(parser, "unspool,unspool-joined,relay")


def run(args: argparse.Namespace) -> int:
    console = figures.console()
    cores = prepare()
    found: dict[str, list[Step]] = {}
    is_wrong = False
    for system in passes.systems(args, console):
        console.print(f"[dim]capacity: {system.name}")
        try:
            with (
                model(cores, tls=args.tls) as there,
                running(system, cores, there) as server,
            ):
                steps = uvloop.run(_ramp(server, there, args, cores, console))
                found[system.name] = steps
                if steps[-1].failure and "went wrong" in steps[-1].failure:
                    console.print(log_end(server.log), markup=False)
        except NotReady as failure:
            console.print(f"{system.name}: {failure}", markup=False, style="red")
            is_wrong = True
    for name, steps in found.items():
        console.print(_table(name, steps, args))
        console.print(_verdict(name, steps))
    asked = {name: vars(args)[name] for name in ("rate", "tokens", "tls", "max_delay_ms")}
    result = {name: [asdict(step) for step in steps] for name, steps in found.items()}
    console.print(f"written: {figures.save('capacity', cores, asked, result)}")
    return int(is_wrong)


async def _ramp(
    server: Running, there: Model, args: argparse.Namespace, cores: Cores, console: Console
) -> list[Step]:
    await load.run(server.target, WARM_UP)
    steps: list[Step] = []
    for streams in args.steps:
        wanted = Load(streams, args.tokens, args.rate)
        console.print(f"[dim]  {streams} streams")
        steps.append(Step.of(streams, await passes.measured(server, there, wanted, cores)))
        if steps[-1].failure:
            break
    return steps


def _verdict(name: str, steps: list[Step]) -> str:
    good = [step.streams for step in steps if step.failure is None]
    last = steps[-1]
    said = f"{name}: {good[-1] if good else 'fewer than ' + str(last.streams)} streams on one core"
    if last.failure is None:
        return f"{said} and more: the ramp ended there"
    said += f" (at {last.streams}: {last.failure})"
    if last.harness_busy > HARNESS_LIMIT:
        said += f"; the harness was {last.harness_busy:.0%} busy: it may be its own end"
    if (last.others_busy or 0) > OTHERS_LIMIT:
        said += f"; others had {last.others_busy:.0%} of the core: measure again"
    return said


def _table(name: str, steps: list[Step], args: argparse.Namespace) -> Table:
    over = ", model over TLS" if args.tls else ""
    table = Table(title=f"{name}: streams of {args.tokens} tokens at {args.rate:g}/s{over}; p99")
    heads = ("streams", "CPU µs\n/token", "added\nlatency ms", "first\ntoken ms")
    for head in (*heads, "server\nbusy", "others\nbusy", "harness\nbusy", "good"):
        table.add_column(head, justify="right")
    for step in steps:
        shares = (step.server_busy, step.others_busy, step.harness_busy)
        table.add_row(
            str(step.streams),
            figures.shown(step.cpu_us_per_token),
            figures.shown(step.latency_p99_ms),
            figures.shown(step.first_token_p99_ms),
            *map(figures.percent, shares),
            "no" if step.failure else "yes",
        )
    return table
