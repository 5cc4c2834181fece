"""Cuts a growing text into lines."""

from __future__ import annotations


class LineBuffer:
    """Holds the last line back until it ends. Only a line feed ends a line."""

    def __init__(self) -> None:
        self._half: list[str] = []

    def feed(self, text: str) -> list[str]:
        """Return the lines that `text` completes, each with its line break."""
        first, *others = text.split("\n")
        self._half.append(first)
        if not others:
            return []
        whole = ["".join((*self._half, "\n")), *(line + "\n" for line in others[:-1])]
        self._half = [others[-1]]
        return whole

    def take(self) -> str:
        """Return the unfinished line, and forget it."""
        half = "".join(self._half)
        self._half = []
        return half
