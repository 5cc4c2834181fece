"""One request to one model: what is told of it, and the count of what it says."""

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
    """Characters of the text that were there before."""
    reason: str | None
    """Code of the failure that made it necessary."""


@dataclass(frozen=True, slots=True)
class AttemptKept:
    """The provider keeps the answer under `handle`: a broken stream can be read on."""

    number: int
    handle: str


@dataclass(frozen=True, slots=True)
class SeamReport:
    """How a continuation joined on; see `seam.Kind`."""

    kind: str
    trimmed: int


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    number: int
    model: Model
    error: ProviderError
    has_said: bool
    """Something of it was passed on."""
    usage: Usage | None
    """None where nothing came: whether it was paid for is not known."""
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
    """What was said is taken back from a place on."""

    at: int = 0
    """Characters that stay; 0: the text begins again."""


Attempted = AttemptStarted | AttemptKept | AttemptFailed | AttemptFinished
GenerationEvent = Attempted | Rewound


class OpenAttempt:
    """Passes on what is said, through the seam, and keeps count of it."""

    def __init__(self, model: Model, way: ContinuationPlan, so_far: PartialText) -> None:
        self.model = model
        self.way = way
        self.finish_reason = ""
        self.handle = ""
        self.has_said = False
        """Something was passed on; set by who passes it on."""
        self._so_far = so_far
        self._reported: Usage | None = None
        self._parts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[str] = []
        self._thoughts_again = way.thoughts_again
        self._fragments_again = way.fragments_again

    def take(self, output: Output) -> PassedOn | None:
        """Count an output; return what of it is to be passed on now."""
        if type(output) is Text:  # the path of every token
            if not output.text:
                return None
            self._parts.append(output.text)
            if not self.way.seam.kind:
                return self._joined(output.text)
            self._so_far.parts.append(output.text)
            return output
        return self._take_other(output)

    def _take_other(self, output: Output) -> PassedOn | None:
        said: PassedOn | None = None
        match output:
            case Reasoning(text):
                said = self._thought(text)
            case ToolFragment():
                said = self._fragment(output)
            case ToolCall() | Skipped():
                said = output
            case Finish(reason):
                self.finish_reason = reason
            case Usage():
                self._reported = output
                _counted()
            case Accepted(handle):
                self.handle = handle
            case _:
                pass
        return said

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
            return self._passed_on(self.way.seam.feed(text))
        except StartedAnew as anew:
            raise ProviderInterrupted(str(anew), code="started_anew") from None

    def _passed_on(self, text: str) -> Text | None:
        if not text:
            return None
        self._so_far.parts.append(text)
        return Text(text)

    def end(self) -> Text | None:
        """
        Return the text that was held back to the end.

        Raises:
            ProviderInterrupted: A stop is not an end, whichever provider forgot to say so;
                or all of it was the beginning of another answer.
        """
        if not self.finish_reason:
            raise ProviderInterrupted("the stream stopped before its end", code="truncated")
        try:
            return self._passed_on(self.way.seam.flush())
        except StartedAnew as anew:
            raise ProviderInterrupted(str(anew), code="started_anew") from None

    def is_end_after_all(self, error: ProviderError) -> bool:
        """
        Whether a model that was to go on had nothing to add: the text was whole already.

        Only where the provider told an end, not where it said nothing at all.
        """
        is_end = error.code == "empty" and error.finish_reason == "stop"
        if is_end and self.way.strategy in {"prefill", "instruct"}:
            self.finish_reason = "stop"
            return True
        return False

    @property
    def has_output(self) -> bool:
        """Whether the provider said anything, passed on or not."""
        return any((self._parts, self._thoughts, self._calls))

    @property
    def text(self) -> str:
        """All text of the provider's answer, with what a seam has left out."""
        return "".join(self._parts)

    @property
    def thoughts(self) -> int:
        """Characters of reasoning that were passed on."""
        return sum(map(len, self._thoughts))

    @property
    def fragments(self) -> int:
        """Fragments of tool calls that were passed on."""
        return len(self._calls)

    @property
    def seam_report(self) -> SeamReport | None:
        """How it joined on to what was there; None where there was nothing."""
        seam = self.way.seam
        is_joining = self.way.strategy in {"prefill", "instruct", "reattach"}
        return SeamReport(seam.kind, seam.trimmed) if is_joining and seam.kind else None

    def usage(self) -> Usage:
        """What the provider reported, else our estimate, marked as such."""
        if self._reported is not None:
            return self._reported
        said = self._parts + self._thoughts + self._calls
        return estimated_usage(self.way.prompt, "".join(said))


def estimated_usage(prompt: Prompt, text: str) -> Usage:
    """Count tokens ourselves, where the provider has not (yet) said."""
    request = "".join(str(message.get("content") or "") for message in prompt.messages)
    return Usage(estimate_tokens(request + prompt.prefix), estimate_tokens(text), measured=False)
