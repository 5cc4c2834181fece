"""
JSON as models write it by hand: with raw line ends and tabs inside its strings.

Nothing else is forgiven. Values that only Python accepts (`NaN`, numbers beyond a float) are
refused, because everybody must be able to read what we store.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from .json_strings import StringSkipper

_SIGN: Final = re.compile(r'["{}\[\]]')
_BLANKS: Final = re.compile(r"\s*")


def decode(text: str) -> Any:
    """
    Return the value that `text` is.

    Raises:
        ValueError: It is none, or is nested too deeply to be read.
    """
    value, end = decode_at(text, 0)
    if end < len(text):
        raise ValueError("something follows the value")
    return value


def decode_at(text: str, start: int) -> tuple[Any, int]:
    """
    Return the value that begins at `start`, and where the next one may begin.

    Raises:
        ValueError: There is none, or it is nested too deeply to be read.
    """
    try:
        value, end = _decoder.raw_decode(text, _after_blanks(text, start))
    except RecursionError:
        raise ValueError("too deep") from None
    return value, _after_blanks(text, end)


def _after_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return at if found is None else found.end()


def _no_number(name: str) -> float:
    raise ValueError(name)


def _number(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _no_number(digits)


_decoder: Final = json.JSONDecoder(strict=False, parse_constant=_no_number, parse_float=_number)


class Extent:
    """
    Follows a value while it is written: whether it has begun, and whether it is whole.

    It counts brackets and quotes, each character once, and does not check what stands between.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._skipper = StringSkipper()
        self._last = ""

    @property
    def has_begun(self) -> bool:
        return bool(self._last)

    @property
    def is_whole(self) -> bool:
        """Every bracket and quote is closed."""
        return self.has_begun and not self._depth and not self._skipper.in_string

    @property
    def is_in_string(self) -> bool:
        return self._skipper.in_string

    @property
    def expects_value(self) -> bool:
        """The next sign may open an object inside of this one."""
        return not self._skipper.in_string and self._last in {":", ",", "["}

    def feed(self, text: str) -> None:
        at = 0
        while True:
            if self._skipper.in_string:
                at = self._skipper.skip(text, at)
                if self._skipper.in_string:
                    break
            found = _SIGN.search(text, at)
            if found is None:
                break
            at = found.end()
            if found[0] == '"':
                self._skipper.in_string = True
            else:
                self._depth += 1 if found[0] in "{[" else -1
        if signs := text.rstrip():
            self._last = signs[-1]
