"""Strings of a JSON text that arrives in pieces."""

from __future__ import annotations

import re
from typing import Final

_SIGN: Final = re.compile(r'["\\]')


class StringSkipper:
    """
    Passes over a string, however it is cut.

    Attributes:
        in_string: The text so far ends inside a string.
    """

    def __init__(self) -> None:
        self.in_string = False
        self._is_escaped = False

    def skip(self, text: str, at: int) -> int:
        """Return the position after the string, or the end of the text if it goes on."""
        if self._is_escaped:
            at += bool(text)
            self._is_escaped = not text
        while found := _SIGN.search(text, at):
            if found[0] == '"':
                self.in_string = False
                return found.end()
            self._is_escaped = found.end() == len(text)
            at = found.end() + 1
        return len(text)
