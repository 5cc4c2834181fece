"""
How well each model streams, measured on its attempts: time to the first token, stalls, false
ends. A model that keeps failing rests for a while: runs ask it last, but never leave it out.

The signals live in memory, by the model's name; a restart forgets them, as they soon go stale.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from ..errors import ProviderError
from .prefills import Prefills

ALLOWED_FAILS: Final = 3
"""Failures in a row before a model rests: one is an accident, three are not."""

COOLDOWN_S: Final = 30.0
"""How long it rests: most hiccups of providers are over by then."""

MAX_COOLDOWN_S: Final = 600.0
"""Longest rest that a provider can ask for by `Retry-After`."""

SMOOTHING: Final = 0.2
"""Weight of the latest attempt in an average: about the last ten count."""

AT_ONCE: Final = frozenset({"auth", "quota", "rate_limit"})
"""Codes after which a model rests at once: another request soon would fail too."""


@dataclass(slots=True)
class Signals:
    """Measurements of one model since the process began."""

    in_flight: int = 0
    attempts: int = 0
    failures: int = 0
    failures_in_row: int = 0
    stalls: int = 0
    """Attempts that hit a time limit."""
    false_ends: int = 0
    """Streams that stopped without an end, and empty answers."""
    first_token_s: float | None = None
    """A moving average, seconds."""
    last_error: str | None = None
    """Code of the latest failure."""
    rests_until: float = 0.0
    """Seconds of the clock; the model rests before that time."""


class Health:
    """
    Signals of all models. `clock` returns seconds and never goes back.

    Attributes:
        prefills: How each model continues a text.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.prefills = Prefills()
        self._clock = clock
        self._signals: dict[str, Signals] = {}

    def _of(self, name: str) -> Signals:
        signals = self._signals.get(name)
        if signals is None:
            signals = self._signals[name] = Signals()
        return signals

    def began(self, name: str) -> float:
        """Count a request that goes out; return the time."""
        signals = self._of(name)
        signals.in_flight += 1
        signals.attempts += 1
        return self._clock()

    def first_output(self, name: str, began: float) -> None:
        """Count the time to the first output of an attempt."""
        signals, took = self._of(name), self._clock() - began
        last = took if signals.first_token_s is None else signals.first_token_s
        signals.first_token_s = last + SMOOTHING * (took - last)

    def ended(self, name: str) -> None:
        """Count an attempt that is over, however it ended."""
        self._of(name).in_flight -= 1

    def finished(self, name: str) -> None:
        """Count a whole answer; the model rests no longer."""
        signals = self._of(name)
        signals.failures_in_row = 0
        signals.rests_until = 0.0

    def failed(self, name: str, error: ProviderError) -> None:
        """Count a failure; let the model rest if it fails too often."""
        signals = self._of(name)
        signals.failures += 1
        signals.failures_in_row += 1
        signals.last_error = error.code
        signals.stalls += error.code == "timeout"
        signals.false_ends += error.code in {"truncated", "empty"}
        if error.code in AT_ONCE or signals.failures_in_row >= ALLOWED_FAILS:
            rest_s = min(max(error.retry_after_s or 0.0, COOLDOWN_S), MAX_COOLDOWN_S)
            signals.rests_until = self._clock() + rest_s

    def is_resting(self, name: str) -> bool:
        """Whether runs ask it last."""
        return self._of(name).rests_until > self._clock()

    def in_flight(self, name: str) -> int:
        """Return the number of its requests in flight."""
        return self._of(name).in_flight

    def signals(self, name: str) -> dict[str, Any]:
        """Return the signals as JSON; `rests_s` is the rest left, in seconds."""
        signals = asdict(self._of(name))
        signals["rests_s"] = round(max(0.0, signals.pop("rests_until") - self._clock()), 1)
        if signals["first_token_s"] is not None:
            signals["first_token_s"] = round(signals["first_token_s"], 3)
        return signals
