"""One request to one model: its events, and the count of its output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..errors import ProviderError, ProviderInterrupted
from ..failpoints import point
from ..models.prices import Cost
from ..providers import (
    Accepted,
    Finish,
    Model,
    Output,
    Reasoning,
    Silent,
    Skipped,
    Text,
    ThoughtAloud,
    ToolCall,
    ToolFragment,
    TurnState,
    Usage,
)
from ..runs.run import cut
from .continuation import ContinuationPlan, PartialText, Strategy, Way
from .guards import BadContinuation, may_be_whole
from .loops import LoopWatch
from .repetition import Loop
from .usage import estimated_usage
from .weights import weight

_counted = point("attempts.counted")

PassedOn = Text | Reasoning | ToolFragment | ToolCall | TurnState | Skipped
Within = Callable[[str, Callable[[str], None]], None]


@dataclass(frozen=True, slots=True)
class AttemptQueued:
    """A request waits for its model; `place` 1 is the next."""

    model: Model
    place: int


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    number: int
    model: Model
    strategy: Strategy
    at: int
    """Characters of the text before it."""
    reason: str | None
    """Code of the failure that made it necessary."""
    way: Way | None = None
    """Of a prefill."""


@dataclass(frozen=True, slots=True)
class AttemptKept:
    """The provider keeps the answer under `handle`: we can read on a broken stream."""

    number: int
    handle: str


@dataclass(frozen=True, slots=True)
class AttemptSilent:
    """Nothing that belongs to the answer has come for `for_s` seconds; see `Silent`."""

    number: int
    for_s: float
    is_alive: bool


@dataclass(frozen=True, slots=True)
class SeamReport:
    """How a continuation joined the text; see `seam.Kind`."""

    kind: str
    trimmed: int


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    number: int
    model: Model
    error: ProviderError
    has_passed_on: bool
    """We passed on some of its output."""
    usage: Usage | None
    """None if no output arrived: we do not know its cost."""
    cost: Cost | None
    seam_report: SeamReport | None
    retry_in_s: float | None


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    number: int
    model: Model
    finish_reason: str
    usage: Usage
    cost: Cost | None
    seam_report: SeamReport | None


@dataclass(frozen=True, slots=True)
class Rewound:
    """We take the text back from character `at` on."""

    at: int = 0
    """Characters that stay; 0: the text begins again."""


Attempted = (
    AttemptQueued | AttemptStarted | AttemptKept | AttemptSilent | AttemptFailed | AttemptFinished
)
GenerationEvent = Attempted | Rewound


class Out(Protocol):
    """Takes a text, delta by delta, and what happened while it was written; see `Sink`."""

    @property
    def is_full(self) -> bool: ...

    def text(self, text: str) -> None: ...

    def take(self, piece: PassedOn | GenerationEvent) -> None: ...

    async def drain(self) -> None: ...


class OpenAttempt:
    """
    The sink of one answer: it passes outputs on through the seam, and counts them.

    Attributes:
        at: Characters of the text before it.
        is_joined: What follows is passed on as it is; in `so_far` from `_joined_at` on.
        within: Passes new text on, as far as a bound of the text allows.
    """

    def __init__(
        self,
        number: int,
        model: Model,
        plan: ContinuationPlan,
        so_far: PartialText,
        out: Out,
        on_first: Callable[[], object],
    ) -> None:
        """`on_first` is called before the first output is passed on."""
        self.number, self.model, self.plan = number, model, plan
        self.at = len(so_far.text)
        self.finish_reason = self.handle = ""
        self.has_passed_on = False
        """We passed on some output."""
        self._so_far = so_far
        self._out = out
        self._say = out.text
        self._on_first = on_first
        self._reported: Usage | None = None
        self._before_seam: list[str] = []
        """The provider's text until the seam was decided."""
        self.is_joined, self._joined_at = False, 0
        self.within: Within = lambda text, pass_on: pass_on(text)
        self._keep = so_far.parts.append
        self._thoughts: list[str] = []
        self._calls: list[str] = []
        self._thoughts_again = plan.thoughts_again
        self._fragments_again = plan.fragments_again
        before = "" if so_far.loops else so_far.text  # what was a loop is no beginning of one
        self._watch = LoopWatch(before, is_on=model.limits.repetition)
        self._left = self._watch.due
        """Characters until the watch gets those from `parts[_watched:]` on."""
        self._watched = len(so_far.parts)

    @property
    def is_full(self) -> bool:
        return self._out.is_full

    async def drain(self) -> None:
        await self._out.drain()

    def text(self, text: str) -> None:
        """
        Take text of the answer.

        Raises:
            BadContinuation: It is not a continuation of the text so far.
            Looping: It repeats itself without end.
        """
        if self.is_joined:  # every token takes this path
            self._keep(text)
            self._say(text)
            self._left -= len(text)
            if self._left <= 0:
                self._look()
            return
        self._before_seam.append(text)
        try:
            self.within(self.plan.seam.feed(text), self._pass_on_text)
        finally:
            if self.plan.seam.kind and self.has_passed_on:
                self.is_joined, self._joined_at = True, len(self._so_far.parts)

    def take(self, output: Output) -> None:
        """Take any other output."""
        match output:
            case Text(text):
                self.text(text)
            case Reasoning(text):
                self._thought(text)
            case ToolFragment():
                self._fragment(output)
            case ThoughtAloud():
                self._take_back()
            case ToolCall() | Skipped() | TurnState():
                self._pass_on(output)
            case Finish(reason, has_refused):
                self.finish_reason = "content_filter" if has_refused else reason
            case Usage():
                self._reported = output
                _counted()
            case Accepted(handle):
                self.handle = handle
                self._out.take(AttemptKept(self.number, handle))
            case Silent(for_s, is_alive):
                self._out.take(AttemptSilent(self.number, for_s, is_alive))

    def _pass_on(self, piece: PassedOn) -> None:
        self._note_first()
        self._out.take(piece)

    def _pass_on_text(self, text: str) -> None:
        if text:
            self._note_first()
            self._keep(text)
            self._say(text)
            self._left -= len(text)
            if self._left <= 0:
                self._look()

    def _look(self) -> None:
        parts = self._so_far.parts
        piece = "".join(parts[self._watched :])
        self._watched = len(parts)
        self._watch.text(piece)
        self._left = self._watch.due

    def _note_first(self) -> None:
        if not self.has_passed_on:
            self.has_passed_on = True
            self._on_first()

    def _fragment(self, fragment: ToolFragment) -> None:
        self._so_far.has_call = True
        if self._fragments_again:
            self._fragments_again -= 1
            return
        self._calls.append(fragment.arguments)
        self._pass_on(fragment)
        self._watch.aside(fragment.arguments)

    def _thought(self, text: str) -> None:
        again = min(len(text), self._thoughts_again)
        self._thoughts_again -= again
        if text := text[again:]:
            self._thoughts.append(text)
            self._pass_on(Reasoning(text))
            self._watch.aside(text)

    def _take_back(self) -> None:
        """
        All text of this answer was thinking: take it back, and pass it on as such.

        Raises:
            ProviderInterrupted: It was to continue a text, and was joined to it.
        """
        text = self._so_far.text[self.at :]
        if not self._so_far.can_rewind:
            note = "the model's thoughts were told as text; they end where it begins anew"
            self._pass_on(Skipped(note))
            return
        cut(self._so_far.parts, self.at)
        self._joined_at = len(self._so_far.parts)
        self._before_seam.clear()
        self._out.take(Rewound(self.at))
        self._thought(text)
        if self.plan.seam.kind and self.at:
            raise ProviderInterrupted("the model thought aloud in its text", code="protocol")

    def end(self) -> None:
        """
        Pass on the text held back to the end.

        Raises:
            ProviderInterrupted: The stream broke off without an error.
            BadContinuation: Its text does not continue the text so far.
            Looping: A limit ended a text that repeats itself.
        """
        if not self.finish_reason:
            raise ProviderInterrupted("the stream stopped before its end", code="truncated")
        is_joined, rest = self.is_joined, self.plan.seam.flush()
        if not is_joined and self.plan.seam.ends_early(rest):
            self._end_early(rest)
        self._pass_on_text(rest)
        self._watch.end(self.finish_reason)
        if self.plan.strategy == "instruct":
            self._check_whole()

    def _end_early(self, rest: str) -> None:
        """
        Pass on the few words, and ask for more; believe the second such end.

        Raises:
            BadContinuation: They add nothing, or do not end a sentence.
            ProviderInterrupted: The model is to be asked once more.
        """
        so_far = self._so_far
        if so_far.has_ended_early and may_be_whole(so_far.text + rest):
            return
        if so_far.has_ended_early or not weight(rest):
            raise BadContinuation("the model stopped at once, so the text may not be whole")
        so_far.has_ended_early = True
        self._pass_on_text(rest)
        message = "the model added a few words alone, so the text may not be whole"
        raise ProviderInterrupted(message, code="ended_early")

    def _check_whole(self) -> None:
        try:
            self.plan.seam.check_whole(self._so_far.text[self.at :])
        except BadContinuation:
            self._so_far.is_spoiled = True
            raise

    def is_end_after_all(self, error: ProviderError, *, is_enough: bool = False) -> bool:
        """
        Whether the text is complete: its reader has enough, or a model that should continue had
        no text to add.

        The provider must report an end; silence is not enough.
        """
        if is_enough:
            self.finish_reason = "stop"
            return True
        is_end = error.code == "empty" and error.finish_reason == "stop"
        if not is_end or self.plan.strategy not in {"prefill", "instruct"}:
            return False
        # A model that is not known to go on may have nothing to say to a half sentence.
        is_believed = self.plan.way is not None and bool(self.plan.way.trust)
        if not (is_believed or may_be_whole(self._so_far.text)):
            return False
        self.finish_reason = "stop"
        return True

    @property
    def loop(self) -> Loop | None:
        """The loop in which its text ended, in characters of this text."""
        return self._watch.loop

    @property
    def has_output(self) -> bool:
        """Whether the provider sent any output, even if we held it back, or a count of it."""
        return any((self._before_seam, self._thoughts, self._calls, self._reported))

    @property
    def text_of_answer(self) -> str:
        """The whole text of the provider's answer, with the part that the seam trimmed."""
        joined = self._so_far.parts[self._joined_at :] if self.is_joined else ()
        return "".join([*self._before_seam, *joined])

    @property
    def thoughts(self) -> int:
        """Characters of reasoning passed on."""
        return sum(map(len, self._thoughts))

    @property
    def fragments(self) -> int:
        """Fragments of tool calls passed on."""
        return len(self._calls)

    @property
    def seam_report(self) -> SeamReport | None:
        """The seam to the text before it; None if there was none."""
        seam = self.plan.seam
        is_joining = self.plan.strategy in {"prefill", "instruct", "reattach"}
        return SeamReport(seam.kind, seam.trimmed) if is_joining and seam.kind else None

    def usage(self) -> Usage:
        """Return the provider's report, else our estimate."""
        if self._reported is not None:
            return self._reported
        output = [self.text_of_answer, *self._thoughts, *self._calls]
        return estimated_usage(self.plan.prompt, "".join(output))
