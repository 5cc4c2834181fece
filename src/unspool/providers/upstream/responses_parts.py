"""
Which parts of a response have come.

Text and thoughts of OpenAI's Responses come as deltas, and again as a whole when their part, their
item and the response are done. Some servers send only one of these. So a whole part counts where
nothing of it has come before.
"""

from __future__ import annotations

from typing import Literal

Kind = Literal["text", "summary", "thought"]
"""A thought may come as it was (`thought`) or in summary; a whole one counts only where
the other has not come."""

Item = int | str | None
"""Place of an item in the output, or its id; None where a server gives neither."""


class Parts:
    def __init__(self) -> None:
        self._came: set[tuple[Kind, Item, int | None]] = set()
        self._last: tuple[Item, int | None] | None = None

    def note(self, kind: Kind, item: Item, index: int | None) -> None:
        """Note that something of a part has come."""
        self._came.add((kind, item, index))

    def has(self, kind: Kind, item: Item, index: int | None) -> bool:
        """Whether something of a part has come; some servers do not number the parts of an item."""
        came = self._came
        if index is None:
            return any((kind, item) == known[:2] for known in came)
        return (kind, item, index) in came or (kind, item, None) in came

    def has_otherwise(self, kind: Kind, item: Item) -> bool:
        """Whether the thoughts of an item have come in the other kind."""
        other: Kind = "summary" if kind == "thought" else "thought"
        return kind != "text" and self.has(other, item, None)

    def is_next_thought(self, item: Item, index: int | None) -> bool:
        """Whether a thought belongs to another part than the last one."""
        last, self._last = self._last, (item, index)
        return last != (item, index)
