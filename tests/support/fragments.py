"""Fragments of tool calls as they stand in chunks, and what a reader makes of them."""

from __future__ import annotations

import json
from typing import Any

from support.hearing import Hearing, heard
from support.upstream import DONE, chunk

Fragment = dict[str, Any]
Called = list[tuple[str, Any]]

A, B = {"city": "Paris"}, {"city": "London"}
TEXT_A, TEXT_B = json.dumps(A), json.dumps(B)


def part(
    index: int | None = 0, id: str | None = None, name: str | None = None, arguments: Any = None
) -> Fragment:
    """A fragment, in which what is None is left out."""
    function = {"name": name, "arguments": arguments}
    fields = {"index": index, "id": id}
    said: Fragment = {key: value for key, value in fields.items() if value is not None}
    return {**said, "function": {k: v for k, v in function.items() if v is not None}}


def sent(*parts: Fragment, end: str = "tool_calls", text: str = "") -> Hearing:
    """What comes of an answer with these fragments, one a chunk."""
    chunks = [chunk(None, tool_calls=[it]) for it in parts]
    said = [chunk(text)] if text else []
    return heard([*said, *chunks, chunk(None, end), DONE])


def pieces_of(text: str, size: int = 5) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]
