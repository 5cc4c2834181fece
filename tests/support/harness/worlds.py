"""
A small world in virtual time: runs, their viewers, faults of the provider, cancels, and servers
that stop or die, all drawn from one seed.

It stands on the parts that a server is made of, without HTTP: a viewer's connection is what
the server sees of one, a byte at a time where it must be. The same seed is the same world.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from support.harness.checker import History, Log, Seen, check
from support.readers import Strict
from unspool import Journal, Model, RunSpec, Settings, fold, open_journal, plugs
from unspool.errors import JournalError, KeyTaken
from unspool.execution.runner import Runner
from unspool.generation.generate import GenerationDeps
from unspool.journals import Claim, Tuning, sqlite_url
from unspool.models.catalog import Catalog
from unspool.models.health import Health
from unspool.providers.upstream.http1 import Client
from unspool.runs.events import encode_event
from unspool.server.api.json.run import run_json
from unspool.viewing.cursor import Cursor
from unspool.viewing.event_stream import ABORT, WRITE
from unspool.viewing.tape_stream import TapeStream
from unspool.viewing.viewers import Viewing

WORDS = 24
PAUSE_S = 0.5
"""Of a viewer who finds nobody there."""

EPOCH_S = 1.8e9

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
class Life:
    """One server: the parts, from its start to its stop or death."""

    journal: Journal
    runner: Runner
    viewing: Viewing
    playing: set[asyncio.Task[None]] = field(default_factory=set)


@dataclass(eq=False)
class Connection:
    """One stream as the server sees it; the viewer is gone after so many bytes."""

    cut: int | None
    pause_s: float
    has_room: Callable[[], bool]
    """Whether it takes what is pushed."""
    got: bytearray = field(default_factory=bytearray)
    is_whole: bool = False
    is_aborted: bool = False
    _gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self) -> dict[str, str]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self.pause_s:
            await asyncio.sleep(self.pause_s)
        if self._gone.is_set() or message["type"] != "http.response.body":
            return
        self._take(message["body"])
        if not self._gone.is_set() and not message.get("more_body"):
            self.is_whole = True

    async def write(self, data: bytes) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": True})

    def push(self, data: bytes) -> bool:
        if self._gone.is_set() or not self.has_room():
            return False
        self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        self.got += data
        if self.cut is not None and len(self.got) >= self.cut:
            del self.got[self.cut :]
            self._gone.set()

    def abort(self) -> None:
        self.is_aborted = True


@dataclass
class Case:
    """A run of a world and what is known of it."""

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
    ) -> None:
        """`tamper` may change every journal that is opened, before anything uses it."""
        self._tamper = tamper
        self._no = next(_worlds)
        self.dice = random.Random(seed)
        self.path = path
        self.shape = shape
        self.kills = 0
        self.cases = [self._case(seed, number) for number in range(shape.runs)]
        self._life: Life | None = None
        self._settings = Settings(_env_file=None, data_dir=path)  # type: ignore[call-arg]

    def _case(self, seed: int, number: int) -> Case:
        """Draw what the model says, how it fails, and who watches."""
        dice, shape = self.dice, self.shape
        words = [chr(0x4E00 + number * WORDS + n) * dice.randint(1, 2) for n in range(WORDS)]
        count = 0
        attempts = []
        # A later attempt gets further: a script begins where the one before has ended.
        while dice.random() < shape.faults and len(attempts) < 8:
            count = dice.randint(count, WORDS)
            kind = "interrupted" if dice.random() < 0.8 else "unavailable"
            attempts.append([*self._said(words[:count]), {"fail": kind}])
        if dice.random() < 0.05:
            attempts.append([{"fail": "refused", "code": "invalid_request", "status": 400}])
        usage = {"usage": {"prompt_tokens": 3, "completion_tokens": WORDS}}
        attempts.append([*self._said(words), usage, {"finish": "stop"}])
        # The scripted provider counts by name as long as the process lives.
        name = f"world-{self._no}-{seed}-{number}"
        script = {"attempts": attempts}
        model = Model(name, "scripted", params={"script": script}, prefill="partial")
        viewers = dice.randint(1, shape.viewers)
        dialects = [dice.choice(("native", "plain", "debug_chat")) for _ in range(viewers)]
        seen = [Seen(f"viewer {k} of {name}", dialect) for k, dialect in enumerate(dialects)]
        return Case(model, "".join(words), seen, dice.random() < shape.cancels)

    def _said(self, words: list[str]) -> list[dict[str, Any]]:
        pace_s = self.dice.uniform(0, self.shape.pace_s)
        return [step for word in words for step in ({"text": word}, {"pause_s": pace_s})]

    async def live(self) -> list[str]:
        """Let everything happen and end; return what is wrong, a sentence each."""
        async with Client() as http:
            await self._open(http)
            going = [asyncio.create_task(self._go(case)) for case in self.cases]
            fates = asyncio.create_task(self._fates(http))
            await asyncio.gather(*going)
            fates.cancel()
            await asyncio.wait([fates])
            if self._life is not None:
                await self._stop(self._life)
            # The last server is as it should be, whatever was done to those before.
            self._tamper = lambda _: None
            return await self._judge(await self._open(http))

    async def _open(self, http: Client) -> Life:
        loop = asyncio.get_running_loop()
        tuning = Tuning(clock=lambda: EPOCH_S + loop.time())
        journal = await open_journal(sqlite_url(self.path / "journal.db"), tuning)
        self._tamper(journal)
        health = Health(loop.time)
        deps = GenerationDeps(http, health=health, random=self.dice.random, clock=loop.time)
        catalog = Catalog([case.model for case in self.cases], health=health)
        runner = Runner(journal, catalog, deps, self._settings)
        runner.watch()
        self._life = Life(journal, runner, Viewing(journal, self._settings))
        return self._life

    async def _fates(self, http: Client) -> None:
        """Let servers stop and die, and others come."""
        shape, dice = self.shape, self.dice
        ends = [self._die] * shape.deaths + [self._stop] * shape.stops
        dice.shuffle(ends)
        moments = sorted(dice.uniform(0, shape.span_s * 1.1) for _ in ends)
        now = 0.0
        for moment, end in zip(moments, ends, strict=True):
            await asyncio.sleep(moment - now)
            now = moment
            if self._life is None:
                continue
            life, self._life = self._life, None
            # A viewer in between finds nobody; a server that dies tells nobody.
            await asyncio.shield(end(life))
            await self._open(http)

    async def _die(self, life: Life) -> None:
        """As `kill -9`: nothing is written any more, not even by what notices its end."""
        self.kills += 1
        group_commit: Any = life.journal._group_commit  # type: ignore[attr-defined]
        group_commit.is_closed = group_commit._refuses = True
        if group_commit._timer is not None:
            group_commit._timer.cancel()
        life.journal._store.close()  # type: ignore[attr-defined]
        for live_run in group_commit._live.values():
            live_run.ring()  # who waits for a commit loses its connection
        watching = life.runner._adoption._tasks
        carried = [live.task for live in life.runner._live.values() if live.task is not None]
        dying = [*carried, *life.playing, *watching]
        for each in dying:
            each.cancel()
        await asyncio.gather(*dying, return_exceptions=True)
        life.journal._waiting.close()  # type: ignore[attr-defined]
        life.viewing.close()

    async def _stop(self, life: Life) -> None:
        """As SIGTERM."""
        life.viewing.close()
        await life.runner.close()
        await asyncio.gather(*life.playing, return_exceptions=True)
        await life.journal.aclose()

    async def _go(self, case: Case) -> None:
        await asyncio.sleep(self.dice.uniform(0, self.shape.span_s))
        await self._until_done(lambda life: self._ask(case, life))
        if self.dice.random() < 0.3:
            # Sent again, after the answer or a death has swallowed it: it is the same run.
            first = case.run_id
            await self._until_done(lambda life: self._ask(case, life))
            assert case.run_id == first, "one key, two runs"
        watching: list[Awaitable[None]] = [self._watch(case, seen) for seen in case.seen]
        if case.is_cancelled:
            watching.append(self._cancel(case))
        await asyncio.gather(*watching)

    async def _until_done(self, work: Callable[[Life], Awaitable[bool]]) -> None:
        """Do something at whatever server there is, until it is done."""
        while True:
            life = self._life
            try:
                if life is not None and await work(life):
                    return
            except JournalError:
                pass  # the server died meanwhile
            await asyncio.sleep(PAUSE_S)

    async def _ask(self, case: Case, life: Life) -> bool:
        spec = RunSpec("chat", {"prompt": "说"}, model=case.model.name)
        try:
            case.run_id = await life.runner.start(spec, Claim(case.model.name, "the same"))
        except KeyTaken as taken:
            case.run_id = taken.run_id
        return True

    async def _cancel(self, case: Case) -> None:
        await asyncio.sleep(self.dice.uniform(0, WORDS * self.shape.pace_s / 2))

        async def cancel(life: Life) -> bool:
            await life.runner.cancel(case.run_id)
            return (await life.journal.head(case.run_id)).status != "running"

        await self._until_done(cancel)

    async def _watch(self, case: Case, seen: Seen) -> None:
        await asyncio.sleep(self.dice.choice((0, 0, self.dice.uniform(0, 10), 600)))
        while not seen.was_told_the_end:
            await self._until_done(lambda life: self._connect(case, seen, life))

    async def _connect(self, case: Case, seen: Seen, life: Life) -> bool:
        """One connection, as `GET /v1/runs/{id}/events` makes one; false where nobody is there."""
        last = self._place(seen)
        place = Cursor.parse(last)
        tapes = life.viewing.tapes
        if not await tapes.has_more(case.run_id, seen.dialect, place.seq, place.frame):
            seen.was_told_the_end = True
            return True
        stream = TapeStream(life.viewing, case.run_id, seen.dialect, place)
        dice = self.dice
        cut = dice.choice((None, dice.randint(0, 200), dice.randint(0, 1500)))
        there = Connection(cut, dice.choice((0.0, 0.0, 0.05)), lambda: dice.random() < 0.9)
        extensions: dict[str, Any] = {ABORT: {"abort": there.abort}}
        if dice.random() < 0.7:  # the others play under another server
            extensions[WRITE] = {"write": there.write, "push": there.push}
        scope = {"type": "http", "extensions": extensions}
        playing = asyncio.create_task(stream.play(scope, there.receive, there.send))
        life.playing.add(playing)
        playing.add_done_callback(life.playing.discard)
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

    def _place(self, seen: Seen) -> str:
        """Where a viewer goes on: at its last frame, or sometimes at one it had before."""
        ids = [id_ for id_, _ in seen.frames if id_]
        if ids and self.dice.random() < 0.15:
            last = self.dice.choice(ids)
            del seen.frames[[id_ for id_, _ in seen.frames].index(last) + 1 :]
            return last
        return ids[-1] if ids else "0"

    async def _judge(self, life: Life) -> list[str]:
        wrong = [sentence for case in self.cases for sentence in await self._check(case, life)]
        left = {
            "runs": life.runner.live_count + len(await life.journal.unended()),
            "viewers": len(life.viewing.viewers),
        }
        await self._stop(life)
        mine = asyncio.current_task()
        left["tasks"] = sum(task is not mine for task in asyncio.all_tasks())
        start = {"seq": 1, "type": "run.started", "at_ms": 0, "data": {}}
        return wrong + check(History(left_over=left, is_over=False), [start])

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
