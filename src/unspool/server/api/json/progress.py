"""How far a run is, as JSON: what its log says, and what earlier runs say of the rest."""

from __future__ import annotations

from typing import Any

from unspool.journals import Head
from unspool.runs.durations import RunShape
from unspool.runs.events import Event
from unspool.runs.progress import Progress
from unspool.runs.run import Run
from unspool.viewing.eta import EtaEstimator

NEARLY = 99.9
"""Percent, at most, of what has not ended."""


class ProgressFold:
    """A fold of a run's log for its progress."""

    def __init__(self) -> None:
        self._progress = Progress()
        self._shape = RunShape()

    def apply(self, event: Event) -> None:
        self._progress.apply(event)
        self._shape.apply(event)

    def json(self, head: Head, run: Run, forecast: EtaEstimator, now_ms: int) -> dict[str, Any]:
        """Return `progress` of the run's JSON; what is not known is null, not guessed."""
        progress, shape = self._progress, self._shape
        if run.is_ended:
            percent, left, band = 100.0 if run.status == "completed" else None, 0.0, (0.0, 0.0)
            return _json(progress, progress.mean_per_s, percent, (left, *band))
        progress.wait_until(now_ms)
        told = forecast.estimate(head.flow, shape, now_ms)
        if told is None:
            by_flow = progress.left_s, None, None
            return _json(progress, progress.tokens_per_s, progress.percent, by_flow)
        elapsed_s = shape.at(now_ms)
        percent = min(NEARLY, 100 * elapsed_s / max(elapsed_s + told.left_s, 1e-9))
        times = told.left_s, told.low_s, told.high_s
        return _json(progress, progress.tokens_per_s, percent, times)


def _json(
    progress: Progress,
    per_s: float,
    percent: float | None,
    times: tuple[float | None, float | None, float | None],
) -> dict[str, Any]:
    left, low, high = (None if value is None else round(value, 2) for value in times)
    return {
        "tokens": progress.tokens,
        "tokens_per_s": round(per_s, 1),
        "percent": None if percent is None else round(percent, 1),
        "left_s": left,
        "left_s_low": low,
        "left_s_high": high,
    }
