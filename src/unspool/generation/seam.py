"""
The joint between two texts: it leaves out what a model repeats, and notices a model that starts
over before a reader sees half an answer followed by a whole one.

Pure: feed it the text of a continuation, and it returns the new part. It holds text back only while
that text may still be a repetition.

These count, in this order:
* the anchor: the last words, which an instructed model should repeat first;
* an overlap: the end of the text, repeated; the longest one counts, and repeating the whole text is
  the longest of all (an echo). Short or periodic ones (哈哈, "very, very") may be meant, and stay;
* a beginning like the text's own that then takes another turn: the model started over.

In a text of lines that stops at the end of one, whole lines count: lines begin alike, and a
repeated line is the same line. So a repeated end of the text is left out, however short, from its
last words on; and the first line repeated without the others is a new beginning.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import Final, Literal

Kind = Literal["", "exact", "anchor", "overlap", "echo", "open"]
"""`open`: nothing speaks against the seam, and nothing for it; empty: not decided yet."""

LOOKBACK: Final = 4000
"""Characters before the end in which an overlap may begin: no model repeats more."""

ENOUGH: Final = 6
"""Weight of an overlap that is no accident: three Chinese characters, or six letters."""

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
"""Share of neighbouring pairs that stand in the text already and make it a repetition."""

PAIRS: Final = 6
"""Different pairs needed to judge; laughter and rulers have one or two."""

ANCHOR_CHARS: Final = 24
"""Last words that an instructed model repeats: enough to be found once, and quick to say."""

_LEAD: Final = re.compile(r"^[\s…「『“\"'.]+")
_WORDS: Final = re.compile(r"[^\W\d_a-zA-Z]|\w+")


class StartedAnew(ValueError):
    """The output is not a continuation; none of it may follow the text."""


def weight(text: str) -> int:
    """Return how much a text says: 2 for a wide character, 1 for a letter or digit."""
    return sum(
        2 if unicodedata.east_asian_width(c) in "WF" and c.isalnum() else c.isalnum() for c in text
    )


def anchor_of(written: str) -> str:
    """Return the last words of a text; empty if there is nothing to hold on to."""
    tail = written[-ANCHOR_CHARS:].lstrip()
    if len(written) > ANCHOR_CHARS and " " in tail:
        tail = tail.partition(" ")[2].lstrip() or tail  # not from the middle of a word
    tail = tail.rpartition("\n")[2] or tail  # models often change the end of a line
    return tail if weight(tail) >= ENOUGH else ""


class Seam:
    """
    The joint between `written` and the text that follows.

    `is_told`: the model was only asked in words to continue, so it may have answered anew in other
    words; then `anchor` is the beginning we asked for. `by_lines`: both are lines; then `written`
    ends with one.
    """

    def __init__(
        self, written: str, *, anchor: str = "", is_told: bool = False, by_lines: bool = False
    ) -> None:
        self._by_lines = by_lines
        self._written = written
        self._anchor = anchor
        self._is_told = is_told
        self._came = ""
        self._places: list[int] | None = None
        """Places in the text that the output may be repeating; None before the first output."""
        self._whole: list[int] = []
        """Places whose repetition has reached the end of the text."""
        self._longest = 0, 0
        """Characters repeated from a place we gave up, and that place."""
        self.kind: Kind = "" if written else "exact"
        self.trimmed = 0
        """Characters left out."""

    def feed(self, text: str) -> str:
        """
        Return the new part of a text, and of the text held back.

        Raises:
            StartedAnew: It is the beginning of another answer.
        """
        if self.kind:
            return text
        self._came += text
        return self._decide(is_last=False)

    def flush(self) -> str:
        """
        Return the text held back: nothing more will arrive.

        Raises:
            StartedAnew: All of it is the beginning of the existing text.
        """
        return "" if self.kind or not self._came else self._decide(is_last=True)

    def _decide(self, *, is_last: bool) -> str:
        if (said := self._after_anchor(is_last=is_last)) is not None:
            return said
        self._follow()
        if self._places and not is_last:
            return ""
        overlaps = [place for place in self._whole if self._counts(place)]
        if overlaps:
            place = min(overlaps)
            return self._join("overlap" if place else "echo", len(self._written) - place)
        self._check_anew()
        if self._is_told and not is_last and weight(self._came) < HELD:
            return ""
        if self._is_told and _is_restated(self._came, self._written):
            raise StartedAnew("the model said in other words what is written already")
        return self._join("open" if self._is_told else "exact", 0)

    def _join(self, kind: Kind, trimmed: int) -> str:
        self.kind, self.trimmed = kind, trimmed
        said, self._came = self._came[trimmed:], ""
        return said

    def _after_anchor(self, *, is_last: bool) -> str | None:
        """Return the text after the anchor; None if the anchor cannot come any more."""
        if not self._anchor:
            return None
        lead = _LEAD.match(self._came)
        skipped = lead.end() if lead and not self._anchor.startswith(self._came[:1]) else 0
        received = self._came[skipped:]
        if received.startswith(self._anchor):
            return self._join("anchor", skipped + len(self._anchor))
        if self._anchor.startswith(received) and not is_last:
            return ""
        self._anchor = ""
        return None

    def _follow(self) -> None:
        """Drop the places from which the text continues differently."""
        written, received = self._written, self._came
        if self._places is None:
            start = max(0, len(written) - LOOKBACK)
            self._places = [p for p in range(start, len(written)) if written[p] == received[0]]
            if start and written[0] == received[0]:
                self._places.insert(0, 0)
        left: list[int] = []
        for place in self._places:
            again = written[place : place + len(received)]
            if not received.startswith(again):
                said = _common(again, received)
                if said > self._longest[0]:
                    self._longest = said, place
            elif place + len(received) >= len(written):
                self._whole.append(place)
            else:
                left.append(place)
        self._places = left

    def _counts(self, place: int) -> bool:
        """Whether the output repeated the end of the text, and did not only begin alike."""
        overlap, rest = self._written[place:], self._came[len(self._written) - place :]
        if self._by_lines:
            begins_line = place == 0 or self._written[place - 1] == "\n"
            return begins_line or weight(overlap) >= ENOUGH or not overlap.strip()
        # All of a text too short for an anchor: a model asked to continue "今天" begins again.
        if place == 0 and (weight(overlap) >= ENOUGH or self._is_told):
            return True
        before = self._written[:place]
        if _is_letter(overlap[:1]) and _is_letter(overlap[-1:]) and not _is_letter(before[-1:]):
            return True  # "recom" + "recommend": nobody repeats letters inside a word
        if _is_letter(overlap[:1]) and _is_letter(before[-1:]):
            return False  # from the middle of a word: "sing" + "ing"
        is_meant = _is_periodic(overlap) or (rest.startswith(overlap) and weight(overlap) < OPENING)
        return weight(overlap) >= ENOUGH and not is_meant

    def _check_anew(self) -> None:
        said, place = self._longest
        if self._places:  # the end came during the repetition
            place = self._places[0]
            said = len(self._came)
        if self._by_lines:
            if place == 0 and said > self._written.index("\n"):
                raise StartedAnew("the model began with the first line again instead of going on")
            return
        passage = self._came[:said]
        limit = PASSAGE
        if place == 0:
            limit = OPENING if self._written.endswith(STOPS) else CUT_OPENING
        if weight(passage) >= limit and self._written.count(passage) == 1:
            # Once only: lines of a list begin alike and are no second beginning.
            raise StartedAnew("the model started its answer anew instead of going on")


def _common(one: str, other: str) -> int:
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )


def _is_letter(character: str) -> bool:
    """Whether the script writes words apart."""
    return character.isalpha() and unicodedata.east_asian_width(character) not in "WF"


def _is_periodic(text: str) -> bool:
    """Whether it is one thing said at least twice: 哈哈哈, "very very "."""
    return any(
        (text[:n] * (len(text) // n + 1)).startswith(text) for n in range(1, len(text) // 2 + 1)
    )


def _pairs(text: str) -> set[tuple[str, str]]:
    return set(pairwise(_WORDS.findall(text.lower())))


def _is_restated(received: str, written: str) -> bool:
    """Whether most of the output stands in the text already, pair by pair."""
    pairs = _pairs(received)
    if len(pairs) < PAIRS:
        return False
    return len(pairs & _pairs(written)) / len(pairs) >= RESTATED
