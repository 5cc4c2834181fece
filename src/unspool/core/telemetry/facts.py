"""
A fold of an ended run for operators: what was asked, what became of it, how long all took. Pure.

It has no text of anybody: no input, no answer, no arguments of a tool, and no words of an error,
which may repeat them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ...formats.tenancy import DEFAULT
from ...runs.events import Event
from ...runs.usage import UsageTotal, total

MAX_REQUESTS: Final = 1000
"""Requests to models, and calls of tools, of one run that are told."""

_OUTPUT: Final = frozenset({"text.delta", "reasoning.delta", "tool.delta", "tool.called"})


@dataclass(slots=True)
class ToolUse:
    """A call of a tool, from the model's words to the tool's answer. Times are Unix ms."""

    name: str
    attempt: int
    """The request whose answer called it; 0: none of this run."""
    called_ms: int
    answered_ms: int | None = None
    code: str = ""
    """Why it failed."""


@dataclass(slots=True)
class RequestFacts:
    """One request to one model. Times are Unix milliseconds."""

    number: int
    model: str
    provider: str
    strategy: str
    continues: bool
    """Text stood there before it."""
    started_ms: int
    first_ms: int | None = None
    ended_ms: int | None = None
    code: str = "interrupted"
    """`ok`, or why it failed; a server that dies leaves no word."""
    finish_reason: str = ""
    usage: Mapping[str, Any] | None = None
    cost: Mapping[str, Any] | None = None

    @property
    def first_s(self) -> float | None:
        """Seconds until its first output."""
        return None if self.first_ms is None else max(0, self.first_ms - self.started_ms) / 1000

    @property
    def writing_s(self) -> float:
        """Seconds from its first output to its end."""
        if self.first_ms is None or self.ended_ms is None:
            return 0.0
        return max(0, self.ended_ms - self.first_ms) / 1000


@dataclass(slots=True)
class RunSummary:
    """The facts of a run, once all its events are read."""

    id: str
    flow: str = ""
    model: str = ""
    tenant: str = DEFAULT
    key: str = ""
    dialect: str = ""
    parent: str = ""
    traceparent: str = ""
    status: str = ""
    code: str = ""
    started_ms: int = 0
    ended_ms: int = 0
    requests: dict[int, RequestFacts] = field(default_factory=dict)
    tools: list[ToolUse] = field(default_factory=list)
    recoveries: list[str] = field(default_factory=list)
    """Why another server took over, each time: `died` or `stopped`."""
    _asked: dict[str, RequestFacts] = field(default_factory=dict)
    """The newest request of each step."""
    _mute: set[str] = field(default_factory=set)
    """Steps whose newest request has no output yet."""

    @property
    def seconds(self) -> float:
        return max(0, self.ended_ms - self.started_ms) / 1000

    @property
    def usage(self) -> UsageTotal | None:
        return total((each.usage, each.cost) for each in self.requests.values())

    def apply(self, event: Event) -> None:
        """Read the next event."""
        if event.type in _OUTPUT:
            if event.data["step"] in self._mute:
                self._speaks(event)
            if event.type == "tool.called":
                self._calls(event)
            return
        match event.type.partition(".")[0]:
            case "attempt":
                self._attempt(event)
            case "run":
                self._run(event)
            case "tool":
                self._answers(event)
            case _:
                pass

    def _speaks(self, event: Event) -> None:
        step = event.data["step"]
        self._mute.discard(step)
        self._asked[step].first_ms = event.at_ms

    def _calls(self, event: Event) -> None:
        asked = self._asked.get(event.data["step"])
        # Calls that a fork took over were made by another run.
        if asked is not None and len(self.tools) < MAX_REQUESTS:
            name = str(event.data["name"])
            self.tools.append(ToolUse(name, asked.number, event.at_ms))

    def _answers(self, event: Event) -> None:
        name = event.data.get("name")
        for use in self.tools:
            if use.answered_ms is None and use.name == name:
                use.answered_ms, use.code = event.at_ms, str(event.data.get("code", ""))
                return

    def _attempt(self, event: Event) -> None:
        data = event.data
        if event.type == "attempt.started":
            if len(self.requests) >= MAX_REQUESTS:
                return
            asked = RequestFacts(
                data["number"],
                data["model"],
                data.get("provider", ""),
                data["strategy"],
                bool(data.get("at")),
                event.at_ms,
            )
            self.requests[asked.number] = self._asked[data["step"]] = asked
            self._mute.add(data["step"])
        elif event.type in {"attempt.finished", "attempt.failed"}:
            self._mute.discard(data["step"])
            if (ended := self.requests.get(data["number"])) is not None:
                ended.ended_ms = event.at_ms
                ended.code = data.get("code", "ok")
                ended.finish_reason = data.get("finish_reason") or ""
                ended.usage, ended.cost = data.get("usage"), data.get("cost")

    def _run(self, event: Event) -> None:
        data = event.data
        if event.type == "run.started":
            self.started_ms = event.at_ms
            for name in ("flow", "model", "dialect", "tenant", "key", "traceparent", "parent"):
                setattr(self, name, data.get(name) or getattr(self, name))
        elif event.type == "run.recovered":
            self.recoveries.append(data["reason"])
        elif event.is_terminal:
            self.ended_ms = event.at_ms
            self.status = event.type.partition(".")[2]
            self.code = str(data.get("code", ""))
