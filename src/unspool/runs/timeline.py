"""
A fold of a run for a row of a list: its shape in time, its cost and its subject.

The same fold as in `console/src/timeline/fold.ts`; `conformance/timelines.json` holds both to it.
Pure: time is the log's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..formats.tokens import weigh
from .events import Event

BUCKET_S: Final = 0.2
"""We count words together within this time: no eye sees speed change faster."""

PAUSE_S: Final = 1.0
"""A silence of this length is drawn."""

MAX_SEAMS: Final = 50
"""Seams of one run: a row cannot show more."""

MAX_WAITS: Final = 50
"""Pauses of one run before the same model was asked again."""

MAX_FACTS: Final = 6
MAX_FACT_CHARS: Final = 80
"""Facts of the input in a row: as many as fit."""

TWELFTHS: Final = 12


@dataclass(slots=True)
class Stretch:
    """Words of one writer without a pause; tokens in each bucket since `t0` (seconds)."""

    model: str
    t0: float
    t1: float
    buckets: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Gap:
    """When one attempt broke, when the next one's first word arrived, and that word's event."""

    t0: float
    t1: float
    seq: int
    cause: str
    writer: str
    to: str
    strategy: str


@dataclass(slots=True)
class Wait:
    """
    A pause that is no silence: before the server asked a model again, in the line at a model, or
    for a person's answer.

    Attributes:
        cause: The code of the failure before it, or `queued`, or `question`.
        until: When the next request is due, or the question expires; None: nobody knows.
        model: Empty for a question.
        t1: When it was over; None: not yet.
    """

    t0: float
    until: float | None
    cause: str
    model: str
    place: int | None = None
    t1: float | None = None


@dataclass(slots=True)
class AttemptSummary:
    """Usage and outcome of one attempt."""

    model: str
    strategy: str
    status: str = "running"
    """`cancelled` if we closed it: that is no failure of the model."""
    code: str = ""
    """Why it failed."""
    usage: Mapping[str, Any] | None = None
    cost: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Timeline:
    """A run after some prefix of its events, in few bytes."""

    seq: int = 0
    end: str | None = None
    last_s: float = 0.0
    last_word_s: float | None = None
    about: dict[str, str | int | float | bool] = field(default_factory=dict)
    stretches: list[Stretch] = field(default_factory=list)
    seams: list[Gap] = field(default_factory=list)
    recoveries: int = 0
    waits: list[Wait] = field(default_factory=list)
    progress: dict[str, int] | None = None
    """`current` and `total` of the last progress that had both."""
    error: dict[str, Any] | None = None
    """How it failed or broke off; `length` too, if a step of a completed run was cut short."""
    attempts: dict[int, AttemptSummary] = field(default_factory=dict)
    """By number of the attempt."""
    twelfths: int = 0
    _start_ms: int = 0
    _open: dict[str, Stretch] = field(default_factory=dict)
    """The last stretch of each writer: steps may be written at the same time."""
    _began: dict[str, float] = field(default_factory=dict)
    _writers: dict[str, AttemptSummary] = field(default_factory=dict)
    """The present writer of a step; known text has no attempt."""
    _broken: dict[str, tuple[float, str, str]] = field(default_factory=dict)
    """When a step with text broke, why, and its writer."""
    _spoken: set[str] = field(default_factory=set)
    _waiting: dict[str, Wait] = field(default_factory=dict)
    _unseen: set[str] = field(default_factory=set)
    _short: set[str] = field(default_factory=set)
    """Steps that ended at their limit of tokens."""

    def apply(self, event: Event) -> None:
        """Read the next event."""
        self.seq = event.seq
        if event.type == "run.started":
            self._start_ms = event.at_ms
            self.about = _about(event.data.get("input") or {})
        self.last_s = max(self.last_s, (event.at_ms - self._start_ms) / 1000)
        noun = event.type.partition(".")[0]
        match noun:
            case "text" | "reasoning":
                self._word(event, event.data["text"])
            case "tool" if event.type == "tool.delta":
                self._word(event, event.data.get("arguments") or "")
            case "attempt":
                self._attempt(event)
            case "step":
                self._step(event)
            case "run":
                self._run(event)
            case "progress":
                self._progress(event.data)
            case "question":
                self._question(event)

    def _question(self, event: Event) -> None:
        key = f"question {event.data['step']}"  # a step of that name may have its own pauses
        if event.type == "question.asked":
            until = (event.data["until_ms"] - self._start_ms) / 1000
            self._waits(key, Wait(self.last_s, until, "question", ""))
        else:
            self._waited(key)

    def _progress(self, data: Mapping[str, Any]) -> None:
        if data.get("current") is not None and data.get("total") is not None:
            self.progress = {"current": data["current"], "total": data["total"]}

    def _run(self, event: Event) -> None:
        if event.type == "run.recovered":
            self.recoveries += 1
        elif event.is_terminal:
            self.end = event.type.partition(".")[2]
            for step in tuple(self._waiting):
                self._waited(step)
            is_short = self.end == "completed" and self._short
            self.error = {"code": "length", "message": ""} if is_short else dict(event.data) or None

    def _step(self, event: Event) -> None:
        step = event.data["step"]
        if event.type == "step.started":
            self._began[step] = self.last_s
            if event.data.get("unseen"):
                self._unseen.add(step)
            return
        if event.data.get("at") is not None:  # a rewound half line ends nothing
            return
        self._broken.pop(step, None)
        self._short.discard(step)
        if event.data.get("finish_reason") == "length" and step not in self._unseen:
            self._short.add(step)
        if event.type == "step.rewound":
            self._spoken.discard(step)

    def _word(self, event: Event, text: str) -> None:
        step, now = event.data["step"], self.last_s
        writer = self._writer(step)
        self._mend(event, step)
        last = self._open.get(writer)
        # A step that began after the last word starts a new stretch; a parallel one shares it.
        if last is None or now - last.t1 > PAUSE_S or self._began.get(step, 0.0) > last.t1:
            last = self._open[writer] = Stretch(writer, now, now)
            self.stretches.append(last)
        at = int((now - last.t0) / BUCKET_S)
        last.buckets.extend([0.0] * (at + 1 - len(last.buckets)))
        size = weigh(text)
        last.buckets[at] += size / TWELFTHS
        last.t1 = self.last_word_s = now
        self.twelfths += size
        if event.type == "text.delta":
            self._spoken.add(step)

    def _mend(self, event: Event, step: str) -> None:
        """The first word after a break that left text behind: the seam."""
        broken = self._broken.pop(step, None)
        if broken is None or step not in self._spoken:
            return
        since, cause, writer = broken
        asking, to = self._writers.get(step), self._writer(step)
        strategy = asking.strategy if asking is not None else "template"
        if len(self.seams) < MAX_SEAMS:
            self.seams.append(Gap(since, self.last_s, event.seq, cause, writer, to, strategy))
        self._open.pop(to, None)

    def _writer(self, step: str) -> str:
        asking = self._writers.get(step)
        return asking.model if asking is not None else "template"

    def _attempt(self, event: Event) -> None:
        if event.type == "attempt.started":
            self._asks(event.data)
        elif event.type in {"attempt.finished", "attempt.failed"}:
            self._answers(event)
        elif event.type == "attempt.queued":
            data = event.data
            waiting = self._waiting.get(data["step"])
            if waiting is not None and waiting.cause == "queued":
                waiting.place = data["place"]
            else:
                self._waits(data["step"], Wait(self.last_s, None, "queued", data["model"]))
                self._waiting[data["step"]].place = data["place"]

    def _waits(self, step: str, wait: Wait) -> None:
        self._waited(step)
        self._waiting[step] = wait
        if len(self.waits) < MAX_WAITS:
            self.waits.append(wait)

    def _waited(self, step: str) -> None:
        waiting = self._waiting.pop(step, None)
        if waiting is not None:
            waiting.t1 = self.last_s

    def _asks(self, data: Mapping[str, Any]) -> None:
        step, model = data["step"], data["model"]
        self._waited(step)
        # An attempt that was open when its server died broke without an event.
        if step in self._writers:
            self._break(step, "interrupted", self._writer(step))
        asking = AttemptSummary(model, data["strategy"])
        self._writers[step] = self.attempts[data["number"]] = asking

    def _answers(self, event: Event) -> None:
        data = event.data
        asking = self.attempts.get(data["number"])
        if asking is not None:
            asking.code = data.get("code", "")
            is_ours = asking.code == "cancelled"
            asking.status = "cancelled" if is_ours else event.type.partition(".")[2]
            asking.usage, asking.cost = data.get("usage"), data.get("cost")
        writer = self._writer(data["step"])
        self._writers.pop(data["step"], None)
        if event.type == "attempt.failed":
            self._break(data["step"], data["code"], writer)
            if (retry_in_s := data.get("retry_in_s")) is not None:
                until = self.last_s + retry_in_s
                self._waits(data["step"], Wait(self.last_s, until, data["code"], writer))

    def _break(self, step: str, cause: str, writer: str) -> None:
        if step in self._spoken:
            self._broken.setdefault(step, (self.last_s, cause, writer))


def _about(input: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """Return single values of the input, cut to fit a row."""
    facts = {
        str(name): value[:MAX_FACT_CHARS] if isinstance(value, str) else value
        for name, value in input.items()
        if isinstance(value, str | int | float | bool) and value != ""
    }
    return dict(list(facts.items())[:MAX_FACTS])
