"""
What a flow holds: its pen, as `flows.Context`.

Steps are done once. A step that the log has finished is returned from the log; one that
it has in part goes on from there. So a later owner of a run recovers it by running the
flow again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from hashlib import sha256
from typing import Any

from .catalog import Catalog
from .errors import ProviderError, ProviderInterrupted
from .events import Draft
from .generation import (
    AttemptFailed,
    AttemptFinished,
    AttemptStarted,
    Means,
    Progress,
    Said,
    estimated_usage,
    generate,
)
from .journals import Pen
from .providers import FREE, Prompt, Reasoning, Skipped, Text, ToolFragment, Usage
from .runs import Run, RunSpec, Step
from .settings import Settings

log = logging.getLogger(__name__)

SAY_CHARS = 4
"""Known text is said in pieces of so many characters, as a model would."""


class RunContext:
    """See `flows.Context`. `past` is the run as the log has it when this owner begins."""

    def __init__(
        self,
        pen: Pen,
        spec: RunSpec,
        past: Run,
        catalog: Catalog,
        means: Means,
        settings: Settings,
    ) -> None:
        self._pen = pen
        self._spec = spec
        self._steps = past.steps
        self._notes = past.notes
        self._attempts = len(past.attempts)
        self._catalog = catalog
        self._means = means
        self._pace_s = SAY_CHARS / settings.say_chars_per_s

    @property
    def has_written(self) -> bool:
        return any(step.parts for step in self._steps.values())

    async def generate(
        self,
        text: str,
        *,
        step: str,
        system: str = "",
        stand_in: bool = True,
        params: Mapping[str, Any] | None = None,
    ) -> str:
        state = self._begin(step)
        if state.finished:
            return state.text
        if state.parts:
            # Going on from a text that was cut is for a model that can; asking anew would
            # say it twice.
            raise ProviderInterrupted(f"step {step} was cut and is not gone on with")
        models = self._catalog.models_for(self._spec.model, stand_in=stand_in)
        prompt = Prompt.of(text, system=system, **(params or {}))
        writing = _Writing(self._pen, state)
        saying = generate(prompt, models, self._means, attempts_before=self._attempts)
        try:
            await self._write(saying, writing)
        except asyncio.CancelledError:
            writing.cut_short(prompt)
            raise
        self._finish(state, model=writing.model, finish_reason=writing.finish_reason)
        await self._pen.commit()
        return state.text

    async def _write(self, saying: AsyncGenerator[Said | Progress], writing: _Writing) -> None:
        pen, state = self._pen, writing.state
        async with aclosing(saying) as said:
            async for piece in said:
                if isinstance(piece, Text):  # the path of every token
                    state.parts.append(piece.text)
                    pen.append(Draft("text.delta", {"step": state.name, "text": piece.text}))
                else:
                    if isinstance(piece, AttemptStarted):
                        self._attempts = piece.number
                    writing.take(piece)
                if pen.is_behind:
                    await pen.commit()

    async def say(self, text: str, *, step: str, model: str = "template") -> str:
        state = self._begin(step)
        if state.finished:
            return state.text
        if state.parts and state.model:
            model = f"{state.model}+{model}"  # who began, who finished
        for start in range(0, len(text), SAY_CHARS):
            piece = text[start : start + SAY_CHARS]
            self._pen.append(Draft("text.delta", {"step": step, "text": piece}))
            state.parts.append(piece)
            await asyncio.sleep(self._pace_s)
        self._finish(state, model=model, finish_reason="stop")
        await self._pen.commit()
        return state.text

    async def note(self, name: str, compute: Callable[[], Awaitable[Any]]) -> Any:
        if name not in self._notes:
            value = await compute()
            self._pen.append(Draft("note.taken", {"name": name, "value": value}))
            await self._pen.commit()
            self._notes[name] = value
        return self._notes[name]

    def written(self, step: str) -> str:
        state = self._steps.get(step)
        return state.text if state else ""

    def progress(
        self, message: str, *, current: int | None = None, total: int | None = None
    ) -> None:
        facts = {"message": message, "current": current, "total": total}
        self._pen.append(Draft("progress.made", {k: v for k, v in facts.items() if v is not None}))

    def found(self, kind: str, item: Mapping[str, Any]) -> None:
        self._pen.append(Draft("item.found", {"kind": kind, "item": item}))

    def warn(self, message: str, **facts: Any) -> None:
        log.warning("Run %s: %s %s", self._pen.run_id, message, facts or "")
        self._pen.append(Draft("warning.raised", {"message": message, **facts}))

    def result(self, value: Any) -> None:
        self._pen.append(Draft("result.set", {"value": value}))

    def _begin(self, name: str) -> Step:
        state = self._steps.get(name)
        if state is None:
            state = self._steps[name] = Step(name)
            self._pen.append(Draft("step.started", {"step": name}))
        return state

    def _finish(self, state: Step, *, model: str, finish_reason: str) -> None:
        text = state.text
        state.finished = True
        facts = {"chars": len(text), "sha256": sha256(text.encode()).hexdigest()}
        done = {"step": state.name, "model": model, "finish_reason": finish_reason, **facts}
        self._pen.append(Draft("step.finished", done))


class _Writing:
    """One `generate` call: what is said becomes drafts."""

    def __init__(self, pen: Pen, state: Step) -> None:
        self._pen = pen
        self.state = state
        self.model = ""
        self.finish_reason = ""
        self.attempt = 0  # the one under way

    def cut_short(self, prompt: Prompt) -> None:
        """Account for the attempt that somebody has stopped."""
        if self.attempt:
            usage = usage_facts(estimated_usage(prompt, self.state.text))
            facts = {"step": self.state.name, "number": self.attempt, "usage": usage}
            message = "stopped; the provider's connection is closed"
            self._pen.append(
                Draft("attempt.failed", {**facts, "code": "cancelled", "message": message})
            )

    def take(self, piece: Said | AttemptStarted | AttemptFailed | AttemptFinished) -> None:
        step = self.state.name
        match piece:
            case Reasoning(text):
                self._pen.append(Draft("reasoning.delta", {"step": step, "text": text}))
            case ToolFragment():
                facts = {"index": piece.index, "id": piece.id, "name": piece.name}
                set_facts = {k: v for k, v in facts.items() if v is not None}
                call = {"step": step, **set_facts, "arguments": piece.arguments}
                self._pen.append(Draft("tool.delta", call))
            case Skipped(message):
                self._pen.append(Draft("warning.raised", {"message": message, "step": step}))
            case AttemptStarted() | AttemptFailed() | AttemptFinished():
                self._attempt(piece)

    def _attempt(self, piece: AttemptStarted | AttemptFailed | AttemptFinished) -> None:
        facts: dict[str, Any] = {"step": self.state.name, "number": piece.number}
        match piece:
            case AttemptStarted():
                self.attempt = piece.number
                self.model = self.state.model = piece.model.name
                facts |= {"model": piece.model.name, "provider": piece.model.provider}
                self._pen.append(Draft("attempt.started", {**facts, "strategy": piece.strategy}))
            case AttemptFailed():
                self.attempt = 0
                facts |= _error_facts(piece.error)
                facts |= {"wrote": piece.has_output, "usage": None}
                if piece.usage is not None:
                    facts["usage"] = usage_facts(piece.usage)
                if piece.retry_in_s is not None:
                    facts["retry_in_s"] = round(piece.retry_in_s, 3)
                self._pen.append(Draft("attempt.failed", facts))
            case AttemptFinished():
                self.attempt = 0
                self.finish_reason = piece.finish_reason
                facts |= {"finish_reason": piece.finish_reason, "usage": usage_facts(piece.usage)}
                facts["cost"] = cost_facts(is_free=piece.model.prices is FREE, usage=piece.usage)
                self._pen.append(Draft("attempt.finished", facts))


def _error_facts(error: ProviderError) -> dict[str, Any]:
    facts: dict[str, Any] = {"code": error.code, "message": str(error)}
    if error.status is not None:
        facts["status"] = error.status
    return facts


def usage_facts(usage: Usage) -> dict[str, Any]:
    """How `attempt.*` events tell usage; `basis` is measured or estimated."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "basis": "measured" if usage.measured else "estimated",
    }


def cost_facts(*, is_free: bool, usage: Usage) -> dict[str, Any] | None:
    """Cost of an attempt; None means unknown, which is not zero."""
    if not is_free:
        return None
    basis = "measured" if usage.measured else "estimated"
    return {"amount": 0.0, "currency": "CNY", "basis": basis}
