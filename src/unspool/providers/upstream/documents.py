"""
JSON documents of a vendor, read as far as they can be.

One document that cannot be read is no reason to lose the rest of an answer: it is left out,
and the answer says so.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, Generic, TypeVar

import msgspec

from .answer import Answer

T = TypeVar("T")

MAX_PARTS: Final = 64
"""Documents written into one another are two or three; more are text that looks like some."""

_SEAM: Final = re.compile(rb'(?:data: ?|\n|(?<=\}))(?=\{")|(?=\{"error")')
"""Where a document begins inside, or behind, another one that was cut off."""


class Documents(Generic[T]):
    """Reads documents as one `msgspec.Struct`; fields it does not know are no matter."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._decode = msgspec.json.Decoder(kind).decode

    def read(self, data: bytes, answer: Answer) -> T | None:
        """Return the document; None, and `answer` told of it, where it is none."""
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
        Return the document, or those of several that a vendor wrote into one another.

        What is whole among them counts, and `answer` is told that something was left out.
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
        Read what a strict reader refuses: bytes that are no text, halves of characters and
        numbers that are none are left out, or joined, not what is around them. Control
        characters may stand unescaped.
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
    Return the sum of the counts there are; one that cannot be is returned itself, to be
    judged as such.
    """
    facts = [count for count in counts if count is not None]
    odd = [count for count in facts if not isinstance(count, int | float) or count < 0]
    return odd[0] if odd else sum(facts) if facts else None
