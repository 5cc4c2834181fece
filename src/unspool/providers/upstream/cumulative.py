"""
Text of vendors whose every chunk repeats all of it so far (quirk `cumulative_content`).

Only where a model is said to do so: equal chunks one after the other may well be text.
"""

from __future__ import annotations

from .answer import Answer


class Cumulative:
    """Feed it what a chunk says; it returns what is new in it."""

    def __init__(self) -> None:
        self._said = ""

    def rest_of(self, text: str, answer: Answer) -> str:
        """Return what `text` says beyond what was said; `answer` is told where it does not fit."""
        said = self._said
        if text.startswith(said):
            self._said = text
            return text[len(said) :]
        if not said.startswith(text):
            answer.skip("a chunk did not repeat the text so far; it was taken as what comes next")
            self._said += text
            return text
        return ""
