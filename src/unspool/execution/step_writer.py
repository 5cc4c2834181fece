"""Turns the output of one `generate` call into drafts for the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ProviderError
from ..failpoints import point
from ..flows import Reader
from ..formats import tracing
from ..formats.lines import LineBuffer
from ..generation.attempts import (
    Attempted,
    AttemptFailed,
    AttemptFinished,
    AttemptKept,
    AttemptQueued,
    AttemptSilent,
    AttemptStarted,
    GenerationEvent,
    PassedOn,
    Rewound,
)
from ..generation.enough import Enough
from ..generation.usage import estimated_usage
from ..journals import Pen
from ..models.prices import Cost, cost_of
from ..providers import (
    Model,
    Prompt,
    Reasoning,
    Skipped,
    Text,
    ToolCall,
    ToolFragment,
    TurnState,
    Usage,
)
from ..runs.events import Draft, EventType
from ..runs.run import Step
from ..runs.usage import Report

log = logging.getLogger(__name__)

_fragment = point("writing.fragment")


class ReaderFeed:
    """
    Feeds a reader the text of one step, from its beginning.

    By lines, it feeds only whole ones: a rewind may still take half a line back. A reader that is
    made anew may say `enough` anew.
    """

    def __init__(
        self,
        make: Callable[[], Reader],
        text: str,
        *,
        by_lines: bool = False,
        enough: Enough | None = None,
    ) -> None:
        self._make = make
        self._enough = enough or Enough()
        self._by_lines = by_lines
        self._lines = LineBuffer()
        self.again(text)

    def again(self, text: str) -> None:
        """Start over with a new reader and this text."""
        self._lines.take()
        self._enough.take_back()
        self._reader = self._make()
        self.feed = self._whole_lines if self._by_lines else self._reader.feed
        if text:
            self.feed(text)

    def _whole_lines(self, text: str) -> None:
        if lines := self._lines.feed(text):
            self._reader.feed("".join(lines))

    def rewind(self, at: int) -> None:
        """Forget the text from `at` on: all of it, or half a line."""
        if at:
            self._lines.take()
        else:
            self.again("")

    def end(self) -> None:
        """Feed the rest; the text is complete."""
        if half := self._lines.take():
            self._reader.feed(half)
        self._reader.end()


class StepWriter:
    """
    Writes one step: the `Out` of generation over a pen.

    `state` is the step after these drafts. Its text is not collected here: generation does that,
    in `state.parts` itself.
    """

    def __init__(
        self,
        pen: Pen,
        state: Step,
        prompt: Prompt,
        reading: ReaderFeed | None = None,
        *,
        contract: str = "",
    ) -> None:
        self._pen = pen
        self._append_text = pen.append_text
        self.state = state
        self._step = state.name
        self._prompt = prompt
        self._reading = reading
        self.model = ""
        self.finish_reason = ""
        self.is_full = False
        self.on_account: Callable[[Report | None, Report | None], object] = _nobody_counts
        """Called with usage and cost of each attempt, as its event has them."""
        self._under_way: AttemptStarted | None = None
        self._began_s = 0.0
        self._place = f"run {pen.run_id}, {contract}, {state.name}"

    async def drain(self) -> None:
        await self._pen.commit()
        self.is_full = self._pen.is_behind

    def text(self, text: str) -> None:
        """Write a piece of text. Every token takes this path."""
        self.is_full = self._append_text(self._step, text)
        if self._reading is not None:
            self._reading.feed(text)

    def take(self, piece: PassedOn | GenerationEvent) -> None:
        """Write any other output."""
        self._write(piece)
        self.is_full = self._pen.is_behind

    def _write(self, piece: PassedOn | GenerationEvent) -> None:
        match piece:
            case Text(text):
                self.text(text)
            case Reasoning(text):
                self._append("reasoning.delta", text=text)
            case ToolFragment():
                _fragment()
                self.state.begin_call(piece.index, piece.arguments)
                facts = {"index": piece.index, "id": piece.id, "name": piece.name}
                set_facts = {k: v for k, v in facts.items() if v is not None}
                self._append("tool.delta", **set_facts, arguments=piece.arguments)
            case ToolCall():
                call = {"id": piece.id, "name": piece.name, "arguments": piece.arguments}
                self.state.calls.append({"index": piece.index, **call})
                self._append("tool.called", index=piece.index, **call)
            case TurnState(by, data):
                if self._under_way is not None and not self._under_way.at:
                    # Otherwise the text before is of another answer.
                    self.state.turn_state = {"by": by, "data": data}
            case Skipped(message):
                self._pen.append(
                    Draft("warning.raised", {"message": message, "step": self.state.name})
                )
            case Rewound(at):
                self.state.rewind(at)
                self._append("step.rewound", **({"at": at} if at else {}))
                if self._reading is not None:
                    self._reading.rewind(at)
            case _:
                self._attempted(piece)

    def stopped(self) -> None:
        """Close the open attempt, if any, with an estimate of its usage."""
        if (attempt := self._under_way) is None:
            return
        usage = estimated_usage(self._prompt, self.state.text[attempt.at :])
        self._log_end(attempt.number, attempt.model, "was stopped", usage, logging.INFO)
        self._append(
            "attempt.failed",
            number=attempt.number,
            code="cancelled",
            message="stopped; the provider's connection is closed",
            **self._counted(usage_facts(usage), cost_facts(cost_of(attempt.model, usage))),
        )

    def _append(self, kind: EventType, **facts: Any) -> None:
        self._pen.append(Draft(kind, {"step": self.state.name, **facts}))

    def _attempted(self, piece: Attempted) -> None:
        match piece:
            case AttemptQueued():
                self._append("attempt.queued", model=piece.model.name, place=piece.place)
            case AttemptStarted():
                self._under_way = piece
                self._began_s = time.perf_counter()
                tracing.to_send.set(tracing.handed_on(self._pen.run_id, piece.number))
                self.model = self.state.model = piece.model.name
                self.state.turn_state = None
                self._append("attempt.started", number=piece.number, **_beginning(piece))
            case AttemptKept():
                self._append("attempt.kept", number=piece.number, handle=piece.handle)
            case AttemptSilent():
                said = {"for_s": piece.for_s, "alive": piece.is_alive}
                self._append("attempt.silent", number=piece.number, **said)
            case AttemptFailed():
                self._under_way = None
                how, usage = f"failed: {piece.error}", piece.usage
                self._log_end(piece.number, piece.model, how, usage, logging.WARNING)
                facts = {
                    **_error_facts(piece.error),
                    "wrote": piece.has_passed_on,
                    **self._account(piece),
                }
                if piece.retry_in_s is not None:
                    facts["retry_in_s"] = round(piece.retry_in_s, 3)
                self._append("attempt.failed", number=piece.number, **facts)
            case AttemptFinished():
                self._under_way = None
                self.finish_reason = piece.finish_reason
                facts = {"finish_reason": piece.finish_reason, **self._account(piece)}
                self._append("attempt.finished", number=piece.number, **facts)
                how, usage = f"finished ({piece.finish_reason})", piece.usage
                self._log_end(piece.number, piece.model, how, usage, logging.INFO)
                if piece.seam_report is not None and piece.seam_report.kind == "open":
                    self._warn_of_seam(piece.model)

    def _account(self, piece: AttemptFailed | AttemptFinished) -> dict[str, Any]:
        """Return usage, cost, and the seam to the text before."""
        usage = None if piece.usage is None else usage_facts(piece.usage)
        facts = self._counted(usage, cost_facts(piece.cost))
        if piece.seam_report is not None:
            facts["seam"] = {"kind": piece.seam_report.kind, "trimmed": piece.seam_report.trimmed}
        return facts

    def _counted(self, usage: Report | None, cost: Report | None) -> dict[str, Any]:
        self.on_account(usage, cost)
        return {"usage": usage, "cost": cost}

    def _log_end(
        self, number: int, model: Model, how: str, usage: Usage | None, level: int
    ) -> None:
        """Write one line for each request to a model, whatever the contract."""
        took_s = time.perf_counter() - self._began_s
        counts = (
            f"{usage.prompt_tokens} + {usage.completion_tokens} tokens" if usage else "no usage"
        )
        line = "Attempt %d at %s %s; %.2f s, %s (%s)"
        log.log(level, line, number, model.name, how, took_s, counts, self._place)

    def _warn_of_seam(self, model: Model) -> None:
        message = (
            f"{model.name} did not repeat the last words as the prompt asked; the seam may be "
            "wrong, so check the text there"
        )
        self._pen.append(Draft("warning.raised", {"message": message, "step": self.state.name}))


def _beginning(piece: AttemptStarted) -> dict[str, Any]:
    facts: dict[str, Any] = {"model": piece.model.name, "provider": piece.model.provider}
    facts["strategy"] = piece.strategy
    if piece.reason is not None:
        facts["reason"] = piece.reason
    if piece.at:
        facts["at"] = piece.at
    if piece.way:
        if piece.way.form != "assistant":
            facts["prefill"] = piece.way.form
        if piece.way.trust:
            facts["trust"] = piece.way.trust
    return facts


def _nobody_counts(usage: object, cost: object) -> None:
    """Default of `StepWriter.on_account`."""


def _error_facts(error: ProviderError) -> dict[str, Any]:
    facts: dict[str, Any] = {"code": error.code, "message": str(error)}
    if error.status is not None:
        facts["status"] = error.status
    return facts


def usage_facts(usage: Usage) -> Mapping[str, Any]:
    """Return the usage for `attempt.*` events; `basis` is measured or estimated."""
    facts: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "basis": "measured" if usage.measured else "estimated",
    }
    if usage.cached_tokens:
        facts["cached_tokens"] = usage.cached_tokens
    if usage.written_tokens:
        facts["written_tokens"] = usage.written_tokens
    return facts


def cost_facts(cost: Cost | None) -> Mapping[str, Any] | None:
    """Return the cost for `attempt.*` events; None means unknown, which is not zero."""
    if cost is None:
        return None
    return {"amount": cost.amount, "currency": cost.currency, "basis": cost.basis}
