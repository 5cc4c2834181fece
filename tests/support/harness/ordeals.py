"""
An ordeal: runs that are asked for and watched while their server dies.

Some visits go on side by side, each a run with three viewers, and a server lives, dies and is
started again behind them. No viewer is told of it. In the end the log of every run is read and
checked against all that was seen.
"""

from __future__ import annotations

import asyncio
import csv
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import count
from typing import Any

import aiohttp

from support.harness.checker import History, Log, Seen, check
from support.harness.programs import Program
from support.harness.watching import GONE, PAUSE_S, Cuts, Visitor
from support.upstream import (
    CUT,
    END,
    Script,
    Step,
    Upstream,
    UpstreamRequest,
    chunk,
    frame,
    refusal,
)
from unspool.apps.copywriting.templates import template_post

SKUS = ("8WZ01CM1", "8AC01GR1", "8BG01GY1", "8BK01BK1", "8BM01WH1", "8CS01GR1", "8HC01BK1")
"""Products of the sample data, one for each visit: so a request tells whose it is."""

USERS = tuple(f"user_{number:04d}" for number in range(1, 8))
"""The same, where events are extracted."""

POSTS = 2
WORDS = 30

ENDED_S = 10.0
"""After a start every run has ended or goes on within this time."""


def words_of(number: int, pieces: int = WORDS) -> list[str]:
    """What the model says in post `number` (0: in a chat), in pieces; no two are alike."""
    start = 0x4E00 + number * 4 * WORDS
    return [chr(start + 2 * n) + chr(start + 2 * n + 1) for n in range(pieces)]


@cache
def lines_of(user_id: str) -> str:
    """What the model says of a person: looks at the times of the person's behaviours."""
    with (files("unspool.records.samples") / "behaviors.csv").open(encoding="utf-8") as file:
        times = {row["at"] for row in csv.DictReader(file) if row["user_id"] == user_id}
    named = enumerate(sorted(times)[:12])
    return "".join(f"{user_id}|浏览|{at}|第 {n} 次\n" for n, at in named)


EXPECTED = {f"post-{number}": "".join(words_of(number)) for number in range(1, POSTS + 1)}


def templates(product: Mapping[str, Any]) -> dict[str, str]:
    """What is said where no model says anything."""
    return {
        f"post-{number}": template_post(product, "natural", number)
        for number in range(1, POSTS + 1)
    }


@dataclass
class Provider:
    """What the upstream says: always the same, whole or from where a text broke off."""

    pause_s: float = 0.004
    is_refusing: bool = False
    breaks: bool = False
    """The first answer to each question breaks off in the middle."""
    pieces: int = WORDS
    _asked: Counter[str] = field(default_factory=Counter)

    def play(self, asked: UpstreamRequest) -> Script:
        if self.is_refusing:
            return refusal(401)
        messages = asked.body["messages"]
        has_called = any(message["role"] == "tool" for message in messages)
        if (tools := asked.body.get("tools")) and not has_called:
            return self._call(tools[0]["function"]["name"])
        if user := re.search("【用户】(\\w+)", messages[:2][-1]["content"]):
            return self._lines(user[1], messages)
        number = re.search("只写第 (\\d+) 条", json.dumps(messages, ensure_ascii=False))
        pieces = words_of(int(number[1]) if number else 0, self.pieces)
        if [message["role"] for message in messages[-2:]] == ["assistant", "user"]:
            # As a good model does: it begins with the words it was told to say again, if any.
            told = re.search("“(.+)”", messages[-1]["content"])
            said = len(messages[-2]["content"]) - (len(told[1]) if told else 0)
            whole = "".join(pieces)[said:]
            pieces = [whole[n : n + 2] for n in range(0, len(whole), 2)]
        question = str(messages[:2])
        self._asked[question] += 1
        if self.breaks and self._asked[question] == 1:
            return [*self._paced(pieces[: len(pieces) // 2]), CUT]
        return [*self._paced(pieces), *END]

    def _lines(self, user_id: str, messages: list[Any]) -> Script:
        """As a good model does: told to go on with the next line, it does."""
        written = messages[-2]["content"] if messages[-2]["role"] == "assistant" else ""
        rest = lines_of(user_id)[len(written) :]
        pieces = [rest[n : n + 7] for n in range(0, len(rest), 7)]
        self._asked[user_id] += 1
        if self.breaks and self._asked[user_id] == 1:
            return [*self._paced(pieces[: len(pieces) // 2]), CUT]
        return [*self._paced(pieces), *END]

    def _paced(self, pieces: list[str]) -> list[Step]:
        return [step for piece in pieces for step in (chunk(piece), self.pause_s)]

    def _call(self, name: str) -> Script:
        begun = {"index": 0, "id": "c1", "function": {"name": name, "arguments": ""}}
        words = '{"city":', '"北', '京"}'
        parts = [{"index": 0, "function": {"arguments": part}} for part in words]
        said = [chunk(tool_calls=[call]) for call in (begun, *parts)]
        steps: list[Step] = [step for piece in said for step in (piece, self.pause_s)]
        done = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
        return [*steps, frame(done), *END[1:]]


@dataclass
class Visit:
    """One run and all that its clients know of it."""

    sku: str
    viewers: list[Visitor]
    history: History
    log: Log = ()

    @property
    def run_id(self) -> str:
        return self.viewers[0].run_id.result()


@dataclass
class Ordeal:
    program: Program
    upstream: Upstream
    web: aiohttp.ClientSession
    dice: random.Random
    others: list[Program] = field(default_factory=list)
    """Servers over the same store: viewers go to any, requests for runs to `program`."""
    kind: str = "copy"
    """`copy`, `tools` (told), `calls` (carried out), `extract`, or `equal` (asked twice)."""
    cancels: bool = False
    is_refused: bool = False
    """The provider refuses all requests: templates speak."""
    cut_frames: int = 25
    """Viewers leave by themselves after up to so many frames."""
    door: str = ""
    """Where viewers go instead of to the server itself: a proxy."""
    expected: Mapping[str, str] = field(default_factory=lambda: EXPECTED)
    visits: list[Visit] = field(default_factory=list)
    patience_s: float = ENDED_S
    """For all endings after the last start."""
    ended_s: float = 0.0
    """From the last start to the last ending."""
    _going: list[asyncio.Task[None]] = field(default_factory=list)
    _turns: Iterator[int] = field(default_factory=count)

    @property
    def programs(self) -> list[Program]:
        return [self.program, *self.others]

    @property
    def is_alive(self) -> bool:
        return all(program.is_alive for program in self.programs)

    @property
    def kills(self) -> int:
        return sum(program.kills for program in self.programs)

    def url(self) -> str:
        """Where the next viewer goes."""
        alive = [program.url for program in self.programs if program.is_alive]
        return self.door or (alive or [self.program.url])[next(self._turns) % max(len(alive), 1)]

    def first_url(self) -> str:
        """Where the next request for a run goes."""
        return self.door or (self.program.url if self.program.is_alive else self.url())

    def speaks_through(self, url: str, text: str) -> None:
        """Let another provider be asked, which says `text` to everything."""
        self.program.env = {**self.program.env, "LLM_BASE_URL": url}
        self.expected = dict.fromkeys(EXPECTED, text)

    @property
    def is_chat(self) -> bool:
        return self.kind in {"tools", "calls"}

    def begin(self, number: int) -> None:
        """Let so many visits begin."""
        for _ in range(number):
            sku = (USERS if self.kind == "extract" else SKUS)[len(self.visits)]
            names = ("asker", "copywriting"), ("early", "native"), ("late", "native")
            if self.is_chat:
                names = ("asker", "native"), *names[1:]
            if self.kind == "extract":
                names = ("asker", "extraction"), *names[1:]
            if self.kind == "equal":
                names = *names, ("equal", "copywriting")
            seen = [Seen(f"{name} of {sku}", dialect) for name, dialect in names]
            cuts = [Cuts(self.dice, self.cut_frames) for _ in seen]
            viewers = [
                Visitor(self.web, self.url if at else self.first_url, *both)
                for at, both in enumerate(zip(seen, cuts, strict=True))
            ]
            history = History(seen)
            self.visits.append(Visit(sku, viewers, history))
            self._going.append(asyncio.create_task(self._go(self.visits[-1])))

    async def start(self) -> None:
        """Start the servers that are not there."""
        gone = [program for program in self.programs if not program.is_alive]
        assert all(await asyncio.gather(*(program.start() for program in gone)))

    async def begun(self) -> None:
        """Return when every run is known to its client."""
        for visit in self.visits:
            await asyncio.shield(visit.viewers[0].run_id)

    async def places(self) -> list[int]:
        """How far the log of each run is."""
        runs = [await self._told(f"/v1/runs/{visit.run_id}") for visit in self.visits]
        return [run["last_seq"] for run in runs]

    async def finish(self) -> list[str]:
        """Let everything come to its end, whatever dies on the way; say what is wrong."""
        started = time.monotonic()
        pending = set(self._going)
        while pending:
            done, pending = await asyncio.wait(pending, timeout=0.02)
            for each in done:
                each.result()
            if not self.is_alive:
                await self._start_again()
                started = time.monotonic()
            if time.monotonic() - started > self.patience_s:
                for each in pending:
                    each.cancel()
                return [f"{len(pending)} runs go on {self.patience_s} s after a start"]
        if not self.is_alive:
            await self._start_again()
            started = time.monotonic()
        wrong = [sentence for visit in self.visits for sentence in await self._check(visit)]
        self.ended_s = time.monotonic() - started
        return wrong + await self._at_rest()

    async def _start_again(self) -> None:
        for program in self.programs:
            program.kills += not program.is_alive
        await self.start()

    async def _go(self, visit: Visit) -> None:
        asker, early, late, *equal = visit.viewers
        watching = [self._ask(asker, visit.sku)]
        watching += [self._join(visit, early, 0.0), self._join(visit, late, 0.06)]
        watching += [self._ask_again(visit, other) for other in equal]
        if self.cancels:
            watching.append(self._cancel(visit))
        polling = asyncio.create_task(self._poll(visit))
        try:
            await asyncio.gather(*watching)
        finally:
            polling.cancel()

    async def _ask(self, asker: Visitor, sku: str, **headers: str) -> None:
        headers = headers or {"Idempotency-Key": f"key of {sku}"}
        if self.is_chat:
            tool = {"name": "find", "description": "", "parameters": {"type": "object"}}
            tools = {"tools": [tool]} if self.kind == "tools" else {"tool_ids": [1]}
            asked = {"flow": "chat", "input": {"prompt": sku, **tools}}
            await asker.ask("/v1/runs", asked, **headers)
        elif self.kind == "extract":
            await asker.ask(f"/api/v1/events/extract/{sku}/llm-stream", {}, **headers)
        else:
            body = {"sku": sku, "style": "natural", "count": POSTS}
            await asker.ask("/ai/generate/copy", body, **headers)

    async def _join(self, visit: Visit, viewer: Visitor, late_s: float) -> None:
        run_id = await asyncio.shield(visit.viewers[0].run_id)
        await asyncio.sleep(late_s)
        await viewer.watch(run_id)

    async def _ask_again(self, visit: Visit, viewer: Visitor) -> None:
        run_id = await asyncio.shield(visit.viewers[0].run_id)
        await self._ask(viewer, visit.sku, **{"Unspool-Cache": "read"})
        assert viewer.run_id.result() == run_id, "an equal request got a run of its own"

    async def _cancel(self, visit: Visit) -> None:
        run_id = await asyncio.shield(visit.viewers[0].run_id)
        await asyncio.sleep(self.dice.uniform(0, 0.15))
        while True:
            run = await self._call("POST", f"/v1/runs/{run_id}/cancel")
            if run is not None and run["status"] != "running":
                return
            await asyncio.sleep(PAUSE_S)

    async def _poll(self, visit: Visit) -> None:
        run_id = await asyncio.shield(visit.viewers[0].run_id)
        while True:
            run = await self._call("GET", f"/v1/runs/{run_id}")
            if run is not None:
                visit.history.statuses.append(run["status"])
            await asyncio.sleep(5 * PAUSE_S)

    async def _call(self, method: str, path: str) -> Mapping[str, Any] | None:
        try:
            async with self.web.request(method, self.url() + path) as answer:
                found: Mapping[str, Any] = await answer.json()
                assert answer.status == 200, found
                return found
        except GONE:
            return None

    async def _told(self, path: str) -> Mapping[str, Any]:
        """Ask until there is an answer: a bad line may lose some."""
        async with asyncio.timeout(self.patience_s):
            while True:
                if (found := await self._call("GET", path)) is not None:
                    return found
                await asyncio.sleep(PAUSE_S)

    async def _check(self, visit: Visit) -> list[str]:
        reader = Visitor(self.web, self.url, Seen("the reader"))
        await reader.watch(visit.run_id)
        visit.log = [json.loads(data) for _, data in reader.seen.frames]
        history = visit.history
        if self.kind == "extract":
            history.expected = {"events": lines_of(visit.sku)}
        elif not self.is_chat:
            product = visit.log[0]["data"]["input"]["product"]
            history.expected = templates(product) if self.is_refused else self.expected
        history.run = await self._told(f"/v1/runs/{visit.run_id}")
        history.statuses.append(history.run["status"])
        history.kills = self.kills
        if self.expected is EXPECTED:
            asked = [str(asked.body) for asked in self.upstream.requests]
            history.requests = sum(visit.sku in body for body in asked)
        # The reader comes after all others: what it gets twice must be one log.
        history.earlier.append([json.loads(data) for _, data in history.viewers[1].frames])
        return check(history, visit.log) + await self._unkept(visit)

    async def _unkept(self, visit: Visit) -> list[str]:
        """What a run has recognised is what is kept beside it."""
        if self.kind != "extract":
            return []
        kept = await self._told(f"/api/people/{visit.sku}/events?limit=1000")
        told = [e["data"]["item"] for e in visit.log if e["type"] == "item.found"]
        facts = [{name: item[name] for name in ("type", "at", "context")} for item in told]
        is_kept = kept["events"] == facts and kept["run"] == visit.run_id
        return [] if is_kept else [f"{len(facts)} events were told, {len(kept['events'])} are kept"]

    async def _at_rest(self) -> list[str]:
        runs = await self._told("/v1/runs?limit=500")
        known = {visit.run_id for visit in self.visits}
        strange = [run["id"] for run in runs["runs"] if run["id"] not in known]
        going_on = [run["id"] for run in runs["runs"] if run["status"] == "running"]
        left = {"runs that nobody heard of": len(strange), "runs": len(going_on)}
        left["connections at the provider"] = self.upstream.open
        return check(History(left_over=left, is_over=False), [START])


START = {"seq": 1, "type": "run.started", "at_ms": 0, "data": {}}
