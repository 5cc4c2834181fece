"""
Finds the JSON objects in a text that says other things, too.

Models write prose before and behind their JSON, put it into a fence, show an example first, wrap
it into a list or under a name, or write it as a string. `ObjectScanner` reads a text while it is
being written, and takes each brace that may begin an object for one. `objects_in` reads a whole
text, and finds also the objects that an odd quote or an open brace before them hides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from .lenient_json import decode, decode_at
from .partial_json import Found, Scanner

MAX_TRIES: Final = 1000
"""Braces in a whole text that turn out to begin no object."""

MAX_LEVELS: Final = 3
"""An answer is wrapped into a list, into a member, or into both."""

_OPENING: Final = {"{": re.compile(r'\{\s*["}]'), "[": re.compile(r'\[\s*[\[{"\]\d-]')}
_HELD: Final = {"{": re.compile(r"\{\s*\Z"), "[": re.compile(r"\[\s*\Z")}
_ENCODED: Final = re.compile(r'"(?:\\+")?\s*\{\s*\\+"')
_STARTS: Final = {
    root: re.compile(rf"{pattern.pattern}|{_ENCODED.pattern}") for root, pattern in _OPENING.items()
}


class ObjectScanner:
    """
    Returns the values of every object of a text, as `partial_json.Scanner` does of the first.

    `root` is the brace or bracket that opens one.
    """

    def __init__(self, root: str = "{", depth: int = 2) -> None:
        self._opening, self._held_back = _OPENING[root], _HELD[root]
        self._depth = depth
        self._held = ""
        """A brace at the end of the text: the next sign shows whether it opens an object."""
        self._scanner: Scanner | None = None

    def feed(self, text: str) -> Iterator[Found]:
        """Take in the next piece of text and yield the values it completes."""
        while True:
            if self._scanner is None:
                text = self._from_opening(text)
                if not text:
                    return
                self._scanner = Scanner(self._depth)
            yield from self._scanner.feed(text)
            if not self._scanner.is_over:
                return
            text, self._scanner = self._scanner.rest, None

    def _from_opening(self, text: str) -> str:
        text, self._held = self._held + text, ""
        if found := self._opening.search(text):
            return text[found.start() :]
        if found := self._held_back.search(text):
            self._held = text[found.start()]
        return ""


def objects_in(text: str, root: str = "{") -> Iterator[Any]:
    """Yield the values of a whole text that begin with `root`, also those encoded as a string."""
    at = tries = 0
    while tries < MAX_TRIES and (found := _STARTS[root].search(text, at)):
        try:
            value, at = decode_at(text, found.start())
        except ValueError:
            at, tries = found.start() + 1, tries + 1
            continue
        if isinstance(value, str):
            yield from objects_in(value, root)
        else:
            yield value


def wrapped_in(value: Any) -> Iterator[Any]:
    """Yield a value and the objects in it, the outer ones first; `MAX_LEVELS` deep."""
    level = [value]
    for _ in range(MAX_LEVELS):
        yield from level
        inner = (it.values() if isinstance(it, dict) else it for it in level)
        level = [each for values in inner for each in values if isinstance(each, dict | list)]


def unwrapped(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object in which members that are JSON as a string are what that says."""
    return {name: _decoded(member) for name, member in value.items()}


def _decoded(member: Any) -> Any:
    if not isinstance(member, str) or member.lstrip()[:1] not in {"{", "["}:
        return member
    try:
        return decode(member)
    except ValueError:
        return member
