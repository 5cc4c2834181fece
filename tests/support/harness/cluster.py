"""
Three servers over one PostgreSQL, behind a real nginx, with runs and their strict viewers.

A viewer comes back to nginx or to any server itself, as chance has it. In the end each run is read
at every server, and checked against all that was seen.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from support.harness.checker import History, Log, Seen, check
from support.harness.ordeals import Provider, words_of
from support.harness.programs import Program
from support.harness.sandbox import REPLICAS, replicated
from support.harness.watching import GONE, PAUSE_S, Cuts, Visitor
from support.nginx import nginx_before
from support.servers import clean_env
from support.upstream import KEY, Upstream

COMES_AGAIN = frozenset({502, 503, 504})
"""Statuses after which our clients come again: no server is there, or none can read."""

LATE_MS = 100
"""A dead server's last event may be as much older than its death: pieces come so often."""


@dataclass
class Case:
    """A run and all that its clients know of it."""

    prompt: str
    viewers: list[Visitor]
    watching: asyncio.Task[list[Seen]] | None = None
    log: Log = ()

    @property
    def run_id(self) -> asyncio.Future[str]:
        return self.viewers[0].run_id


@dataclass
class Cluster:
    """
    Attributes:
        door: The URL of nginx, if there is one.
        deaths: When servers died, in Unix milliseconds.
    """

    programs: list[Program]
    upstream: Upstream
    web: aiohttp.ClientSession
    dice: random.Random
    pieces: int
    door: str = ""
    cut_frames: int = 40
    cases: list[Case] = field(default_factory=list)
    deaths: list[int] = field(default_factory=list)

    async def start(self) -> None:
        """Start the servers that are not there."""
        gone = [program for program in self.programs if not program.is_alive]
        assert all(await asyncio.gather(*(program.start() for program in gone)))

    def anywhere(self) -> str:
        """Where the next viewer goes."""
        urls = [program.url for program in self.programs]
        return self.dice.choice([self.door, *urls] if self.door else urls)

    def begin(self, viewers: int = 3, *, at: Sequence[Program] = (), cuts: bool = True) -> Case:
        """Let a client ask for a run, and others watch it: at `at` in turn, or anywhere."""
        prompt = f"run {len(self.cases)} of {len(self.programs)}."
        watching = [
            Visitor(
                self.web,
                partial(_url_of, at[number % len(at)]) if at else self.anywhere,
                Seen(f"viewer {number} of {prompt}"),
                Cuts(self.dice, self.cut_frames if cuts else 0),
                patient_with=COMES_AGAIN,
            )
            for number in range(viewers)
        ]
        case = Case(prompt, watching)
        case.watching = asyncio.create_task(self._watch(case))
        self.cases.append(case)
        return case

    async def _watch(self, case: Case) -> list[Seen]:
        asker, *others = case.viewers
        asked = {"flow": "chat", "input": {"prompt": case.prompt}}
        asking = asker.ask("/v1/runs", asked, **{"Idempotency-Key": case.prompt})
        return list(await asyncio.gather(asking, *(self._join(case, each) for each in others)))

    async def _join(self, case: Case, viewer: Visitor) -> Seen:
        run_id = await asyncio.shield(case.run_id)
        await asyncio.sleep(self.dice.uniform(0, 0.5))
        return await viewer.watch(run_id)

    async def begun(self) -> None:
        """Return when every run is known to its client."""
        await asyncio.gather(*(asyncio.shield(case.run_id) for case in self.cases))

    def kill(self, program: Program) -> None:
        program.kill()
        program.kills += 1
        self.deaths.append(now_ms())

    async def call(self, method: str, url: str, **more: Any) -> tuple[int, Any]:
        async with self.web.request(method, url, **more) as answer:
            return answer.status, await answer.json()

    async def log_at(self, url: str, run_id: str) -> list[dict[str, Any]]:
        """Read a run to its end."""
        reader = Visitor(self.web, lambda: url, Seen("the reader"), patient_with=COMES_AGAIN)
        return [json.loads(data) for _, data in (await reader.watch(run_id)).frames]

    async def so_far(self, url: str, run_id: str) -> dict[str, Any]:
        """Return the JSON of a run."""
        while True:
            try:
                status, run = await self.call("GET", f"{url}/v1/runs/{run_id}")
            except GONE:
                status, run = 503, {}
            if status == 200:
                return dict(run)
            await asyncio.sleep(PAUSE_S)

    async def finish(self, within_s: float = 30.0) -> list[str]:
        """Let everything come to its end, and say what is wrong."""
        tasks = [case.watching for case in self.cases if case.watching]
        _, waiting = await asyncio.wait(tasks, timeout=within_s)
        if waiting:
            return await self._unfinished(within_s)
        for task in tasks:
            task.result()
        wrong = [sentence for case in self.cases for sentence in await self._check(case)]
        _, listed = await self.call("GET", f"{self.programs[0].url}/v1/runs?limit=500")
        known = {case.run_id.result() for case in self.cases}
        strange = [run["id"] for run in listed["runs"] if run["id"] not in known]
        return wrong + [f"nobody has heard of run {run_id}" for run_id in strange]

    async def _unfinished(self, within_s: float) -> list[str]:
        """Say what goes on that should have ended."""
        found = []
        for case in self.cases:
            assert case.watching is not None
            if case.watching.done():
                continue
            if not case.run_id.done():
                found.append(f"{case.prompt} has not begun after {within_s:g} s")
                continue
            run = await self.so_far(self.programs[0].url, case.run_id.result())
            seen = [len(viewer.seen.frames) for viewer in case.viewers]
            found.append(f"{case.prompt} is {run['status']} at {run['last_seq']}, seen: {seen}")
            case.watching.cancel()
        return found

    async def _check(self, case: Case) -> list[str]:
        run_id = case.run_id.result()
        logs = [await self.log_at(program.url, run_id) for program in self.programs]
        case.log = logs[0]
        asked = [str(asked.body) for asked in self.upstream.requests]
        history = History(
            [viewer.seen for viewer in case.viewers],
            await self.so_far(self.programs[-1].url, run_id),
            earlier=list(logs[1:]),
            expected={"answer": "".join(words_of(0, self.pieces))},
            requests=sum(case.prompt in body for body in asked),
            kills=sum(program.kills for program in self.programs),
        )
        found = check(history, case.log)
        if history.run["status"] != "completed":
            found.append(f"it ended as {history.run['status']}: {history.run['error']}")
        return [f"{case.prompt} {sentence}" for sentence in found]

    def gaps_s(self, reason: str = "died") -> list[float]:
        """
        Return for how long runs stood still: from a death to the first event of the next owner.

        Only where there was one death between two events: then it was that of the owner.
        """
        gaps = []
        for case in self.cases:
            for before, event in pairwise(case.log):
                if event["type"] != "run.recovered" or event["data"]["reason"] != reason:
                    continue
                if reason == "stopped":
                    gaps.append((event["at_ms"] - before["at_ms"]) / 1000)
                    continue
                met = [at for at in self.deaths if before["at_ms"] - LATE_MS < at < event["at_ms"]]
                if len(met) == 1:
                    gaps.append((event["at_ms"] - met[0]) / 1000)
        return sorted(gaps)


def _url_of(program: Program) -> str:
    return program.url


def now_ms() -> int:
    return int(time.time() * 1000)


def middle(values: list[float]) -> float:
    return values[len(values) // 2] if values else 0.0


@asynccontextmanager
async def cluster_in(
    path: Path,
    urls: str | list[str],
    *,
    pieces: int = 100,
    pause_s: float = 0.05,
    has_nginx: bool = False,
    **settings: str,
) -> AsyncIterator[Cluster]:
    """Servers that have started, over the database at `urls`: one for all, or one for each."""
    urls = [urls] * REPLICAS if isinstance(urls, str) else urls
    limits = aiohttp.ClientTimeout(total=None, sock_read=30)
    async with (
        Upstream() as upstream,
        aiohttp.ClientSession(
            timeout=limits, connector=aiohttp.TCPConnector(limit=0, force_close=True)
        ) as web,
    ):
        upstream.play = Provider(pause_s, pieces=pieces).play
        model = {"LLM_API_KEY": KEY, "LLM_BASE_URL": upstream.url, "LLM_MODEL": "m"}
        programs = []
        for number, url in enumerate(urls):
            env = clean_env(**model, **replicated(url), UNSPOOL_SAMPLE_DATA="false", **settings)
            folder = path / f"replica-{number}"
            programs.append(Program(folder, env, port=free_port()))
        cluster = Cluster(programs, upstream, web, random.Random(7), pieces)
        try:
            await cluster.start()
            addresses = [urlsplit(program.url).netloc for program in programs]
            with nginx_before(path, *addresses) if has_nginx else nullcontext("") as cluster.door:
                yield cluster
        finally:
            for program in programs:
                if program.is_alive:
                    program.kill()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
