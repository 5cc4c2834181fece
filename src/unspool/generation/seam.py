"""
The seam between two texts: it trims text that a model repeats, and detects a model that starts
over, before a reader sees half an answer followed by a whole one.

Pure: feed it the text of a continuation, and it returns the new part. It holds text back only while
that text may still be a repetition.

It looks, in this order, for
* the anchor: the last words, which an instructed model should repeat first, perhaps after some
  small talk;
* an overlap: a repetition of the end of the text; the longest one counts, up to the whole text (an
  echo). Short or periodic ones (哈哈, "very, very") may be intended, and stay;
* a beginning like that of the text, which then differs: the model started over.

What an instructed model says next passes the `guards` before any of it is shown.

A text of lines stops at the end of one, and there whole lines count, because lines begin alike. So
we trim a repeated end of any length, and a repeated first line without the others is a new
beginning.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final, Literal

from ..models.prefills import Trust
from .guards import (
    GUARDED,
    BadContinuation,
    StartedAnew,
    check,
    check_joint,
    has_sentences,
    is_small_talk,
    leaks,
    may_be_whole,
)
from .weights import is_wide, weight

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

PROVEN_OPENING: Final = 60
"""The same for a model that has gone on from texts before: two sentences alike are a refrain."""

PASSAGE: Final = 30
"""Weight of a repeated passage from the middle: a sentence, not a phrase."""

FEW_WORDS: Final = 16
"""Weight of a continuation that may be an accident: eight Chinese characters, three words."""

MAX_LEAD: Final = 240
"""Characters of small talk in which the anchor may still come."""

RESTATED: Final = 0.5
"""An output with this share of word pairs from the text is a repetition."""

PAIRS: Final = 6
"""Different pairs needed to judge; laughter and rulers have one or two."""

ANCHOR_CHARS: Final = 24
"""Last words that an instructed model repeats: enough to be unique, and quick to write."""

_LEAD: Final = re.compile(r"^[\s…「『“\"'.]+")
_OPENS: Final = tuple("“\"'「『`*")
_CLOSES: Final = tuple("”\"'」』`*")
_WORDS: Final = re.compile(r"[^\W\d_a-zA-Z]|\w+")


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

    Args:
        anchor: The beginning that an instructed model was asked for.
        instruction: The message that asked it to continue, so it may answer again in other words;
            empty if it got the text as the beginning of its answer.
        trust: How far it is believed, in that case.
        is_guarded: Whether the guards look at what an instructed model says.
        by_lines: Both texts are lines, and `written` ends with a whole one.
    """

    def __init__(
        self,
        written: str,
        *,
        anchor: str = "",
        instruction: str = "",
        is_guarded: bool = True,
        trust: Trust = "",
        by_lines: bool = False,
    ) -> None:
        self._by_lines = by_lines
        self._written = written
        self._anchor = _pattern(anchor) if anchor else None
        self._anchor_words = _plain(anchor)
        self._anchor_begins = False
        """Nothing but white space and quotes came before it."""
        self._instruction = instruction
        self._is_instructed = bool(instruction)
        self._is_guarded = is_guarded and self._is_instructed
        self._trust = trust
        self._held = ""
        self._offsets: list[int] | None = None
        """Offsets in the text that the output may repeat; None before the first output."""
        self._whole: list[int] = []
        """Offsets whose repetition reached the end of the text."""
        self._longest = 0, 0
        """The longest repetition that broke off: its characters, and its offset."""
        self._found: tuple[Kind, int] | None = None
        """The kind of the seam and the characters to leave out, until the guards have looked."""
        self.kind: Kind = "exact" if not written or trust == "exact" else ""
        self.trimmed = 0
        """Characters left out."""

    def feed(self, text: str) -> str:
        """
        Return the new part of this text and of the text held back.

        Raises:
            BadContinuation: No continuation; `StartedAnew`: the model began another answer.
        """
        if self.kind:
            return text
        self._held += text
        return self._decide(is_last=False)

    def flush(self) -> str:
        """
        Return the text held back: nothing more will arrive.

        Raises:
            BadContinuation: It is no continuation.
        """
        return "" if self.kind or not self._held else self._decide(is_last=True)

    def ends_early(self, rest: str) -> bool:
        """
        Whether `rest`, all that the continuation adds, is too little to show that the text was
        whole. A model that said all of it again has read it; one that repeated the last words
        first, as it was asked to, may have forgotten the rest of its task.
        """
        if not self._is_guarded or (self.kind == "echo" and may_be_whole(self._written)):
            return False
        is_judged = self.kind == "anchor" and has_sentences(self._written)
        if not weight(rest):
            return is_judged or not may_be_whole(self._written)
        return is_judged and weight(rest) < FEW_WORDS

    def check_whole(self, rest: str) -> None:
        """
        Look at a whole continuation, after its end.

        Raises:
            BadContinuation: It repeats its instruction further on.
        """
        if self._is_guarded and leaks(self._written, rest, self._instruction):
            raise BadContinuation("the model repeated its instruction")

    def _decide(self, *, is_last: bool) -> str:
        if self._found is None:
            self._found = self._find(is_last=is_last)
        if self._found is None:
            return ""
        kind, trimmed = self._found
        rest = self._held[trimmed:]
        if self._is_guarded:
            if not is_last and weight(rest) < GUARDED:
                return ""
            self._guard(kind, rest)
        self.kind, self.trimmed, self._held = kind, trimmed, ""
        return rest

    def _find(self, *, is_last: bool) -> tuple[Kind, int] | None:
        """Return the kind of the seam, and the characters before it; None while it is open."""
        found = self._after_anchor()
        if found and self._anchor_begins:
            return found
        is_open = self._may_be_anchor()
        if not is_open or is_last:
            self._follow()
            is_open = bool(self._offsets)
        if is_open and not is_last:
            return None
        overlaps = [offset for offset in self._whole if self._counts(offset)]
        if overlaps:
            offset = min(overlaps)
            return "overlap" if offset else "echo", len(self._written) - offset
        if not found:
            self._check_anew()
            found = self._unproven(is_last=is_last)
        return found

    def _unproven(self, *, is_last: bool) -> tuple[Kind, int] | None:
        """Return the seam of an output that repeats nothing; None while it may still do so."""
        if not self._is_instructed:
            return "exact", 0
        is_talking = self._anchor is not None and is_small_talk(self._held)
        is_short = len(self._held) < MAX_LEAD if is_talking else weight(self._held) < GUARDED
        return None if is_short and not is_last else ("open", 0)

    def _guard(self, kind: Kind, rest: str) -> None:
        check(self._written, rest, self._instruction)
        if kind == "open":
            check_joint(self._written, rest)
        if kind == "open" and _is_restated(rest, self._written):
            raise StartedAnew("the model repeated the text in other words")

    def _may_be_anchor(self) -> bool:
        """Whether all of the output so far may be the beginning of the anchor."""
        received = _plain(_LEAD.sub("", self._held))
        return self._anchor is not None and self._anchor_words.startswith(received)

    def _after_anchor(self) -> tuple[Kind, int] | None:
        """Return the seam behind the anchor, if the output has it, perhaps behind small talk."""
        if self._anchor is None or not (found := self._anchor.search(self._held[:MAX_LEAD])):
            return None
        lead, end = self._held[: found.start()], found.end()
        self._anchor_begins = not _LEAD.sub("", lead)
        if not self._anchor_begins and self._written.count(found[0]) > 1:
            return None  # which of them it repeats is unknown
        if lead.rstrip()[-1:] in _OPENS and self._held[end : end + 1] in _CLOSES:
            end += len(self._held[end : end + 1])
        return "anchor", end

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
        if not self._is_instructed and offset and (self._trust or self._is_refrain(overlap)):
            return False
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

    def _is_refrain(self, overlap: str) -> bool:
        """Whether the text repeats these words itself, so that they may come once more."""
        return self._written.count(overlap) > 1

    def _check_anew(self) -> None:
        length, offset = self._longest
        if self._trust and offset and not self._by_lines:
            return
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
            limit = PROVEN_OPENING if self._trust else limit
        if weight(passage) >= limit and self._written.count(passage) == 1:
            # Once only: lines of a list begin alike and are no second beginning.
            raise StartedAnew("the model started its answer over instead of continuing")


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _pattern(anchor: str) -> re.Pattern[str]:
    """Models repeat words in another case, and spaces as they like."""
    words = r"\s+".join(map(re.escape, anchor.split()))
    return re.compile(words, re.IGNORECASE)


def _common(one: str, other: str) -> int:
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )


def _is_letter(character: str) -> bool:
    """Whether the character is a letter of a script that separates words."""
    return character.isalpha() and not is_wide(character)


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
