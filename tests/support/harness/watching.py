"""
A viewer that records all it sees, and comes back as long as something is left.

It is as strict as a viewer can be: bytes are read by the letter of the specification
(`readers.Strict`), and only what came as a whole frame is what it has.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from support.harness.checker import Seen
from support.readers import Strict

PAUSE_S = 0.02
"""Between two tries: a page that comes back waits longer, a test has no time."""

GONE = (aiohttp.ClientError, ConnectionError, TimeoutError, asyncio.IncompleteReadError)


@dataclass
class Cuts:
    """Leaves by itself after so many frames, drawn anew for each connection; 0 is never."""

    dice: random.Random
    most: int = 0

    def draw(self) -> int | None:
        return self.dice.randint(1, self.most) if self.most else None


@dataclass
class Visitor:
    """One viewer. `url` is asked anew before each connection: the server may have moved."""

    web: aiohttp.ClientSession
    url: Callable[[], str]
    seen: Seen
    cuts: Cuts = field(default_factory=lambda: Cuts(random.Random(0)))
    run_id: asyncio.Future[str] = field(default_factory=asyncio.Future)
    """Of the run that was asked for, as soon as the server has said it."""
    patient_with: frozenset[int] = frozenset()
    """Statuses after which it comes again; any other but success is a fault."""
    heartbeats: int = 0

    async def watch(self, run_id: str) -> Seen:
        """Read the run to its end, however many connections that takes."""
        path = f"/v1/runs/{run_id}/events?dialect={self.seen.dialect}"
        while not self.seen.was_told_the_end:
            try:
                async with self.web.get(self.url() + path, headers=self._place()) as answer:
                    await self._read(answer)
            except GONE:
                await asyncio.sleep(PAUSE_S)
        return self.seen

    async def ask(self, path: str, asked: dict[str, Any], **headers: str) -> Seen:
        """Ask for a run as often as it takes to hear of it, then watch it to its end."""
        headers = {"Accept": "text/event-stream", **headers}
        while not self.run_id.done():
            try:
                async with self.web.post(self.url() + path, json=asked, headers=headers) as answer:
                    self._check(answer)
                    self.run_id.set_result(answer.headers["x-run-id"])
                    await self._read(answer)
            except GONE:
                await asyncio.sleep(PAUSE_S)
        return await self.watch(self.run_id.result())

    def _place(self) -> dict[str, str]:
        ids = [id_ for id_, _ in self.seen.frames if id_]
        return {"Last-Event-ID": ids[-1]} if ids else {}

    def _check(self, answer: aiohttp.ClientResponse) -> None:
        if answer.status in self.patient_with:
            raise aiohttp.ClientConnectionError(answer.status)

    async def _read(self, answer: aiohttp.ClientResponse) -> None:
        self._check(answer)
        if answer.status == 204:
            self.seen.was_told_the_end = True
            return
        assert answer.status == 200, (answer.status, await answer.text())
        strict, most = Strict(), self.cuts.draw()
        try:
            async for chunk in answer.content.iter_any():
                strict.feed(chunk)
                if most is not None and len(strict.frames) >= most:
                    del strict.frames[most:]
                    return
            # An end without an ending would be a lie: the checker looks.
            self.seen.was_told_the_end = True
        finally:
            self.seen.frames += strict.frames
            self.heartbeats += len(strict.comments)
            self.seen.connections.append(len(strict.frames))
