"""
Runs a recorded run again from its log: the same flow and code, without network or waiting.

Its models repeat their recorded answers (`playback`) and its notes their recorded values. We
compare the result with the log, event by event, and then byte by byte in every dialect. If a run
had several owners, we replay each owner's part (a life) in turn. Times, epochs, costs (the log
holds no prices) and an ending from outside come from the log.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, Final, cast

import msgspec

from unspool.providers.upstream.http1 import Client

from ..errors import SpecError
from ..flows import Call, CallPlace, ToolAnswer, open_flow
from ..generation.generate import GenerationDeps
from ..journals import Pen
from ..models.catalog import Catalog
from ..runs.beginning import spec_of, started
from ..runs.events import TERMINAL, Draft, Event, decode_event
from ..runs.questions import answer_of
from ..runs.run import Run, RunSpec, fold
from ..settings import Settings
from .adoption import taking_over
from .comparison import Difference, compared, first_byte, key_of
from .context import RunContext
from .playback import STEP, Playback
from .questions import Questions
from .runner import ending_of

STUCK_S: Final = 2.0
"""Without an event, a flow is stuck: it waits for a fact that the log does not hold."""

MAX_LOG_BYTES: Final = 64 * 1024 * 1024
"""Size of a log file: no run may write a larger log."""

OUTSIDE: Final = {"cancelled", "interrupted"}
"""Codes of endings that come from outside of the flow."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """
    Attributes:
        events: The events of the replay, with the numbers and times of the log.
        difference: The first one; None if there is none.
    """

    events: list[Event]
    difference: Difference | None


def read_log(lines: bytes) -> list[Event]:
    """
    Return the events of an exported log: one JSON document a line.

    Raises:
        SpecError: The lines are no log, or not a whole one from its first event on.
    """
    if len(lines) > MAX_LOG_BYTES:
        raise SpecError(f"a log of more than {MAX_LOG_BYTES} bytes is none of a run")
    try:
        events = [decode_event(line) for line in lines.split(b"\n") if line.strip()]
    except (msgspec.DecodeError, UnicodeError) as error:
        raise SpecError(
            f"that is no log of a run: {error}; `unspool runs export` writes one"
        ) from None
    if [event.seq for event in events] != list(range(1, len(events) + 1)) or not events:
        raise SpecError("that is no whole log of a run: its events are not 1, 2, 3 …")
    if events[0].type != "run.started":
        raise SpecError("that is no log of a run: it does not begin with run.started")
    return events


async def replay(log: Sequence[Event]) -> Replayed:
    """
    Run a recorded run again and compare.

    Raises:
        SpecError: It started child runs, whose logs are not in its own; or its flow or dialect
            is not installed.
    """
    log = _without_waits(log)
    spec = spec_of(log[0])
    if any(e.type == "item.found" and e.data["kind"] == "child" for e in log):
        raise SpecError("a run that has started others cannot be replayed; replay those instead")
    events: list[Event] = []
    bounds = [n for n, event in enumerate(log) if event.type == "run.recovered"]
    for start, end in zip([0, *bounds], [*bounds, len(log)], strict=True):
        life = log[start:end]
        drafts = await _Life(spec, log[:start], life).live()
        difference, aligned = compared(life, drafts)
        events += aligned
        if difference is not None:
            return Replayed(events, difference)
    return Replayed(events, first_byte(spec, log, events))


class _ReplayPen:
    """See `journals.Pen`. In a life that was cut it takes no more events than the log holds."""

    is_behind = False
    size = 0

    def __init__(self, room: Counter[str] | None, room_after: Counter[str] | None) -> None:
        """
        Args:
            room: How many events of each step it takes; None: any number.
            room_after: The same, for events that a stop adds.
        """
        self.run_id = "replayed"
        self.epoch = 1
        self.drafts: list[Draft] = []
        self.is_stopped = False
        self.is_full = asyncio.Event()
        self._room = room
        self._room_after = room_after

    def append(self, *drafts: Draft) -> None:
        room = self._room_after if self.is_stopped else self._room
        for draft in drafts:
            if room is None:
                self.drafts.append(draft)
            elif room[key := key_of(draft)] > 0:
                room[key] -= 1
                self.drafts.append(draft)
        if self._room is not None and not self._room.total():
            self.is_full.set()

    def append_text(self, step: str, text: str) -> bool:
        self.append(Draft("text.delta", {"step": step, "text": text}))
        return False

    async def commit(self) -> None:
        await asyncio.sleep(0)

    async def end(self, ending: Draft) -> None:
        self.drafts.append(ending)


class _ReplayContext(RunContext):
    """Tells the playback which step runs, and answers notes from the log."""

    recorded: Mapping[str, Any]

    async def generate(self, text: str, *, step: str, **options: Any) -> str:
        STEP.set(step)
        return await super().generate(text, step=step, **options)

    async def note(self, name: str, compute: Callable[[], Awaitable[Any]]) -> Any:
        async def remembered() -> Any:
            if name not in self.recorded:
                await asyncio.Event().wait()
            return self.recorded[name]

        return await super().note(name, remembered)

    async def answer(
        self,
        step: str,
        call: Call,
        tools: Sequence[Mapping[str, Any]],
        *,
        instead: ToolAnswer | None = None,
    ) -> ToolAnswer:
        # Those that people declined stand in the log among the others, and so come in its order.
        return await super().answer(step, call, tools)


class _ReplayTools:
    """Answers calls from the log, in its order: parallel calls may end in any."""

    def __init__(self, log: Sequence[Event]) -> None:
        self._answers = [event.data for event in log if event.type == "tool.answered"]
        self._turn = 0

    async def answer(
        self, call: Call, offered: Sequence[Mapping[str, Any]], place: CallPlace
    ) -> ToolAnswer:
        while self._turn < len(self._answers):
            data = self._answers[self._turn]
            if (data["step"], data["index"]) == (place.step, place.index):
                self._turn += 1
                return ToolAnswer(data["content"], data.get("code", ""))
            await asyncio.sleep(0)
        await asyncio.Event().wait()  # until this life ends
        raise AssertionError


class _Life:
    """A run's part under one owner: until the next owner, or until its end."""

    def __init__(self, spec: RunSpec, before: Sequence[Event], life: Sequence[Event]) -> None:
        self._spec = spec
        self._past = before
        self._life = life
        last = life[-1]
        is_ending = last.type in TERMINAL
        self._is_cut = not is_ending or last.data.get("code") in OUTSIDE
        self._tail = [last] if is_ending or last.type == "run.released" else []
        self._history = 0 if before else len(_history(life))
        self._body = [e for e in life[self._begun :] if e not in self._tail]

    @property
    def _begun(self) -> int:
        """How many events of this life the log held before its flow ran."""
        if not self._past:
            return 1 + self._history
        return len(taking_over(fold(self._past), 0, died=True))

    async def live(self) -> list[Draft]:
        # A stopped attempt accounts for its usage; a server that died had no time for that.
        after = None if self._tail else Counter(key_of(e) for e in self._body if _is_stop(e))
        pen = _ReplayPen(self._room() if self._is_cut else None, after)
        past = fold(self._past)
        if self._past:
            first = self._life[0].data
            begun = taking_over(past, first["epoch"], died=past.is_carried)
        else:
            history = self._life[1 : self._begun]
            begun = [started(self._spec), *(Draft(e.type, e.data) for e in history)]
            past = fold([self._life[0], *history] if history else [])
        ending = await self._perform(pen, past)
        if self._is_cut:
            ending = [Draft(event.type, event.data) for event in self._tail]
        return [*begun, *pen.drafts, *ending]

    def _room(self) -> Counter[str]:
        """Count the events of each step before the cut; a stop adds its own after it."""
        return Counter(key_of(e) for e in self._body if not _is_stop(e))

    async def _perform(self, pen: _ReplayPen, past: Run) -> list[Draft]:
        playback = Playback(self._past, self._life, is_cut=self._is_cut)
        deps = GenerationDeps(Client(), 10, NO_LIMIT_S, ask=playback.ask)
        deps.health.prefills = playback.prefills
        deps = replace(deps, sleep=_at_once, random=lambda: 0.0, clock=lambda: 0.0)
        settings = Settings(_env_file=None, say_chars_per_s=1e9)
        catalog = cast("Catalog", playback)
        ctx = _ReplayContext(cast("Pen", pen), self._spec, past, catalog, deps, settings)
        ctx.recorded = fold([*self._past, *self._life]).notes
        ctx.questions = self._questions(pen, past)
        ctx.tools = _ReplayTools(self._life[self._begun :])
        flow = open_flow(self._spec.flow)
        working = asyncio.ensure_future(
            flow.run(ctx, flow.input_model.model_validate(self._spec.input))
        )
        await self._until_over(working, pen)
        if not working.done():
            pen.is_stopped = True
            working.cancel()
            await asyncio.wait([working])
            return []
        error = working.exception() if not working.cancelled() else None
        if error is None:
            return [Draft("run.completed")]
        assert isinstance(error, Exception)
        return [ending_of(error, self._spec.flow, wrote=ctx.has_written)]

    def _questions(self, pen: _ReplayPen, past: Run) -> Questions:
        """Return questions that have the answers of this life already."""
        questions = Questions(cast("Pen", pen), past, lambda _: None)
        for event in self._life[self._begun :]:
            if event.type == "question.answered":
                questions.give(event.data["step"], answer_of(event.data))
        return questions

    async def _until_over(self, working: asyncio.Future[None], pen: _ReplayPen) -> None:
        if self._is_cut and not self._room().total():
            return
        full = asyncio.ensure_future(pen.is_full.wait())
        try:
            while not (working.done() or full.done()):
                count = len(pen.drafts)
                wanted: list[asyncio.Future[Any]] = [working, full]
                await asyncio.wait(wanted, timeout=STUCK_S, return_when=asyncio.FIRST_COMPLETED)
                if len(pen.drafts) == count:
                    return
        finally:
            full.cancel()


NO_LIMIT_S: Final = 1e9


_OWN = ("attempt.", "progress.", "result.", "run.")
"""A fork never takes over events of these types; see `runs.fork`."""


async def _at_once(_: float) -> None:
    """Replace waits: the log holds their lengths."""


def _history(life: Sequence[Event]) -> list[Event]:
    """Return the events that a fork took over: one commit wrote them with its first event."""
    if "forked_from" not in life[0].data:
        return []
    # Its own first event may fall into the same millisecond, but has a type in `_OWN`.
    return list(
        takewhile(
            lambda event: event.at_ms == life[0].at_ms and not event.type.startswith(_OWN),
            life[1:],
        )
    )


def _without_waits(log: Sequence[Event]) -> list[Event]:
    """Leave out that a request waited in line, as none does in a replay."""
    events = (event for event in log if event.type != "attempt.queued")
    return [Event(seq, it.type, it.at_ms, it.data) for seq, it in enumerate(events, 1)]


def _is_stop(event: Event) -> bool:
    return event.type == "attempt.failed" and event.data.get("code") == "cancelled"
