"""
A viewer's cursor in a conversation: its place in each turn that is not whole yet.

`3.17,4.2`: event 17 of turn 3, event 2 of turn 4. `4` alone: all of turn 4. Every turn below the
greatest one that is not named is whole. `0`: nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ..errors import BadCursor

MAX_PLACES: Final = 32
"""Turns that a viewer is shown side by side: four times the models that a page compares."""

MAX_CURSOR_CHARS: Final = MAX_PLACES * 32

WHOLE: Final = 0
"""In place of the number of an event: the viewer has all of the turn."""

_PLACE: Final = re.compile(r"[1-9][0-9]{0,8}(?:\.[1-9][0-9]{0,14})?", re.ASCII)


class Places:
    """
    Where a viewer is.

    Attributes:
        last: The greatest turn of which it has something; 0: none.
        named: By turn: the last event that it has, or `WHOLE`. Others up to `last` are whole.
    """

    def __init__(self, named: Mapping[int, int] | None = None) -> None:
        self.named = dict(named or {})
        self.last = max(self.named, default=0)
        self._last_is_whole = False

    @classmethod
    def parse(cls, text: str) -> Places:
        """
        Parse an id that a client sends back.

        Raises:
            BadCursor: The text is no such id.
        """
        if text == "0":
            return cls()
        parts = text.split(",", MAX_PLACES)
        if len(parts) > MAX_PLACES:
            raise BadCursor(f"a place in a conversation names at most {MAX_PLACES} turns")
        found: dict[int, int] = {}
        for part in parts:
            turn, _, seq = part.partition(".")
            if not _PLACE.fullmatch(part) or int(turn) <= max(found, default=0):
                raise BadCursor(
                    "not a place in a conversation: send the last `id` you received, or leave it "
                    "out to begin at the first turn"
                )
            found[int(turn)] = int(seq or WHOLE)
        return cls(found)

    def reach(self, turn: int, seq: int) -> None:
        """Note that a viewer has a turn up to event `seq`."""
        if turn > self.last:
            if self._last_is_whole:
                del self.named[self.last]
            self.last, self._last_is_whole = turn, False
        self.named[turn] = seq

    def end(self, turn: int) -> None:
        """Note that what a viewer has of a turn is all there will be."""
        if turn == self.last:
            self._last_is_whole = True
        else:
            self.named.pop(turn, None)

    def __bytes__(self) -> bytes:
        if len(self.named) == 1 and (seq := self.named[self.last]):  # nearly always
            return b"%d.%d" % (self.last, seq)
        return str(self).encode()

    def __str__(self) -> str:
        named = sorted(self.named.items())
        return ",".join([f"{turn}.{seq}" if seq else str(turn) for turn, seq in named]) or "0"
