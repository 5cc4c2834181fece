"""
Tool calls, assembled from fragments as vendors really send them.

Fragments belong together by index, else by id, else by place; a new id under the same index
begins a new call. Vendors may repeat ids and names in every fragment, so these are not joined.
Arguments may be null, a string to join, or a whole object. Arguments that are not a whole JSON
object make no call: nothing may run an incomplete one. The same holds for values that only
Python accepts as JSON (`NaN`, numbers beyond a float), because everybody must be able to read
the log.
"""

from __future__ import annotations

import json
import math
import re
import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from unspool.formats.nesting import is_deeper

from .. import ToolCall, ToolFragment
from .surrogates import SurrogateJoiner, mended

MAX_CALLS: Final = 128
"""In one answer: OpenAI allows as many tools."""

MAX_DEPTH: Final = 100
"""Nesting of objects in arguments. Deeper ones are made to break their readers."""

_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(slots=True)
class _OpenCall:
    place: int
    index: int | None
    id: str
    is_id_given: bool
    name: str
    arguments: list[str] = field(default_factory=list)
    halves: SurrogateJoiner = field(default_factory=SurrogateJoiner)

    def says_again(self, arguments: str) -> bool:
        """Whether a fragment repeats all arguments, as some servers do at the end of a call."""
        return arguments[0] == "{" and bool(self.arguments) and self.text() == arguments

    def text(self) -> str:
        return "".join(self.arguments)


class ToolCalls:
    """A fold of fragments."""

    def __init__(self) -> None:
        self._calls: list[_OpenCall] = []
        self.is_full = False
        """The answer had more calls than `MAX_CALLS`; the rest is left out."""

    def feed(
        self,
        *,
        index: int | None,
        id: str | None,
        name: str | None,
        arguments: str | dict[str, Any] | None,
    ) -> ToolFragment | None:
        """Return the fragment under our own index; None if it adds nothing."""
        call = self._find(index, id, name, bool(arguments))
        is_new = call is None
        if call is None:
            if len(self._calls) >= MAX_CALLS:
                self.is_full = True
                return None
            call = _OpenCall(
                len(self._calls), index, id or f"call_{secrets.token_hex(8)}", bool(id), name or ""
            )
            self._calls.append(call)
        elif name and not call.name:
            call.name = name
            is_new = True
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if arguments:
            if call.says_again(arguments):
                return None
            arguments = arguments if arguments.isascii() else call.halves.feed(arguments)
            call.arguments.append(arguments)
        if is_new:
            return ToolFragment(call.place, call.id, call.name or None, arguments or "")
        return ToolFragment(call.place, arguments=arguments) if arguments else None

    def end(self) -> tuple[list[ToolCall], list[str]]:
        """Return the whole calls, and the names of the incomplete ones."""
        whole: list[ToolCall] = []
        broken: list[str] = []
        for call in self._calls:
            arguments = _object(call.text() + call.halves.flush())
            if arguments is None or not call.name:
                broken.append(call.name)
            else:
                whole.append(ToolCall(call.place, call.id, call.name, arguments))
        return whole, broken

    def _find(
        self, index: int | None, id: str | None, name: str | None, has_arguments: bool
    ) -> _OpenCall | None:
        """Return the call that a fragment continues, or None if it begins a new one."""
        if id:
            same = next((c for c in reversed(self._calls) if c.is_id_given and c.id == id), None)
            if same is not None:
                return same
        if index is not None:
            call = next((c for c in reversed(self._calls) if c.index == index), None)
        else:
            call = self._calls[-1] if self._calls else None
        if call is None or (id and (call.is_id_given or index is None)):
            return None
        # Without an index and an id only the name tells a new call, once the last one is whole.
        is_next = bool(name and not id and has_arguments and call.arguments)
        return None if is_next and _object(call.text()) is not None else call


def _object(text: str) -> dict[str, Any] | None:
    text = text.strip()
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_number) if text else {}
    except (ValueError, RecursionError):
        return None
    if value is None:  # "null" for a function without arguments
        return {}
    if not isinstance(value, dict) or is_deeper(value, MAX_DEPTH, text=text):
        return None
    return mended(value) if _HALF.search(text) else value


def _no_number(name: str) -> float:
    raise ValueError(name)


def _number(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _no_number(digits)
