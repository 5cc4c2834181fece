"""
Time left, learned from earlier runs, and how good the estimates are.

The figures are in memory and come from the journal: first from the newest completed runs of a
flow, when somebody first asks about it, later from runs that ended since. A run costs nothing
while it goes on. We read its log once after its end, when somebody asks. Before a run teaches us,
we estimate it at three moments of its life from what we knew by then, and publish the errors.

Each tenant learns from its own runs alone: how long they took is nobody else's to know.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from ..errors import UnknownRun
from ..formats.tenancy import DEFAULT, present_tenant
from ..journals import Head, Journal, read_all
from ..runs.durations import Estimate, PastRuns, RunShape, estimate
from ..runs.events import Event

REMEMBERED: Final = 50
"""Runs of one flow and model. More would be of last week's model, fewer a matter of luck."""

JUDGED: Final = 200
"""Estimated runs whose errors we remember: a median of fewer is not steady."""

MAX_KINDS: Final = 256
"""Flows and models of tenants to remember; the least recently updated one goes first."""

FILLED: Final = 200
"""Newest completed runs of a flow to read, so that each of its models has some among them."""

WAITING: Final = 2000
"""Ended runs that wait to be read; older ones are skipped."""

AT_ONCE: Final = 20
"""Logs to read for one request: some 30 ms. The next request reads the rest."""

MAX_EVENTS: Final = 20_000
"""Events of one log; a longer log is skipped."""

MOMENTS: Final = (0.25, 0.5, 0.75)
"""Shares of a run's whole time at which we estimate it."""

LEAST_S: Final = 0.05
"""Errors are shares of the time left; below this they mean nothing."""


@dataclass(frozen=True, slots=True)
class EtaError:
    """The error of one estimate."""

    share: float
    """As a share of the true time left: 0.1 is a tenth too long or too short."""
    off_s: float
    in_band: bool


@dataclass(slots=True)
class RunKind:
    """What we know of a flow at a model."""

    pasts: deque[PastRuns] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    errors: tuple[deque[EtaError], ...] = field(
        default_factory=lambda: tuple(deque(maxlen=JUDGED) for _ in MOMENTS)
    )


@dataclass(frozen=True, slots=True)
class Quality:
    """Quality of the estimates for a flow at a model; medians over the runs we could estimate."""

    flow: str
    model: str
    runs: int
    """Runs that we learned from."""
    foretold: int
    """Runs whose errors these are: of the last `JUDGED`, those we could estimate."""
    share: tuple[float | None, ...]
    """Median error at each of `MOMENTS`, as a share of the time left."""
    off_s: tuple[float | None, ...]
    in_band: float | None
    """Share of runs whose true time lay inside the band."""


class EtaEstimator:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._kinds: dict[tuple[str, str, str], RunKind] = {}
        """By tenant, flow and model."""
        self._ended: deque[str] = deque(maxlen=WAITING)
        self._filled: set[tuple[str, str]] = set()
        self._learning = asyncio.Lock()

    def note(self, run_id: str) -> None:
        """Remember that a run ended, to learn from it at the next request."""
        self._ended.append(run_id)

    async def learn(self, *flows: str, at_most: int = AT_ONCE) -> None:
        """Learn about `flows`, and from all runs that ended since; read at most `at_most`."""
        async with self._learning:
            for flow in flows:
                await self._fill(flow)
            for _ in range(min(at_most, len(self._ended))):
                try:
                    head = await self._journal.head(self._ended.popleft())
                    if head.status == "completed":
                        await self._read(head)
                except UnknownRun:
                    continue  # deleted meanwhile

    async def _fill(self, flow: str) -> None:
        """Let the flow's completed runs wait to be read, once, the oldest first."""
        tenant = _own()
        if (tenant, flow) in self._filled:
            return
        self._filled.add((tenant, flow))
        heads = await self._journal.heads(
            status="completed", flow=flow, tenant=tenant, limit=FILLED
        )
        known = set(self._ended)
        older = [head.run_id for head in heads if head.run_id not in known]
        self._ended.extendleft(older[: WAITING - len(known)])

    def estimate(self, flow: str, shape: RunShape, now_ms: int) -> Estimate | None:
        """Return how long a live run will still take; None if that is unknown."""
        return self._estimate(_own(), flow, shape, now_ms)

    def _estimate(self, tenant: str, flow: str, shape: RunShape, now_ms: int) -> Estimate | None:
        pasts = self._pasts(tenant, flow, shape)
        return estimate(pasts, shape, now_ms) if pasts else None

    def quality(self) -> list[Quality]:
        """Return how good the estimates were, for each flow and model."""
        own = _own()
        keys = sorted(key for key in self._kinds if key[0] == own)
        return [_quality(flow, model, self._kinds[own, flow, model]) for _, flow, model in keys]

    def _pasts(self, tenant: str, flow: str, shape: RunShape) -> Sequence[PastRuns]:
        kind = self._kinds.get((tenant, flow, shape.model))
        if kind is None and not shape.model:
            # No model has a request yet; expect the most frequent one.
            kinds = [kind for key, kind in self._kinds.items() if key[:2] == (tenant, flow)]
            kind = max(kinds, key=lambda kind: len(kind.pasts), default=None)
        return () if kind is None else kind.pasts

    async def _read(self, head: Head) -> None:
        if head.ended_ms is None or head.seq > MAX_EVENTS:
            return
        whole_ms = head.ended_ms - head.created_ms
        moments = [head.created_ms + int(share * whole_ms) for share in MOMENTS]
        estimates: list[Estimate | None] = []
        shape = RunShape()
        async for events in read_all(self._journal, head.run_id):
            for event in events:
                self._foretell(head, shape, event, moments, estimates)
                shape.apply(event)
        past = PastRuns.of(shape)
        if past is None:
            return
        key = (head.tenant, head.flow, shape.model)
        kind = self._kinds.pop(key, None) or RunKind()
        self._kinds[key] = kind  # the last one is the newest
        if len(self._kinds) > MAX_KINDS:
            del self._kinds[next(iter(self._kinds))]
        if not (shape.is_recovered or shape.has_waited):
            for errors, moment_ms, estimate in zip(kind.errors, moments, estimates, strict=False):
                if estimate is not None:
                    errors.append(_error(estimate, (head.ended_ms - moment_ms) / 1000))
        kind.pasts.append(past)

    def _foretell(
        self,
        head: Head,
        shape: RunShape,
        event: Event,
        moments: Sequence[int],
        estimates: list[Estimate | None],
    ) -> None:
        while len(estimates) < len(moments) and event.at_ms > moments[len(estimates)]:
            at_ms = moments[len(estimates)]
            estimates.append(self._estimate(head.tenant, head.flow, shape, at_ms))


def _own() -> str:
    """Return the tenant that asks; a server without keys is one itself."""
    return present_tenant() or DEFAULT


def _error(estimate: Estimate, left_s: float) -> EtaError:
    off_s = abs(estimate.left_s - left_s)
    return EtaError(
        off_s / max(left_s, LEAST_S), off_s, estimate.low_s <= left_s <= estimate.high_s
    )


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
