"""Estimates how many tokens a text has, for answers whose provider counts none."""

from __future__ import annotations

from typing import Final

_FIRST_WIDE: Final = "\u2e80"
"""From here up Unicode is CJK, kana, hangul, full-width forms and emoji."""

TWELFTHS: Final = 12
"""A wide character is 8/12 of a token, any other 3/12: whole numbers add up without drift."""


def weigh(text: str) -> int:
    """Return the size of `text` in twelfths of a token; see `estimate_tokens`."""
    if text.isascii():
        return 3 * len(text)
    wide = sum(1 for character in text if character >= _FIRST_WIDE)
    return 8 * wide + 3 * (len(text) - wide)


def tokens_in(twelfths: int) -> int:
    """Return whole tokens, rounded up."""
    return -(-twelfths // TWELFTHS)


def estimate_tokens(text: str) -> int:
    """
    Return about how many tokens `text` has: 1.5 Chinese characters or 4 others make one.

    Rounded up, so that only the empty text is free. Models differ by a third either way, so
    mark this number as estimated wherever you show it.
    """
    return tokens_in(weigh(text))
