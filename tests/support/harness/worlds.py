"""
A small world in virtual time: runs, their viewers, faults of the provider, cancels, and servers
that stop or die, all drawn from one seed.

It stands on the parts that a server is made of, without HTTP: a viewer's connection is what
the server sees of one, a byte at a time where it must be. The same seed is the same world. Over
PostgreSQL it has several servers, and people meet any of them each time; there the answers of the
database may come in another order.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from support.harness.checker import History, Log, Seen, check
from support.harness.clockwork import play
from support.harness.connection import Connection
from support.harness.lives import Life
from support.harness.processes import note_processes
from support.harness.statements import counted_statements
from support.journals import new_store
from support.readers import Strict
from unspool import Journal, Model, RunSpec, Settings, fold, plugs
from unspool.errors import JournalError, KeyTaken
from unspool.journals import Claim
from unspool.models.catalog import Catalog
from unspool.providers.upstream.http1 import Client
from unspool.runs.events import encode_event
from unspool.server.api.json.run import run_json
from unspool.viewing.cursor import Cursor
from unspool.viewing.event_stream import ABORT, WRITE
from unspool.viewing.tape_stream import TapeStream

WORDS = 24
PAUSE_S = 0.5
"""Of a viewer who finds nobody there."""

SERVERS = 3
"""Over a database that several may share."""

AWAY = 0.02
"""The most of a world's time for which a server is away that has stopped or died."""

_worlds = itertools.count()


@dataclass(frozen=True)
class Shape:
    """What kind of world."""

    runs: int
    span_s: float
    """In which the runs begin."""
    deaths: int
    stops: int
    viewers: int = 5
    """Of one run, at the most."""
    pace_s: float = 0.5
    """Between two words of a model, at the most."""
    cancels: float = 0.1
    """Share of the runs that somebody cancels."""
    faults: float = 0.4
    """Share of the attempts at a provider that fail."""


@dataclass
class Case:
    """A run of a world and what is known of it."""

    number: int
    model: Model
    text: str
    seen: list[Seen]
    is_cancelled: bool
    run_id: str = ""
    resumes: int = 0


class World:
    def __init__(
        self,
        seed: int,
        path: Path,
        shape: Shape,
        tamper: Callable[[Journal], object] = lambda _: None,
        *,
        store: str = "sqlite",
    ) -> None:
        """`tamper` may change every journal that is opened, before anything uses it."""
        self._tamper = tamper
        self._no = next(_worlds)
        self._seed = seed
        self._url = new_store(store, path)
        self._servers = SERVERS if store == "postgresql" else 1
        self.shape = shape
        self.kills = 0
        self.cases = [self._case(number) for number in range(shape.runs)]
        self._lives: list[Life] = []
        self._wrong: list[str] = []
        self._settings = Settings(_env_file=None, data_dir=path)  # type: ignore[call-arg]

    def _dice(self, *of: object) -> random.Random:
        """Everyone has dice of their own, so what they draw depends on nobody else."""
        return random.Random(f"{self._seed} {of}")

    def play(self) -> list[str]:
        """Let everything happen and end, in no time; return what is wrong, a sentence each."""
        with counted_statements() as statements:
            return play(self._live(), statements.is_busy)

    def _case(self, number: int) -> Case:
        """Draw what the model says, how it fails, and who watches."""
        dice, shape = self._dice("case", number), self.shape
        words = [chr(0x4E00 + number * WORDS + n) * dice.randint(1, 2) for n in range(WORDS)]
        count = 0
        attempts = []
        # A later attempt gets further: a script begins where the one before has ended.
        while dice.random() < shape.faults and len(attempts) < 8:
            count = dice.randint(count, WORDS)
            kind = "interrupted" if dice.random() < 0.8 else "unavailable"
            attempts.append([*self._said(words[:count], dice), {"fail": kind}])
        if dice.random() < 0.05:
            attempts.append([{"fail": "refused", "code": "invalid_request", "status": 400}])
        usage = {"usage": {"prompt_tokens": 3, "completion_tokens": WORDS}}
        attempts.append([*self._said(words, dice), usage, {"finish": "stop"}])
        # The scripted provider counts by name as long as the process lives.
        name = f"world-{self._no}-{self._seed}-{number}"
        script = {"attempts": attempts}
        model = Model(name, "scripted", params={"script": script}, prefill="partial")
        viewers = dice.randint(1, shape.viewers)
        dialects = [dice.choice(("native", "plain", "debug_chat")) for _ in range(viewers)]
        seen = [Seen(f"viewer {k} of {name}", dialect) for k, dialect in enumerate(dialects)]
        is_cancelled = dice.random() < shape.cancels
        return Case(number, model, "".join(words), seen, is_cancelled)

    def _said(self, words: list[str], dice: random.Random) -> list[dict[str, Any]]:
        pace_s = dice.uniform(0, self.shape.pace_s)
        return [step for word in words for step in ({"text": word}, {"pause_s": pace_s})]

    async def _live(self) -> list[str]:
        note_processes(asyncio.get_running_loop())
        async with Client() as http:
            for _ in range(self._servers):
                await self._open(http)
            await asyncio.gather(self._fates(http), *(self._go(case) for case in self.cases))
            for life in list(self._lives):
                await self._stop(life)
            # The last server is as it should be, whatever was done to those before.
            self._tamper = lambda _: None
            await self._open(http)
            return await self._judge()

    async def _open(self, http: Client) -> None:
        models = [case.model for case in self.cases]
        life = await Life.begin(
            self._url,
            lambda health: Catalog(models, health=health),
            http,
            self._dice("retries").random,
            self._settings,
            self._tamper,
        )
        self._lives.append(life)

    async def _fates(self, http: Client) -> None:
        """Let servers stop and die, and others come."""
        shape, dice = self.shape, self._dice("fates")
        ends = [self._die] * shape.deaths + [self._stop] * shape.stops
        dice.shuffle(ends)
        await asyncio.gather(*(self._fate(http, n, end) for n, end in enumerate(ends)))

    async def _fate(
        self, http: Client, number: int, end: Callable[[Life], Awaitable[object]]
    ) -> None:
        shape, dice = self.shape, self._dice("fate", number)
        await asyncio.sleep(dice.uniform(0, shape.span_s * 1.1))
        place, away_s = dice.random(), dice.uniform(0, shape.span_s * AWAY)
        if self._lives:
            # A viewer in between finds another server or nobody; one that dies tells nobody.
            await end(self._lives[int(place * len(self._lives))])
            await asyncio.sleep(away_s)
            await self._open(http)

    async def _die(self, life: Life) -> None:
        self.kills += 1
        self._lives.remove(life)
        await life.die()

    async def _stop(self, life: Life) -> None:
        self._lives.remove(life)
        self._wrong += await life.stop()

    async def _go(self, case: Case) -> None:
        dice = self._dice("run", case.number)
        await asyncio.sleep(dice.uniform(0, self.shape.span_s))
        await self._until_done(dice, lambda life: self._ask(case, life))
        if dice.random() < 0.3:
            # Sent again, after the answer or a death has swallowed it: it is the same run.
            first = case.run_id
            await self._until_done(dice, lambda life: self._ask(case, life))
            assert case.run_id == first, "one key, two runs"
        watching: list[Awaitable[None]] = [self._watch(case, seen) for seen in case.seen]
        if case.is_cancelled:
            watching.append(self._cancel(case))
        await asyncio.gather(*watching)

    async def _until_done(
        self, dice: random.Random, work: Callable[[Life], Awaitable[bool]]
    ) -> None:
        """Do something at any server that there is, until it is done."""
        while True:
            try:
                if self._lives and await work(dice.choice(self._lives)):
                    return
            except JournalError:
                pass  # the server died meanwhile
            await asyncio.sleep(PAUSE_S)

    async def _ask(self, case: Case, life: Life) -> bool:
        spec = RunSpec("chat", {"prompt": "说"}, model=case.model.name)
        claim = Claim(case.model.name, "the same")
        try:
            case.run_id = await life.do(life.runner.start(spec, claim))
        except KeyTaken as taken:
            case.run_id = taken.run_id
        return True

    async def _cancel(self, case: Case) -> None:
        dice = self._dice("cancel", case.number)
        await asyncio.sleep(dice.uniform(0, WORDS * self.shape.pace_s / 2))

        async def cancel(life: Life) -> bool:
            await life.do(life.runner.cancel(case.run_id))
            return (await life.do(life.journal.head(case.run_id))).status != "running"

        await self._until_done(dice, cancel)

    async def _watch(self, case: Case, seen: Seen) -> None:
        dice = self._dice("viewer", case.number, case.seen.index(seen))
        await asyncio.sleep(dice.choice((0, 0, dice.uniform(0, 10), 600)))
        while not seen.was_told_the_end:
            await self._until_done(dice, lambda life: self._connect(case, seen, life, dice))

    async def _connect(self, case: Case, seen: Seen, life: Life, dice: random.Random) -> bool:
        """One connection, as `GET /v1/runs/{id}/events` makes one; false where nobody is there."""
        place = Cursor.parse(_place(seen, dice))
        more = life.viewing.tapes.has_more(case.run_id, seen.dialect, place.seq, place.frame)
        if not await life.do(more):
            seen.was_told_the_end = True
            return True
        stream = TapeStream(life.viewing, case.run_id, seen.dialect, place)
        cut = dice.choice((None, dice.randint(0, 200), dice.randint(0, 1500)))
        there = Connection(cut, dice.choice((0.0, 0.0, 0.05)), lambda: dice.random() < 0.9)
        extensions: dict[str, Any] = {ABORT: {"abort": there.abort}}
        if dice.random() < 0.7:  # the others play under another server
            extensions[WRITE] = {"write": there.write, "push": there.push}
        scope = {"type": "http", "extensions": extensions}
        playing = life.start(stream.play(scope, there.receive, there.send))
        await asyncio.wait([playing])
        strict = Strict()
        strict.feed(bytes(there.got))
        seen.frames += strict.frames
        seen.connections.append(len(strict.frames))
        seen.was_told_the_end = there.is_whole and not there.is_aborted
        case.resumes += 1
        if not playing.cancelled() and (error := playing.exception()) is not None:
            raise error
        return True

    async def _judge(self) -> list[str]:
        (life,) = self._lives
        wrong = [sentence for case in self.cases for sentence in await self._check(case, life)]
        left = {
            "runs": life.runner.live_count + len(await life.journal.unended()),
            "viewers": len(life.viewing.viewers),
        }
        await self._stop(life)
        mine = asyncio.current_task()
        left["tasks"] = sum(task is not mine for task in asyncio.all_tasks())
        start = {"seq": 1, "type": "run.started", "at_ms": 0, "data": {}}
        return wrong + self._wrong + check(History(left_over=left, is_over=False), [start])

    async def _check(self, case: Case, life: Life) -> list[str]:
        events: list[Any] = []
        while batch := await life.journal.read(case.run_id, after=len(events)):
            events += batch
        log: Log = [msgspec.json.decode(encode_event(event)) for event in events]
        head = await life.journal.head(case.run_id)
        history = History(
            case.seen,
            run=run_json(head, fold(events)),
            expected={"answer": case.text},
            requests=plugs.load("providers", "scripted")._attempts[case.model.name],
            kills=self.kills,
        )
        return check(history, log)


def _place(seen: Seen, dice: random.Random) -> str:
    """Where a viewer goes on: at its last frame, or sometimes at one it had before."""
    ids = [id_ for id_, _ in seen.frames if id_]
    if ids and dice.random() < 0.15:
        last = dice.choice(ids)
        del seen.frames[[id_ for id_, _ in seen.frames].index(last) + 1 :]
        return last
    return ids[-1] if ids else "0"
