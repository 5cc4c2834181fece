"""
Gets one text from some model: retries, failover, continuation after a break.

`Generation` is the whole policy. For the log, it tells its `Out` the model's deltas, and every
attempt with its reason, its seam, its usage and its cost.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from unspool.providers.upstream.http1 import Client

from ..errors import BudgetSpent, ProviderError, ProviderInterrupted, ProviderRefused
from ..failpoints import point
from ..models.health import Health
from ..models.prefills import Outcome
from ..models.prices import cost_of
from ..providers import Model, Prompt, Sink, TurnState
from ..providers.upstream.exchange import ask
from ..providers.upstream.pulled import pulled
from ..runs.run import cut
from .attempts import (
    AttemptFailed,
    AttemptFinished,
    AttemptQueued,
    AttemptStarted,
    GenerationEvent,
    OpenAttempt,
    Out,
    PassedOn,
    Rewound,
)
from .bounds import GAVE_UP
from .continuation import (
    ContinuationPlan,
    PartialText,
    Strategy,
    continuation_plan,
    resume_plan,
)
from .enough import Enough
from .guards import BadContinuation
from .loops import Looping, penalized
from .queue import ModelLines
from .retained import still_retained
from .seam import Seam

_asking = point("generation.asking")
_asking_again = point("generation.asking_again")
_first_text = point("generation.first_text")
_broken = point("generation.broken")

FIRST_WAIT_S = 0.5
"""Seconds before the first retry; each further one waits twice as long (0.5, 1, 2 s)."""

JITTER = 0.25
"""A wait grows by up to this share, so that many clients do not return at once."""

LOADING_WAIT_S = 10.0
"""Longest wait between two questions whether a model is loaded; its server is near as a rule."""

MAX_RETRY_AFTER_S = 60.0
"""A provider that asks us to wait longer counts as down."""

MAX_ATTEMPTS = 24
"""Attempts for one text, over all models: a text that breaks so often will never complete."""

RUNG_CODES = frozenset(
    {"prefill", "prefill_refused", "started_anew", "bad_continuation", "not_kept"}
)
"""Codes that rule out a rung for this model, but not the model."""


OUTCOMES: Final[Mapping[str, Outcome]] = {
    "prefill_refused": "refused",
    "started_anew": "started_anew",
    "bad_continuation": "started_anew",
}
"""What a code says of the form of a prefill."""


@dataclass(frozen=True, slots=True)
class GenerationDeps:
    """The dependencies of generation; tests replace them."""

    http: Client
    retries: int = 3
    budget_s: float = 120.0
    """Seconds for retries before there is output; `settings.Settings.retry_budget_s`."""
    health: Health = field(default_factory=Health)
    lines: ModelLines = field(default_factory=ModelLines)
    ask: Callable[[Model, Prompt, Client, Sink], Awaitable[None]] = ask
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic


def generate(
    prompt: Prompt,
    models: Sequence[Model],
    deps: GenerationDeps,
    *,
    so_far: PartialText | None = None,
    can_rewind: bool = False,
) -> AsyncGenerator[PassedOn | GenerationEvent]:
    """
    Yield the deltas of the first model that can answer, and the events of every attempt.

    For callers who pull; `Generation.write` pushes. Raises the same.
    """
    generation = Generation(prompt, models, deps, so_far=so_far, can_rewind=can_rewind)
    return pulled(generation.write)


class Generation:
    """
    One text, from its first request to its end.

    Before any text, it retries a passing fault, and then asks the next model. After that it
    continues the text (`continuation`). If no rung fits and the dialect `can_rewind`, it takes the
    text back and starts over, once. `so_far` is the text so far, and collects the rest; `numbers`
    numbers the attempts of a whole run.

    Attributes:
        enough: For the reader of the text to say that it has all it wants.
    """

    def __init__(
        self,
        prompt: Prompt,
        models: Sequence[Model],
        deps: GenerationDeps,
        *,
        so_far: PartialText | None = None,
        numbers: Iterator[int] | None = None,
        can_rewind: bool = False,
    ) -> None:
        self.enough = Enough()
        self._prompt = prompt
        self._models = models
        self._deps = deps
        self._so_far = so_far or PartialText()
        self._numbers = numbers or itertools.count(1)
        self._asked = 0
        self._can_rewind = self._so_far.can_rewind = can_rewind
        self._turn = deps.lines.turn()
        self._looped: set[str] = set()
        """Models that repeated themselves without end."""
        self._first: Strategy = "first"
        self._retry = 0
        """Failed tries at the present model that added no text."""
        self._is_last_model = False
        self._reason: str | None = None
        self._began = deps.clock()
        self._error: ProviderError = ProviderRefused("no model is set up", code="no_model")

    async def write(self, out: Out) -> None:
        """
        Tell `out` the text and all that happens; return at its end.

        Raises:
            ProviderRefused, ProviderUnavailable: No model gave any output.
            ProviderInterrupted: The text broke off, and no model could continue it.
        """
        models = self._free_first()
        while True:
            for index, model in enumerate(models):
                self._retry = 0
                self._is_last_model = index == len(models) - 1
                while plan := self._plan(model, index):
                    failed = await self._ask_in_turn(model, plan, out)
                    if failed is None:
                        return
                    if failed.retry_in_s is None:
                        break
                    if failed.retry_in_s:
                        await self._deps.sleep(failed.retry_in_s)
                    if failed.error.code not in RUNG_CODES:
                        self._retry += 1
            # It would be refused again, or the flow wants no more of it.
            is_useless = isinstance(self._error, ProviderRefused) or self._reason in GAVE_UP
            can_restart = self._can_rewind and self._deps.retries and not is_useless
            if not (can_restart and self._so_far.has_written):
                raise self._ended()
            self._can_rewind = False
            self._so_far.restart()
            self._first = "restart"
            out.take(Rewound())

    def _free_first(self) -> list[Model]:
        """Return the models, first those that are well and need not be waited for."""
        health, lines = self._deps.health, self._deps.lines

        def rank(model: Model) -> tuple[bool, bool]:
            return health.is_resting(model.name), not lines.is_free(model)

        is_waiting = any(not lines.is_free(model) for model in self._models)
        return sorted(self._models, key=rank) if is_waiting else list(self._models)

    async def _ask_in_turn(
        self, model: Model, plan: ContinuationPlan, out: Out
    ) -> AttemptFailed | None:
        if model.max_parallel is None:
            return await self._ask(model, plan, out)
        lines, clock = self._deps.lines, self._deps.clock
        joined = clock()
        await lines.enter(model, self._turn, lambda place: out.take(AttemptQueued(model, place)))
        self._began += clock() - joined  # the budget is for retries
        try:
            return await self._ask(model, plan, out)
        finally:
            lines.leave(model, self._turn)

    def _ended(self) -> ProviderError:
        if self._models and not self._asked:  # an earlier owner of the run left it
            message = "the text broke off where no model can continue it"
            return ProviderInterrupted(message, code="interrupted")
        return self._error

    def _plan(self, model: Model, index: int) -> ContinuationPlan | None:
        if self._asked >= MAX_ATTEMPTS or self._reason in GAVE_UP:
            return None
        so_far = self._so_far
        deps = self._deps
        engine = deps.http.learned.engines.get(model.base_url, "")
        plan = resume_plan(model, self._prompt, so_far) or continuation_plan(
            model, self._prompt, so_far, deps.health.prefills, engine
        )
        if plan is not None or so_far.has_written:
            return plan
        strategy: Strategy = "retry" if self._retry else "next" if index else self._first
        return ContinuationPlan(strategy, self._prompt, Seam(""))

    async def _ask(self, model: Model, plan: ContinuationPlan, out: Out) -> AttemptFailed | None:
        """Make one request; return how it failed, if it did."""
        if plan.strategy not in {"reattach", "resume"} and self._so_far.take_back_half():
            out.take(Rewound(len(self._so_far.text)))
        number = next(self._numbers)
        self._asked += 1
        health = self._deps.health

        def on_first() -> None:
            _first_text()
            health.first_output(model.name, began)

        attempt = OpenAttempt(number, model, plan, self._so_far, out, on_first)
        started = AttemptStarted(number, model, plan.strategy, attempt.at, self._reason, plan.way)
        out.take(started)
        (_asking if number == 1 else _asking_again)()
        began = health.began(model.name)
        try:
            if out.is_full:
                await out.drain()
            await self._answer(attempt)
        except ProviderError as error:
            _broken()
            if not attempt.is_end_after_all(error, is_enough=self.enough.is_said):
                if len(self._so_far.base) > attempt.at and error.code != "repetition":
                    self._retry = 0  # an attempt that added text was no failed try
                self._learn(attempt, error)
                failed = self._failed(attempt, error, self._wait_s(model, error))
                out.take(failed)
                self._take_back_loop(attempt, error, out)
                return failed
        finally:
            health.ended(model.name)
        health.finished(model.name)
        self._note_prefill(attempt, "went_on")
        health.prefills.answered(model, self._deps.http.learned.engines.get(model.base_url, ""))
        out.take(self._finished(attempt))
        return None

    async def _answer(self, attempt: OpenAttempt) -> None:
        plan, model = attempt.plan, attempt.model
        if plan.way:
            model = replace(model, prefill=plan.way.form)
        prompt = plan.prompt
        if model.name in self._looped and not self._so_far.by_lines:
            prompt = penalized(model, prompt)
        try:
            answer = self._deps.ask(model, prompt, self._deps.http, attempt)
            if not await self.enough.wait(answer):
                attempt.finish_reason = "stop"
            attempt.end()
        except BadContinuation as bad:
            raise ProviderInterrupted(str(bad), code=bad.code) from None
        except Looping as looping:
            raise ProviderInterrupted(str(looping), code="repetition") from None

    def _take_back_loop(self, attempt: OpenAttempt, error: ProviderError, out: Out) -> None:
        """Take back what repeats itself; if viewers cannot, no model is to continue it."""
        if error.code != "repetition" or (loop := attempt.loop) is None:
            return
        good = self._so_far.leave_loop(attempt.at + loop.begin, attempt.at + loop.again)
        if self._so_far.can_cut:
            self._so_far.loops.clear()
            cut(self._so_far.parts, good)
            out.take(Rewound(good))

    def _learn(self, attempt: OpenAttempt, error: ProviderError) -> None:
        so_far, name = self._so_far, attempt.model.name
        self._reason = error.code
        so_far.retained = still_retained(so_far.retained, attempt, error)
        if isinstance(error.turn_state, TurnState):
            so_far.pause(attempt.text_of_answer, error.turn_state)
            return  # as it should be, and no failure of the model
        if attempt.has_passed_on:
            so_far.paused.clear()
        if error.code in RUNG_CODES:
            so_far.spent.add((name, attempt.plan.rung))
            if error.code in OUTCOMES:
                self._note_prefill(attempt, OUTCOMES[error.code])
            return
        if error.code == "ended_early":
            return
        if isinstance(error, BudgetSpent):  # the model was not asked
            self._error = error
            return
        if attempt.has_passed_on:
            self._note_prefill(attempt, "went_on")
        self._deps.health.failed(name, error)
        # We report the error that cut the text; the log holds the later ones.
        is_cut = so_far.has_written and isinstance(self._error, ProviderInterrupted)
        if not is_cut or error.code in GAVE_UP:
            self._error = error

    def _note_prefill(self, attempt: OpenAttempt, outcome: Outcome) -> None:
        # One that says the text over from its beginning may as well have begun anew, in its words.
        if outcome == "went_on" and attempt.plan.seam.kind == "echo":
            return
        if way := attempt.plan.way:
            self._deps.health.prefills.note(attempt.model, way.form, outcome)

    def _wait_s(self, model: Model, error: ProviderError) -> float | None:
        """Return the seconds to wait before asking the same model again; None for never."""
        if error.code in {*RUNG_CODES, "ended_early"} or error.turn_state is not None:
            return 0.0
        if error.code == "repetition":
            has_looped = model.name in self._looped
            self._looped.add(model.name)
            is_never = (error.retry_after_s or 0.0) > MAX_RETRY_AFTER_S  # says a replay
            return None if has_looped or is_never or not self._deps.retries else 0.0
        deps, retry, has_written = self._deps, self._retry, self._so_far.has_written
        if error.code == "loading" and self._is_last_model and deps.retries:
            return self._until_loaded_s(error)
        # A reader waits in mid-sentence, so ask another model soon, if there is one.
        is_urgent = has_written and not self._is_last_model
        tries = min(deps.retries, 1) if is_urgent else deps.retries
        retry_after_s = error.retry_after_s or 0.0
        if (
            isinstance(error, ProviderRefused)
            or retry >= tries
            or retry_after_s > MAX_RETRY_AFTER_S
        ):
            return None
        if isinstance(error, ProviderInterrupted) and not (retry or retry_after_s):
            return 0.0
        wait_s: float = max(retry_after_s, FIRST_WAIT_S * 2**retry * (1 + JITTER * deps.random()))
        is_over = deps.clock() + wait_s - self._began > deps.budget_s
        return None if is_over and not has_written else wait_s

    def _until_loaded_s(self, error: ProviderError) -> float | None:
        """Ask again while the budget lasts, however often: a server that loads will be ready."""
        wait_s = max(error.retry_after_s or 0.0, FIRST_WAIT_S * 2 ** min(self._retry, 10))
        wait_s = min(wait_s, LOADING_WAIT_S)
        is_over = self._deps.clock() + wait_s - self._began > self._deps.budget_s
        return None if is_over else wait_s

    def _failed(
        self, attempt: OpenAttempt, error: ProviderError, wait_s: float | None
    ) -> AttemptFailed:
        model = attempt.model
        # We count a retained answer once, with the attempt that ends it.
        is_counted = attempt.has_output and self._so_far.retained is None
        usage = attempt.usage() if is_counted else None
        cost = cost_of(model, usage) if usage else None
        return AttemptFailed(
            attempt.number,
            model,
            error,
            attempt.has_passed_on,
            usage,
            cost,
            attempt.seam_report,
            wait_s,
        )

    def _finished(self, attempt: OpenAttempt) -> AttemptFinished:
        usage = attempt.usage()
        cost = cost_of(attempt.model, usage)
        return AttemptFinished(
            attempt.number, attempt.model, attempt.finish_reason, usage, cost, attempt.seam_report
        )
