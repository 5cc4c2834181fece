"""
A server that plays the scripts of `conformance/faults`, byte for byte, over raw sockets.

Every visit has an address of its own, so that faults can be played side by side, any number of
times. The second and later requests of a visit play `next_steps`, where a fault has them.

To add a kind of step: a case in `Scene.step`, and a line in `conformance/faults/README.md`.
"""

from __future__ import annotations

import asyncio
import email.utils
import itertools
import json
import re
import socket
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

Fault = Mapping[str, Any]

FOLDER = Path(__file__).parent.parent.parent / "conformance" / "faults"

MAX_WRITE_BYTES = 64 * 1024
"""At once: a script that repeats itself for 64 MiB must not be built in memory."""

TIMES = ("first_event_s", "idle_s", "progress_s", "total_s")
PATIENCE_S = 15.0

DATE = re.compile(r"\{\{http_date:([+-]?\d+)\}\}")


def faults() -> dict[str, Fault]:
    """Return all faults by their id."""
    read = (json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json")))
    return {fault["id"]: fault for fault in read}


def patient(fault: Fault) -> dict[str, Any]:
    """
    Give a fault that is over by itself more time than it asks for.

    Many are played at once, on machines that have other work as well. Where a limit is what
    ends the answer, it stays.
    """
    if "timeout" in str(fault["expected"]):
        return dict(fault)
    return {**fault, "client": {**fault["client"], **dict.fromkeys(TIMES, PATIENCE_S)}}


@dataclass
class Visit:
    """What one caller has sent to one fault."""

    fault: Fault
    url: str
    """Of the fault's endpoint."""
    heads: list[str] = field(default_factory=list)
    """Of every request: the request line and the headers."""
    bodies: list[bytes] = field(default_factory=list)


class Stage:
    """The server. Enter it, then `visit` any fault."""

    def __init__(self) -> None:
        self._visits: dict[str, Visit] = {}
        self._numbers = itertools.count()
        self._scenes: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._enter, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for scene in self._scenes:
            scene.cancel()
        await asyncio.gather(*self._scenes, return_exceptions=True)
        await self._server.wait_closed()

    def visit(self, fault: Fault) -> Visit:
        """Return an address at which `fault` plays from its beginning."""
        name = f"visit-{next(self._numbers)}"
        url = f"http://127.0.0.1:{self._port}/{name}{fault['endpoint']}"
        self._visits[name] = visit = Visit(fault, url)
        return visit

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        scene = asyncio.current_task()
        assert scene is not None
        self._scenes.add(scene)
        scene.add_done_callback(self._scenes.discard)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._play(reader, writer)
        finally:
            writer.close()

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await asked_of(reader)
        name = head.split(" ", 2)[1].split("/")[1]
        visit = self._visits[name]
        visit.heads.append(head)
        visit.bodies.append(body)
        scene = Scene(reader, writer, base="/" + name)
        await scene.play(self.steps_for(visit))

    def steps_for(self, visit: Visit) -> list[dict[str, Any]]:
        """Return what the last request of a visit is answered with."""
        is_first = len(visit.heads) == 1 or "next_steps" not in visit.fault
        steps: list[dict[str, Any]] = visit.fault["steps" if is_first else "next_steps"]
        return steps


async def asked_of(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """Return one request: its line and headers, and its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"(?im)^content-length: *(\d+)", head)
    return head, await reader.readexactly(int(length[1]) if length else 0)


class Scene:
    """One answer on one connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, base: str
    ) -> None:
        self._writer = writer
        self._base = base
        self._leaving = asyncio.create_task(self._until_left(reader))
        self._sock: socket.socket = writer.get_extra_info("socket")
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @staticmethod
    async def _until_left(reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while await reader.read(MAX_WRITE_BYTES):
                pass  # a client that has asked has nothing more to say

    async def play(self, steps: list[dict[str, Any]]) -> bool:
        """Take the steps; false where the client left before the last."""
        try:
            for step in steps:
                if self._leaving.done():
                    return False
                if await self._step(step):
                    break
            await self._writer.drain()
            return not self._leaving.done()
        finally:
            self._leaving.cancel()
            await asyncio.gather(self._leaving, return_exceptions=True)

    async def _step(self, step: dict[str, Any]) -> bool:
        """Take one step; true where nothing comes after it."""
        match step:
            case {"send_text": _} | {"send_hex": _}:
                await self._send(self._bytes(step), step.get("repeat", 1), step.get("dribble"))
            case {"pause_ms": pause_ms}:
                return await self._wait(pause_ms / 1000)
            case {"hold": True}:
                await self._wait(step.get("max_ms", 8000) / 1000)
                return True
            case {"reset": True}:
                linger = struct.pack("ii", 1, 0)
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self._writer.transport.abort()
                return True
            case {"close": True}:
                return True
            case _:
                raise AssertionError(f"no such step: {step}")
        return False

    async def _wait(self, pause_s: float) -> bool:
        """Return true where the client left meanwhile."""
        done, _ = await asyncio.wait([self._leaving], timeout=pause_s)
        return bool(done)

    async def _send(self, data: bytes, times: int, dribble: dict[str, Any] | None) -> None:
        if dribble is not None:
            for at in range(0, len(data), dribble["size"]):
                self._writer.write(data[at : at + dribble["size"]])
                await self._writer.drain()
                if await self._wait(dribble["gap_ms"] / 1000):
                    return
            return
        at_once = max(1, min(times, MAX_WRITE_BYTES // max(1, len(data))))
        while times > 0:
            self._writer.write(data * min(times, at_once))
            await self._writer.drain()
            times -= at_once

    def _bytes(self, step: dict[str, Any]) -> bytes:
        if "send_hex" in step:
            return bytes.fromhex(step["send_hex"])
        now = time.time()
        text = step["send_text"].replace("{{base}}", self._base)
        return DATE.sub(
            lambda found: email.utils.formatdate(now + int(found[1]), usegmt=True), text
        ).encode()
