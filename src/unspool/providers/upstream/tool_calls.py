"""
Tool calls, assembled from fragments as vendors really send them.

Fragments belong together by their index, and within it by id, name and arguments: an id may be
new in every fragment of one call, the same for two calls, or missing; a name may come once or
every time. Where nothing else tells, a call that is not whole goes on, and one that is whole is
followed by the next.

Arguments may be null, a string to join, a whole object, or a string that holds the object once
more as a string. Some servers send `{}` before the real ones, or all of them again at the end.
Arguments that are not a whole JSON object make no call: nothing may run an incomplete one.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from unspool.formats.lenient_json import Extent, decode_at
from unspool.formats.nesting import is_deeper

from .. import ToolCall, ToolFragment
from .surrogates import SurrogateJoiner, mended

MAX_CALLS: Final = 128
"""In one answer: OpenAI allows as many tools."""

MAX_DEPTH: Final = 100
"""Nesting of objects in arguments. Deeper ones are made to break their readers."""

MAX_ENCODINGS: Final = 3
"""Times that arguments may be wrapped into a string."""

MAX_VALUES: Final = 8
"""In the arguments of one call: placeholders, the real ones, and those once more."""

PLACEHOLDERS: Final = frozenset({"{}", "null", '""'})
"""Fragments that stand for "nothing yet" where arguments come before or behind them."""

_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")

_OPENING: Final = re.compile(r'\s*\{\s*(["}]?)')

_TOKEN: Final = re.compile(r"<[|\uff5c][^<>]*(?:[|\uff5c]>|$)|</?\w+>|\[/?[A-Z_]{3,}\]")
"""A model's signs to its server, such as `<|channel|>`; some leak into names."""

_ADDRESS: Final = re.compile(r"^(?:.*\bto=)?(?:functions[.:])?|:\d+$")
"""What GPT-OSS and Kimi write around a name when they call it."""


@dataclass(slots=True)
class _OpenCall:
    index: int | None
    id: str
    """Ours, where none was given or another call has the same."""
    given_id: str
    name: str
    place: int | None = None
    """Its index in what we tell; None: it has said nothing yet."""
    arguments: list[str] = field(default_factory=list)
    length: int = 0
    held: str = ""
    """A placeholder, until what follows shows whether it was one."""
    halves: SurrogateJoiner = field(default_factory=SurrogateJoiner)
    _extent: Extent = field(default_factory=Extent)
    _measured: int = 0

    @property
    def is_empty(self) -> bool:
        return not self.arguments

    @property
    def extent(self) -> Extent:
        """Of the arguments so far. Where nobody asks for it, it costs nothing."""
        for part in self.arguments[self._measured :]:
            self._extent.feed(part)
        self._measured = len(self.arguments)
        return self._extent

    @property
    def is_whole(self) -> bool:
        return bool(self.arguments) and self.extent.is_whole

    def text(self) -> str:
        return "".join(self.arguments)

    def new_part_of(self, arguments: str) -> str:
        """Return what a fragment adds; some repeat everything so far, or stand for nothing."""
        plain = arguments.strip()
        if plain in PLACEHOLDERS:
            if self.is_empty:
                self.held = plain
            return "" if self.is_empty or self.extent.is_whole else arguments
        if self.length and len(arguments) >= self.length and plain[:1] == "{":
            so_far = self.text()
            if so_far.lstrip()[:1] == "{" and arguments.startswith(so_far):
                return arguments[self.length :]
        return arguments

    def add(self, arguments: str) -> str:
        """Keep what a fragment adds, and return it."""
        added = self.new_part_of(arguments)
        if not added:
            return ""
        if not added.isascii():
            added = self.halves.feed(added)
        self.arguments.append(added)
        self.length += len(added)
        return added

    def is_stub_of(self, other: _OpenCall) -> bool:
        """Whether it has no arguments only because the rest of it came as `other`."""
        is_same = self.name == other.name and not other.is_empty
        is_together = self.index == other.index or self.given_id == other.given_id
        return self.is_empty and not self.held and is_same and is_together


class ToolCalls:
    """A fold of fragments."""

    def __init__(self) -> None:
        self._calls: list[_OpenCall] = []
        self._told = 0
        self.is_full = False
        """The answer had more calls than `MAX_CALLS`; the rest is left out."""

    def feed(
        self,
        *,
        index: int | None,
        id: str | None,
        name: str | None,
        arguments: Any,
    ) -> ToolFragment | None:
        """Return the fragment under our own index; None if it adds nothing."""
        name = _without_tokens(name) if name else ""
        if not isinstance(arguments, str):
            arguments = "" if arguments is None else json.dumps(arguments, ensure_ascii=False)
        call = self._find(index, id or "", name, arguments)
        if call is None:
            if not (id or name or arguments):
                return None
            if len(self._calls) >= MAX_CALLS:
                self.is_full = True
                return None
            call = self._begin(index, id or "", name)
        is_first = call.place is None or bool(name and not call.name)
        if name and name != call.name:
            call.name = name if name.startswith(call.name) else call.name + name
        added = call.add(arguments) if arguments else ""
        if call.place is None:
            if not (call.name or added):
                return None  # it says nothing: perhaps it never will
            call.place = self._told
            self._told += 1
        if is_first:
            return ToolFragment(call.place, call.id, call.name or None, added)
        return ToolFragment(call.place, arguments=added) if added else None

    def end(self, *, is_cut: bool = False) -> tuple[list[ToolCall], list[str]]:
        """
        Return the whole calls, and the names of the incomplete ones.

        `is_cut`: the answer was stopped, so that a call without arguments may not have come to
        them.
        """
        whole: list[ToolCall] = []
        broken: list[str] = []
        for number, call in enumerate(self._calls):
            if call.place is None:
                continue
            text = call.text() + call.halves.flush()
            is_begun = is_cut or any(map(call.is_stub_of, self._calls[number + 1 :]))
            arguments = None if is_begun and not text else _object(text or call.held)
            if arguments is None or not call.name:
                broken.append(call.name)
            else:
                whole.append(ToolCall(call.place, call.id, call.name, arguments))
        return sorted(whole, key=lambda call: call.index), broken

    def _begin(self, index: int | None, id: str, name: str) -> _OpenCall:
        is_taken = any(call.id == id for call in self._calls)
        own_id = f"call_{secrets.token_hex(8)}" if is_taken or not id else id
        call = _OpenCall(index, own_id, id, name)
        self._calls.append(call)
        return call

    def _find(self, index: int | None, id: str, name: str, arguments: str) -> _OpenCall | None:
        """Return the call that a fragment continues, or None if it begins a new one."""
        calls = [c for c in self._calls if c.index == index] if index is not None else self._calls
        same = next((c for c in reversed(calls) if id and c.given_id == id), None)
        if calls:
            call = same or calls[-1]
            is_next = _begins(call, id, name, arguments, has_other_id=bool(id) and same is None)
            return None if is_next else call
        # An index of its own begins a call, unless it only counts the fragments of one.
        if not self._calls or index is None:
            return None
        last = next((c for c in reversed(self._calls) if id and c.given_id == id), self._calls[-1])
        is_part = bool(arguments) and not last.is_whole
        if name:
            is_same = bool(id) and last.given_id == id and last.name == name
            is_part = is_part and is_same and not last.is_empty
            is_part = is_part and _OPENING.match(arguments) is None
        return last if is_part else None


def _begins(call: _OpenCall, id: str, name: str, arguments: str, *, has_other_id: bool) -> bool:
    """Whether a fragment under the index of `call` is not its next one but of another call."""
    is_other = has_other_id and bool(call.given_id)
    plain = arguments.strip()
    if not (name and call.name):
        return call.is_whole and (bool(plain) if name else is_other)
    if name != call.name:  # names in pieces are rare
        return is_other or not id or bool(plain) or not call.is_empty
    if call.is_empty:
        return is_other
    if not call.is_whole:
        return is_other and not _goes_on(call, arguments)
    if is_other or not plain or plain in PLACEHOLDERS:
        return is_other
    is_again = bool(id) or len(call.arguments) > 1
    return not (is_again and call.text() == arguments)


def _goes_on(call: _OpenCall, arguments: str) -> bool:
    """Whether arguments may be the next part of those of `call`, which are not whole."""
    if (opening := _OPENING.match(arguments)) is None:
        return bool(arguments)
    extent = call.extent
    return extent.expects_value or (extent.is_in_string and not opening[1])


def _without_tokens(name: str) -> str:
    """Return a name without signs that the model wrote for its server."""
    parts = [stripped for part in _TOKEN.split(name) if (stripped := part.strip())]
    part = next((part for part in parts if "to=" in part), parts[0] if parts else "")
    return _ADDRESS.sub("", part)


def _object(text: str) -> dict[str, Any] | None:
    """Return the object that arguments are; empty where there are none."""
    found = _values(text)
    said = [value for value in found or () if value not in ({}, None)]
    if found is None or (not said and len(found) > 1):
        return None
    if not said:
        return {}
    value = said[0]
    is_one = isinstance(value, dict) and all(other == value for other in said)
    if not is_one or is_deeper(value, MAX_DEPTH, text=text):
        return None
    whole: dict[str, Any] = mended(value) if _HALF.search(text) else value
    return whole


def _values(text: str, encodings: int = 0) -> list[Any] | None:
    """Return the values that stand one behind the other in a text; None if one is no value."""
    found: list[Any] = []
    text, at = text.strip(), 0
    while at < len(text):
        try:
            value, at = decode_at(text, at)
        except ValueError:
            return None
        inner: list[Any] | None = [value]
        if isinstance(value, str):
            inner = _values(value, encodings + 1) if encodings < MAX_ENCODINGS else None
        if inner is None or len(found) >= MAX_VALUES:
            return None
        found += inner
    return found
