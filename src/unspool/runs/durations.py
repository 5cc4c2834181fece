"""
Durations of runs, step by step, and the time left of a live one.

A `RunShape` is a fold of a log: when each step began, produced output and ended, and how much it
wrote. The time left comes from the shapes of earlier runs of the same flow and model. For each we
take the time it needed from the point where this run is now, scaled to this run's speed. Their
median is the estimate; the tenth and the ninetieth percentile are its band.

Pure; time is the log's own. The time between two servers does not count, nor that in which people
think about a question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from ..formats.tokens import weigh
from .events import Event

ENOUGH: Final = 3
"""Earlier runs needed before there is an estimate: two may agree by chance."""

MAX_STEPS: Final = 64
"""Most steps of a run to learn from: more are a batch, whose item count tells more."""

TRUSTED: Final = 20 * 12
"""After this much output (20 tokens) this run's own speed counts as much as an earlier run's."""

SLOWEST, QUICKEST = 5.0, 0.2
"""How far this run's speed may stretch the time of an earlier one."""

OVERTIME: Final = 0.1
"""A step longer than all earlier ones is expected to need another tenth of its length."""

LOW, HIGH = 0.1, 0.9
"""The band: in eight of ten runs the truth should lie inside it."""

SURE: Final = 0.1
"""The band is at least a tenth wide to each side, however alike the runs were."""


@dataclass(slots=True)
class Span:
    """One step, in seconds of the run."""

    start_s: float
    first_s: float | None = None
    """Time of the first output; None: none yet."""
    last_s: float = 0.0
    end_s: float | None = None
    written: int = 0
    """Output in twelfths of a token."""
    opening: int = 0
    """Size of the first piece: the time it took to write is unknown."""
    chars: int = 0

    def write(self, text: str, at_s: float) -> None:
        size = weigh(text)
        if self.first_s is None:
            self.first_s, self.opening = at_s, size
        self.written += size
        self.chars += len(text)
        self.last_s = at_s

    def rewind(self, at: int) -> None:
        """Keep the share of the output that belongs to the first `at` characters."""
        if at < self.chars:
            self.written = self.written * at // self.chars
            self.chars = at

    @property
    def pace_s(self) -> float | None:
        """Seconds for each twelfth of a token; None if it is unknown."""
        size = self.written - self.opening
        if self.first_s is None or size <= 0:
            return None
        return (self.last_s - self.first_s) / size


@dataclass(slots=True)
class RunShape:
    """A run after some prefix of its events."""

    spans: dict[str, Span] = field(default_factory=dict)
    model: str = ""
    """The last model that got a request; empty for none."""
    is_recovered: bool = False
    """Another server took it over, so we do not learn from its duration."""
    _began_ms: int | None = None
    _last_ms: int = 0
    has_waited: bool = False
    """It waited for a person: nobody can foretell that."""
    _lost_ms: int = 0
    """Time between one server's last event and the next one's first, and time without an answer."""
    _questions: set[str] = field(default_factory=set)
    """Open ones."""

    def apply(self, event: Event) -> None:
        # A clock that was set back must not make a time negative.
        if self._began_ms is None:
            self._began_ms = event.at_ms
        before_ms, self._last_ms = self._last_ms, max(self._last_ms, event.at_ms)
        is_lost = self.is_waiting or event.type == "run.recovered"
        self._lost_ms += self._last_ms - before_ms if is_lost else 0
        match event.type:
            case "text.delta" | "reasoning.delta":
                self._write(event, event.data["text"])
            case "tool.delta":
                self._write(event, event.data.get("arguments") or "")
            case "step.started":
                self.spans[event.data["step"]] = Span(self.last_s)
            case "step.finished":
                self._span(event).end_s = self.last_s
            case "step.rewound":
                self._span(event).rewind(event.data.get("at", 0))
            case "attempt.started":
                self.model = event.data["model"]
            case "run.recovered":
                self.is_recovered = True
            case _:
                self._question(event)

    def _question(self, event: Event) -> None:
        if event.type == "question.asked":
            self.has_waited = True
            self._questions.add(event.data["step"])
        elif event.type == "question.answered":
            self._questions.discard(event.data["step"])

    @property
    def is_waiting(self) -> bool:
        """Whether a person's answer is missing."""
        return bool(self._questions)

    @property
    def last_s(self) -> float:
        """Time of its last event, in seconds since its first."""
        return self.at(self._last_ms)

    def at(self, now_ms: int) -> float:
        """Return a moment in seconds of the run."""
        if self._began_ms is None:
            return 0.0
        until_ms = self._last_ms if self.is_waiting else max(now_ms, self._last_ms)
        return max(0, until_ms - self._began_ms - self._lost_ms) / 1000

    def _span(self, event: Event) -> Span:
        return self.spans.setdefault(event.data["step"], Span(self.last_s))

    def _write(self, event: Event, text: str) -> None:
        self._span(event).write(text, self.last_s)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds left, and the band they probably lie in."""

    left_s: float
    low_s: float
    high_s: float


@dataclass(frozen=True, slots=True)
class PastRuns:
    """A completed run to learn from."""

    total_s: float
    spans: dict[str, Span]

    @classmethod
    def of(cls, shape: RunShape) -> PastRuns | None:
        """Return the durations of a completed run; None if we cannot learn from it."""
        whole = all(span.end_s is not None for span in shape.spans.values())
        if shape.is_recovered or not whole or not 0 < len(shape.spans) <= MAX_STEPS:
            return None
        return cls(shape.last_s, shape.spans)


def estimate(pasts: Sequence[PastRuns], shape: RunShape, now_ms: int) -> Estimate | None:
    """Return the time left of the run of `shape`; None with too few earlier runs."""
    now_s = shape.at(now_ms)
    lefts_or_none = [_left(past, pasts, shape, now_s) for past in pasts]
    lefts = sorted(left for left in lefts_or_none if left is not None)
    if len(lefts) < ENOUGH:
        return None
    left_s = median(lefts)
    low_s = min(_quantile(lefts, LOW), left_s * (1 - SURE))
    return Estimate(left_s, low_s, max(_quantile(lefts, HIGH), left_s * (1 + SURE)))


def _left(past: PastRuns, pasts: Sequence[PastRuns], shape: RunShape, now_s: float) -> float | None:
    """Return how long `past` took from this run's point on; None if it never passed it."""
    if any(name not in past.spans for name in shape.spans):
        return None
    if not shape.spans:
        return max(0.0, past.total_s - now_s)
    stretch, rest_s = 1.0, 0.0
    for name, span in shape.spans.items():
        if span.end_s is None:
            here_s, stretch = _rest(span, past.spans[name], now_s, (name, pasts))
            rest_s = max(rest_s, here_s)
    reached_s = max(past.spans[name].end_s or 0.0 for name in shape.spans)
    after_s = (past.total_s - reached_s) * stretch
    if all(span.end_s is not None for span in shape.spans.values()):
        after_s = max(0.0, after_s - (now_s - shape.last_s))
    return rest_s + after_s


def _rest(
    now: Span, then: Span, now_s: float, others: tuple[str, Sequence[PastRuns]]
) -> tuple[float, float]:
    """Return the seconds that an open step has left, and how much slower this run is."""
    took_s = (then.end_s or 0.0) - then.start_s
    if now.first_s is None:
        wait_s = (then.end_s if then.first_s is None else then.first_s) or 0.0
        return took_s - min(now_s - now.start_s, wait_s - then.start_s), 1.0
    if not then.written or then.first_s is None:
        return 0.0, 1.0
    usual_s = ((then.end_s or then.last_s) - then.first_s) / then.written
    own_s = now.pace_s
    trust = 0.0 if own_s is None else now.written / (now.written + TRUSTED)
    pace_s = trust * (own_s or 0.0) + (1 - trust) * usual_s
    stretch = min(SLOWEST, max(QUICKEST, pace_s / usual_s)) if usual_s > 0 else 1.0
    size = then.written - now.written
    if size <= 0:
        name, pasts = others
        lengths = [past.spans[name].written for past in pasts if name in past.spans]
        longer = [length - now.written for length in lengths if length > now.written]
        size = int(median(longer)) if longer else int(now.written * OVERTIME)
    return size * usual_s * stretch, stretch


def _quantile(ascending: Sequence[float], share: float) -> float:
    rank = share * (len(ascending) - 1)
    below = int(rank)
    above = min(below + 1, len(ascending) - 1)
    return ascending[below] + (rank - below) * (ascending[above] - ascending[below])
