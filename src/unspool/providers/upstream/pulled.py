"""Outputs for readers who pull: an async generator over calls that are pushed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from unspool.providers.upstream.http1 import Client

from .. import Model, Output, Prompt, Text
from .exchange import ask

MAX_WAITING = 16
"""Pieces that wait for the reader; beyond, the source is full and pauses."""


def outputs_of(model: Model, prompt: Prompt, http: Client) -> AsyncGenerator[Output]:
    """
    Ask `model` and yield what it says as it says it; see `exchange.ask`.

    Closing the generator closes the connection to the provider.
    """
    return pulled(lambda sink: ask(model, prompt, http, sink))


async def pulled(write: Callable[[Queue], Awaitable[None]]) -> AsyncGenerator[Any]:
    """Yield what `write` tells its sink; raise what it raises. Closing the generator cancels it."""
    queue = Queue()
    task = asyncio.ensure_future(write(queue))
    task.add_done_callback(lambda _: queue.filled.set())
    try:
        while True:
            while queue.pieces:
                yield queue.pieces.popleft()
            queue.emptied.set()
            if task.done():
                task.result()
                return
            await queue.filled.wait()
            queue.filled.clear()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)  # a reader who left wants no error


class Queue:
    """See `providers.Sink`."""

    def __init__(self) -> None:
        self.pieces: deque[Any] = deque()
        self.filled = asyncio.Event()
        self.emptied = asyncio.Event()

    @property
    def is_full(self) -> bool:
        return len(self.pieces) >= MAX_WAITING

    def text(self, text: str) -> None:
        self.take(Text(text))

    def take(self, output: Any) -> None:
        self.pieces.append(output)
        self.filled.set()

    async def drain(self) -> None:
        while self.pieces:
            self.emptied.clear()
            await self.emptied.wait()
