"""Ids of runs."""

from __future__ import annotations

import secrets

_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _BASE32 for second in _BASE32]


def new_run_id(now_ms: int) -> str:
    """26 characters: 48 bits of time, so that ids sort by age, and 80 random bits."""
    number = now_ms << 80 | secrets.randbits(80)
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])
