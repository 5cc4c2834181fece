"""
Text of vendors whose every chunk repeats the whole text so far (quirk `cumulative_content`).

We do this only for models with the quirk: equal chunks in a row may well be text.
"""

from __future__ import annotations

from .answer import Answer


class Cumulative:
    """Feed it the text of each chunk; it returns the new part."""

    def __init__(self) -> None:
        self._said = ""

    def rest_of(self, text: str, answer: Answer) -> str:
        """Return the part of `text` that is new; warn `answer` if it does not fit."""
        said = self._said
        if text.startswith(said):
            self._said = text
            return text[len(said) :]
        if not said.startswith(text):
            answer.skip("a chunk did not repeat the text so far; it was taken as what comes next")
            self._said += text
            return text
        return ""
