"""
`python -m bench opening`: what it costs to begin a run.

Short answers, one after another on a few connections: hot, each connection is used again and
again; cold, each request comes on a new one. The few tokens and the end are in the figure.
"""

import argparse
import asyncio
import json
import statistics
import time
from dataclasses import asdict, dataclass
from typing import cast

import uvloop
from rich.table import Table

from . import figures, passes
from .load import Target
from .measure import cpu_s, prepare
from .systems import NotReady, Running, model, running

WARM_UP = 100
"""Requests before anything counts, on either kind of connection."""

ANSWER_S = 30.0
"""How long one answer may take."""

KINDS = {"hot": True, "cold": False}
"""Whether a connection is kept for the next request."""


@dataclass(slots=True)
class Cost:
    """One system, one kind of connection, one round."""

    cpu_ms: float
    answer_ms: float
    """From the request to the last byte, in the median."""


class Caller(asyncio.Protocol):
    """A connection on which one request follows another, each when the last is answered."""

    def __init__(self) -> None:
        self._received = b""
        self._answered: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Said, not asked: uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    async def ask(self, request: bytes, tokens: int) -> None:
        """
        Send a request and return when it is answered.

        Raises:
            NotReady: The answer is not as many tokens as were ordered.
        """
        assert self._transport is not None
        self._received = b""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        async with asyncio.timeout(ANSWER_S):
            await self._answered
        is_right = self._received.startswith(b"HTTP/1.1 200")
        if not is_right or self._received.count(b"@") != tokens:
            raise NotReady(f"not an answer of {tokens} tokens: {self._received[:500]!r}")

    def data_received(self, data: bytes) -> None:
        self._received += data
        is_over = self._received.endswith(b"0\r\n\r\n")
        if (is_over or not self._received.startswith(b"HTTP/1.1 200")) and self._answered:
            self._end()

    def connection_lost(self, _error: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if self._answered and not self._answered.done():
            self._answered.set_result(None)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--requests", type=int, default=1000, help="of each kind, per round")
    parser.add_argument("--at-once", type=int, default=4, help="connections at a time")
    parser.add_argument("--tokens", type=int, default=5, help="of each answer, sent at once")
    parser.add_argument("--repeat", type=int, default=3, help="rounds through all systems")
    passes.add_system_options(parser, "unspool,relay,nginx")


def run(args: argparse.Namespace) -> int:
    console = figures.console()
    cores = prepare()
    found: dict[str, dict[str, list[Cost]]] = {}
    is_wrong = False
    for system in passes.systems(args, console) * args.repeat:
        if system.command is None:
            continue  # nothing stands in between
        console.print(f"[dim]opening: {system.name}")
        try:
            with model(cores, tls=args.tls) as there, running(system, cores, there) as server:
                costs = uvloop.run(_measured(server, args))
        except (NotReady, TimeoutError) as failure:
            console.print(f"{system.name}: {failure}", markup=False, style="red")
            is_wrong = True
            continue
        for kind, cost in costs.items():
            found.setdefault(system.name, {}).setdefault(kind, []).append(cost)
    console.print(_table(found, args))
    asked = {name: vars(args)[name] for name in ("requests", "at_once", "tokens", "tls")}
    result = {
        name: {kind: [asdict(one) for one in costs] for kind, costs in kinds.items()}
        for name, kinds in found.items()
    }
    console.print(f"written: {figures.save('opening', cores, asked, result)}")
    return int(is_wrong)


async def _measured(server: Running, args: argparse.Namespace) -> dict[str, Cost]:
    assert server.pid is not None
    order = json.dumps({"tokens": args.tokens, "per_s": 0})
    costs = {}
    for kind, is_kept in KINDS.items():
        asking = _Asking(server.target, order, args.tokens, is_kept)
        await asking.all(WARM_UP, args.at_once)
        asking.times_s.clear()
        before_s = cpu_s(server.pid)
        await asking.all(args.requests, args.at_once)
        cpu_ms = (cpu_s(server.pid) - before_s) * 1000 / args.requests
        costs[kind] = Cost(cpu_ms, statistics.median(asking.times_s) * 1000)
    return costs


class _Asking:
    """The requests of one kind."""

    def __init__(self, target: Target, order: str, tokens: int, is_kept: bool) -> None:
        self._port = target.port
        self._request = target.request(order)
        self._tokens = tokens
        self._is_kept = is_kept
        self._left = 0
        self.times_s: list[float] = []

    async def all(self, requests: int, at_once: int) -> None:
        self._left = requests
        await asyncio.gather(*(self._some() for _ in range(at_once)))

    async def _some(self) -> None:
        caller = None
        while self._left:
            self._left -= 1
            began_s = time.perf_counter()
            caller = caller or await self._connected()
            await caller.ask(self._request, self._tokens)
            self.times_s.append(time.perf_counter() - began_s)
            if not self._is_kept:
                caller.close()
                caller = None
        if caller is not None:
            caller.close()

    async def _connected(self) -> Caller:
        loop = asyncio.get_running_loop()
        _, caller = await loop.create_connection(Caller, "127.0.0.1", self._port)
        return caller


def _table(found: dict[str, dict[str, list[Cost]]], args: argparse.Namespace) -> Table:
    over = ", model over TLS" if args.tls else ""
    title = f"Runs of {args.tokens} tokens, {args.at_once} at a time{over}; medians of rounds"
    table = Table(title=title)
    table.add_column("system", no_wrap=True)
    for kind in KINDS:
        for head in ("CPU ms\n/run", "to\nrelay", "to\nnginx", "answer\nms"):
            table.add_column(f"{kind}\n{head}", justify="right")
    for name, kinds in found.items():
        cells = []
        for kind, costs in kinds.items():
            cells.append(figures.shown(statistics.median(cost.cpu_ms for cost in costs), 2))
            cells += [_ratio(found, kind, costs, base) for base in passes.BASELINES]
            cells.append(figures.shown(statistics.median(cost.answer_ms for cost in costs)))
        table.add_row(name, *cells)
    return table


def _ratio(found: dict[str, dict[str, list[Cost]]], kind: str, costs: list[Cost], base: str) -> str:
    """The median of the ratios within a round: what slows the machine slows both."""
    theirs = found.get(base, {}).get(kind, [])
    ratios = [one.cpu_ms / other.cpu_ms for one, other in zip(costs, theirs, strict=False)]
    return figures.shown(statistics.median(ratios), 2) if ratios else "-"
