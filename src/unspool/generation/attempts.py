"""One request to one model: its events, and the count of its output."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ProviderError, ProviderInterrupted
from ..failpoints import point
from ..formats.tokens import estimate_tokens
from ..models.prices import Cost
from ..providers import (
    Accepted,
    Finish,
    Model,
    Output,
    Prompt,
    Reasoning,
    Skipped,
    Text,
    ToolCall,
    ToolFragment,
    Usage,
)
from .continuation import ContinuationPlan, PartialText, Strategy
from .seam import StartedAnew

_counted = point("attempts.counted")

PassedOn = Text | Reasoning | ToolFragment | ToolCall | Skipped


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    number: int
    model: Model
    strategy: Strategy
    at: int
    """Characters of the text before it."""
    reason: str | None
    """Code of the failure that made it necessary."""


@dataclass(frozen=True, slots=True)
class AttemptKept:
    """The provider keeps the answer under `handle`: we can read on a broken stream."""

    number: int
    handle: str


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


Attempted = AttemptStarted | AttemptKept | AttemptFailed | AttemptFinished
GenerationEvent = Attempted | Rewound


class OpenAttempt:
    """Passes output on through the seam, and counts it."""

    def __init__(self, model: Model, plan: ContinuationPlan, so_far: PartialText) -> None:
        self.model = model
        self.plan = plan
        self.finish_reason = ""
        self.handle = ""
        self.has_passed_on = False
        """We passed on some output; the caller sets it."""
        self._so_far = so_far
        self._reported: Usage | None = None
        self._parts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[str] = []
        self._thoughts_again = plan.thoughts_again
        self._fragments_again = plan.fragments_again

    def take(self, output: Output) -> PassedOn | None:
        """Count an output; return the part to pass on now."""
        if type(output) is Text:  # every token takes this path
            if not output.text:
                return None
            self._parts.append(output.text)
            if not self.plan.seam.kind:
                return self._joined(output.text)
            self._so_far.parts.append(output.text)
            return output
        return self._take_other(output)

    def _take_other(self, output: Output) -> PassedOn | None:
        passed_on: PassedOn | None = None
        match output:
            case Reasoning(text):
                passed_on = self._thought(text)
            case ToolFragment():
                passed_on = self._fragment(output)
            case ToolCall() | Skipped():
                passed_on = output
            case Finish(reason):
                self.finish_reason = reason
            case Usage():
                self._reported = output
                _counted()
            case Accepted(handle):
                self.handle = handle
            case _:
                pass
        return passed_on

    def _fragment(self, fragment: ToolFragment) -> ToolFragment | None:
        self._so_far.has_call = True
        if self._fragments_again:
            self._fragments_again -= 1
            return None
        self._calls.append(fragment.arguments)
        return fragment

    def _thought(self, text: str) -> Reasoning | None:
        again = min(len(text), self._thoughts_again)
        self._thoughts_again -= again
        if not (text := text[again:]):
            return None
        self._thoughts.append(text)
        return Reasoning(text)

    def _joined(self, text: str) -> Text | None:
        try:
            return self._passed_on(self.plan.seam.feed(text))
        except StartedAnew as anew:
            raise ProviderInterrupted(str(anew), code="started_anew") from None

    def _passed_on(self, text: str) -> Text | None:
        if not text:
            return None
        self._so_far.parts.append(text)
        return Text(text)

    def end(self) -> Text | None:
        """
        Return the text held back to the end.

        Raises:
            ProviderInterrupted: The stream broke off without an error, or all of its text was
                the beginning of another answer.
        """
        if not self.finish_reason:
            raise ProviderInterrupted("the stream stopped before its end", code="truncated")
        try:
            return self._passed_on(self.plan.seam.flush())
        except StartedAnew as anew:
            raise ProviderInterrupted(str(anew), code="started_anew") from None

    def is_end_after_all(self, error: ProviderError) -> bool:
        """
        Whether a model that should continue had no text to add: the text was complete.

        The provider must report an end; silence is not enough.
        """
        is_end = error.code == "empty" and error.finish_reason == "stop"
        if is_end and self.plan.strategy in {"prefill", "instruct"}:
            self.finish_reason = "stop"
            return True
        return False

    @property
    def has_output(self) -> bool:
        """Whether the provider sent any output, even if we held it back."""
        return any((self._parts, self._thoughts, self._calls))

    @property
    def text(self) -> str:
        """The whole text of the provider's answer, with the part that the seam trimmed."""
        return "".join(self._parts)

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
        output = self._parts + self._thoughts + self._calls
        return estimated_usage(self.plan.prompt, "".join(output))


def estimated_usage(prompt: Prompt, text: str) -> Usage:
    """Estimate the tokens of a request that the provider did not report (yet)."""
    request = "".join(str(message.get("content") or "") for message in prompt.messages)
    return Usage(estimate_tokens(request + prompt.prefix), estimate_tokens(text), measured=False)
