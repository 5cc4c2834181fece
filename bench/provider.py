"""
`python -m bench provider`: what a chunk costs to read, with our adapter and with others.

The same streams of the same model are read by each client in turn, over and over, in one
process that has the first core to itself; nothing is done with the text.
"""

import argparse
import asyncio
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
from rich.table import Table

from . import figures
from .measure import child, prepare
from .systems import NotReady, log_end, model

OURS = "unspool"

Client = Callable[[str, str], AsyncIterator[str]]
"""From the model's `/v1` root and a question to the pieces of its answer."""


async def _unspool(url: str) -> AsyncIterator[Client]:
    from unspool import Model, Prompt
    from unspool.providers import Text
    from unspool.providers.upstream.http import open_http
    from unspool.providers.upstream.pulled import outputs_of

    async def ask(url: str, question: str) -> AsyncIterator[str]:
        asked = Model("bench", "openai", "bench", url, "bench")
        stream = outputs_of(asked, Prompt.of(question), http)
        async with aclosing(stream) as outputs:
            async for output in outputs:
                if type(output) is Text:
                    yield output.text

    async with open_http() as http:
        yield ask


async def _openai_python(url: str) -> AsyncIterator[Client]:
    from openai import AsyncOpenAI

    async def ask(_url: str, question: str) -> AsyncIterator[str]:
        stream = await client.chat.completions.create(
            model="bench",
            messages=[{"role": "user", "content": question}],
            stream=True,
            stream_options={"include_usage": True},
        )
        async for chunk in stream:
            if chunk.choices and (text := chunk.choices[0].delta.content):
                yield text

    async with AsyncOpenAI(base_url=url, api_key="bench", max_retries=0) as client:
        yield ask


async def _httpx(url: str) -> AsyncIterator[Client]:
    from .relay import Client as Relay

    relay = Relay(url, "bench", "bench")

    def ask(_url: str, question: str) -> AsyncIterator[str]:
        return relay.stream_chat(question)

    yield ask
    await relay.close()


CLIENTS = {
    OURS: ("unspool", _unspool),
    "openai-python": ("openai", _openai_python),
    "httpx and json": ("httpx", _httpx),
}
"""Name, the package it needs, and how it is opened. To add one: a row."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one client reads in one round."""

    streams: int
    tokens: int
    rate: float

    @property
    def question(self) -> str:
        return json.dumps({"tokens": self.tokens, "per_s": self.rate})


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--streams", type=int, default=100, help="read side by side")
    parser.add_argument("--tokens", type=int, default=80, help="of each stream")
    parser.add_argument("--rate", type=float, default=40, help="tokens/s of each, 0: unpaced")
    parser.add_argument("--rounds", type=int, default=5, help="%(default)s, each with all clients")


def run(args: argparse.Namespace) -> int:
    console = figures.console()
    cores = prepare()
    for name, (package, _) in CLIENTS.items():
        if not importlib.util.find_spec(package):
            console.print(f"[yellow]{name} is left out: the package {package} is missing.")
    order = Order(args.streams, args.tokens, args.rate)
    with tempfile.TemporaryDirectory(prefix="bench-provider-") as folder:
        log = Path(folder, "log")
        try:
            with model(cores) as there:
                words = [there.url, json.dumps(asdict(order)), str(args.rounds)]
                command = [sys.executable, "-m", "bench.provider", *words]
                console.print(f"[dim]provider: {args.rounds} rounds of {order}")
                with child(command, core=cores.server, log=log) as process:
                    costs_us = _told(process, log)
        except NotReady as failure:
            console.print(str(failure), markup=False, style="red")
            return 1
    console.print(_table(costs_us))
    asked = {**asdict(order), "rounds": args.rounds}
    console.print(f"written: {figures.save('provider', cores, asked, costs_us)}")
    return 0


def _told(process: subprocess.Popen[bytes], log: Path) -> dict[str, list[float]]:
    """Wait for what the reading process says at its end."""
    if process.wait() != 0:
        raise NotReady(f"reading ended with {process.returncode}\n{log_end(log)}")
    return json.loads(log.read_text().splitlines()[-1])


def _table(costs_us: dict[str, list[float]]) -> Table:
    table = Table(title="What a chunk costs to read")
    for name in ("client", "CPU µs/chunk", "lowest", "highest", "to unspool"):
        table.add_column(name, justify="left" if name == "client" else "right")
    for name, values in costs_us.items():
        # Within a round: what slows the machine slows both.
        ratios = [theirs / ours for theirs, ours in zip(values, costs_us[OURS], strict=True)]
        shown = statistics.median(values), min(values), max(values)
        ratio = figures.shown(statistics.median(ratios), 2)
        table.add_row(name, *(figures.shown(value) for value in shown), ratio)
    return table


# In the process that reads


async def _measured(url: str, order: Order, rounds: int) -> dict[str, list[float]]:
    opened = {
        name: opener(url)
        for name, (package, opener) in CLIENTS.items()
        if importlib.util.find_spec(package)
    }
    clients = {name: await anext(client) for name, client in opened.items()}
    costs_us: dict[str, list[float]] = {name: [] for name in clients}
    for number in range(-1, rounds):  # the first one warms up
        for name, client in clients.items():
            before_s = time.process_time()
            counts = await asyncio.gather(
                *(_read(client, url, order) for _ in range(order.streams))
            )
            cost_us = (time.process_time() - before_s) * 1e6 / sum(counts)
            if number >= 0:
                costs_us[name].append(cost_us)
    for client in opened.values():
        await anext(client, None)
    return costs_us


async def _read(client: Client, url: str, order: Order) -> int:
    count = 0
    async for _ in client(url, order.question):
        count += 1
    if count != order.tokens:
        raise RuntimeError(f"{count} tokens of {order.tokens}")
    return count


if __name__ == "__main__":
    url, wanted, rounds = sys.argv[1:]
    print(json.dumps(uvloop.run(_measured(url, Order(**json.loads(wanted)), int(rounds)))))
