"""
Requests that nobody means well with, as data, against a real server.

`conformance/hostile/*.json` says what is sent, step by step, and what must hold then.
Times in them are those of the outside world; `HURRY` of them is enough for a server
whose own limits are as much shorter.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.keys import Keys, made
from support.servers import Served, quick_words, serving, tuned

CASES = sorted((Path(__file__).parent.parent.parent / "conformance" / "hostile").glob("*.json"))
SLOW = {"half-open", "slow-reader", "slowloris"}
HURRY = 0.1
HEAD_S = 2.0
"""To send a head: soon over for the cases that send none, and long on a busy machine."""

EVENT = re.compile(rb"(?:^|\n)data:")
LINE = re.compile(rb"(?m)^([A-Z]+ \S+ HTTP/1\.[01]\r?\n)")
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass
class Visit:
    """One connection, and what came of it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    began: float
    raw: bytes = b""
    first_event_s: float | None = None
    is_closed: bool = False

    async def take(self, timeout_s: float) -> None:
        """Read what comes within a time."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                data = await self.reader.read(65_536)
        except TimeoutError:
            return
        except ConnectionError:
            data = b""
        self.raw += data
        self.is_closed = self.is_closed or not data
        if self.first_event_s is None and EVENT.search(self.raw.partition(b"\r\n\r\n")[2]):
            self.first_event_s = loop.time() - self.began

    @property
    def is_whole(self) -> bool:
        """Whether the answer has ended, by its own account."""
        head, _, body = self.raw.partition(b"\r\n\r\n")
        declared = re.search(rb"(?i)content-length: *(\d+)", head)
        if declared:
            return len(body) >= int(declared[1])
        return b"chunked" in head and body.endswith(b"0\r\n\r\n")

    async def until_end(self, within_s: float, *, is_whole_enough: bool) -> None:
        """Read until the connection is closed, or until the answer is whole if that is enough."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not self.is_closed and not (is_whole_enough and self.is_whole):
                    await self.take(1)

    async def send(self, step: dict[str, Any]) -> None:
        data = bytes.fromhex(step["send_hex"]) if "send_hex" in step else step["send_text"].encode()
        drip = step.get("dribble")
        try:
            for _ in range(step.get("repeat", 1)):
                if self.writer.is_closing():
                    return
                if drip is None:
                    self.writer.write(data)
                    await self.writer.drain()
                else:
                    await self._drip(data, drip)
        except ConnectionError:
            pass

    async def _drip(self, data: bytes, drip: dict[str, Any]) -> None:
        for at in range(0, len(data), drip["size"]):
            if self.is_closed:
                return
            self.writer.write(data[at : at + drip["size"]])
            await self.writer.drain()
            await self.take(drip["gap_ms"] / 1000 * HURRY)

    async def do(self, step: dict[str, Any]) -> bool:
        """Take one step; false where it was the last."""
        match step:
            case {"send_text": _} | {"send_hex": _}:
                await self.send(step)
            case {"read_events": count}:
                async with asyncio.timeout(10):
                    while len(EVENT.findall(self.raw)) < count and not self.is_closed:
                        await self.take(1)
            case {"read_slow": slow}:
                for _ in range(slow["bytes"]):
                    self.raw += await self.reader.read(1)
                    await asyncio.sleep(slow["gap_ms"] / 1000 * HURRY)
                if not slow["bytes"]:
                    await asyncio.sleep(slow["gap_ms"] / 1000 * HURRY)
                return False
            case {"half_close": True}:
                self.writer.write_eof()
            case {"reset": True}:
                linger = struct.pack("ii", 1, 0)
                sock = self.writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return False
            case {"close": True}:
                return False
            case _:
                raise AssertionError(f"a step that is not known: {step}")
        return True


async def visit(port: int, case: dict[str, Any]) -> Visit:
    """Play the steps of a case."""
    sock = socket.socket()
    for step in case["steps"]:
        if "read_slow" in step:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, step["read_slow"]["rcvbuf"])
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=2048)
    visited = Visit(reader, writer, loop.time())
    try:
        for step in case["steps"]:
            if not await visited.do(step):
                break
        else:
            is_whole_enough = "closed_within_s" not in case["expect"]
            await visited.until_end(3 * HEAD_S, is_whole_enough=is_whole_enough)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    return visited


def judge(expected: dict[str, Any], visited: Visit, grown_mib: float) -> list[str]:
    """What of that which was expected does not hold."""
    head, _, body = visited.raw.partition(b"\r\n\r\n")
    found = STATUS.match(head)
    status = int(found[1]) if found else None
    header_lines = head.decode("latin-1").lower().split("\r\n")
    body_lines = re.split(r"\r\n|\r|\n", body.decode("utf-8", "replace"))
    holds: dict[str, Any] = {
        "server_alive": lambda _: True,  # asked by the caller
        "within_s": lambda _: True,  # the limit of each test is shorter
        "status_in": lambda known: status in known or (status is None and visited.is_closed),
        "status_not": lambda bad: status not in bad,
        "no_traceback": lambda _: b"Traceback (most recent" not in visited.raw,
        "no_header": lambda bad: (
            not {
                f"{name}: {value}" for name, values in bad.items() for value in values
            }.intersection(header_lines)
        ),
        "not_in_body": lambda bad: not any(text.encode() in body for text in bad),
        "no_event_line": lambda bad: not set(bad).intersection(body_lines),
        "first_event_within_s": lambda s: (visited.first_event_s or 1e9) <= s,
        "closed_within_s": lambda _: visited.is_closed,
        "max_responses": lambda most: len(STATUS.findall(visited.raw)) <= most,
        "rss_growth_mb": lambda most: grown_mib <= most,
    }
    return [f"{name}: {value}" for name, value in expected.items() if not holds[name](value)]


@pytest.fixture(scope="module")
def shared_server(
    tmp_path_factory: pytest.TempPathFactory, filled_records: Path
) -> Iterator[Served]:
    """One open server for the module."""
    settings = tuned(tmp_path_factory.mktemp("open"), filled_records, request_head_s=HEAD_S)
    with quick_words(), serving(settings) as served:
        yield served


def cases() -> list[Any]:
    return [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in SLOW else [])
        for path in CASES
    ]


def test_all_cases_are_here() -> None:
    assert len(CASES) >= 33


@pytest.mark.parametrize("path", cases())
async def test_a_hostile_request_is_answered_as_it_must_be_and_the_server_lives(
    shared_server: Served,
    client: httpx.AsyncClient,
    caplog: pytest.LogCaptureFixture,
    path: Path,
) -> None:
    case = json.loads(await asyncio.to_thread(path.read_text))
    await held(shared_server, client, case)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("path", cases())
async def test_with_a_key_it_is_answered_the_same(
    guarded: Keys,
    client: httpx.AsyncClient,
    caplog: pytest.LogCaptureFixture,
    path: Path,
) -> None:
    case = json.loads(await asyncio.to_thread(path.read_text))
    await held(guarded.served, client, with_key(case, guarded.texts["admin"]))
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("path", cases())
async def test_without_a_key_it_is_refused_and_nothing_starts(
    untouched: Keys,
    client: httpx.AsyncClient,
    caplog: pytest.LogCaptureFixture,
    path: Path,
) -> None:
    case = json.loads(await asyncio.to_thread(path.read_text))
    steps = [step for step in case["steps"] if "read_events" not in step]  # none will come
    visited = await visit(untouched.served.port, {**case, "steps": steps})
    statuses = [int(status) for status in STATUS.findall(visited.raw)]
    assert all(400 <= status < 500 for status in statuses), visited.raw[:500]
    assert (await client.get(f"{untouched.url}/healthz")).json() == {"status": "ok"}
    listed = await client.get(f"{untouched.url}/v1/runs", headers=untouched.of("admin"))
    assert listed.json()["runs"] == []
    assert "Traceback" not in caplog.text


async def held(served: Served, client: httpx.AsyncClient, case: dict[str, Any]) -> None:
    """Play a case, and check all that it expects."""
    before = resident_mib()
    visited = await visit(served.port, case)
    wrong = judge(case["expect"], visited, resident_mib() - before)
    assert (await client.get(f"{served.url}/healthz")).json() == {"status": "ok"}
    assert wrong == [], visited.raw[:500]


def with_key(case: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the same visit by somebody who has a key; a request begins with its line."""
    header = f"Authorization: Bearer {key}\r\n".encode()

    def keyed(step: dict[str, Any]) -> dict[str, Any]:
        if "send_text" in step:
            sent = LINE.sub(rb"\g<1>" + header, step["send_text"].encode())
            return {**step, "send_text": sent.decode()}
        if "send_hex" in step:
            sent = LINE.sub(rb"\g<1>" + header, bytes.fromhex(step["send_hex"]))
            return {**step, "send_hex": sent.hex()}
        return step

    return {**case, "steps": [keyed(step) for step in case["steps"]]}


@contextmanager
def server_with_keys(data_dir: Path, filled_records: Path) -> Iterator[Keys]:
    settings = tuned(data_dir, filled_records, request_head_s=HEAD_S, access="keys")
    texts = asyncio.run(made(data_dir))
    with quick_words(), serving(settings) as served:
        yield Keys(served, texts)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, filled_records: Path) -> Iterator[Keys]:
    """One server for the module that wants keys."""
    with server_with_keys(tmp_path_factory.mktemp("guarded"), filled_records) as keys:
        yield keys


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory, filled_records: Path) -> Iterator[Keys]:
    """Another one, to which nobody comes with a key for a run."""
    with server_with_keys(tmp_path_factory.mktemp("untouched"), filled_records) as keys:
        yield keys
