"""
Reads JSON that is still being written, and returns each value the moment it is whole.

Models write JSON in small deltas, wrap it in prose and fences, and stop in the middle. The
scanner looks at each character once, holds the raw text of the current member only, and decodes
each value once. No text makes it raise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from . import lenient_json
from .json_strings import StringSkipper

Path = tuple[str | int, ...]
"""Names of members and numbers of elements (from 0), starting at the root; `()` is the root."""

MAX_MEMBER_CHARS: Final = 1024 * 1024
"""Of one member's raw text; a model's longest answer is shorter. A longer one ends the scan."""

_SIGN: Final = re.compile(r'["{}\[\],]')


@dataclass(frozen=True, slots=True)
class CompleteValue:
    """A value that is complete."""

    path: Path
    value: Any


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Text that stands in the place of a value and is none; `path` is its container."""

    path: Path
    raw: str


Found = CompleteValue | Unreadable


@dataclass(slots=True)
class _Open:
    """An open object or list whose members the scanner returns one by one."""

    key: str | int | None
    """Its key in the container around it; None: the name is unreadable."""
    value: dict[str, Any] | list[Any]
    has_member: bool = False
    """Its current member is complete already: a container, closed after its own members."""

    def keep(self, key: str | int | None, value: Any) -> None:
        if isinstance(self.value, list):
            self.value.append(value)
        elif isinstance(key, str):
            self.value[key] = value


class Scanner:
    """
    Finds the first object or list of a text, skipping any prose before it, and its values.

    `depth` is how deep below the root it returns values, inner ones first. 1 returns the members
    of the root; 2 also returns the members of those, each before its container.
    """

    def __init__(self, depth: int = 2) -> None:
        self._depth = depth
        self._stack: list[_Open] = []
        self._nested = 0
        """Levels open within the current member, which is decoded as a whole."""
        self._raw: list[str] = []
        self._raw_chars = 0
        self._strings = 0
        """Strings of the current member outside nested containers: its name, then its value."""
        self._is_closed = False
        """The container nested in it has just ended."""
        self._skipper = StringSkipper()
        self.is_over = False
        """The root has ended, or a member is too long; the scanner ignores the rest."""
        self.rest = ""
        """What followed the end of the root in the piece that held it."""

    @property
    def has_begun(self) -> bool:
        """Whether the text so far has an object or a list."""
        return bool(self._stack) or self.is_over

    def feed(self, text: str) -> list[Found]:
        """Take in the next piece of text and return the values it completes."""
        return list(self._scan(text))

    def _scan(self, text: str) -> Iterator[Found]:
        at = start = 0
        while not self.is_over:
            if self._skipper.in_string:
                at = self._skipper.skip(text, at)
                if self._skipper.in_string:
                    break
                if self._is_value():
                    self._add(text[start:at])
                    start = at
                    yield from self._early()
            found = _SIGN.search(text, at)
            if found is None:
                break
            at = found.end()
            if self._is_inner(found[0]):
                if self._is_closed:
                    self._add(text[start:at])
                    start = at
                    yield from self._early()
                continue
            self._add(text[start : found.start()])
            start = at
            yield from self._sign(found[0])
        if self._stack:
            self._add(text[start:])
        elif self.is_over and at:
            self.rest = text[at:]

    def _is_inner(self, sign: str) -> bool:
        """Whether a sign belongs to the raw text of the current member."""
        if not self._stack:
            return sign not in "{["  # prose before the document
        if sign == '"':
            self._skipper.in_string = True
            return True
        if sign in "{[":
            if not self._nested and len(self._stack) < self._depth:
                return False
            self._nested += 1
            return True
        if self._nested:
            self._nested -= sign in "}]"
            self._is_closed = not self._nested
            return True
        return False

    def _is_value(self) -> bool:
        """Whether the string that has just ended is a member's whole value, not its name."""
        if self._nested or not self._stack:
            return False
        self._strings += 1
        return isinstance(self._stack[-1].value, list) or self._strings == 2

    def _early(self) -> Iterator[Found]:
        """Yield a member before its comma: the value marks its own end, as no number does."""
        self._is_closed = False
        here = self._stack[-1]
        here.has_member = False  # so a forgotten comma loses nothing
        yield from self._member()
        here.has_member = True

    def _add(self, raw: str) -> None:
        self._raw_chars += len(raw)
        if self._raw_chars <= MAX_MEMBER_CHARS:
            self._raw.append(raw)
        else:
            self.is_over = True

    def _take(self) -> str:
        raw = "".join(self._raw).strip()
        self._raw.clear()
        self._raw_chars = 0
        self._strings = 0
        return raw

    def _sign(self, sign: str) -> Iterator[Found]:
        if sign in "{[":
            key = self._key() if self._stack else None
            self._take()
            self._stack.append(_Open(key, {} if sign == "{" else []))
            return
        yield from self._member()
        if sign != ",":
            yield from self._close()

    def _key(self) -> str | int | None:
        here = self._stack[-1]
        if isinstance(here.value, list):
            return len(here.value)
        try:
            return msgspec.json.decode(self._take().removesuffix(":").rstrip(), type=str)
        except (msgspec.MsgspecError, UnicodeError):
            return None

    def _path(self, *keys: str | int | None) -> Path:
        """Return the path; an unreadable name in it becomes an empty string."""
        parts = [*(opened.key for opened in self._stack[1:]), *keys]
        return tuple("" if part is None else part for part in parts)

    def _member(self) -> Iterator[Found]:
        """Yield the current member of the innermost container, which ends here."""
        here, raw = self._stack[-1], self._take()
        if here.has_member:
            here.has_member = False
            return
        if not raw:
            return
        is_list = isinstance(here.value, list)
        try:
            if is_list:
                key: str | int = len(here.value)
                value = _decoded(raw)
            else:
                ((key, value),) = _decoded(f"{{{raw}}}").items()
        except (UnicodeError, ValueError):
            yield Unreadable(self._path(), raw)
            return
        here.keep(key, value)
        yield CompleteValue(self._path(key), value)

    def _close(self) -> Iterator[Found]:
        closed = self._stack[-1]
        yield CompleteValue(self._path(), closed.value)
        self._stack.pop()
        if not self._stack:
            self.is_over = True
            return
        self._stack[-1].keep(closed.key, closed.value)
        self._stack[-1].has_member = True


def _decoded(raw: str) -> Any:
    """
    Raises:
        ValueError: It is no JSON, also if raw line ends in its strings are forgiven.
    """
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return lenient_json.decode(raw)
