"""
`python -m bench streams`: what a token costs in each system, and how late it is.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import uvloop
from rich.console import Console
from rich.table import Table

from . import figures, load, plot
from .load import Load, Outcome
from .measure import Cores, Meter, cpu_s, prepare
from .systems import SYSTEMS, NotReady, Running, System, log_end, model, running

WARM_UP = Load(streams=10, tokens=20, per_s=50)
"""Fills pools, caches and lazy imports before anything counts."""

BASELINE = "relay"
"""Ratios are to this one, of the same round."""


@dataclass(slots=True)
class Pass:
    """One system under one load, once."""

    cpu_us_per_token: float | None
    server_busy: float | None
    """Share of its core the server used, 0 to 1."""
    others_busy: float | None
    """The same for everybody else on the server's core; its figures are good near 0 only."""
    harness_busy: float
    """The same for model and viewers; near 1, the latencies are the harness's own."""
    rss_base_mib: float | None
    rss_kib_per_stream: float | None
    latency_ms: list[float] = field(repr=False)
    first_byte_ms: list[float] = field(repr=False)
    first_token_ms: list[float] = field(repr=False)
    errors: list[str]
    ratio: float | None = None


@dataclass(slots=True)
class Summary:
    """All passes of one system: medians of costs, latencies of all tokens together."""

    system: str
    passes: list[Pass]

    def median(self, name: str) -> float | None:
        values = figures.ascending(getattr(one, name) for one in self.passes)
        return statistics.median(values) if values else None

    def pooled(self, name: str) -> list[float]:
        return sorted(value for one in self.passes for value in getattr(one, name))

    @property
    def errors(self) -> list[str]:
        return [error for one in self.passes for error in one.errors]


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--streams", type=int, default=100, help="viewers at once")
    parser.add_argument("--rate", type=float, default=50, help="tokens/s of each, 0: unpaced")
    parser.add_argument("--tokens", type=int, default=200, help="tokens of each")
    parser.add_argument("--repeat", type=int, default=1, help="rounds through all systems")
    parser.add_argument(
        "--systems", default=",".join(SYSTEMS), help="which, in order, by comma: %(default)s"
    )


def run(args: argparse.Namespace) -> int:
    console = figures.console()
    cores = prepare()
    wanted = Load(args.streams, args.tokens, args.rate)
    systems = _present(args.systems, console)
    if not cores.apart:
        console.print("[yellow]One core only: the harness disturbs what it measures.")
    summaries = {system.name: Summary(system.name, []) for system in systems}
    for number in range(args.repeat):
        for system in systems:
            console.print(f"[dim]round {number + 1}: {system.name}")
            summaries[system.name].passes.append(_measured(system, cores, wanted, console))
        _relate([summary.passes[-1] for summary in summaries.values()], list(summaries))
    found = list(summaries.values())
    console.print(_table(found, wanted))
    if wanted.streams * wanted.per_s < 2000 and wanted.per_s:
        console.print("[yellow]Below 2,000 tokens/s CPU per token is the price of waking up.")
    said = figures.save("streams", cores, asdict(wanted), [_record(one) for one in found])
    drawn = plot.streams(figures.RESULTS / "streams.png", found, wanted)
    console.print(f"written: {said}, {drawn}")
    return int(any(summary.errors for summary in found))


def _present(names: str, console: Console) -> list[System]:
    chosen = []
    for name in names.split(","):
        if name not in SYSTEMS:
            raise SystemExit(f"no system named {name!r}; have: {', '.join(SYSTEMS)}")
        if reason := SYSTEMS[name].missing():
            console.print(f"[yellow]{name} is left out: {reason}.")
        else:
            chosen.append(SYSTEMS[name])
    return chosen


def _measured(system: System, cores: Cores, wanted: Load, console: Console) -> Pass:
    """Start model and system, warm them up, measure once, and end them."""
    try:
        with model(cores) as (port, pid), running(system, cores, port) as server:
            one = uvloop.run(_pass(server, pid, wanted, cores))
            if one.errors:
                console.print(f"[red]{system.name}: {one.errors[0]}")
                console.print(log_end(server.log), markup=False)
            return one
    except NotReady as failure:
        console.print(f"{system.name}: {failure}", markup=False, style="red")
        return Pass(None, None, None, 0.0, None, None, [], [], [], [f"not ready: {failure}"])


async def _pass(server: Running, model_pid: int, wanted: Load, cores: Cores) -> Pass:
    await load.run(server.target, WARM_UP)
    meter = Meter(server.pid, cores.server)
    meter.start()
    harness_s = -time.process_time() - cpu_s(model_pid)
    outcomes = await load.run(server.target, wanted)
    harness_s += time.process_time() + cpu_s(model_pid)
    meter.stop()
    return _judged(outcomes, meter, harness_s)


def _judged(outcomes: Sequence[Outcome], meter: Meter, harness_s: float) -> Pass:
    tokens = sum(len(outcome.latencies_ns) for outcome in outcomes)
    served = meter.pid is not None
    grown_kib = (meter.rss_peak_bytes - meter.rss_base_bytes) / 1024
    return Pass(
        cpu_us_per_token=meter.cpu_s * 1e6 / tokens if served and tokens else None,
        server_busy=meter.cpu_s / meter.wall_s if served else None,
        others_busy=meter.others_s / meter.wall_s if served else None,
        harness_busy=harness_s / meter.wall_s,
        rss_base_mib=meter.rss_base_bytes / 2**20 if served else None,
        rss_kib_per_stream=grown_kib / len(outcomes) if served else None,
        latency_ms=sorted(ns / 1e6 for outcome in outcomes for ns in outcome.latencies_ns),
        first_byte_ms=figures.ascending(outcome.first_byte_ms for outcome in outcomes),
        first_token_ms=figures.ascending(outcome.first_token_ms for outcome in outcomes),
        errors=[outcome.error for outcome in outcomes if outcome.error],
    )


def _relate(passes: list[Pass], names: list[str]) -> None:
    """Give each pass of one round its ratio to the baseline's."""
    base = passes[names.index(BASELINE)].cpu_us_per_token if BASELINE in names else None
    for one in passes:
        if base and one.cpu_us_per_token is not None:
            one.ratio = one.cpu_us_per_token / base


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _table(found: list[Summary], wanted: Load) -> Table:
    pace = f"at {wanted.per_s:g}/s" if wanted.per_s else "unpaced"
    title = f"{wanted.streams} streams of {wanted.tokens} tokens {pace}; times in ms, p50 / p99"
    table = Table(title=title)
    table.add_column("system", no_wrap=True)
    heads = ("CPU µs\n/token", f"to\n{BASELINE}", "added\nlatency", "first\nbyte", "first\ntoken")
    more = ("RSS\nMiB", "KiB/\nstream", "server\nbusy", "others\nbusy", "harness\nbusy", "errors")
    for head in heads + more:
        table.add_column(head, justify="right", no_wrap=True)
    for one in found:
        table.add_row(
            one.system,
            figures.shown(one.median("cpu_us_per_token")),
            figures.shown(one.median("ratio"), 2),
            *(figures.pair(one.pooled(f"{kind}_ms")) for kind in ("latency", "first_byte")),
            figures.pair(one.pooled("first_token_ms")),
            figures.shown(one.median("rss_base_mib")),
            figures.shown(one.median("rss_kib_per_stream")),
            _percent(one.median("server_busy")),
            _percent(one.median("others_busy")),
            _percent(one.median("harness_busy")),
            str(len(one.errors)),
        )
    return table


_COSTS = (
    "cpu_us_per_token",
    "ratio",
    "server_busy",
    "others_busy",
    "harness_busy",
    "rss_base_mib",
    "rss_kib_per_stream",
)
_TIMES = ("latency_ms", "first_byte_ms", "first_token_ms")
_SHARES = (0.5, 0.9, 0.99, 0.999, 1.0)


def _record(one: Summary) -> dict[str, object]:
    """What is kept of a system: medians, each round's costs, quantiles, errors."""
    times = {
        name: {f"p{share * 100:g}": figures.quantile(one.pooled(name), share) for share in _SHARES}
        for name in _TIMES
    }
    return {
        "system": one.system,
        **{name: one.median(name) for name in _COSTS},
        **times,
        "tokens": len(one.pooled("latency_ms")),
        "rounds": [{name: getattr(single, name) for name in _COSTS} for single in one.passes],
        "errors": len(one.errors),
        "first_errors": one.errors[:5],
    }
