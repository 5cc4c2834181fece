"""The progress of a run, as JSON: from its log, and from earlier runs."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, Final

from unspool.journals import Head, Journal, read_all
from unspool.runs.durations import RunShape
from unspool.runs.events import Event
from unspool.runs.progress import Progress
from unspool.runs.run import ENDED, Run
from unspool.viewing.eta import EtaEstimator

NEARLY = 99.9
"""The most percent that a live run may show."""

MAX_FOLDS: Final = 1000
"""Live runs whose folds we keep, some 2 KiB each; the least recently read one goes first."""


class ProgressFold:
    """A fold of a run's log for its progress."""

    def __init__(self) -> None:
        self.seq = 0
        self._progress = Progress()
        self._shape = RunShape()

    def apply(self, event: Event) -> None:
        self.seq = event.seq
        self._progress.apply(event)
        self._shape.apply(event)

    def json(self, head: Head, run: Run, eta: EtaEstimator, now_ms: int) -> dict[str, Any]:
        """Return `progress` of the run's JSON; unknown values are null, not guessed."""
        progress = self._progress
        if run.is_ended:
            return _tokens_json(progress.tokens, progress.mean_per_s) | _end_json(run.status)
        progress.wait_until(now_ms)
        tokens = _tokens_json(progress.tokens, progress.tokens_per_s)
        return tokens | self.left_json(head.flow, eta, now_ms)

    def left_json(self, flow: str, eta: EtaEstimator, now_ms: int) -> dict[str, Any]:
        """Return percent and time left of a live run. The fold does not change."""
        progress, shape = self._progress, self._shape
        estimate = eta.estimate(flow, shape, now_ms)
        if estimate is None:
            left_s = None if shape.is_waiting else progress.left_s
            return _left_json(progress.percent, left_s, None, None)
        elapsed_s = shape.at(now_ms)
        percent = min(NEARLY, 100 * elapsed_s / max(elapsed_s + estimate.left_s, 1e-9))
        if shape.is_waiting:
            return _left_json(percent, None, None, None)
        return _left_json(percent, estimate.left_s, estimate.low_s, estimate.high_s)


class ProgressFolds:
    """
    The progress of runs with open pages.

    We read and fold each event once, for any number of pages and requests. An ended run needs no
    fold: its head is enough.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._folds: OrderedDict[str, tuple[ProgressFold, asyncio.Lock]] = OrderedDict()

    async def left_json(self, head: Head, eta: EtaEstimator, now_ms: int) -> dict[str, Any]:
        """Return percent and time left as PROTOCOL.md describes them."""
        if head.status in ENDED:
            self._folds.pop(head.run_id, None)
            return _end_json(head.status)
        watched = await self._read(head.run_id)
        return watched.left_json(head.flow, eta, now_ms)

    async def _read(self, run_id: str) -> ProgressFold:
        """Fold the events that arrived since the last time."""
        watched, reading = self._folds.setdefault(run_id, (ProgressFold(), asyncio.Lock()))
        self._folds.move_to_end(run_id)
        if len(self._folds) > MAX_FOLDS:
            self._folds.popitem(last=False)
        # One reader at a time: an event read twice would count twice.
        async with reading:
            async for events in read_all(self._journal, run_id, after=watched.seq):
                for event in events:
                    watched.apply(event)
        return watched


def _tokens_json(tokens: int, per_s: float) -> dict[str, Any]:
    return {"tokens": tokens, "tokens_per_s": round(per_s, 1)}


def _end_json(status: str) -> dict[str, Any]:
    return _left_json(100.0 if status == "completed" else None, 0.0, 0.0, 0.0)


def _left_json(
    percent: float | None, left_s: float | None, low_s: float | None, high_s: float | None
) -> dict[str, Any]:
    left, low, high = (None if it is None else round(it, 2) for it in (left_s, low_s, high_s))
    return {
        "percent": None if percent is None else round(percent, 1),
        "left_s": left,
        "left_s_low": low,
        "left_s_high": high,
    }
