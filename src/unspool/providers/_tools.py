"""
Tool calls, put together from fragments as vendors really send them.

Kept apart by index, else by id, else by place; a new id under the same index is a new
call. Ids and names may be repeated in every fragment and are not joined; arguments may be
null, a string to join, or an object at once. Arguments that are not a whole JSON object
make no call: an incomplete one must never be run.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from . import ToolCall, ToolFragment

MAX_CALLS: Final = 128
"""In one answer: as many as OpenAI allows tools."""


@dataclass(slots=True)
class _Call:
    place: int
    index: int | None
    id: str
    is_id_given: bool
    name: str
    arguments: list[str] = field(default_factory=list)


class ToolCalls:
    """A fold of fragments."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def feed(
        self,
        *,
        index: int | None,
        id: str | None,
        name: str | None,
        arguments: str | dict[str, Any] | None,
    ) -> ToolFragment | None:
        """Return the fragment under an index of ours; None where it says nothing new."""
        call = self._find(index, id, name)
        is_new = call is None
        if call is None:
            if len(self._calls) >= MAX_CALLS:
                return None
            call = _Call(
                len(self._calls), index, id or f"call_{secrets.token_hex(8)}", bool(id), name or ""
            )
            self._calls.append(call)
        elif name and not call.name:
            call.name = name
            is_new = True
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if arguments:
            call.arguments.append(arguments)
        if is_new:
            return ToolFragment(call.place, call.id, call.name or None, arguments or "")
        return ToolFragment(call.place, arguments=arguments) if arguments else None

    def end(self) -> tuple[list[ToolCall], list[str]]:
        """Return the calls that are whole, and the names of those that are not."""
        whole: list[ToolCall] = []
        broken: list[str] = []
        for call in self._calls:
            arguments = _object("".join(call.arguments))
            if arguments is None or not call.name:
                broken.append(call.name)
            else:
                whole.append(ToolCall(call.place, call.id, call.name, arguments))
        return whole, broken

    def _find(self, index: int | None, id: str | None, name: str | None) -> _Call | None:
        """Return the call that a fragment goes on with, or None for the first of a new one."""
        if id:
            same = next((c for c in reversed(self._calls) if c.is_id_given and c.id == id), None)
            if same is not None:
                return same
        if index is not None:
            call = next((c for c in reversed(self._calls) if c.index == index), None)
            return None if call is not None and id and call.is_id_given else call
        if id or not self._calls:
            return None
        last = self._calls[-1]
        # Neither index nor id: a name after a call that is whole already begins another.
        is_next = bool(name and last.arguments) and _object("".join(last.arguments)) is not None
        return None if is_next else last


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
