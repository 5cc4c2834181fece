"""
Tokens, as vendors count them.

A provider may report several times, and the last report need not be the fullest. So each count is
kept until a later report has another one that is not zero.

Vendors disagree about what contains what. OpenAI counts reasoning inside the completion and cached
tokens inside the prompt; others count them beside. Where the sum or the size gives that away, we
add them: what is counted beside is paid for too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

MAX_TOKENS: Final = 10**9
"""A report of more tokens than this is a mistake."""

CACHED: Final = (
    "cached_tokens",
    "prompt_cache_hit_tokens",
    "cache_read_tokens",
    "cache_read_input_tokens",
)
WRITTEN: Final = (
    "cache_write_tokens",
    "cache_creation_tokens",
    "cache_creation_input_tokens",
)
"""Names for tokens that were read from the provider's cache, and for those written to it."""


class Counts(NamedTuple):
    """One report. `cached` and `written` are parts of `prompt`; see `providers.Usage`."""

    prompt: Any = None
    completion: Any = None
    cached: Any = None
    written: Any = None


class TokenCounts:
    """A fold of reports."""

    def __init__(self) -> None:
        self._known: list[int | None] = [None, None, None, None]

    def take(self, report: Counts) -> bool:
        """Take a report; return whether it can be right. Null and zero take nothing back."""
        counts = [count_of(value) for value in report]
        if any(counts[at] is None and report[at] is not None for at in (0, 1)):
            return False
        self._known = [
            old if new is None or (new == 0 and old) else new
            for old, new in zip(self._known, counts, strict=True)
        ]
        return True

    @property
    def counts(self) -> Counts | None:
        """All that is known; None where nothing is."""
        is_known = self._known[0] is not None or self._known[1] is not None
        return Counts(*self._known) if is_known else None


def count_of(value: Any) -> int | None:
    """Return a count, or None for what cannot be one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # many languages have one kind of number and write it so
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS
    return value if is_count else None


def openai_counts(usage: Any) -> Counts:
    """Return the report in a `usage` of Chat Completions or Responses, or of one like them."""
    if not isinstance(usage, Mapping):
        return Counts(usage, usage)
    inside = _details(usage, "prompt_tokens_details", "input_tokens_details")
    made = _details(usage, "completion_tokens_details", "output_tokens_details")
    cached, written = _most((usage, inside), CACHED), _most((usage, inside), WRITTEN)
    prompt = _first(usage, "prompt_tokens", "input_tokens")
    completion = _first(usage, "completion_tokens", "output_tokens")
    p, c = count_of(prompt), count_of(completion)
    if p is None or c is None:
        return Counts(prompt, completion, cached, written)
    total = count_of(usage.get("total_tokens")) or 0
    kept = (cached or 0) + (written or 0)
    if kept > p or (kept and total == p + c + kept):
        p += kept
    thought = _most((usage, made), ("reasoning_tokens",)) or 0
    if thought > c or (thought and total == p + c + thought):
        c += thought  # xAI
    elif not thought and total > p + c:
        c = total - p  # Gemini, where it speaks as OpenAI does
    return Counts(p, c, cached, written)


def _details(usage: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    details = _first(usage, *names)
    return details if isinstance(details, Mapping) else {}


def _most(places: tuple[Mapping[str, Any], ...], names: tuple[str, ...]) -> int | None:
    """Return the largest count under any of the names; servers write the others as zero."""
    found = [count_of(place.get(name)) for place in places for name in names]
    return max((count for count in found if count is not None), default=None)


def _first(fields: Mapping[str, Any], *names: str) -> Any:
    return next((fields[name] for name in names if fields.get(name) is not None), None)
