"""
Reasoning inside `<think>` tags in the text.

Models with an open template write the tag at the beginning of an answer, so we look for it only
there; a tag in the middle is ordinary text. Two deltas may cut a tag anywhere.

Some templates write the opening tag themselves, so the answer holds only the closing one, on a
line of its own. A model that is known to do so (quirk `thinks_first`) is taken to think until
then. With any other, the text before the tag has been told as text, and `ThoughtAloud` takes it
back.
"""

from __future__ import annotations

from typing import Final

from .. import Reasoning, Text, ThoughtAloud

OPEN: Final = "<think>"
CLOSE: Final = "</think>"

MENTIONED: Final = " `'\"”』」),."
"""Signs behind a tag that is only mentioned."""

Told = Text | Reasoning | ThoughtAloud


class ThinkTags:
    """
    Feed it the text of an answer; it returns text and reasoning apart.

    `thinks_first`: the answer begins inside the tag.
    """

    def __init__(self, *, thinks_first: bool = False) -> None:
        self._held = ""
        self._is_thinking = thinks_first
        self._is_unopened = thinks_first
        self._unopened: list[str] = []
        """What was thought without an opening tag: if none closes it, it was the answer."""
        self._at_answer = False
        """The reasoning has ended; space before the first word of the answer is dropped."""
        self._before = ""
        """The character before the held ones; empty: it was not seen here."""
        self._is_single = False
        """A delta held the closing tag and nothing else, as if it were one token."""
        self.was_unopened = False
        """A closing tag ended thoughts that no tag had opened."""
        self.is_over = False
        """Everything that follows is text, unless it turns out to have been a thought."""
        self.may_close = True
        """A closing tag in the text would mean that all before it was thinking."""

    @property
    def is_settled(self) -> bool:
        """Text without `<` needs nothing but to be passed on."""
        return self.is_over and not self._held

    @property
    def is_holding(self) -> bool:
        """It holds back characters that it has not passed on."""
        return bool(self._held) and not self._at_answer

    def are_apart(self) -> None:
        """The provider tells thoughts in a field of their own: no tag means any before it."""
        self.may_close = False
        if self._is_unopened and not self._unopened:
            self._is_unopened = self._is_thinking = False

    def feed(self, text: str) -> list[Told]:
        held, self._held = self._held + text, ""
        if self.is_over:
            return self._late(held) if self.may_close else [Text(held)]
        if self._at_answer:
            return self._answer(held)
        return self._think(held) if self._unopened else self._begin(held)

    def _begin(self, held: str) -> list[Told]:
        """Look for a tag at the beginning."""
        if self._is_thinking and not self._is_unopened:
            return self._think(held)
        start = held.lstrip()
        if start.startswith(OPEN):
            self._is_thinking, self._is_unopened = True, False
            self.may_close = False
            return self._think(start[len(OPEN) :])
        if start.startswith(CLOSE):
            return self._think(start)
        if OPEN.startswith(start) or CLOSE.startswith(start):
            self._held = held  # perhaps the beginning of a tag, or only space so far
            return []
        if self._is_thinking:
            return self._think(held)
        self.is_over = True
        return self._late(held)

    def flush(self) -> list[Told]:
        """Return the characters held back: the answer has ended and they were no tag."""
        held, self._held = self._held, ""
        if self._is_unopened and self._is_thinking:
            self._unopened.append(held)
            return [Text(whole)] if (whole := "".join(self._unopened)) else []
        if not held or self._at_answer:
            return []
        return [Reasoning(held) if self._is_thinking else Text(held)]

    def _think(self, text: str) -> list[Told]:
        thought, tag, rest = text.partition(CLOSE)
        if tag:
            self._is_thinking, self._at_answer, self.may_close = False, True, False
            self.was_unopened = self._is_unopened
            said: list[Told] = [Reasoning(thought)] if thought else []
            return said + self._answer(rest)
        keep = _tail(text, CLOSE)
        thought, self._held = text[: len(text) - keep], text[len(text) - keep :]
        if self._is_unopened:
            self._unopened.append(thought)
        return [Reasoning(thought)] if thought else []

    def _answer(self, text: str) -> list[Told]:
        text = text.lstrip()
        if not text:
            return []
        self.is_over = True
        return [Text(text)]

    def _late(self, text: str) -> list[Told]:
        """Look for a closing tag in the text, on a line or in a delta of its own."""
        self._is_single = text == CLOSE or (self._is_single and text.startswith(CLOSE))
        before, tag, rest = text.partition(CLOSE)
        if OPEN in before:
            self.may_close = False  # a text about tags
            return [Text(text)]
        if tag and rest:
            return self._closed(before, rest) or [Text(text)]
        keep = len(tag) or max(_tail(text, CLOSE), _tail(text, OPEN))
        said, self._held = text[: len(text) - keep], text[len(text) - keep :]
        self._before = said[-1:] or self._before if keep else ""
        return [Text(said)] if said else []

    def _closed(self, before: str, rest: str) -> list[Told]:
        """Return what a closing tag makes of the text; nothing if it is a word of it."""
        self.may_close = False
        is_line = (before[-1:] or self._before) == "\n" or rest[0] in "\r\n"
        is_token = self._is_single and not self._before and rest[0] not in MENTIONED
        if not (is_line or is_token):
            return []
        self.is_over, self._at_answer, self.was_unopened = False, True, True
        said: list[Told] = [Text(before)] if before else []
        return [*said, ThoughtAloud(), *self._answer(rest)]


def _tail(text: str, tag: str) -> int:
    """Return how many characters at the end may begin the tag."""
    longest = min(len(text), len(tag) - 1)
    return next((n for n in range(longest, 0, -1) if tag.startswith(text[-n:])), 0)
