"""
A fold of a run for its row in the index. Pure.

Most events of a log are pieces of text. Each costs a list append here, because a busy server folds
every ended run once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ...formats.nesting import texts_in
from ...formats.tenancy import DEFAULT
from ...journals import Head
from ...runs.events import Event
from ...runs.run import cut
from ...runs.timeline import Timeline
from ...runs.usage import total

MAX_TEXT: Final = 64 * 1024
"""Characters of one run that can be searched; a quarter of them at most is its input."""

MAX_ATTEMPTS: Final = 1000
"""Attempts of one run that are counted."""

_WORDS: Final = ("text.delta", "reasoning.delta", "tool.delta")


class AttemptRow(msgspec.Struct, frozen=True):
    """One request to one model. Times are in milliseconds since the request."""

    number: int
    model: str
    status: str
    code: str
    first_ms: int | None
    total_ms: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    is_measured: bool
    is_counted: bool
    """Its usage is known."""
    amount: float | None
    """What it cost; None: it has no price."""
    currency: str


class RunRow(msgspec.Struct, frozen=True):
    """What the index holds of a run. Counts of a live run are those of its beginning."""

    id: str
    flow: str
    model: str
    dialect: str
    status: str
    code: str
    last_seq: int
    created_ms: int
    ended_ms: int | None
    first_ms: int | None
    """From its beginning to its first text."""
    prompt_tokens: int | None
    completion_tokens: int | None
    is_measured: bool
    amount: float | None
    currency: str
    unpriced: int
    """Attempts that used tokens and have no price."""
    seams: int
    recoveries: int
    warnings: int
    parent: str | None
    forked_from: str | None
    about: Mapping[str, Any]
    writers: tuple[str, ...]
    """The models that wrote it, in order; `template` for known text."""
    attempts: tuple[AttemptRow, ...]
    text: str
    tenant: str = DEFAULT
    key: str = ""
    """The id of the key that started it."""
    user: str = ""
    """The client's own user for whom it is."""


@dataclass(slots=True)
class _Asked:
    model: str
    step: str
    started_ms: int
    first_ms: int | None = None
    ended_ms: int | None = None


@dataclass(slots=True)
class RunFacts:
    """The facts of a run after some prefix of its events."""

    timeline: Timeline = field(default_factory=Timeline)
    warnings: int = 0
    _asked: dict[int, _Asked] = field(default_factory=dict)
    _open: dict[str, _Asked] = field(default_factory=dict)
    _heard: set[tuple[str, str]] = field(default_factory=set)
    """Steps and kinds of words that their present writers have said."""
    _unseen: set[str] = field(default_factory=set)
    _texts: dict[str, list[str]] = field(default_factory=dict)
    _input: str = ""
    _left: int = MAX_TEXT
    _first_ms: int | None = None
    _start_ms: int = 0
    _writers: dict[str, None] = field(default_factory=dict)
    _owner: tuple[str, str] = ("", "")
    """Key and user."""

    def apply(self, event: Event) -> None:
        """Read the next event."""
        match event.type:
            case "text.delta":
                self._text(event)
            case "reasoning.delta" | "tool.delta":
                self._word(event)
            case "warning.raised":
                self.warnings += 1
            case "progress.made" | "note.taken" | "item.found" | "result.set":
                pass
            case _:
                self.timeline.apply(event)
                self._rest(event)

    def _text(self, event: Event) -> None:
        step = event.data["step"]
        self._word(event)
        if step in self._unseen or self._left <= 0:
            return
        text = event.data["text"][: self._left]
        self._left -= len(text)
        self._texts.setdefault(step, []).append(text)

    def _word(self, event: Event) -> None:
        """Note the first words of a step's present writer; only those can end a seam."""
        step = event.data["step"]
        if (step, event.type) in self._heard:
            return
        self._heard.add((step, event.type))
        self.timeline.apply(event)
        writer = self._open.get(step)
        if writer is not None and writer.first_ms is None:
            writer.first_ms = event.at_ms
        if event.type == "text.delta":
            self._writers[writer.model if writer else "template"] = None
            if self._first_ms is None and step not in self._unseen:
                self._first_ms = event.at_ms

    def _rest(self, event: Event) -> None:
        data = event.data
        match event.type:
            case "run.started":
                self._start_ms = event.at_ms
                self._owner = data.get("key", ""), data.get("user", "")
                self._input = "\n".join(filter(None, texts_in(data.get("input"))))[: MAX_TEXT // 4]
                self._left -= len(self._input)
            case "step.started" if data.get("unseen"):
                self._unseen.add(data["step"])
            case "step.rewound":
                cut(self._texts.get(data["step"], []), data.get("at", 0))
                self._now_quiet(data["step"])
            case "attempt.started":
                self._now_quiet(data["step"])
                asked = _Asked(data["model"], data["step"], event.at_ms)
                self._open[data["step"]] = asked
                if len(self._asked) < MAX_ATTEMPTS:
                    self._asked[data["number"]] = asked
            case "attempt.finished" | "attempt.failed":
                self._now_quiet(data["step"])
                self._open.pop(data["step"], None)
                if (ended := self._asked.get(data["number"])) is not None:
                    ended.ended_ms = event.at_ms
            case _:
                pass

    def _now_quiet(self, step: str) -> None:
        self._heard -= {(step, kind) for kind in _WORDS}

    def row(self, head: Head) -> RunRow:
        """Return the row of the run that `head` names."""
        timeline = self.timeline
        attempts = tuple(self._attempts())
        used = total((each.usage, each.cost) for each in timeline.attempts.values())
        cost = (used and used.cost) or {}
        texts = ["".join(parts) for parts in self._texts.values()]
        return RunRow(
            id=head.run_id,
            flow=head.flow,
            model=head.model,
            dialect=head.dialect,
            status=head.status,
            code=str((timeline.error or {}).get("code", "")),
            last_seq=head.seq,
            created_ms=head.created_ms,
            ended_ms=head.ended_ms,
            first_ms=None if self._first_ms is None else max(0, self._first_ms - self._start_ms),
            prompt_tokens=used.prompt_tokens if used else None,
            completion_tokens=used.completion_tokens if used else None,
            is_measured=used is not None and used.basis == "measured",
            amount=cost.get("amount"),
            currency=cost.get("currency", ""),
            unpriced=sum(each.is_counted and each.amount is None for each in attempts),
            seams=len(timeline.seams),
            recoveries=timeline.recoveries,
            warnings=self.warnings,
            parent=head.parent,
            forked_from=head.forked_from,
            about=timeline.about,
            writers=tuple(self._writers),
            attempts=attempts,
            text="\n".join(part for part in (self._input, *texts) if part),
            tenant=head.tenant,
            key=self._owner[0],
            user=self._owner[1],
        )

    def _attempts(self) -> Iterator[AttemptRow]:
        for number, asked in self._asked.items():
            summary = self.timeline.attempts[number]
            usage, cost = summary.usage, summary.cost
            yield AttemptRow(
                number=number,
                model=asked.model,
                status=summary.status,
                code=summary.code,
                first_ms=_since(asked.started_ms, asked.first_ms),
                total_ms=_since(asked.started_ms, asked.ended_ms),
                prompt_tokens=usage["prompt_tokens"] if usage else None,
                completion_tokens=usage["completion_tokens"] if usage else None,
                is_measured=usage is not None and usage["basis"] == "measured",
                is_counted=usage is not None,
                amount=cost["amount"] if cost else None,
                currency=cost["currency"] if cost else "",
            )


def _since(start_ms: int, at_ms: int | None) -> int | None:
    return None if at_ms is None else max(0, at_ms - start_ms)
