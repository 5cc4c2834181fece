"""
How sure a share of few cases is.

The interval is Wilson's (E. B. Wilson, "Probable inference, the law of succession, and statistical
inference", 1927): unlike the usual one it stays within 0 and 1, and says something even of three
cases.
"""

from __future__ import annotations

import math
from typing import Final

Z_95: Final = 1.959964
"""Standard deviations on either side that hold 95 % of a normal distribution."""

Z_POWER_80: Final = 0.841621
"""The same for a power of 80 %."""


def wilson(hits: int, cases: int, z: float = Z_95) -> tuple[float, float] | None:
    """Return the interval of a share; None without cases."""
    if not cases:
        return None
    share, square = hits / cases, z * z
    middle = share + square / (2 * cases)
    half = z * math.sqrt(share * (1 - share) / cases + square / (4 * cases * cases))
    scale = 1 + square / cases
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def needed(share: float, difference: float) -> int:
    """
    Return how many cases each side needs to show a `difference` of shares.

    At a confidence of 95 % and a power of 80 %, by the normal approximation; a `share` near 0
    or 1 is taken as one case in twenty from it, because it was measured on few.
    """
    share = min(max(share, 0.05), 0.95)
    spread = 2 * share * (1 - share)
    return math.ceil((Z_95 + Z_POWER_80) ** 2 * spread / difference**2)


def z_of(hits: tuple[int, int], cases: tuple[int, int]) -> float:
    """Return by how many standard deviations two shares differ; 0.0 if nobody can tell."""
    if not all(cases):
        return 0.0
    pooled = sum(hits) / sum(cases)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / cases[0] + 1 / cases[1]))
    return abs(hits[0] / cases[0] - hits[1] / cases[1]) / spread if spread else 0.0
