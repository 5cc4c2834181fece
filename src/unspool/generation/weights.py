"""How much a text says, counted alike for scripts with and without spaces."""

from __future__ import annotations

import unicodedata


def is_wide(character: str) -> bool:
    """Whether a character is a letter of a wide script: one says as much as two of another."""
    return character.isalnum() and unicodedata.east_asian_width(character) in "WF"


def weight(text: str) -> int:
    """Return the weight of a text: 2 for a wide character, 1 for another letter or digit."""
    return sum(2 if is_wide(c) else c.isalnum() for c in text)
