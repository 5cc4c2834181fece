"""What vendors' contracts tell of an answer beside its text: a fold of the events of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unspool.runs.events import Event
from unspool.runs.run import taken_back

FINISHES: Final = frozenset({"stop", "length", "tool_calls", "content_filter"})


class AnswerFacts:
    """
    Attributes:
        model: The model that was asked last; before that, the name in the request.
        created_s: When the run began (Unix time in seconds).
        wire: What the contract kept of the request (`flows.chat.Chat.wire`).
        input: The input of the flow.
    """

    def __init__(self) -> None:
        self.model = ""
        self.created_s = 0
        self.wire: Mapping[str, Any] = {}
        self.input: Mapping[str, Any] = {}
        self._finish: str | None = None
        self._has_called = False
        self._ours: frozenset[str] = frozenset()
        self._skipped: set[tuple[str, int]] = set()
        self._indexes: dict[tuple[str, int], int] = {}
        self._usage: list[Mapping[str, Any]] = []

    def see(self, event: Event) -> None:
        """Read the next event that is no delta of text."""
        data = event.data
        match event.type:
            case "run.started":
                self.created_s = event.at_ms // 1000
                self.model = data.get("model", "")
                self.input = data.get("input") or {}
                self.wire = self.input.get("wire") or {}
                kept = self.input.get("kept_tools") or ()
                self._ours = frozenset(tool["name"] for tool in kept)
            case "attempt.started":
                self.model = data["model"]
            case "attempt.finished" | "attempt.failed" if data.get("usage"):
                self._usage.append(data["usage"])
            case "step.finished":
                self._finish = data.get("finish_reason")
            case _:
                pass

    def call_index(self, event: Event) -> int | None:
        """
        Return the place of a tool call among those of the run; each step counts from 0.

        None: the server runs that tool itself, and its client must not.
        """
        data = event.data
        place = data["step"], data["index"]
        if place not in self._indexes and data.get("name") in self._ours:
            self._skipped.add(place)
        if place in self._skipped:
            return None
        self._has_called = True
        return self._indexes.setdefault(place, len(self._indexes))

    @property
    def finish(self) -> str:
        """Why the answer ended, in the words of Chat Completions."""
        if self._finish == "stop" and self._has_called:
            return "tool_calls"
        return self._finish if self._finish in FINISHES else "stop"

    def tokens(self, name: str) -> int | None:
        """Return the sum of a count of all attempts; None where one of them is unknown."""
        counts = [usage.get(name) for usage in self._usage]
        known = [count for count in counts if count is not None]
        return sum(known) if counts and len(known) == len(counts) else None

    @property
    def cached_tokens(self) -> int:
        """Tokens of the prompts that came from a provider's cache, as far as known."""
        return sum(usage.get("cached_tokens") or 0 for usage in self._usage)


def failure_of(event: Event) -> dict[str, str]:
    """Return code and message of an ending other than `run.completed`, or of a rewind."""
    if event.type == "step.rewound":  # only in a run that was asked in another dialect
        return {"code": "rewound", "message": taken_back(event.data.get("at", 0))}
    word = event.type.partition(".")[2]
    code = event.data.get("code") or word
    message = event.data.get("message") or f"the run ended: {word} ({code})"
    return {"code": code, "message": message}
