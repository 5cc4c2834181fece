"""
One system under one load, measured: what `streams`, `capacity` and `stages` have in common.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console

from . import figures, load
from .load import Load
from .measure import Cores, Meter, cpu_s
from .reading import Outcome
from .systems import MAX_DELAY, SYSTEMS, Model, Running, System

WARM_UP = Load(streams=10, tokens=20, per_s=50)
"""Fills pools, caches and lazy imports before anything counts."""

BASELINES = ("relay", "nginx")
"""Ratios are to these, of the same round."""


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
    to_relay: float | None = None
    to_nginx: float | None = None

    @classmethod
    def failed(cls, error: str) -> "Pass":
        """What is known of a system that did not get so far."""
        return cls(None, None, None, 0.0, None, None, [], [], [], [error])


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


def relate(summaries: Sequence[Summary]) -> None:
    """Give the newest pass of each its ratios to those of the baselines."""
    newest = {one.system: one.passes[-1] for one in summaries}
    for name in BASELINES:
        base = newest[name].cpu_us_per_token if name in newest else None
        for one in newest.values():
            if base and one.cpu_us_per_token is not None:
                setattr(one, f"to_{name}", one.cpu_us_per_token / base)


async def measured(server: Running, model: Model, wanted: Load, cores: Cores) -> Pass:
    """Put the load on a system that is warm already, once."""
    meter = Meter(server.pid, cores.server)
    meter.start()
    harness_s = -time.process_time() - cpu_s(model.pid)
    recordings = await load.run(server.target, wanted)
    harness_s += time.process_time() + cpu_s(model.pid)
    meter.stop()
    return _judged(load.outcomes(recordings, wanted), meter, harness_s)


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


def numbers(text: str) -> list[int]:
    """Numbers with commas between them, for an option."""
    return [int(word) for word in text.split(",")]


def add_system_options(parser: argparse.ArgumentParser, default: str) -> None:
    """Which systems, and how they are set up; `systems` reads it."""
    parser.add_argument("--systems", default=default, help="which, in order, by comma: %(default)s")
    parser.add_argument("--tls", action="store_true", help="the model speaks TLS 1.3")
    parser.add_argument(
        "--max-delay-ms",
        type=float,
        help="of unspool-joined: how late a token may be for the sake of others "
        f"({MAX_DELAY}; default: the server's own)",
    )


def systems(args: argparse.Namespace, console: Console) -> list[System]:
    """The systems that were asked for and can run here."""
    chosen = []
    for name in args.systems.split(","):
        if name not in SYSTEMS:
            raise SystemExit(f"no system named {name!r}; have: {', '.join(SYSTEMS)}")
        system = SYSTEMS[name]
        reason = system.missing()
        if args.tls and system.command is None:
            reason = "viewers speak no TLS"
        if reason:
            console.print(f"[yellow]{name} is left out: {reason}.")
            continue
        if name == "unspool-joined" and args.max_delay_ms is not None:
            system = replace(system, env={**system.env, MAX_DELAY: f"{args.max_delay_ms:g}"})
        chosen.append(system)
    return chosen
