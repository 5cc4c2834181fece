"""
How far a run is and how fast it goes, as a fold of its events.

Pure: time is the log's own `at_ms`, so every viewer computes the same speed from the same log. No
log holds these numbers.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from ..formats.tokens import TWELFTHS, tokens_in, weigh
from .events import Event

WINDOW_S: Final = 5.0
"""Window of a speed: long enough for a steady number, short enough to show a stall."""


@dataclass(slots=True)
class Progress:
    """What a progress bar needs to know, after some prefix of a run's events."""

    chars: int = 0
    """Characters of answer text now; rewound text does not count."""
    message: str = ""
    """The last message for people."""
    current: float | None = None
    total: float | None = None
    left_s: float | None = None
    """Estimated seconds left, made when `current` last changed."""

    _started_ms: int | None = None
    _last_ms: int = 0
    _first_output_ms: int | None = None
    _last_output_ms: int = 0
    _opening: int = 0
    """Twelfths of the first output."""
    _written: int = 0
    _recent: deque[tuple[int, int]] = field(default_factory=deque)
    """Time and twelfths of each output within the window."""
    _recent_sum: int = 0
    _step_chars: dict[str, int] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        """Read the next event. Every output enters and leaves the window once."""
        # A clock that was set back must not make a speed negative.
        self._last_ms = max(self._last_ms, event.at_ms)
        if self._started_ms is None:
            self._started_ms = self._last_ms
        match event.type:
            case "text.delta":
                self._text(event.data["step"], event.data["text"])
            case "reasoning.delta":
                self._output(event.data["text"])
            case "tool.delta":
                self._output(event.data.get("arguments") or "")
            case "step.rewound":
                step, at = event.data["step"], event.data.get("at", 0)
                self.chars -= self._step_chars.get(step, 0) - at
                self._step_chars[step] = at
            case "progress.made":
                self._told(event)
            case _:
                pass
        self._forget()

    @property
    def tokens(self) -> int:
        """
        Estimated tokens written so far: answers, reasoning and tool arguments.

        It never goes down: the model wrote rewound text too.
        """
        return tokens_in(self._written)

    @property
    def tokens_per_s(self) -> float:
        """Speed over the last `WINDOW_S` of the log; 0.0 until two moments can be compared."""
        if self._first_output_ms is None:
            return 0.0
        span_ms = min(self._last_ms - self._first_output_ms, int(WINDOW_S * 1000))
        return self._recent_sum / TWELFTHS / (span_ms / 1000) if span_ms else 0.0

    @property
    def mean_per_s(self) -> float:
        """Speed from the first output to the last; 0.0 until two moments can be compared."""
        span_ms = self._last_output_ms - (self._first_output_ms or 0)
        is_known = self._first_output_ms is not None and span_ms > 0
        return (self._written - self._opening) / TWELFTHS / (span_ms / 1000) if is_known else 0.0

    def wait_until(self, now_ms: int) -> None:
        """Let time pass without an event: a silent run has no speed."""
        self._last_ms = max(self._last_ms, now_ms)
        self._forget()

    @property
    def elapsed_s(self) -> float:
        """From the first event to the last one."""
        return 0.0 if self._started_ms is None else (self._last_ms - self._started_ms) / 1000

    @property
    def percent(self) -> float | None:
        """0.0 to 100.0, or None if the total is unknown."""
        if self.current is None or not self.total or self.total < 0:
            return None
        return min(100.0, max(0.0, 100.0 * self.current / self.total))

    def _text(self, step: str, text: str) -> None:
        self.chars += len(text)
        self._step_chars[step] = self._step_chars.get(step, 0) + len(text)
        self._output(text)

    def _output(self, text: str) -> None:
        size = weigh(text)
        self._written += size
        self._last_output_ms = self._last_ms
        if self._first_output_ms is None:
            # We do not know how long the model wrote the first output: we measure from it on,
            # without counting it.
            self._first_output_ms = self._last_ms
            self._opening = size
        elif self._last_ms > self._first_output_ms:
            self._recent.append((self._last_ms, size))
            self._recent_sum += size

    def _forget(self) -> None:
        edge_ms = self._last_ms - int(WINDOW_S * 1000)
        while self._recent and self._recent[0][0] <= edge_ms:
            self._recent_sum -= self._recent.popleft()[1]

    def _told(self, event: Event) -> None:
        self.message = event.data.get("message", "")
        # A message without numbers does not change how far we are,
        # so the last numbers still hold.
        if event.data.get("current") is not None:
            self.current = event.data["current"]
        if event.data.get("total") is not None:
            self.total = event.data["total"]
        if self.current and self.total and event.data.get("current") is not None:
            rest = max(0.0, self.total - self.current)
            self.left_s = self.elapsed_s * rest / self.current
