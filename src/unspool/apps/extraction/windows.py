"""
Cuts a long history into windows, each short enough for one prompt.

A window ends at the longest pause of its last third, so that a visit is seldom cut in two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

MAX_WINDOW: Final = 200
"""Behaviours in one prompt: about 12,000 tokens."""

MIN_WINDOW: Final = 5
"""A model that cannot read so many behaviours is none for this."""


def window_end(behaviors: Sequence[Mapping[str, Any]], start: int, size: int) -> int:
    """Return the end of the window of at most `size` behaviours that begins at `start`."""
    end = start + size
    if end >= len(behaviors):
        return len(behaviors)
    earliest = start + max(1, size - size // 3)
    times = [_seconds(behavior) for behavior in behaviors[earliest - 1 : end + 1]]
    pauses = [after - before for before, after in pairwise(times)]
    longest = max(range(len(pauses)), key=lambda at: (pauses[at], at))
    return earliest + longest


def _seconds(behavior: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(behavior["at"]).timestamp()
