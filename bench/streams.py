"""
`python -m bench streams`: what a token costs in each system, and how late it is.
"""

import argparse
from dataclasses import asdict

import uvloop
from rich.console import Console
from rich.table import Table

from . import figures, load, passes, plot
from .load import Load
from .measure import Cores, prepare
from .passes import WARM_UP, Pass, Summary
from .systems import SYSTEMS, Model, NotReady, Running, System, log_end, model, running


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--streams", type=passes.numbers, default=[100], help="viewers at once; 100,300: each"
    )
    parser.add_argument("--rate", type=float, default=50, help="tokens/s of each, 0: unpaced")
    parser.add_argument("--tokens", type=int, default=200, help="tokens of each")
    parser.add_argument("--repeat", type=int, default=1, help="rounds through all systems")
    passes.add_system_options(parser, ",".join(SYSTEMS))


def run(args: argparse.Namespace) -> int:
    console = figures.console()
    cores = prepare()
    systems = passes.systems(args, console)
    if not cores.apart:
        console.print("[yellow]One core only: the harness disturbs what it measures.")
    records, errors = [], 0
    for streams in args.streams:
        wanted = Load(streams, args.tokens, args.rate)
        found = _rounds(systems, cores, wanted, args, console)
        errors += sum(len(summary.errors) for summary in found)
        console.print(_table(found, wanted, tls=args.tls))
        if wanted.streams * wanted.per_s < 2000 and wanted.per_s:
            console.print("[yellow]Below 2,000 tokens/s CPU per token is the price of waking up.")
        drawn = plot.streams(figures.RESULTS / f"streams-{streams}.png", found, wanted)
        console.print(f"written: {drawn}")
        records.append(asdict(wanted) | {"systems": [_record(one) for one in found]})
    asked = {name: vars(args)[name] for name in ("tls", "max_delay_ms", "repeat")}
    console.print(f"written: {figures.save('streams', cores, asked, records)}")
    return int(errors > 0)


def _rounds(
    systems: list[System], cores: Cores, wanted: Load, args: argparse.Namespace, console: Console
) -> list[Summary]:
    found = [Summary(system.name, []) for system in systems]
    for number in range(args.repeat):
        for system, summary in zip(systems, found, strict=True):
            console.print(f"[dim]{wanted.streams} streams, round {number + 1}: {system.name}")
            summary.passes.append(_measured(system, cores, wanted, args.tls, console))
        passes.relate(found)
    return found


def _measured(system: System, cores: Cores, wanted: Load, tls: bool, console: Console) -> Pass:
    """Start model and system, warm them up, measure once, and end them."""
    try:
        with model(cores, tls=tls) as there, running(system, cores, there) as server:
            one = uvloop.run(_pass(server, there, wanted, cores))
            if one.errors:
                console.print(f"[red]{system.name}: {one.errors[0]}")
                console.print(log_end(server.log), markup=False)
            return one
    except NotReady as failure:
        console.print(f"{system.name}: {failure}", markup=False, style="red")
        return Pass.failed(f"not ready: {failure}")


async def _pass(server: Running, there: Model, wanted: Load, cores: Cores) -> Pass:
    await load.run(server.target, WARM_UP)
    return await passes.measured(server, there, wanted, cores)


def _table(found: list[Summary], wanted: Load, *, tls: bool) -> Table:
    pace = f"at {wanted.per_s:g}/s" if wanted.per_s else "unpaced"
    over = ", model over TLS" if tls else ""
    title = f"{wanted.streams} streams of {wanted.tokens} tokens {pace}{over}; ms, p50 / p99"
    table = Table(title=title)
    table.add_column("system", no_wrap=True)
    heads = ("CPU µs\n/token", "to\nrelay", "to\nnginx", "added\nlatency", "first\ntoken")
    more = ("KiB/\nstream", "server\nbusy", "others\nbusy", "harness\nbusy", "errors")
    for head in heads + more:
        table.add_column(head, justify="right", no_wrap=True)
    for one in found:
        table.add_row(
            one.system,
            figures.shown(one.median("cpu_us_per_token")),
            figures.shown(one.median("to_relay"), 2),
            figures.shown(one.median("to_nginx"), 2),
            figures.pair(one.pooled("latency_ms")),
            figures.pair(one.pooled("first_token_ms")),
            figures.shown(one.median("rss_kib_per_stream")),
            figures.percent(one.median("server_busy")),
            figures.percent(one.median("others_busy")),
            figures.percent(one.median("harness_busy")),
            str(len(one.errors)),
        )
    return table


_COSTS = (
    "cpu_us_per_token",
    "to_relay",
    "to_nginx",
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
