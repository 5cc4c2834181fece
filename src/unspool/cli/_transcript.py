"""
Turns a run's events into text for people, in the order of its steps.

A run may write several steps at once. The transcript shows the one that began first live, and
the others one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from ..runs.events import Event
from ..runs.run import cut

_NUMBERED: Final = re.compile(r"-\d+$")
"""`post-1` has siblings; `answer` has none, and needs no heading."""


class Transcript:
    """Takes events in order; calls `write` with the text to show."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write_out = write
        self._current: str | None = None
        self._waiting: dict[str, list[str]] = {}
        self._finished: set[str] = set()
        self._has_failed = False  # the last attempt of the current step
        self._at_line_start = True
        self._has_written = False

    def apply(self, event: Event) -> None:
        match event.type:
            case "text.delta":
                self._text(event.data["step"], event.data["text"])
            case "step.finished":
                self._finish(event.data["step"])
            case "step.rewound":
                self._rewind(event.data["step"], event.data.get("at", 0))
            case "attempt.failed":
                self._has_failed |= event.data.get("step") == self._current
            case _ if event.is_terminal:
                self._rest()
            case _:
                pass

    def end(self) -> None:
        """Leave the cursor at the beginning of a line."""
        if not self._at_line_start:
            self._write("\n")

    def _text(self, step: str, text: str) -> None:
        if self._current is None or (self._has_failed and step != self._current):
            # A step whose attempt failed may never continue: the flow can use another step.
            self._begin(step)
        if step == self._current:
            self._has_failed = False
            self._write(text)
        else:
            self._waiting.setdefault(step, []).append(text)

    def _finish(self, step: str) -> None:
        self._finished.add(step)
        while self._current in self._finished:
            self._current = None
            if self._waiting:
                self._begin(next(iter(self._waiting)))

    def _rewind(self, step: str, at: int) -> None:
        if step == self._current:
            part = "the last, half line" if at else "the text above"
            self._heading(f"{step}: {part} is taken back; it starts over")
        elif step in self._waiting:
            cut(self._waiting[step], at)

    def _rest(self) -> None:
        while self._waiting:
            self._begin(next(iter(self._waiting)))

    def _begin(self, step: str) -> None:
        self._current = step
        self._has_failed = False
        if self._has_written or _NUMBERED.search(step):
            self._heading(step)
        for text in self._waiting.pop(step, ()):
            self._write(text)

    def _heading(self, words: str) -> None:
        self.end()
        self._write(f"{chr(10) if self._has_written else ''}── {words} ──\n")

    def _write(self, text: str) -> None:
        if text:
            self._write_out(text)
            self._at_line_start = text.endswith("\n")
            self._has_written = True
