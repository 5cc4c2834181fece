"""
Nested JSON: how deep it is, and the texts in it.

Readers of JSON give up at a depth that depends on how deep their caller's stack is. So what we
store has a limit of its own, well below: it can be read again from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def is_deeper(value: Any, levels: int, *, text: str) -> bool:
    """
    Whether lists and objects in `value` are nested more than `levels` deep.

    `text` is its JSON: one with few brackets needs no walk.
    """
    if text.count("{") + text.count("[") <= levels:
        return False
    level = [value]
    for _ in range(levels):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list | tuple)
        ]
    return bool(level)


def texts_in(value: Any) -> Iterator[str]:
    """Yield the texts in a value, in its order, without the names of members."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts_in(each)
