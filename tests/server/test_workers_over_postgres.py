"""`serve --workers` as people start it: the real server, over a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.postgres import shared_server
from support.readers import until
from support.servers import clean_env

COUNT = 2
READS = 20  # both workers are among so many connections, but for a chance of 1e-6

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux spreads connections"),
]


@dataclass
class Program:
    process: asyncio.subprocess.Process
    facts: dict[str, Any]
    log: Path
    client: httpx.AsyncClient

    @property
    def url(self) -> str:
        return str(self.facts["url"])

    async def answer(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask over a connection of its own, so any worker may answer."""
        answered = await self.client.request(method, f"{self.url}{path}", **more)
        assert answered.is_success, answered.text
        return answered

    async def says(self, words: str) -> None:
        await until(lambda: words in self.log.read_text(), within_s=60, pause_s=0.01)


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Program]:
    words = ["serve", "--workers", str(COUNT), "--port", "0", "--no-sample-data", "--json"]
    log = folder / "log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "unspool", *words, "--data-dir", str(folder / "data")),
            env=clean_env(UNSPOOL_DATABASE_URL=shared_server().new_database()),
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    try:
        assert process.stdout is not None
        line = await process.stdout.readline()
        assert line, log.read_text()
        apart = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(trust_env=False, timeout=30, limits=apart) as client:
            yield Program(process, json.loads(line), log, client)
    finally:
        if process.returncode is None:
            process.kill()  # its workers end by themselves
        await process.wait()


@pytest.mark.timeout(100)  # five starts of a server, and one of PostgreSQL
async def test_each_worker_serves_the_runs_of_all_while_they_are_replaced(tmp_path: Path) -> None:
    async with served(tmp_path) as program:
        assert program.facts["workers"] == COUNT
        asked = {"flow": "chat", "input": {"prompt": "你好"}}
        created = await asyncio.gather(
            *(program.answer("POST", "/v1/runs", json=asked) for _ in range(READS))
        )
        (run_id, *_) = [answered.json()["id"] for answered in created]
        whole = (await program.answer("GET", f"/v1/runs/{run_id}/events")).text
        assert "run.completed" in whole
        reads = [program.answer("GET", f"/v1/runs/{run_id}/events") for _ in range(READS)]
        assert {read.text for read in await asyncio.gather(*reads)} == {whole}

        program.process.send_signal(signal.SIGHUP)
        replaced = asyncio.create_task(program.says("all workers are replaced"))
        while not replaced.done():  # each request is answered
            await program.answer("GET", "/healthz")
            await asyncio.sleep(0.005)
        await replaced
        assert (await program.answer("GET", f"/v1/runs/{run_id}/events")).text == whole

        program.process.terminate()
        assert await program.process.wait() == -signal.SIGTERM
        lines = program.log.read_text().splitlines()
        numbers = {line.split(" - ")[1] for line in lines if "Finished server" in line}
        assert {"worker 0", "worker 1", "worker 2"} >= numbers
        assert len([line for line in lines if "Finished server" in line]) == 2 * COUNT


@pytest.mark.timeout(100)
async def test_whichever_worker_is_asked_tells_the_figures_of_all(tmp_path: Path) -> None:
    async with served(tmp_path) as program:
        asked = {"flow": "chat", "input": {"prompt": "你好", "params": {"max_tokens": 4}}}
        await asyncio.gather(
            *(program.answer("POST", "/v1/runs", json=asked) for _ in range(READS))
        )

        seen: list[dict[str, float]] = [{}]
        async with asyncio.timeout(60):
            while sum(seen[-1].values()) < READS:
                text = (await program.answer("GET", "/metrics")).text
                found = re.findall(r'^unspool_runs_total\{.*worker="(\d+)"\} (\S+)$', text, re.M)
                seen.append({worker: float(count) for worker, count in found})
        assert seen[-1].keys() == {"0", "1"}
        for before, after in pairwise(seen):  # to Prometheus, a counter that falls began anew
            assert all(after[worker] >= count for worker, count in before.items())
        program.process.terminate()
        await program.process.wait()
        assert not list((tmp_path / "data").glob("metrics-*.json"))
