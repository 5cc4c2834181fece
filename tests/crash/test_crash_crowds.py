"""Many at once: cancels, races of a cancel with the end, viewers of one run, and slow readers."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from support.harness.checker import Seen, frames_of
from support.harness.figures import note
from support.harness.ordeals import Ordeal
from support.harness.sandbox import IS_LONG, ordeal_in
from support.harness.watching import Visitor
from support.runs import events_of
from support.servers import ServeModel
from support.upstream import END, SILENCE, Upstream, chunk
from unspool import Core, RunSpec

pytestmark = pytest.mark.slow

CANCELS = 100 if IS_LONG else 25
RACES = 1000 if IS_LONG else 100
VIEWERS = 1000 if IS_LONG else 60
SLOW = 200 if IS_LONG else 30
SLOW_S = 30 if IS_LONG else 1

CANCEL_S = 1.0
"""From the request to the end of the provider's connection."""

PIECES = 1000 if IS_LONG else 200
PIECE = "字" * 700
"""2 KiB; a thousand of them are more than all buffers on the way to a reader hold."""

GROWTH_BYTES = 64 * 1024 * 1024


async def test_every_cancel_reaches_the_provider_within_a_second(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天"), SILENCE]]
    served = serve_model()
    asked = {"flow": "chat", "input": {"prompt": "你好"}}
    took = []
    for number in range(1, CANCELS + 1):
        run_id = (await client.post(f"{served.url}/v1/runs", json=asked)).json()["id"]
        await upstream.until(lambda: upstream.open == 1)
        began = time.monotonic()
        run = await client.post(f"{served.url}/v1/runs/{run_id}/cancel")
        await upstream.until(lambda n=number: upstream.left == n, within_s=CANCEL_S)
        took.append(time.monotonic() - began)
        assert run.json()["status"] == "cancelled"
    note("cancels", cancels=CANCELS, took_s=max(took))


@pytest.mark.usefixtures("breathing_model")
async def test_of_a_cancel_and_the_end_that_race_one_wins(core: Core) -> None:
    dice = random.Random(1)
    endings: Counter[str] = Counter()
    for _ in range(RACES):
        run_id = await core.admission.admit(RunSpec("chat", {"prompt": "你好"}))
        # Commits take their time, turns of the loop do not: either may come first.
        await asyncio.sleep(dice.uniform(0, 0.008))
        for _ in range(dice.randint(0, 20)):
            await asyncio.sleep(0)
        await asyncio.gather(*(core.runner.cancel(run_id) for _ in range(3)))
        events = await events_of(core, run_id)
        assert [event.is_terminal for event in events].count(True) == 1
        assert events[-1].is_terminal
        endings[events[-1].type] += 1
    assert set(endings) == {"run.cancelled", "run.completed"}, "one of them never wins"
    note("races", races=RACES, cancelled=endings["run.cancelled"])


async def begin_long_run(ordeal: Ordeal, *pieces: str, pause_s: float = 0.0) -> str:
    """Start a run that says `pieces`, and return its id."""
    said = [step for piece in pieces for step in (chunk(piece), pause_s)]
    ordeal.upstream.play = [[*said, *END]]
    assert await ordeal.program.start()
    asked = {"flow": "chat", "input": {"prompt": "说"}}
    async with ordeal.web.post(f"{ordeal.program.url}/v1/runs", json=asked) as answer:
        run_id: str = (await answer.json())["id"]
        return run_id


async def watched(ordeal: Ordeal, run_id: str, seen: Seen) -> Seen:
    return await Visitor(ordeal.web, lambda: ordeal.program.url, seen).watch(run_id)


@pytest.mark.timeout(120)
async def test_a_thousand_viewers_of_one_run_are_all_shown_all_of_it(
    tmp_path: Path, filled_records: Path
) -> None:
    async with ordeal_in(tmp_path, filled_records, "crowd") as ordeal:
        pieces = [f"第{number}句。" for number in range(40)]
        run_id = await begin_long_run(ordeal, *pieces, pause_s=0.05)
        crowd = [Seen(f"viewer {number}") for number in range(VIEWERS)]
        await asyncio.gather(*(watched(ordeal, run_id, seen) for seen in crowd))
        due = (await watched(ordeal, run_id, Seen("the reader"))).frames
        assert json.loads(due[-1][1])["type"] == "run.completed"
        assert all(seen.frames == due for seen in crowd)
        assert {len(seen.connections) for seen in crowd} == {1}
        note("viewers", viewers=VIEWERS, frames=sum(len(seen.frames) for seen in crowd))


async def drip(url: str, run_id: str, seconds: int) -> None:
    """Read a stream a byte a second through the smallest window there is, then leave."""
    there = urlsplit(url)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    with sock:
        await loop.sock_connect(sock, (there.hostname, there.port))
        head = f"GET /v1/runs/{run_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
        await loop.sock_sendall(sock, head.encode())
        got = b""
        while b"\r\n\r\n" not in got:
            got += await loop.sock_recv(sock, 1)
        for _ in range(seconds):
            await loop.sock_recv(sock, 1)
            await asyncio.sleep(1)


def resident_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


@pytest.mark.timeout(120)
async def test_slow_readers_cost_little_and_nobody_else_feels_them(
    tmp_path: Path, filled_records: Path
) -> None:
    async with ordeal_in(tmp_path, filled_records, "slow") as ordeal:
        run_id = await begin_long_run(ordeal, *[PIECE] * PIECES, pause_s=0.002)
        program = ordeal.program
        memory = [resident_bytes(program.pid)]
        slow = [asyncio.create_task(drip(program.url, run_id, SLOW_S)) for _ in range(SLOW)]
        began = time.monotonic()
        quick = [asyncio.create_task(watched(ordeal, run_id, Seen(f"quick {n}"))) for n in range(3)]
        waiting: set[asyncio.Task[object]] = {*slow, *quick}
        took_s = 0.0
        while waiting:
            _, waiting = await asyncio.wait(waiting, timeout=0.2)
            memory.append(resident_bytes(program.pid))
            if not took_s and all(each.done() for each in quick):
                took_s = time.monotonic() - began
        seen = [each.result() for each in quick]
        growth = max(memory) - memory[0]
        assert growth < GROWTH_BYTES
        log = [json.loads(data) for _, data in seen[0].frames]
        assert [data for _, data in frames_of(log, "native")] == [d for _, d in seen[0].frames]
        assert log[-1]["type"] == "run.completed"
        # Who was slow comes again and has the rest.
        again = await watched(ordeal, run_id, Seen("slow", frames=list(seen[0].frames[:1])))
        assert again.frames == seen[0].frames == seen[1].frames == seen[2].frames
        note("slow", readers=SLOW, growth_mib=growth / 2**20, quick_took_s=took_s)
