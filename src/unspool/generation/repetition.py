"""
Notices a text that repeats itself without end: a loop.

Pure: feed it the text in pieces. It answers where a loop began, once the text has repeated one part
for so long that no honest text does. The part may have 1 to `MAX_PERIOD` characters; the number at
the head of a list item may grow with each repetition.

A loop is a text whose end has a period. Of prose we bear three repetitions and `PROSE` characters
more: laughter, refrains and rules end before. Of structure (tables, markup, code, drawings,
figures, long encoded words) we bear `STRUCTURE` more, because equal rows, cells and blocks are
normal there.

A look costs a search through the last characters for what stands at the very end. Near looks are
frequent and search `NEAR` characters, far looks are rare and search all that is kept, so a
character costs the same in a text of any length.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

MAX_PERIOD: Final = 2000
"""Characters of the longest part; what repeats more is a long answer said twice."""

PROSE: Final = 176
"""
Characters of prose beyond three repetitions. One character may so stand 179 times, and a rule of
120 is usual; a sentence of 80 characters five times, and no refrain is sung so often in a row.
"""

STRUCTURE: Final = 2000
"""The same of structure: an empty kilobyte of a dump, 25 equal objects, a cell 500 wide."""

STEP: Final = 96
"""Characters between two looks."""

FINE: Final = 16
"""Characters between two looks shortly before a limit."""

NEAR: Final = 256
"""Characters that each look searches; the limit of a longer period leaves time for a far look."""

FAR_STEP: Final = 512
"""Characters between two looks at all that is kept."""

PROBE: Final = 24
"""Characters at the end that must stand before, too: fewer do so by accident in any text."""

KEPT: Final = 3 * MAX_PERIOD + STRUCTURE + FAR_STEP
"""Characters kept: the longest limit, and those of the last looks."""

CODE_WORD: Final = 24
"""Letters and digits without a space in front of a run: it stands in base64, hex or the like."""

COUNTED: Final = 24
"""Characters of an item in a growing list of equal ones; shorter ones are answers to a test."""

_HEAD: Final = 16
"""Characters in which the number of a list item stands, with the newline before it."""

_NUMBERED: Final = re.compile(r"(?<=\n)([ \t>*#(（【\[-]{0,8})(\d{1,6})(?=[.)、．:：）】\]])")
_NEXT: Final = "\x11"
"""Stands for a list number that is one more than the last."""

_SIGNS: Final = re.compile(r'[|<>{}\[\]=;\\"\t]')
_ENCODED: Final = re.compile(r"[A-Za-z0-9+/=_-]+")
_EMOJI: Final = "\U0001f000"


@dataclass(frozen=True, slots=True)
class Loop:
    """Positions are characters of the text fed."""

    begin: int
    """Where the part stands first."""
    again: int
    """Where it begins again: the text is good up to here."""
    part: str
    """The last repetition; a growing number is left out."""
    is_sure: bool
    """No honest text does this. A single character and structure may still end by themselves."""


class LoopDetector:
    """
    Feed it a text; see the module.

    Attributes:
        due: Characters until the next look; less may be collected before they are fed.
    """

    def __init__(self) -> None:
        self.due = STEP
        self._held = "\n"
        """Not looked at yet; the newline lets a list begin with the text."""
        self._tail = ""
        """The end of the text, with `_NEXT` for numbers that grow."""
        self._end = -1  # the first newline is ours
        """Characters of the text that `_tail` ends with, as counted there."""
        self._shifts: list[tuple[int, int]] = [(0, 0)]
        """From a position in that count on, the characters that it is behind the text."""
        self._number = 0
        self._fences = 0
        self._is_document = False
        self._until_far = FAR_STEP
        self._suspect = 0
        """A period that may reach its limit soon."""

    def feed(self, text: str) -> Loop | None:
        """Take the next piece of the text; return the loop that its end is in, if it is in one."""
        loop, start = None, self._left_out(text)
        while start < len(text):
            piece = text[start : start + self.due]
            start += len(piece)
            self._held += piece
            self.due -= len(piece)
            if not self.due:
                loop = self._look()
        if loop is not None:
            self.due = min(self.due, FINE)  # a caller that waits for more of it need not wait long
        return loop

    def _left_out(self, text: str) -> int:
        """Leave out the beginning of a huge piece, as its end alone counts; return its length."""
        if len(text) <= 2 * KEPT:
            return 0
        left_out = len(text) - KEPT
        self._end += len(self._held) + left_out
        self._fences += (self._held + text[:left_out]).count("```")
        self._held = self._tail = ""
        self.due, self._suspect = STEP, 0
        return left_out

    def _look(self) -> Loop | None:
        self._until_far -= self._take()
        is_far = self._until_far <= 0
        if is_far:
            self._until_far = FAR_STEP
        self.due = STEP
        tail = self._tail
        end = len(tail)
        if self._suspect and (loop := self._judge(self._suspect, self._run(self._suspect))):
            return loop
        lowest = 0 if is_far else max(0, end - NEAR)
        probe = PROBE
        while (at := tail.rfind(tail[end - probe :], lowest, end - 1)) >= 0:
            period = end - probe - at
            if period > MAX_PERIOD:
                break
            run = self._run(period)
            if loop := self._judge(period, run):
                return loop
            # One character more breaks this period, so the next candidate is another.
            probe = run - period + 1
            if probe > end:
                break
        return None

    def _take(self) -> int:
        """Move held text to the tail, except for the head of a line; return how much."""
        held = self._held
        line = held.rfind("\n")
        whole = line if line >= len(held) - _HEAD else len(held)
        piece = held[:whole]
        if not whole:
            return 0
        self._held = held[whole:]
        if self._end < 0:
            self._is_document = piece.lstrip()[:1] in set("{[<")
        self._fences += (self._tail[-2:] + piece).count("```")
        if "\n" in piece:
            piece = self._without_growing(piece)
        self._end += len(piece)
        tail = self._tail + piece
        if len(tail) > 2 * KEPT:
            tail = tail[-KEPT:]
            oldest = bisect_right(self._shifts, (self._end - KEPT, 1 << 60)) - 1
            del self._shifts[: max(0, oldest)]
        self._tail = tail
        return len(piece)

    def _without_growing(self, piece: str) -> str:
        parts: list[str] = []
        done = cut = 0
        for match in _NUMBERED.finditer(piece):
            number = int(match[2])
            if number == self._number + 1:
                parts += piece[done : match.start(2)], _NEXT
                done = match.end(2)
                cut += len(match[2]) - 1
                behind = self._end + done - cut
                self._shifts.append((behind, self._shifts[-1][1] + len(match[2]) - 1))
            self._number = number
        return "".join([*parts, piece[done:]]) if parts else piece

    def _run(self, period: int) -> int:
        """Return how many characters at the end have this period."""
        tail = self._tail
        end, most = len(tail), len(tail) - period
        same, step = 0, PROBE
        while same < most and step:
            longer = min(same + step, most)
            if tail[end - longer : end - same] == tail[end - longer - period : end - same - period]:
                same, step = longer, step * 2
            elif step == 1:
                break
            else:
                most, step = longer - 1, max(1, (longer - same) // 2)
        return same + period

    def _judge(self, period: int, run: int) -> Loop | None:
        limit = 3 * period + PROSE
        is_prose = True
        if run >= limit and not (is_prose := self._is_prose(period, run)):
            limit += STRUCTURE - PROSE
        if run >= limit:
            begin = max(0, self._end - run)  # the first newline is ours
            part = self._tail[-period:].replace(_NEXT, "")
            is_sure = is_prose and period > 1
            return Loop(self._place(begin), self._place(begin + period), part, is_sure)
        if run - period < PROBE:
            self._suspect = 0
        elif not self._suspect or period == self._suspect:
            self._suspect = period
            self.due = min(self.due, max(FINE, limit - run))
        return None

    def _is_prose(self, period: int, run: int) -> bool:
        part = self._tail[-period:]
        if self._fences % 2 or self._is_document or _SIGNS.search(part):
            return False
        if _NEXT in part and period < COUNTED:
            return False
        words = sum(character.isalpha() or character >= _EMOJI for character in part)
        if words <= sum(map(str.isdigit, part)):
            return False
        if not _ENCODED.fullmatch(part):
            return True
        before = self._tail[:-run][-CODE_WORD:]
        return len(before) < CODE_WORD or _ENCODED.fullmatch(before) is None

    def _place(self, at: int) -> int:
        """Return a position in the text from one in the tail's count."""
        return at + self._shifts[max(0, bisect_right(self._shifts, (at, 1 << 60)) - 1)][1]
