"""
What is learned from earlier runs, and how good it is.

Figures are in memory and made from the journal: at the first use from the newest completed
runs, later from those that have ended since. A run costs nothing for it while it goes on, and
one reading of its log after its end, when somebody asks. Before a run is learned from, it is
foretold at three moments of its life from what was known by then: the errors are published.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from ..errors import UnknownRun
from ..journals import Head, Journal, read_all
from ..runs.durations import Estimate, PastRuns, RunShape, estimate
from ..runs.events import Event

REMEMBERED: Final = 50
"""Runs of one flow at one model. More would be of last week's model, fewer a matter of luck."""

JUDGED: Final = 200
"""Foretold runs whose errors are remembered: of fewer a median is not steady."""

MAX_KINDS: Final = 256
"""Flows and models that are remembered; the one that was learned from longest ago goes."""

WAITING: Final = 200
"""Ended runs that wait to be learned from; older ones are passed over."""

AT_ONCE: Final = 20
"""Logs read for one question: some 30 ms. The next question goes on with the rest."""

MAX_EVENTS: Final = 20_000
"""Of one log; a longer one is passed over."""

MOMENTS: Final = (0.25, 0.5, 0.75)
"""Of its whole time, at which a run is foretold."""

LEAST_S: Final = 0.05
"""Errors are shares of the time that was left; of less than this nobody can be told."""


@dataclass(frozen=True, slots=True)
class EtaError:
    """How far off one estimate was."""

    share: float
    """Of the time that was really left: 0.1 is a tenth too long or too short."""
    off_s: float
    in_band: bool


@dataclass(slots=True)
class RunKind:
    """What is known of a flow at a model."""

    pasts: deque[PastRuns] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    errors: tuple[deque[EtaError], ...] = field(
        default_factory=lambda: tuple(deque(maxlen=JUDGED) for _ in MOMENTS)
    )


@dataclass(frozen=True, slots=True)
class Quality:
    """Of the estimates for a flow at a model; medians over the runs that could be foretold."""

    flow: str
    model: str
    runs: int
    """Learned from."""
    foretold: int
    """Whose errors these are: of the last `JUDGED`, those that were foretold."""
    share: tuple[float | None, ...]
    """Median error at each of `MOMENTS`, as a share of the time that was left."""
    off_s: tuple[float | None, ...]
    in_band: float | None
    """Share of the truths that lay between low and high."""


class EtaEstimator:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._kinds: dict[tuple[str, str], RunKind] = {}
        self._ended: deque[str] = deque(maxlen=WAITING)
        self._is_filled = False
        self._learning = asyncio.Lock()

    def note(self, run_id: str) -> None:
        """A run has ended: learn from it when somebody asks."""
        self._ended.append(run_id)

    async def learn(self, *, at_most: int = AT_ONCE) -> None:
        """Learn from what has ended since the last time, from `at_most` runs."""
        async with self._learning:
            if not self._is_filled:
                self._is_filled = True
                heads = await self._journal.heads(status="completed", limit=REMEMBERED)
                known = set(self._ended)
                self._ended.extendleft(h.run_id for h in heads if h.run_id not in known)
            for _ in range(min(at_most, len(self._ended))):
                try:
                    head = await self._journal.head(self._ended.popleft())
                    if head.status == "completed":
                        await self._read(head)
                except UnknownRun:
                    continue  # deleted meanwhile

    def estimate(self, flow: str, shape: RunShape, now_ms: int) -> Estimate | None:
        """Return how long a run that goes on will still take; None where that is not known."""
        pasts = self._pasts(flow, shape)
        return estimate(pasts, shape, now_ms) if pasts else None

    def quality(self) -> list[Quality]:
        """Return how good the estimates have been, for each flow and model."""
        return [_quality(*key, kind) for key, kind in sorted(self._kinds.items())]

    def _pasts(self, flow: str, shape: RunShape) -> Sequence[PastRuns]:
        kind = self._kinds.get((flow, shape.model))
        if kind is None and not shape.model:
            # No model was asked yet; the one that was asked most often will be.
            kinds = [kind for (name, _), kind in self._kinds.items() if name == flow]
            kind = max(kinds, key=lambda kind: len(kind.pasts), default=None)
        return () if kind is None else kind.pasts

    async def _read(self, head: Head) -> None:
        if head.ended_ms is None or head.seq > MAX_EVENTS:
            return
        whole_ms = head.ended_ms - head.created_ms
        moments = [head.created_ms + int(share * whole_ms) for share in MOMENTS]
        said: list[Estimate | None] = []
        shape = RunShape()
        async for events in read_all(self._journal, head.run_id):
            for event in events:
                self._foretell(head.flow, shape, event, moments, said)
                shape.apply(event)
        past = PastRuns.of(shape)
        if past is None:
            return
        kind = self._kinds.pop((head.flow, shape.model), None) or RunKind()
        self._kinds[head.flow, shape.model] = kind  # the last one is the newest
        if len(self._kinds) > MAX_KINDS:
            del self._kinds[next(iter(self._kinds))]
        if not shape.is_recovered:
            for errors, moment_ms, told in zip(kind.errors, moments, said, strict=False):
                if told is not None:
                    errors.append(_error(told, (head.ended_ms - moment_ms) / 1000))
        kind.pasts.append(past)

    def _foretell(
        self,
        flow: str,
        shape: RunShape,
        event: Event,
        moments: Sequence[int],
        said: list[Estimate | None],
    ) -> None:
        while len(said) < len(moments) and event.at_ms > moments[len(said)]:
            said.append(self.estimate(flow, shape, moments[len(said)]))


def _error(told: Estimate, left_s: float) -> EtaError:
    off_s = abs(told.left_s - left_s)
    return EtaError(off_s / max(left_s, LEAST_S), off_s, told.low_s <= left_s <= told.high_s)


def _quality(flow: str, model: str, kind: RunKind) -> Quality:
    every = [error for errors in kind.errors for error in errors]
    return Quality(
        flow,
        model,
        len(kind.pasts),
        max(map(len, kind.errors)),
        tuple(_median([error.share for error in errors]) for errors in kind.errors),
        tuple(_median([error.off_s for error in errors]) for errors in kind.errors),
        sum(error.in_band for error in every) / len(every) if every else None,
    )


def _median(values: list[float]) -> float | None:
    return median(values) if values else None
