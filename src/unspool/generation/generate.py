"""
One text from some model: retries, failover, continuation after a break.

`generate` is the whole policy. It yields what the log keeps: the model's deltas, and every attempt
with its reason, its seam, its usage and its cost.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from unspool.providers.upstream.http1 import Client

from ..errors import ProviderError, ProviderInterrupted, ProviderRefused
from ..failpoints import point
from ..models.health import Health
from ..models.prices import cost_of
from ..providers import Accepted, Model, Prompt, Provider, open_provider
from .attempts import (
    AttemptFailed,
    AttemptFinished,
    AttemptKept,
    AttemptStarted,
    GenerationEvent,
    OpenAttempt,
    PassedOn,
    Rewound,
)
from .continuation import ContinuationPlan, PartialText, RetainedAnswer, Strategy, way_on
from .seam import Seam

log = logging.getLogger(__name__)

_asking = point("generation.asking")
_asking_again = point("generation.asking_again")
_first_text = point("generation.first_text")
_broken = point("generation.broken")

FIRST_WAIT_S = 0.5
"""Seconds before the first retry; each further one waits twice as long (0.5, 1, 2 s)."""

JITTER = 0.25
"""A wait grows by up to this share, so that many clients do not return at once."""

MAX_RETRY_AFTER_S = 60.0
"""A provider that asks us to wait longer counts as down."""

MAX_ATTEMPTS = 24
"""Attempts for one text, over all models: a text that breaks so often will not become whole."""

OF_THE_RUNG = frozenset({"prefill", "prefill_refused", "started_anew", "not_kept"})
"""Codes that condemn a rung for this model, and not the model itself."""


@dataclass(frozen=True, slots=True)
class GenerationDeps:
    """The tools of generation, handed in so that a test can hold them."""

    http: Client
    retries: int = 3
    budget_s: float = 120.0
    """Seconds for retries before there is output; `settings.Settings.retry_budget_s`."""
    health: Health = field(default_factory=Health)
    open: Callable[[str], Provider] = open_provider
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic


def generate(
    prompt: Prompt,
    models: Sequence[Model],
    deps: GenerationDeps,
    *,
    so_far: PartialText | None = None,
    numbers: Iterator[int] | None = None,
    can_rewind: bool = False,
) -> AsyncGenerator[PassedOn | GenerationEvent]:
    """
    Yield the deltas of the first model that can answer, and how they came about.

    Until there is text, a passing fault is retried, and then the next model is asked. After that
    the text is continued (`continuation`). If no rung fits and the contract `can_rewind`, the text
    is taken back and begun again, once. `so_far` is the text that exists already; `numbers` numbers
    the attempts of a whole run.

    Raises:
        ProviderRefused, ProviderUnavailable: No model gave anything.
        ProviderInterrupted: The text so far is good, but it is not whole.
    """
    return Generation(prompt, models, deps, so_far, numbers, can_rewind).write()


class Generation:
    """One text, from its first request to its end."""

    def __init__(
        self,
        prompt: Prompt,
        models: Sequence[Model],
        deps: GenerationDeps,
        so_far: PartialText | None,
        numbers: Iterator[int] | None,
        can_rewind: bool,
    ) -> None:
        self._prompt = prompt
        self._models = models
        self._deps = deps
        self._so_far = so_far or PartialText()
        self._numbers = numbers or itertools.count(1)
        self._number = 0
        self._asked = 0
        self._can_rewind = can_rewind
        self._first: Strategy = "first"
        self._retry = 0
        """Failed tries at the present model that added no text."""
        self._is_last_model = False
        self._reason: str | None = None
        self._began = deps.clock()
        self._error: ProviderError = ProviderRefused("no model is set up", code="no_model")

    async def write(self) -> AsyncGenerator[PassedOn | GenerationEvent]:
        while True:
            for place, model in enumerate(self._models):
                self._retry = 0
                self._is_last_model = place == len(self._models) - 1
                while way := self._way(model, place):
                    async with aclosing(self._ask(model, way)) as pieces:
                        async for piece in pieces:
                            yield piece
                    if not isinstance(piece, AttemptFailed):
                        return
                    if piece.retry_in_s is None:
                        break
                    if piece.retry_in_s:
                        await self._deps.sleep(piece.retry_in_s)
                    if piece.error.code not in OF_THE_RUNG:
                        self._retry += 1
            if not (self._can_rewind and self._deps.retries and self._so_far.has_written):
                raise self._ended()
            self._can_rewind = False
            self._so_far, self._first = PartialText(by_lines=self._so_far.by_lines), "restart"
            yield Rewound()

    def _ended(self) -> ProviderError:
        if self._models and not self._asked:  # an earlier owner of the run left it
            message = "it broke off where no model can go on"
            return ProviderInterrupted(message, code="interrupted")
        return self._error

    def _way(self, model: Model, place: int) -> ContinuationPlan | None:
        if self._asked >= MAX_ATTEMPTS:
            return None
        so_far = self._so_far
        way = way_on(model, self._prompt, so_far, self._deps.health)
        if way is not None or so_far.has_written:
            return way
        strategy: Strategy = "retry" if self._retry else "next" if place else self._first
        return ContinuationPlan(strategy, self._prompt, Seam(""))

    async def _ask(
        self, model: Model, way: ContinuationPlan
    ) -> AsyncGenerator[PassedOn | GenerationEvent]:
        """Make one request. The last piece is how it ended."""
        if way.strategy != "reattach" and self._so_far.take_back_half():
            yield Rewound(len(self._so_far.text))
        self._number = number = next(self._numbers)
        self._asked += 1
        at = len(self._so_far.text)
        yield AttemptStarted(number, model, way.strategy, at, self._reason)
        (_asking if number == 1 else _asking_again)()
        attempt = OpenAttempt(model, way, self._so_far)
        health = self._deps.health
        began = health.began(model.name)
        try:
            stream = self._deps.open(model.provider).stream(model, way.prompt, self._deps.http)
            async with aclosing(stream) as outputs:
                async for output in outputs:
                    if (said := attempt.take(output)) is not None:
                        if not attempt.has_said:
                            attempt.has_said = True
                            _first_text()
                            health.said(model.name, began)
                        yield said
                    elif type(output) is Accepted:
                        yield AttemptKept(number, output.id)
            if (said := attempt.end()) is not None:
                yield said
        except ProviderError as error:
            _broken()
            if not attempt.is_end_after_all(error):
                if len(self._so_far.base) > at:
                    self._retry = 0  # an attempt that added text was no failed try
                self._learn(attempt, error)
                yield self._failed(attempt, error, self._wait_s(error))
                return
        finally:
            health.left(model.name)
        health.finished(model.name)
        yield self._finished(attempt)

    def _learn(self, attempt: OpenAttempt, error: ProviderError) -> None:
        so_far, name, strategy = self._so_far, attempt.model.name, attempt.way.strategy
        self._reason = error.code
        so_far.kept = _still_kept(so_far.kept, attempt, error)
        if error.code in OF_THE_RUNG:
            so_far.spent.add((name, strategy))
            if strategy == "prefill":
                self._deps.health.refused_prefill(name)
            return
        self._deps.health.failed(name, error)
        # The cut text stays the reported error; the log has what went wrong later.
        if not (so_far.has_written and isinstance(self._error, ProviderInterrupted)):
            self._error = error

    def _wait_s(self, error: ProviderError) -> float | None:
        """Return the seconds to wait before asking the same model again; None for never."""
        if error.code in OF_THE_RUNG:
            return 0.0
        deps, retry, has_written = self._deps, self._retry, self._so_far.has_written
        # In mid-sentence a reader waits, so we soon ask another model, if there is one.
        is_urgent = has_written and not self._is_last_model
        tries = min(deps.retries, 1) if is_urgent else deps.retries
        asked_s = error.retry_after_s or 0.0
        if isinstance(error, ProviderRefused) or retry >= tries or asked_s > MAX_RETRY_AFTER_S:
            return None
        if isinstance(error, ProviderInterrupted) and not (retry or asked_s):
            return 0.0
        wait_s: float = max(asked_s, FIRST_WAIT_S * 2**retry * (1 + JITTER * deps.random()))
        is_over = deps.clock() + wait_s - self._began > deps.budget_s
        return None if is_over and not has_written else wait_s

    def _failed(
        self, attempt: OpenAttempt, error: ProviderError, wait_s: float | None
    ) -> AttemptFailed:
        model = attempt.model
        log.warning("Attempt %d at %s failed: %s", self._number, model.name, error)
        # An answer that its provider keeps is paid for once, with the attempt that ends it.
        is_counted = attempt.has_output and self._so_far.kept is None
        usage = attempt.usage() if is_counted else None
        cost = cost_of(model, usage) if usage else None
        return AttemptFailed(
            self._number, model, error, attempt.has_said, usage, cost, attempt.seam_report, wait_s
        )

    def _finished(self, attempt: OpenAttempt) -> AttemptFinished:
        usage = attempt.usage()
        cost = cost_of(attempt.model, usage)
        return AttemptFinished(
            self._number, attempt.model, attempt.finish_reason, usage, cost, attempt.seam_report
        )


def _still_kept(
    before: RetainedAnswer | None, attempt: OpenAttempt, error: ProviderError
) -> RetainedAnswer | None:
    """Return the answer that can be read on after a failure: the same one, or this attempt's."""
    if attempt.way.strategy != "reattach" or before is None:
        if not attempt.handle or isinstance(error, ProviderRefused):
            return None
        received = attempt.text, attempt.thoughts, attempt.fragments
        return RetainedAnswer(
            attempt.model.name, attempt.handle, error.after, attempt.way.prompt, *received
        )
    if isinstance(error, ProviderRefused) or error.code in {"not_kept", "protocol"}:
        return None
    if not attempt.has_said:
        return before  # reading it on did not begin; it is still there
    return replace(
        before,
        after=error.after,
        text=before.text + attempt.text,
        thoughts=before.thoughts + attempt.thoughts,
        fragments=before.fragments + attempt.fragments,
    )
