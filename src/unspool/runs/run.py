"""
Runs: the request, and the state it has reached.

`Run` is a fold of events. It reads every event once, in order, and only grows, so the state of
20,000 events costs 20,000 appends, not 20,000 copies.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import msgspec

from ..formats.tenancy import DEFAULT
from .events import Draft, Event
from .questions import Question, answer_of, question_of

Status = Literal["queued", "running", "waiting", "completed", "failed", "cancelled", "incomplete"]

ENDED: frozenset[str] = frozenset({"completed", "failed", "cancelled", "incomplete"})


@dataclass(frozen=True)
class RunSpec:
    """The request. `dialect` is the contract that the client speaks."""

    flow: str
    input: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    """Name of a model; empty means the default one."""
    dialect: str = "native"
    cancel_after_s: float | None = None
    """Seconds without a viewer after which it is cancelled; None: it continues without any."""
    continues: bool = False
    """Asked to continue without a viewer, however much it writes."""
    parent: str = ""
    """The run whose flow started it; empty: a client did."""
    forked_from: Mapping[str, Any] | None = None
    """`run` and `seq` that it continues from; None: it began with nothing."""
    aside: Sequence[str] = ()
    """Fields of the input that do not make it another request (`flows.Flow.aside`)."""
    tenant: str = DEFAULT
    """Its owner."""
    key: str = ""
    """The id of the key that started it; empty: the server has no keys."""
    traceparent: str = ""
    """The trace that it is part of (`formats.tracing`); empty: one of its own."""
    user: str = ""
    """The client's own user for whom it is, as the client names him; empty: it did not say."""

    def child(self, flow: str, input: Mapping[str, Any], *, model: str, parent: str) -> RunSpec:
        """Return the request of a run that this one's flow starts, for the same owner."""
        owner = (self.tenant, self.key, self.user)
        spec = RunSpec(flow, input, model=model, parent=parent)
        return replace(spec, tenant=owner[0], key=owner[1], user=owner[2])

    @cached_property
    def digest(self) -> str:
        """A digest of flow, input and model, without the dialect; equal requests share it."""
        asked = {name: value for name, value in self.input.items() if name not in self.aside}
        request: list[Any] = [self.flow, asked, self.model]
        if self.forked_from is not None:  # a fork equals only a fork of the same event
            request.append(self.forked_from)
        canon = msgspec.json.encode(request, order="deterministic")
        return hashlib.sha256(canon).hexdigest()


@dataclass(slots=True)
class Step:
    """A named part of a flow and the text it has so far."""

    name: str
    parts: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: list[Mapping[str, Any]] = field(default_factory=list)
    """Whole tool calls: `index`, `id`, `name`, `arguments`."""
    answers: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """Answers by the `index` of their call: `content`, and `code` if the call failed."""
    has_call: bool = False
    """A tool call began."""
    begun: dict[int, bool] = field(default_factory=dict)
    """By the `index` of each call that began: whether it has arguments."""
    finished: bool = False
    is_unseen: bool = False
    """Written only for the flow: no part of the run's text; only our own dialect shows it."""
    finish_reason: str | None = None
    turn_state: Mapping[str, Any] | None = None
    """What the model's provider wants back with this turn (`providers.TurnState`)."""
    model: str | None = None
    """Author of the last text: a model's name, or `template` for known text."""

    @property
    def text(self) -> str:
        return "".join(self.parts)

    def rewind(self, at: int = 0) -> None:
        """Rewind its text to character `at`; thoughts stay, because they are no part of it."""
        cut(self.parts, at)
        self.turn_state = None
        if not at:
            self.calls.clear()
            self.answers.clear()
            self.has_call = False
            self.begun.clear()

    def begin_call(self, index: int, arguments: str) -> None:
        """Note a fragment of a call."""
        self.has_call = True
        self.begun[index] = bool(arguments) or self.begun.get(index, False)

    @property
    def has_cut_call(self) -> bool:
        """
        Whether a call never became whole. A name alone may be nothing: some vendors send the name
        of a call twice; but not where the answer reached its limit.
        """
        whole = {call["index"] for call in self.calls}
        is_cut = self.finish_reason == "length"
        return any(k not in whole and (argued or is_cut) for k, argued in self.begun.items())

    def beginning(self) -> Draft:
        """Return the event that begins it."""
        unseen = {"unseen": True} if self.is_unseen else {}
        return Draft("step.started", {"step": self.name, **unseen})

    def ending(self) -> Draft:
        """Return the event that finishes it; its deltas hold the text."""
        text = self.text
        facts = {"chars": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}
        written = {"step": self.name, "model": self.model, "finish_reason": self.finish_reason}
        kept = {} if self.turn_state is None else {"turn_state": self.turn_state}
        return Draft("step.finished", {**written, **facts, **kept})


@dataclass(slots=True)
class Attempt:
    """One request to one model, as the log has it."""

    step: str
    number: int
    model: str
    strategy: str
    started_ms: int
    at: int = 0
    """Characters of the step's text before it."""
    reason: str | None = None
    """Code of the failure that made it necessary."""
    handle: str | None = None
    """Id under which the provider keeps its answer."""
    thoughts: int = 0
    """Characters of its reasoning."""
    fragments: int = 0
    """Fragments of its tool calls."""
    status: Literal["running", "finished", "failed"] = "running"
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """The state of a run after some prefix of its events."""

    seq: int = 0
    status: Status = "queued"
    steps: dict[str, Step] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    questions: dict[str, Question] = field(default_factory=dict)
    """Questions to people, by their steps."""
    items: list[Any] = field(default_factory=list)
    children: dict[int, str] = field(default_factory=dict)
    """Ids of the runs that its flow started, by their numbers."""
    warnings: list[str] = field(default_factory=list)
    result: Any = None
    error: dict[str, Any] | None = None
    started_ms: int | None = None
    first_token_ms: int | None = None
    """When the first text was logged (Unix ms), not how long it took."""
    ended_ms: int | None = None
    last_ms: int = 0
    """The time of the last event."""
    away_ms: int = 0
    """How long no server carried it, as far as its events tell."""
    is_carried: bool = False
    """A server carries it and did not release it; if that server is gone, it died."""
    parent: str | None = None
    forked_from: Mapping[str, Any] | None = None
    recoveries: int = 0
    """Takeovers from dead servers in a row, without progress between them."""
    facts: Counter[int] = field(default_factory=Counter)
    """Facts outside of steps, by `fact_key`, and how often the log holds each."""
    facts_of: dict[str, list[int]] = field(default_factory=dict)
    """By step: the facts about its text, which a full rewind removes."""

    @property
    def text(self) -> str:
        """The text of all shown steps, in the order in which the steps began."""
        shown = (step for step in self.steps.values() if not step.is_unseen)
        return "".join(part for step in shown for part in step.parts)

    @property
    def is_ended(self) -> bool:
        return self.status in ENDED

    def apply(self, event: Event) -> None:
        """Read the next event; `event.seq` must be the next number."""
        # The journal refuses gaps when it writes; we refuse them again, so that a torn read
        # cannot give a wrong answer.
        assert event.seq == self.seq + 1, (self.seq, event)
        self.seq = event.seq
        noun = event.type.partition(".")[0]
        match noun:
            case "text" | "reasoning" | "step":
                self._step(event)
            case "tool":
                self._tool(event)
            case "attempt":
                self._attempt(event)
            case "run":
                self._run(event)
            case "question":
                self._question(event)
            case _:
                self._rest(event)
        self.last_ms = event.at_ms

    def _step(self, event: Event) -> None:
        data = event.data
        step = self._step_of(data)
        match event.type:
            case "text.delta":
                self.recoveries = 0
                step.parts.append(data["text"])
                if self.first_token_ms is None and not step.is_unseen:
                    self.first_token_ms = event.at_ms
            case "reasoning.delta":
                step.reasoning.append(data["text"])
                if (attempt := self.last_attempt(step.name)) is not None:
                    attempt.thoughts += len(data["text"])
            case "step.rewound":
                self._rewind(step, data.get("at", 0))
            case "step.finished":
                step.finished = True
                step.finish_reason = data.get("finish_reason")
                step.model = data.get("model")
                step.turn_state = data.get("turn_state")
            case _:  # A later owner may write "step.started" again: the text stays.
                step.is_unseen = bool(data.get("unseen"))

    def _step_of(self, data: Mapping[str, Any]) -> Step:
        name = data["step"]
        return self.steps.get(name) or self.steps.setdefault(name, Step(name))

    def _tool(self, event: Event) -> None:
        data = event.data
        step = self._step_of(data)
        match event.type:
            case "tool.delta":
                step.begin_call(data["index"], data["arguments"])
                if (attempt := self.last_attempt(step.name)) is not None:
                    attempt.fragments += 1
            case "tool.called":
                step.has_call = True
                named = ("index", "id", "name", "arguments")
                step.calls.append({name: data[name] for name in named})
            case _:
                self.recoveries = 0
                fields = ("content", "code")
                step.answers[data["index"]] = {name: data[name] for name in fields if name in data}

    def _rewind(self, step: Step, at: int) -> None:
        step.rewind(at)
        if not at:  # items from whole lines stay with those lines
            self.items = [item for item in self.items if item.get("step") != step.name]
            self.facts.subtract(self.facts_of.pop(step.name, ()))

    def last_attempt(self, step: str) -> Attempt | None:
        """Return the newest request of a step; None if no model was asked."""
        return next((a for a in reversed(self.attempts) if a.step == step), None)

    def _attempt(self, event: Event) -> None:
        data = event.data
        if event.type in {"attempt.queued", "attempt.silent"}:
            return  # for those who wait; they change nothing
        if event.type == "attempt.started":
            facts = data["step"], data["number"], data["model"], data["strategy"]
            began = {"at": data.get("at", 0), "reason": data.get("reason")}
            self.attempts.append(Attempt(*facts, started_ms=event.at_ms, **began))
            return
        attempt = next(a for a in reversed(self.attempts) if a.number == data["number"])
        if event.type == "attempt.kept":
            attempt.handle = data["handle"]
            return
        attempt.status = "finished" if event.type == "attempt.finished" else "failed"
        attempt.facts = {k: v for k, v in data.items() if k not in {"step", "number"}}

    def _question(self, event: Event) -> None:
        step = event.data["step"]
        if event.type == "question.asked":
            self.questions[step] = question_of(event.data)
        else:
            self.questions[step].answer = answer_of(event.data)
            self.recoveries = 0
        self.status = "waiting" if self.open_questions else "running"

    @property
    def open_questions(self) -> list[Question]:
        """Questions that wait for an answer, oldest first."""
        return [question for question in self.questions.values() if question.answer is None]

    def _run(self, event: Event) -> None:
        match event.type:
            case "run.started":
                self.status = "running"
                self.parent = event.data.get("parent")
                self.forked_from = event.data.get("forked_from")
                self.started_ms = event.at_ms
                self.is_carried = True
                return
            case "run.released":
                self.is_carried = False
                return
            case "run.recovered":
                self.is_carried = True
                self.away_ms += max(0, event.at_ms - self.last_ms)
                self.recoveries += event.data["reason"] == "died"
                return
            case _:
                self.is_carried = False
        self.ended_ms = event.at_ms
        self.status = event.type.partition(".")[2]  # type: ignore[assignment]
        if event.data:
            self.error = dict(event.data)
        # Their own endings are lost where the journal could not be written.
        for attempt in self.attempts:
            if attempt.status == "running":
                attempt.status, attempt.facts = "failed", {"code": "interrupted", **event.data}

    def _rest(self, event: Event) -> None:
        fact = fact_key(event.type, event.data)
        self.facts[fact] += 1
        if event.type == "item.found" and "step" in event.data:
            self.facts_of.setdefault(event.data["step"], []).append(fact)
        match event.type:
            case "note.taken":
                self.notes[event.data["name"]] = event.data["value"]
            case "item.found":
                self.recoveries = 0
                self.items.append(event.data)
                if is_child(event.data) and event.data["kind"] == "child":
                    child = event.data["item"]
                    self.children[child["number"]] = child["run"]
            case "warning.raised":
                self.warnings.append(event.data["message"])
            case "result.set":
                self.result = event.data["value"]
            case _:
                pass


def cut(parts: list[str], at: int) -> None:
    """Rewind a text in parts to character `at`."""
    stays = "".join(parts)[:at]
    parts[:] = [stays] if stays else []


def taken_back(at: int) -> str:
    """Return words for a rewind, for dialects that cannot rewind."""
    if not at:
        return "the text so far is taken back; it begins again"
    return f"the text is taken back from character {at} on"


def is_child(found: Mapping[str, Any]) -> bool:
    """Whether an item is about a child run, and not some flow's own `child`."""
    is_kind = found["kind"] in {"child", "child_progress", "child_ended"}
    return is_kind and {"number", "run"} <= found["item"].keys()


def fact_key(kind: str, data: Mapping[str, Any]) -> int:
    """Return a short digest of a fact: a run may hold very many."""
    fact = msgspec.json.encode([kind, data], order="deterministic")
    return int.from_bytes(hashlib.sha256(fact).digest()[:8])


def fold(events: Iterable[Event], start: Run | None = None) -> Run:
    """Return the state after `events`, from the beginning or from `start` (which is changed)."""
    run = start or Run()
    for event in events:
        run.apply(event)
    return run
