"""
A recorded run, run again from its log: the same flow, the same code, no network, no waiting.

Its models say what they said then (`playback`), its notes are what they were; what comes of it
is compared with the log, event by event, and then byte by byte in every dialect. A run that has
changed hands is run again life by life. What is not of the run's own making is taken from the
log: times, epochs, costs (prices are not in it), and an end that came from outside.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, Final, cast

import msgspec

from .. import plugs
from ..dialects import encoder_for, frames_of, open_dialect
from ..errors import SpecError
from ..flows import Call, CallPlace, ToolAnswer, open_flow
from ..formats.sse import Frame
from ..generation.generate import GenerationDeps
from ..journals import Pen, spec_of, started
from ..models.catalog import Catalog
from ..runs.events import TERMINAL, Draft, Event, decode_event, encode_event
from ..runs.run import Run, RunSpec, fold
from ..settings import Settings
from .context import RunContext
from .playback import STEP, Playback
from .runner import ending_of, taking_over

STUCK_S: Final = 2.0
"""Without an event: nothing here waits, so a flow that does waits for what is not in the log."""

MAX_LOG_BYTES: Final = 64 * 1024 * 1024
"""Of a file: the largest log that a run may have."""

OUTSIDE: Final = {"cancelled", "interrupted"}
"""Codes of endings that somebody gave a run."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first one. None: that side has nothing there."""

    where: str
    recorded: str | None
    replayed: str | None


@dataclass(frozen=True, slots=True)
class Replayed:
    """
    Attributes:
        events: What came of it, with the places and times of the log.
        difference: None where it is the same.
    """

    events: list[Event]
    difference: Difference | None


def read_log(lines: bytes) -> list[Event]:
    """
    Return the events of an exported log: one JSON document a line.

    Raises:
        SpecError: It is not one, or not from its first event on.
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
        SpecError: It has started other runs, whose logs are not in its own; or its flow or its
            dialect is not here.
    """
    spec = spec_of(log[0])
    if any(e.type == "item.found" and e.data["kind"] == "child" for e in log):
        raise SpecError("a run that has started others cannot be replayed; replay those instead")
    events: list[Event] = []
    bounds = [n for n, event in enumerate(log) if event.type == "run.recovered"]
    for start, end in zip([0, *bounds], [*bounds, len(log)], strict=True):
        life = log[start:end]
        drafts = await _Life(spec, log[:start], life).live()
        difference, aligned = _compared(life, drafts)
        events += aligned
        if difference is not None:
            return Replayed(events, difference)
    return Replayed(events, _first_byte(spec, log, events))


def frames_in(dialect: str, events: Sequence[Event]) -> list[str]:
    """Return a run's whole stream in a dialect, frame by frame."""
    plug = open_dialect(dialect)
    encoder = encoder_for(dialect)
    frames = [f for event in events for f in frames_of(event.seq, encoder.encode(event))]
    trailer = [Frame(plug.trailer).encode()] if plug.trailer else []
    return [frame.decode() for frame in frames + trailer]


class _ReplayPen:
    """See `journals.Pen`. In a life that was cut it takes what the log has, and no more."""

    is_behind = False

    def __init__(self, room: Counter[str] | None, room_after: Counter[str] | None) -> None:
        """
        Args:
            room: For how many events of each step; None: no matter how many.
            room_after: For those that a stop adds.
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
            elif room[key := _key(draft)] > 0:
                room[key] -= 1
                self.drafts.append(draft)
        if self._room is not None and not self._room.total():
            self.is_full.set()

    async def commit(self) -> None:
        await asyncio.sleep(0)

    async def end(self, ending: Draft) -> None:
        self.drafts.append(ending)


class _ReplayContext(RunContext):
    """Says to the playback which step is asked for, and has the notes of the log."""

    recorded: Mapping[str, Any]

    async def generate(self, text: str, *, step: str, **asked: Any) -> str:
        STEP.set(step)
        return await super().generate(text, step=step, **asked)

    async def note(self, name: str, compute: Callable[[], Awaitable[Any]]) -> Any:
        async def remembered() -> Any:
            if name not in self.recorded:
                await asyncio.Event().wait()
            return self.recorded[name]

        return await super().note(name, remembered)


class _ReplayTools:
    """Answers calls as they were answered, and in that order: those side by side came in some."""

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
        await asyncio.Event().wait()  # for the end of this life
        raise AssertionError


class _Life:
    """A run from one owner to the next, or to its end."""

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
        """How many events of this life were there before its flow ran."""
        if not self._past:
            return 1 + self._history
        return len(taking_over(fold(self._past), 0, died=True))

    async def live(self) -> list[Draft]:
        # Who is stopped accounts for it, if there was time: a server that died had none.
        after = None if self._tail else Counter(_key(e) for e in self._body if _is_stop(e))
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
        """How much of each step came before the cut; what a stop itself adds comes after it."""
        return Counter(_key(e) for e in self._body if not _is_stop(e))

    async def _perform(self, pen: _ReplayPen, past: Run) -> list[Draft]:
        playback = Playback(self._past, self._life, is_cut=self._is_cut)
        deps = GenerationDeps(cast("Any", None), 10, NO_LIMIT_S, open=lambda _: playback)
        deps = replace(deps, sleep=_at_once, random=lambda: 0.0, clock=lambda: 0.0)
        settings = Settings(_env_file=None, say_chars_per_s=1e9)
        catalog = cast("Catalog", playback)
        ctx = _ReplayContext(cast("Pen", pen), self._spec, past, catalog, deps, settings)
        ctx.recorded = fold([*self._past, *self._life]).notes
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
"""Events that are always of the run's own making; see `runs.fork`."""


async def _at_once(_: float) -> None:
    """Stand in for waits: the log says how long they were."""


def _history(life: Sequence[Event]) -> list[Event]:
    """Return what a fork took over: it was written with its first event, in one piece."""
    if "forked_from" not in life[0].data:
        return []
    # The first event of its own may fall into the same millisecond; what no fork takes over
    # tells it.
    return list(
        takewhile(
            lambda event: event.at_ms == life[0].at_ms and not event.type.startswith(_OWN),
            life[1:],
        )
    )


def _is_stop(event: Event) -> bool:
    return event.type == "attempt.failed" and event.data.get("code") == "cancelled"


def _key(event: Draft | Event) -> str:
    return str(event.data.get("step", ""))


def _compared(
    recorded: Sequence[Event], drafts: Sequence[Draft]
) -> tuple[Difference | None, list[Event]]:
    """Return the first difference, and the drafts with the places and times of the log."""
    waiting: dict[str, list[Draft]] = {}
    key = _key if _is_mixed(recorded) else _one
    for draft in drafts:
        waiting.setdefault(key(draft), []).append(draft)
    queues = {name: iter(queue) for name, queue in waiting.items()}
    aligned: list[Event] = []
    for event in recorded:
        found = next(queues.get(key(event), iter(())), None)
        if found is None or (event.type, _own(event.data)) != (found.type, _own(found.data)):
            return _difference(event, found), aligned
        data = {**found.data, **{k: event.data[k] for k in ("cost",) if k in event.data}}
        aligned.append(Event(event.seq, found.type, event.at_ms, data))
    for queue in queues.values():
        for found in queue:
            return _difference(None, found), aligned
    return None, aligned


def _one(_: Draft | Event) -> str:
    return ""


def _is_mixed(events: Sequence[Event]) -> bool:
    """Whether steps went on at the same time: then only each one's own order is meant."""
    order = [key for key in map(_key, events) if key]
    changes = [key for n, key in enumerate(order) if n == 0 or order[n - 1] != key]
    return len(changes) > len(set(changes))


def _own(data: Mapping[str, Any]) -> Any:
    """What a run says of itself, as its log would hold it."""
    plain = {name: value for name, value in data.items() if name != "cost"}
    return msgspec.json.decode(msgspec.json.encode(plain))


def _difference(event: Event | None, found: Draft | None) -> Difference:
    seq = 0 if event is None else event.seq
    at_ms = 0 if event is None else event.at_ms
    return Difference(
        f"event {seq}" if event is not None else "after the last event",
        None if event is None else encode_event(event).decode(),
        None if found is None else encode_event(Event(seq, found.type, at_ms, found.data)).decode(),
    )


def _first_byte(
    spec: RunSpec, recorded: Sequence[Event], replayed: Sequence[Event]
) -> Difference | None:
    for dialect in plugs.names("dialects"):
        pairs = _pairs(frames_in(dialect, recorded), frames_in(dialect, replayed))
        for number, (one, other) in enumerate(pairs, start=1):
            if one != other:
                return Difference(f"frame {number} in {dialect}", one, other)
    return None


def _pairs(one: list[str], other: list[str]) -> Iterator[tuple[str | None, str | None]]:
    for number in range(max(len(one), len(other))):
        yield (
            one[number] if number < len(one) else None,
            other[number] if number < len(other) else None,
        )
