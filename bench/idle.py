"""
`python -m bench idle`: what a viewer costs while the model is silent.
"""

import argparse
import asyncio
import http.client
import json
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

from . import figures, load
from .measure import prepare, rss_bytes
from .passes import WARM_UP
from .systems import SYSTEMS, NotReady, Running, model, running

ORDER = {"tokens": 2, "per_s": 0.02}
"""One token at once, the next after 50 s: silence for longer than this takes."""

AT_ONCE = 50
"""Viewers that connect together: a crowd, not an attack on the accept queue."""

SETTLE_S = 2.0
"""Pause before each look at the memory."""

OPEN_S = 30.0
"""How long a viewer may wait for the first byte of its answer."""


@dataclass(slots=True)
class Found:
    """The server's memory without and with viewers, and how many went wrong."""

    viewers: int
    rss_before_mib: float
    rss_after_mib: float
    errors: list[str]

    @property
    def grown_mib(self) -> float:
        return self.rss_after_mib - self.rss_before_mib

    @property
    def kib_per_viewer(self) -> float:
        return self.grown_mib * 1024 / self.viewers


class Watcher(asyncio.Protocol):
    """One viewer of a run: asks, sees an answer begin, and stays."""

    def __init__(self, request: bytes) -> None:
        self.answered = asyncio.Event()
        self.error: str | None = None
        self._request = request
        self._received = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Said, not asked: uvloop's transports are no subclass of asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.answered.is_set():
            return
        self._received += data
        head, whole, _ = self._received.partition(b"\r\n\r\n")
        if whole:
            if head[9:12] != b"200":
                self.error = f"answered {self._received[:300]!r}"
            self.answered.set()

    def connection_lost(self, _error: Exception | None) -> None:
        self.error = self.error or "cut off"
        self.answered.set()


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--viewers", type=int, default=1000, help="viewers of the one run")


def run(args: argparse.Namespace) -> int:
    console = figures.console()
    cores = prepare()
    system = SYSTEMS["unspool"]
    if reason := system.missing():
        console.print(f"[yellow]idle is left out: {reason}.")
        return 0
    try:
        with model(cores) as there, running(system, cores, there) as server:
            console.print(f"[dim]idle: {args.viewers:,} viewers")
            found = uvloop.run(_measured(server, args.viewers))
    except NotReady as failure:
        console.print(str(failure), markup=False, style="red")
        return 1
    for error in found.errors[:1]:
        console.print(error, markup=False, style="red")
    console.print(
        f"{found.viewers:,} idle viewers: {found.grown_mib:.1f} MiB more than the "
        f"{found.rss_before_mib:.1f} MiB before, {found.kib_per_viewer:.1f} KiB each, "
        f"{len(found.errors)} errors"
    )
    result = asdict(found) | {"kib_per_viewer": found.kib_per_viewer}
    console.print(f"written: {figures.save('idle', cores, dict(ORDER), result)}")
    return int(bool(found.errors))


async def _measured(server: Running, count: int) -> Found:
    assert server.pid is not None
    await load.run(server.target, WARM_UP)
    run_id = begin(server.target.port, json.dumps(ORDER))
    await asyncio.sleep(SETTLE_S)
    before = rss_bytes(server.pid)
    watchers = await _opened(server.target.port, run_id, count)
    await asyncio.sleep(SETTLE_S)
    after = rss_bytes(server.pid)
    errors = [watcher.error for watcher in watchers if watcher.error]
    for watcher in watchers:
        if watcher.transport is not None:
            watcher.transport.abort()
    return Found(count, before / 2**20, after / 2**20, errors)


def begin(port: int, order: str) -> str:
    """Start a run that nobody watches yet; gives its id."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    body = {"flow": "chat", "input": {"prompt": order}}
    headers = {"Content-Type": "application/json", "Authorization": "Bearer bench"}
    try:
        connection.request("POST", "/v1/runs", json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    if response.status != 201:
        raise NotReady(f"POST /v1/runs answered {response.status}: {content[:300]!r}")
    return str(json.loads(content)["id"])


async def _opened(port: int, run_id: str, count: int) -> list[Watcher]:
    """All viewers, each with its answer or its error."""
    loop = asyncio.get_running_loop()
    request = (
        f"GET /v1/runs/{run_id}/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "Accept: text/event-stream\r\nAuthorization: Bearer bench\r\n\r\n"
    ).encode()
    watchers = [Watcher(request) for _ in range(count)]
    turn = asyncio.Semaphore(AT_ONCE)

    async def open_one(watcher: Watcher) -> None:
        async with turn:
            try:
                async with asyncio.timeout(OPEN_S):
                    await loop.create_connection(lambda: watcher, "127.0.0.1", port)
                    await watcher.answered.wait()
            except OSError as error:  # a TimeoutError is one, too
                watcher.error = f"not answered: {error!r}"

    await asyncio.gather(*map(open_one, watchers))
    return watchers
