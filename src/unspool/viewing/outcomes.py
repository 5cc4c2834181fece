"""
How the newest requests to each model ended, from the logs. `models.health` knows the moment, in
memory; this is what stays true after a restart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from ..errors import BudgetSpent
from ..runs.timeline import Timeline

NEWEST: Final = 20
"""Ended requests of a model to look at: more would hide that it has just broken."""


@dataclass(slots=True)
class Outcomes:
    """The newest ended requests to one model, without those that we closed or did not send."""

    requests: int = 0
    failures: int = 0
    failures_in_row: int = 0
    """Failures since its last whole answer."""
    codes: Counter[str] = field(default_factory=Counter)
    """Why they failed."""

    def add(self, code: str, *, is_failure: bool) -> None:
        """Count the next older request."""
        if self.requests == NEWEST:
            return
        if is_failure:
            self.failures_in_row += self.failures == self.requests
            self.failures += 1
            self.codes[code] += 1
        self.requests += 1

    @property
    def cause(self) -> str | None:
        """The most frequent code among the failures."""
        return self.codes.most_common(1)[0][0] if self.codes else None


def outcomes_of(timelines: Iterable[Timeline]) -> dict[str, Outcomes]:
    """Count the requests of these runs by model; the runs come newest first."""
    found: dict[str, Outcomes] = {}
    for timeline in timelines:
        for attempt in reversed(timeline.attempts.values()):
            was_asked = attempt.code != BudgetSpent.code
            if was_asked and attempt.status in {"finished", "failed"}:
                outcomes = found.setdefault(attempt.model, Outcomes())
                outcomes.add(attempt.code, is_failure=attempt.status == "failed")
    return found
