"""
`python -m bench viewers`: what it costs to show a token to each of many viewers of one run.

The viewers come while the model is still silent; then it speaks, and each token goes to all.
"""

import argparse
import asyncio
import json
from dataclasses import asdict, dataclass
from itertools import cycle, islice

import uvloop

from . import figures, load, passes
from .idle import AT_ONCE, OPEN_S, begin
from .load import Load, Viewer
from .measure import Cores, Meter, prepare
from .passes import WARM_UP
from .reading import Outcome
from .systems import NotReady, Running, model, running

ASKED = ("viewers", "dialects", "tokens", "rate", "max_delay_ms")
"""Options that the results keep."""

SILENCE_S = 15.0
"""How long the model lets the viewers come; 1,000 of them take a few seconds."""


@dataclass(slots=True)
class Found:
    """What all deliveries took, and how late they were."""

    system: str
    viewers: int
    dialects: list[str]
    tokens: int
    cpu_us_per_delivery: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    server_busy: float
    others_busy: float
    errors: list[str]


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--viewers", type=int, default=1000, help="viewers of the one run")
    parser.add_argument(
        "--dialects",
        type=lambda names: names.split(","),
        default=["native"],
        help="each viewer reads in the next of these, in turn; separated by commas",
    )
    parser.add_argument("--tokens", type=int, default=200, help="tokens of the run")
    parser.add_argument("--rate", type=float, default=20, help="tokens/s of the run")
    passes.add_system_options(parser, "unspool")


def run(args: argparse.Namespace) -> int:
    console = figures.console()
    cores = prepare()
    results = []
    for system in passes.systems(args, console):
        if not system.name.startswith("unspool"):
            console.print(f"[yellow]{system.name} is left out: its runs have one viewer.")
            continue
        console.print(f"[dim]viewers: {system.name}, {args.viewers:,}")
        try:
            with model(cores, tls=args.tls) as there, running(system, cores, there) as server:
                found = uvloop.run(_measured(system.name, server, cores, args))
        except NotReady as failure:
            console.print(str(failure), markup=False, style="red")
            return 1
        results.append(found)
        for error in found.errors[:1]:
            console.print(error, markup=False, style="red")
        console.print(
            f"{found.system}, {found.viewers:,} viewers of {found.tokens} tokens in "
            f"{', '.join(found.dialects)}: "
            f"{found.cpu_us_per_delivery:.1f} µs CPU a delivery, "
            f"{figures.shown(found.latency_p50_ms)} / {figures.shown(found.latency_p99_ms)} ms "
            f"late (p50 / p99), server {found.server_busy:.0%} busy, others "
            f"{found.others_busy:.0%}, {len(found.errors)} errors"
        )
    asked = {name: vars(args)[name] for name in ASKED}
    saved = figures.save("viewers", cores, asked, [asdict(found) for found in results])
    console.print(f"written: {saved}")
    return int(any(found.errors for found in results))


async def _measured(name: str, server: Running, cores: Cores, args: argparse.Namespace) -> Found:
    await load.run(server.target, WARM_UP)
    wanted = Load(args.viewers, args.tokens, args.rate)
    order = {"tokens": args.tokens, "per_s": args.rate, "wait_s": SILENCE_S}
    speaks_s = asyncio.get_running_loop().time() + SILENCE_S
    run_id = begin(server.target.port, json.dumps(order))
    viewers = await _opened(server.target.port, run_id, args)
    left_s = speaks_s - asyncio.get_running_loop().time()
    if left_s < 0:
        raise NotReady(f"{args.viewers} viewers took more than {SILENCE_S:g} s to come")
    await asyncio.sleep(left_s - min(1.0, left_s))
    meter = Meter(server.pid, cores.server)
    meter.start()
    _, late = await asyncio.wait(
        [asyncio.create_task(viewer.done.wait()) for viewer in viewers],
        timeout=wanted.limit_s,
    )
    meter.stop()
    for task in late:
        task.cancel()
    for viewer in viewers:
        viewer.end("not finished in time")
    outcomes = [Outcome.of(viewer.recording, args.tokens) for viewer in viewers]
    delivered = sum(len(outcome.stamps_ns) for outcome in outcomes)
    latency_ms = sorted(ns / 1e6 for outcome in outcomes for ns in outcome.latencies_ns)
    return Found(
        system=name,
        viewers=args.viewers,
        dialects=args.dialects,
        tokens=args.tokens,
        cpu_us_per_delivery=meter.cpu_s * 1e6 / max(1, delivered),
        latency_p50_ms=figures.quantile(latency_ms, 0.5),
        latency_p99_ms=figures.quantile(latency_ms, 0.99),
        server_busy=meter.cpu_s / meter.wall_s,
        others_busy=meter.others_s / meter.wall_s,
        errors=[outcome.error for outcome in outcomes if outcome.error],
    )


async def _opened(port: int, run_id: str, args: argparse.Namespace) -> list[Viewer]:
    """All viewers, each with the beginning of its answer."""
    loop = asyncio.get_running_loop()
    requests = [
        f"GET /v1/runs/{run_id}/events?dialect={name} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "Accept: text/event-stream\r\nAuthorization: Bearer bench\r\n\r\n"
        for name in args.dialects
    ]
    viewers = [Viewer(request.encode()) for request in islice(cycle(requests), args.viewers)]
    turn = asyncio.Semaphore(AT_ONCE)

    async def open_one(viewer: Viewer) -> None:
        async with turn:
            try:
                async with asyncio.timeout(OPEN_S):
                    await loop.create_connection(lambda: viewer, "127.0.0.1", port)
                    await viewer.begun.wait()
            except OSError as error:  # a TimeoutError is one, too
                viewer.end(f"not answered: {error!r}")

    await asyncio.gather(*map(open_one, viewers))
    return viewers
