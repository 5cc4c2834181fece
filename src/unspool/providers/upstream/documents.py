"""
JSON documents of a vendor, read as far as possible.

A document that cannot be read must not cost the rest of the answer: we leave it out and warn.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, Generic, TypeVar

import msgspec

from .answer import Answer

T = TypeVar("T")

MAX_PARTS: Final = 64
"""Vendors run two or three documents together; more is text that looks like documents."""

_SEAM: Final = re.compile(rb'(?:data: ?|\n|(?<=\}))(?=\{")|(?=\{"error")')
"""Where a document begins inside or behind one that was cut off."""


class Documents(Generic[T]):
    """Reads documents as one `msgspec.Struct`, and ignores unknown fields."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._decode = msgspec.json.Decoder(kind).decode

    def read(self, data: bytes, answer: Answer) -> T | None:
        """Return the document, or None after a warning to `answer`."""
        try:
            return self._decode(data)
        except (ValueError, RecursionError):
            pass
        try:
            return self._as_it_is(data, answer)
        except (ValueError, RecursionError) as error:
            answer.skip(_left_out(error))
            return None

    def read_all(self, data: bytes, answer: Answer) -> list[T]:
        """
        Return the document, or all documents that a vendor ran together.

        Whole ones count; `answer` gets a warning about the rest.
        """
        try:
            return [self._as_it_is(data, answer)]
        except (ValueError, RecursionError) as error:
            answer.skip(_left_out(error))
        found: list[T] = []
        parts = _SEAM.split(data)
        for part in parts if 1 < len(parts) <= MAX_PARTS else ():
            try:
                found.append(self._as_it_is(part, answer))
            except (ValueError, RecursionError):
                continue
        return found

    def _as_it_is(self, data: bytes, answer: Answer) -> T:
        """
        Read a document that a strict reader refuses: drop bytes that are no text, join or replace
        halves of characters, drop impossible numbers, and accept unescaped control characters.
        """
        text = data.decode("utf-8", "ignore")
        document = json.loads(text, parse_constant=_nothing, strict=False)
        answer.may_have_halves()
        return msgspec.convert(document, self._kind)


def _left_out(error: BaseException) -> str:
    return f"a chunk that could not be read was left out: {error}"


def _nothing(_name: str) -> Any:
    return None


def total(*counts: Any) -> Any:
    """
    Return the sum of the known counts. An impossible count is returned itself, so that the caller
    can judge it.
    """
    facts = [count for count in counts if count is not None]
    odd = [count for count in facts if not isinstance(count, int | float) or count < 0]
    return odd[0] if odd else sum(facts) if facts else None
