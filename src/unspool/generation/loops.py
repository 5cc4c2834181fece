"""
Watches one attempt for a model that repeats itself without end (`repetition`).

A loop of prose ends the attempt, once more of it comes: what stands in one delta was not written a
word at a time. Structure and single characters may end by themselves, so such a loop must last: an
upstream that plays a stored answer sends ten thousand of them in a moment, a model that is lost
goes on for minutes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from ..providers import Model, Prompt
from .continuation import is_constrained
from .repetition import Loop, LoopDetector

MAX_BEFORE: Final = 2000
"""Characters of the text before an attempt that are looked at with it."""

LASTS_S: Final = 5.0
"""Seconds that a loop lasts before it ends an attempt, if it may end by itself."""

SHOWN_CHARS: Final = 40
"""Characters of the repeated part that an error shows."""


PENALTY: Final = 1.0
"""
`frequency_penalty` of the request after a loop, from -2 to 2 in OpenAI's API. A small model that
was lost repeated whole sentences at 0.3 and 0.6, and wrote on at 1.0.
"""


def penalized(model: Model, prompt: Prompt) -> Prompt:
    """
    Return the prompt with a penalty for words said already, for a model that was in a loop.

    Only where the API has one, and prose alone: data repeats its words rightly.
    """
    if model.provider != "openai" or is_constrained(prompt):
        return prompt
    own = {**model.params, **prompt.params}.get("frequency_penalty")
    penalty = max(PENALTY, own) if isinstance(own, int | float) else PENALTY
    return replace(prompt, params={**prompt.params, "frequency_penalty": penalty})


class Looping(Exception):
    """The model repeats itself."""

    def __init__(self, loop: Loop) -> None:
        part = " ".join(loop.part.split())
        more = "…" if len(part) > SHOWN_CHARS else ""
        super().__init__(f"the model repeats itself without end: {part[:SHOWN_CHARS]!r}{more}")


class _Watched:
    """One stream of characters, and since when it is in a loop that may end by itself."""

    def __init__(self) -> None:
        self.detector = LoopDetector()
        self.loop: Loop | None = None
        self._since = 0.0

    def lasts(self, text: str, now: Callable[[], float]) -> Loop | None:
        """Feed text; return the loop that ends the attempt."""
        if self.detector.due > len(text):
            self.detector.feed(text)
            return None
        was, self.loop = self.loop, self.detector.feed(text)
        if self.loop is None:
            return None
        if was is None:
            self._since = now()
            return None
        return self.loop if self.loop.is_sure or now() - self._since >= LASTS_S else None


class LoopWatch:
    """
    Feed it what an attempt says.

    Args:
        before: The text that the attempt continues; a loop may have begun there. Positions count
            from its end.

    Attributes:
        due: Characters of the text until the next look; infinite if it is off.
    """

    def __init__(
        self,
        before: str = "",
        *,
        is_on: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._text = _Watched()
        self._before = len(seed := before[-MAX_BEFORE:])
        self._text.detector.feed(seed)
        self._aside = _Watched() if is_on else None
        self.due: float = self._text.detector.due if is_on else math.inf

    def text(self, text: str) -> None:
        """
        Take text of the answer.

        Raises:
            Looping: The model repeats itself.
        """
        loop = self._text.lasts(text, self._now)
        self.due = self._text.detector.due
        if loop is not None:
            raise Looping(loop)

    @property
    def loop(self) -> Loop | None:
        """The loop that the text is in, as far as it has been looked at."""
        loop = self._text.loop
        if loop is None:
            return None
        return replace(loop, begin=loop.begin - self._before, again=loop.again - self._before)

    def aside(self, text: str) -> None:
        """
        Take thoughts, or arguments of a call.

        Raises:
            Looping: The model repeats itself.
        """
        if self._aside is not None and (loop := self._aside.lasts(text, self._now)) is not None:
            raise Looping(loop)

    def end(self, finish_reason: str) -> None:
        """
        Take the end of the answer.

        Raises:
            Looping: Only a limit ended the loop.
        """
        if finish_reason == "length" and (loop := self._text.loop) is not None:
            raise Looping(loop)
