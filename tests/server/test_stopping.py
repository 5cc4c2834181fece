"""What SIGTERM makes of a server with viewers: real processes, real sockets."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from support.patience import within
from support.readers import Strict
from support.servers import clean_env
from support.upstream import KEY, SILENCE, Upstream, answer, chunk
from unspool.formats.sse import RETRY

VIEWERS = 500
STOP_S = 5.0
WHOLE = "今天推荐这双鞋"


def free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Process:
    """`unspool serve`, as people start it."""

    port: int
    process: asyncio.subprocess.Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def stop(self) -> float:
        """Send SIGTERM; return how long the process took to end, in seconds."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        await self.process.wait()
        return time.monotonic() - began


@asynccontextmanager
async def serving(data_dir: Path, port: int, upstream: Upstream) -> AsyncIterator[Process]:
    env = clean_env(LLM_API_KEY=KEY, LLM_BASE_URL=upstream.url, LLM_MODEL="tested")
    words = ["serve", "--port", str(port), "--data-dir", str(data_dir), "--no-sample-data"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "unspool", *words, "--json"),
        env=env | {"UNSPOOL_LOG_LEVEL": "ERROR", "UNSPOOL_RETRIES": "0"},
        cwd=data_dir,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert json.loads(await process.stdout.readline())["url"]
        yield Process(port, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@dataclass
class Source:
    """An EventSource over a bare socket: it comes back with the last id it has seen."""

    port: int
    run_id: str
    seen: Strict = field(default_factory=Strict)
    last: str = ""
    """The last line before the connection broke."""
    was_ended: bool = False
    """The stream came to its proper end."""

    @property
    def last_id(self) -> str:
        return self.seen.frames[-1][0] if self.seen.frames else "0"

    @property
    def text(self) -> str:
        told = [event for event in self.seen.documents if event["type"] == "text.delta"]
        return "".join(event["data"]["text"] for event in told)

    async def watch(self, began: asyncio.Semaphore | None = None) -> None:
        """Read until the connection ends; `began` is released with the first text."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = f"GET /v1/runs/{self.run_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        writer.write(f"{head}Last-Event-ID: {self.last_id}\r\n\r\n".encode())
        try:
            await self._read(reader, began)
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, began: asyncio.Semaphore | None) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.partition(b"\r\n")[0], head
        try:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                data = (await reader.readexactly(size + 2))[:-2]
                self.seen.feed(data)
                self.last = data.decode()
                if began is not None and self.text:
                    began.release()
                    began = None
            self.was_ended = True
        except (asyncio.IncompleteReadError, ConnectionError):
            pass


async def begun(client: httpx.AsyncClient, server: Process) -> str:
    asked = {"flow": "chat", "input": {"prompt": "你好"}}
    return str((await client.post(f"{server.url}/v1/runs", json=asked)).json()["id"])


async def all_begun(watching: list[Source], server: Process) -> list[asyncio.Task[None]]:
    """Return the viewers at their work when each has seen the first words."""
    began = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(source.watch(began)) for source in watching]
    async with within(15):
        for _ in watching:
            await began.acquire()
    assert server.process.returncode is None
    return tasks


@pytest.mark.slow
async def test_500_viewers_of_a_stopped_server_are_told_when_to_come_and_miss_nothing(
    tmp_path: Path, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天推荐"), SILENCE], answer(WHOLE)]
    port = free_port()
    async with serving(tmp_path, port, upstream) as server:
        run_id = await begun(client, server)
        sources = [Source(port, run_id) for _ in range(VIEWERS)]
        tasks = await all_begun(sources, server)
        took_s = await server.stop()
        await asyncio.gather(*tasks)
    assert took_s < STOP_S
    assert [source.last.encode() for source in sources] == [RETRY] * VIEWERS
    assert not any(source.was_ended for source in sources), "an end would be a lie"
    async with serving(tmp_path, port, upstream), within(10):
        await asyncio.gather(*(source.watch() for source in sources))
    assert {source.text for source in sources} == {WHOLE}
    assert all(source.was_ended for source in sources)
    seqs = list(range(1, len(sources[0].seen.frames) + 1))
    for source in sources:
        assert [int(seq) for seq, _ in source.seen.frames] == seqs, (
            "nothing twice, nothing left out"
        )


@pytest.mark.slow
async def test_a_request_that_waits_for_a_whole_answer_does_not_hold_up_the_stop(
    tmp_path: Path, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天"), SILENCE]]
    async with serving(tmp_path, free_port(), upstream) as server:
        models = (await client.get(f"{server.url}/api/models")).json()
        (number,) = (model["id"] for model in models["models"] if model["name"] == "tested")
        asked = {"model_id": number, "prompt": "你好", "stream": False}
        waiting = asyncio.create_task(client.post(f"{server.url}/api/debug/chat", json=asked))
        await upstream.until(lambda: upstream.open == 1, within_s=5)
        assert await server.stop() < STOP_S
        told = await waiting
    assert (told.status_code, told.headers["retry-after"]) == (503, "1")
    assert told.json()["error"]["code"] == "stopping"


async def is_refused(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    except ConnectionError:  # it was in the queue of the socket
        return False
    writer.close()
    return False


@pytest.mark.slow
async def test_a_request_that_is_on_its_way_when_the_server_stops_is_answered(
    tmp_path: Path, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    async with serving(tmp_path, free_port(), upstream) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await client.get(f"{server.url}/healthz")
        stopping = asyncio.create_task(server.stop())
        while not await is_refused(server.port):
            pass
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert await stopping < STOP_S
