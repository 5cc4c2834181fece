"""
Characters that arrive in halves.

JSON writes a character such as 😀 as two escapes (a surrogate pair). A vendor that cuts its text
between them sends the halves in two chunks, and no socket or database accepts a single half. We
join halves that meet; a half that stays alone becomes U+FFFD.
"""

from __future__ import annotations

from typing import Any, Final

LOST: Final = "\ufffd"


class SurrogateJoiner:
    """Feed it text that may hold halves; it returns text that can be encoded."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return the text; a first half at its end waits for the next text."""
        text, self._held = self._held + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return joined(text)

    def flush(self) -> str:
        """Return the half held back: no second half arrived."""
        held, self._held = self._held, ""
        return LOST if held else ""


def joined(text: str) -> str:
    """Return text that can be encoded: pairs joined, single halves replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def mended(value: Any) -> Any:
    """Return a JSON value in which every text can be encoded."""
    match value:
        case str():
            return joined(value)
        case dict():
            return {joined(name): mended(item) for name, item in value.items()}
        case list():
            return [mended(item) for item in value]
        case _:
            return value
