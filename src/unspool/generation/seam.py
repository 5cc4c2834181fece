"""
The seam between two texts: it trims text that a model repeats, and detects a model that starts
over, before a reader sees half an answer followed by a whole one.

Pure: feed it the text of a continuation, and it returns the new part. It holds text back only while
that text may still be a repetition.

It looks, in this order, for
* the anchor: the last words, which an instructed model should repeat first;
* an overlap: a repetition of the end of the text; the longest one counts, up to the whole text (an
  echo). Short or periodic ones (哈哈, "very, very") may be intended, and stay;
* a beginning like that of the text, which then differs: the model started over.

A text of lines stops at the end of one, and there whole lines count, because lines begin alike. So
we trim a repeated end of any length, and a repeated first line without the others is a new
beginning.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import Final, Literal

Kind = Literal["", "exact", "anchor", "overlap", "echo", "open"]
"""`open`: no evidence for or against the seam; empty: not decided yet."""

LOOKBACK: Final = 4000
"""Characters before the end in which an overlap may begin: no model repeats more."""

ENOUGH: Final = 6
"""Least weight of an overlap that is no accident: three Chinese characters, or six letters."""

OPENING: Final = 20
"""
Weight of a beginning like the text's own: ten Chinese characters. Two answers to one question may
share a greeting, hardly a clause.
"""

CUT_OPENING: Final = 6
"""The same if the text was cut inside a clause: its continuation does not begin with a subject."""

STOPS: Final = tuple('。！？；…”」，、：.!?;,:"\n')
"""Ends of a clause; the next one may begin as the first did (鞋底很软，鞋底很轻)."""

PASSAGE: Final = 30
"""Weight of a repeated passage from the middle: a sentence, not a phrase."""

HELD: Final = 60
"""Weight held back to tell an answer in other words from a continuation."""

RESTATED: Final = 0.5
"""An output with this share of word pairs from the text is a repetition."""

PAIRS: Final = 6
"""Different pairs needed to judge; laughter and rulers have one or two."""

ANCHOR_CHARS: Final = 24
"""Last words that an instructed model repeats: enough to be unique, and quick to write."""

_LEAD: Final = re.compile(r"^[\s…「『“\"'.]+")
_WORDS: Final = re.compile(r"[^\W\d_a-zA-Z]|\w+")


class StartedAnew(Exception):
    """The output is not a continuation; none of it may follow the text."""


def weight(text: str) -> int:
    """Return the weight of a text: 2 for a wide character, 1 for another letter or digit."""
    return sum(
        2 if unicodedata.east_asian_width(c) in "WF" and c.isalnum() else c.isalnum() for c in text
    )


def anchor_of(written: str) -> str:
    """Return the last words of a text; empty if they are too short to be unique."""
    tail = written[-ANCHOR_CHARS:].lstrip()
    if len(written) > ANCHOR_CHARS and " " in tail:
        tail = tail.partition(" ")[2].lstrip() or tail  # not from the middle of a word
    tail = tail.rpartition("\n")[2] or tail  # models often change the end of a line
    return tail if weight(tail) >= ENOUGH else ""


class Seam:
    """
    The seam between `written` and the text that follows.

    `is_instructed`: a message asked the model to continue, so it may answer again in other words;
    `anchor` is the beginning that the message asked for. `by_lines`: both texts are lines, and
    `written` ends with a whole one.
    """

    def __init__(
        self, written: str, *, anchor: str = "", is_instructed: bool = False, by_lines: bool = False
    ) -> None:
        self._by_lines = by_lines
        self._written = written
        self._anchor = anchor
        self._is_instructed = is_instructed
        self._held = ""
        self._offsets: list[int] | None = None
        """Offsets in the text that the output may repeat; None before the first output."""
        self._whole: list[int] = []
        """Offsets whose repetition reached the end of the text."""
        self._longest = 0, 0
        """The longest repetition that broke off: its characters, and its offset."""
        self.kind: Kind = "" if written else "exact"
        self.trimmed = 0
        """Characters left out."""

    def feed(self, text: str) -> str:
        """
        Return the new part of this text and of the text held back.

        Raises:
            StartedAnew: The model began another answer.
        """
        if self.kind:
            return text
        self._held += text
        return self._decide(is_last=False)

    def flush(self) -> str:
        """
        Return the text held back: nothing more will arrive.

        Raises:
            StartedAnew: All of it repeats the beginning of the text.
        """
        return "" if self.kind or not self._held else self._decide(is_last=True)

    def _decide(self, *, is_last: bool) -> str:
        if (rest := self._after_anchor(is_last=is_last)) is not None:
            return rest
        self._follow()
        if self._offsets and not is_last:
            return ""
        overlaps = [offset for offset in self._whole if self._counts(offset)]
        if overlaps:
            offset = min(overlaps)
            return self._join("overlap" if offset else "echo", len(self._written) - offset)
        self._check_anew()
        if self._is_instructed and not is_last and weight(self._held) < HELD:
            return ""
        if self._is_instructed and _is_restated(self._held, self._written):
            raise StartedAnew("the model repeated the text in other words")
        return self._join("open" if self._is_instructed else "exact", 0)

    def _join(self, kind: Kind, trimmed: int) -> str:
        self.kind, self.trimmed = kind, trimmed
        rest, self._held = self._held[trimmed:], ""
        return rest

    def _after_anchor(self, *, is_last: bool) -> str | None:
        """Return the text after the anchor; None if the output does not begin with it."""
        if not self._anchor:
            return None
        lead = _LEAD.match(self._held)
        skipped = lead.end() if lead and not self._anchor.startswith(self._held[:1]) else 0
        received = self._held[skipped:]
        if received.startswith(self._anchor):
            return self._join("anchor", skipped + len(self._anchor))
        if self._anchor.startswith(received) and not is_last:
            return ""
        self._anchor = ""
        return None

    def _follow(self) -> None:
        """Drop the offsets from which the text continues differently."""
        written, received = self._written, self._held
        if self._offsets is None:
            start = max(0, len(written) - LOOKBACK)
            self._offsets = [p for p in range(start, len(written)) if written[p] == received[0]]
            if start and written[0] == received[0]:
                self._offsets.insert(0, 0)
        left: list[int] = []
        for offset in self._offsets:
            again = written[offset : offset + len(received)]
            if not received.startswith(again):
                length = _common(again, received)
                if length > self._longest[0]:
                    self._longest = length, offset
            elif offset + len(received) >= len(written):
                self._whole.append(offset)
            else:
                left.append(offset)
        self._offsets = left

    def _counts(self, offset: int) -> bool:
        """Whether the output repeats the end of the text on purpose, not by accident."""
        overlap, rest = self._written[offset:], self._held[len(self._written) - offset :]
        if self._by_lines:
            begins_line = offset == 0 or self._written[offset - 1] == "\n"
            return begins_line or weight(overlap) >= ENOUGH or not overlap.strip()
        # The whole of a short text counts: asked to continue "今天", models begin again.
        if offset == 0 and (weight(overlap) >= ENOUGH or self._is_instructed):
            return True
        before = self._written[:offset]
        if _is_letter(overlap[:1]) and _is_letter(overlap[-1:]) and not _is_letter(before[-1:]):
            return True  # "recom" + "recommend": no text repeats letters so
        if _is_letter(overlap[:1]) and _is_letter(before[-1:]):
            return False  # from the middle of a word: "sing" + "ing"
        is_intended = _is_periodic(overlap) or (
            rest.startswith(overlap) and weight(overlap) < OPENING
        )
        return weight(overlap) >= ENOUGH and not is_intended

    def _check_anew(self) -> None:
        length, offset = self._longest
        if self._offsets:  # the output ended during the repetition
            offset = self._offsets[0]
            length = len(self._held)
        if self._by_lines:
            if offset == 0 and length > self._written.index("\n"):
                raise StartedAnew("the model repeated the first line instead of continuing")
            return
        passage = self._held[:length]
        limit = PASSAGE
        if offset == 0:
            limit = OPENING if self._written.endswith(STOPS) else CUT_OPENING
        if weight(passage) >= limit and self._written.count(passage) == 1:
            # Once only: lines of a list begin alike and are no second beginning.
            raise StartedAnew("the model started its answer over instead of continuing")


def _common(one: str, other: str) -> int:
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )


def _is_letter(character: str) -> bool:
    """Whether the character is a letter of a script that separates words."""
    return character.isalpha() and unicodedata.east_asian_width(character) not in "WF"


def _is_periodic(text: str) -> bool:
    """Whether a text repeats one part at least twice: 哈哈哈, "very very "."""
    return any(
        (text[:n] * (len(text) // n + 1)).startswith(text) for n in range(1, len(text) // 2 + 1)
    )


def _pairs(text: str) -> set[tuple[str, str]]:
    return set(pairwise(_WORDS.findall(text.lower())))


def _is_restated(received: str, written: str) -> bool:
    """Whether the text holds most word pairs of the output already."""
    pairs = _pairs(received)
    if len(pairs) < PAIRS:
        return False
    return len(pairs & _pairs(written)) / len(pairs) >= RESTATED
