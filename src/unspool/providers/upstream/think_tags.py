"""
Reasoning inside `<think>` tags in the text.

Models with an open template write the tag at the beginning of an answer, so we look for it only
there; a tag in the middle is ordinary text. Two deltas may cut a tag anywhere.
"""

from __future__ import annotations

from typing import Final

from .. import Reasoning, Text

OPEN: Final = "<think>"
CLOSE: Final = "</think>"


class ThinkTags:
    """Feed it the text of an answer; it returns text and reasoning apart."""

    def __init__(self) -> None:
        self._held = ""
        self._is_thinking = False
        self._at_answer = False
        """The reasoning has ended; space before the first word of the answer is dropped."""
        self.is_over = False
        """Everything that follows is text."""

    @property
    def is_holding(self) -> bool:
        """It holds back characters that it has not passed on."""
        return bool(self._held) and not self._at_answer

    def feed(self, text: str) -> list[Text | Reasoning]:
        if self.is_over:
            return [Text(text)]
        held, self._held = self._held + text, ""
        if self._at_answer:
            return self._answer(held)
        if self._is_thinking:
            return self._think(held)
        start = held.lstrip()
        if start.startswith(OPEN):
            self._is_thinking = True
            return self._think(start[len(OPEN) :])
        if OPEN.startswith(start):  # perhaps the beginning of a tag, or only space so far
            self._held = held
            return []
        self.is_over = True
        return [Text(held)]

    def flush(self) -> list[Text | Reasoning]:
        """Return the characters held back: the answer has ended and they were no tag."""
        held, self._held = self._held, ""
        if not held or self._at_answer:
            return []
        return [Reasoning(held) if self._is_thinking else Text(held)]

    def _think(self, text: str) -> list[Text | Reasoning]:
        thought, tag, rest = text.partition(CLOSE)
        if tag:
            self._is_thinking, self._at_answer = False, True
            said: list[Text | Reasoning] = [Reasoning(thought)] if thought else []
            return said + self._answer(rest)
        keep = _tail(text)
        thought, self._held = text[: len(text) - keep], text[len(text) - keep :]
        return [Reasoning(thought)] if thought else []

    def _answer(self, text: str) -> list[Text | Reasoning]:
        text = text.lstrip()
        if not text:
            return []
        self.is_over = True
        return [Text(text)]


def _tail(text: str) -> int:
    """Return how many characters at the end may begin the closing tag."""
    longest = min(len(text), len(CLOSE) - 1)
    return next((n for n in range(longest, 0, -1) if CLOSE.startswith(text[-n:])), 0)
