"""
How well each model streams, from what its attempts showed: time to the first token, stalls,
false ends. A model that keeps failing rests for a while; it is asked last, never left out.

Kept in memory, by the model's name: what was true before a restart says little after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from ..errors import ProviderError

ALLOWED_FAILS: Final = 3
"""Failures in a row before a model rests: one is an accident, three are not."""

COOLDOWN_S: Final = 30.0
"""How long it rests: most hiccups of providers are over by then."""

MAX_COOLDOWN_S: Final = 600.0
"""Longest rest that a provider can ask for by `Retry-After`."""

SMOOTHING: Final = 0.2
"""Weight of the latest attempt in an average: the last ten or so count."""

AT_ONCE: Final = frozenset({"auth", "quota", "rate_limit"})
"""Codes after which asking again soon is no use."""


@dataclass(slots=True)
class Signals:
    """What is known of one model since the process began."""

    in_flight: int = 0
    attempts: int = 0
    failures: int = 0
    failures_in_row: int = 0
    stalls: int = 0
    """Attempts that a limit of time ended."""
    false_ends: int = 0
    """Streams that stopped without an end, and answers that were empty."""
    first_token_s: float | None = None
    """A moving average, seconds."""
    last_error: str | None = None
    """Code of the latest failure."""
    refused_prefill: bool = False
    """It was given the beginning of its answer and would not have it."""
    rests_until: float = 0.0


class Health:
    """Signals of all models. `clock` tells seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._signals: dict[str, Signals] = {}

    def _of(self, name: str) -> Signals:
        return self._signals.setdefault(name, Signals())

    def began(self, name: str) -> float:
        """Count a request that goes out; return when."""
        signals = self._of(name)
        signals.in_flight += 1
        signals.attempts += 1
        return self._clock()

    def said(self, name: str, began: float) -> None:
        """Count the time to the first output of an attempt."""
        signals, took = self._of(name), self._clock() - began
        last = took if signals.first_token_s is None else signals.first_token_s
        signals.first_token_s = last + SMOOTHING * (took - last)

    def left(self, name: str) -> None:
        """Count an attempt that is over, whichever way."""
        self._of(name).in_flight -= 1

    def finished(self, name: str) -> None:
        """An answer was whole."""
        signals = self._of(name)
        signals.failures_in_row = 0
        signals.rests_until = 0.0

    def failed(self, name: str, error: ProviderError) -> None:
        """Count a failure; the model may have to rest now."""
        signals = self._of(name)
        signals.failures += 1
        signals.failures_in_row += 1
        signals.last_error = error.code
        signals.stalls += error.code == "timeout"
        signals.false_ends += error.code in {"truncated", "empty"}
        if error.code in AT_ONCE or signals.failures_in_row >= ALLOWED_FAILS:
            rest_s = min(max(error.retry_after_s or 0.0, COOLDOWN_S), MAX_COOLDOWN_S)
            signals.rests_until = self._clock() + rest_s

    def refused_prefill(self, name: str) -> None:
        """Remember that it cannot go on from a text, until the process ends."""
        self._of(name).refused_prefill = True

    def found_prefill(self, name: str) -> None:
        """It was tried and found that it can, whatever it refused before."""
        self._of(name).refused_prefill = False

    def can_prefill(self, name: str) -> bool:
        """Whether it has never refused to."""
        return not self._of(name).refused_prefill

    def is_resting(self, name: str) -> bool:
        """Whether it is to be asked last."""
        return self._of(name).rests_until > self._clock()

    def in_flight(self, name: str) -> int:
        """Return how many requests to it go on."""
        return self._of(name).in_flight

    def signals(self, name: str) -> dict[str, Any]:
        """Return what is known, as JSON; `rests_s` is how long it still rests."""
        facts = asdict(self._of(name))
        facts["rests_s"] = round(max(0.0, facts.pop("rests_until") - self._clock()), 1)
        if facts["first_token_s"] is not None:
            facts["first_token_s"] = round(facts["first_token_s"], 3)
        return facts
