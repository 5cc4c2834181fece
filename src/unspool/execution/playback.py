"""
Plays a recorded run back as a provider: every attempt repeats its output, without network or wait.

The log holds all output except the text that a seam trimmed. We make that up from the text before,
so that the seam trims it again. The log holds no prices and no capabilities of models: we play no
costs back, and a model can prefill if an attempt did.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..errors import ProviderError, ProviderInterrupted, ProviderRefused, ProviderUnavailable
from ..generation.loops import Looping
from ..generation.seam import anchor_of
from ..models.prefills import Prefills, Trust
from ..providers import (
    FREE,
    Accepted,
    Finish,
    Model,
    Output,
    Prompt,
    Reasoning,
    Silent,
    Sink,
    Skipped,
    Text,
    ThoughtAloud,
    ToolCall,
    ToolFragment,
    TurnState,
    Usage,
)
from ..runs.events import Event

if TYPE_CHECKING:
    from unspool.providers.upstream.http1 import Client

STEP: Final[ContextVar[str]] = ContextVar("step")
"""The step that runs: a provider does not get its name, and two may run at a time."""

NEVER_S: Final = 1e6
"""A `Retry-After` so long that no retry follows."""

BEYOND: Final = "beyond_the_log"
"""Code of an attempt that the log does not hold."""


@dataclass(slots=True)
class Recorded:
    """One attempt of the log."""

    started: Mapping[str, Any]
    outputs: list[Event] = field(default_factory=list)
    turn_state: Mapping[str, Any] | None = None
    ending: Event | None = None
    """None: the log has none, or a cancel stopped the attempt."""

    @property
    def model(self) -> tuple[str, str]:
        return self.started["model"], self.started["provider"]

    @property
    def texts(self) -> list[str]:
        texts: list[str] = []
        for event in self.outputs:
            if event.type == "text.delta":
                texts.append(event.data["text"])
            elif event.type == "step.rewound":
                texts.clear()
        return texts

    def add(self, event: Event) -> None:
        """Add an output. A rewind tells that the text was thinking, which then comes again."""
        last = self.outputs[-1].type if self.outputs else ""
        if not (event.type == "reasoning.delta" and last == "step.rewound"):
            self.outputs.append(event)


def attempts_in(events: Sequence[Event]) -> dict[str, list[Recorded]]:
    """Return the attempts in a log, by step, in order."""
    found: dict[str, list[Recorded]] = {}
    for event in events:
        step = event.data.get("step", "")
        if event.type == "attempt.started":
            found.setdefault(step, []).append(Recorded(event.data))
        elif event.type == "step.finished" and step in found:
            found[step][-1].turn_state = event.data.get("turn_state")
        elif (attempts := found.get(step)) and attempts[-1].ending is None:
            if event.type not in {"attempt.failed", "attempt.finished"}:
                attempts[-1].add(event)
            elif event.data.get("code") != "cancelled":
                attempts[-1].ending = event
    return found


class _RecordedPrefills(Prefills):
    """The forms of prefill in a log, and how far each was believed."""

    is_recorded = True

    def __init__(self, attempts: Iterable[Recorded]) -> None:
        super().__init__()
        self._trusts: dict[str, dict[str, deque[Trust]]] = {}
        for attempt in attempts:
            form = attempt.started.get("prefill", "assistant")
            trusts = self._trusts.setdefault(attempt.started["model"], {})
            trusts.setdefault(form, deque()).append(attempt.started.get("trust", ""))

    def forms(self, model: Model, engine: str = "") -> tuple[str, ...]:
        return tuple(self._trusts.get(model.name, ()))

    def trust(self, model: Model, form: str) -> Trust:
        trusts = self._trusts[model.name][form]
        return trusts.popleft() if len(trusts) > 1 else trusts[0]


class Playback:
    """
    Models and their provider, for one life of a run: from one owner to the next.

    Args:
        before: The log before this life.
        life: The log of it.
        is_cut: It ended from outside; the log does not show its next output.
    """

    def __init__(self, before: Sequence[Event], life: Sequence[Event], *, is_cut: bool) -> None:
        self._past = attempts_in(before)
        self._attempts = attempts_in(life)
        self._asked: dict[str, int] = {}
        self._is_cut = is_cut
        self._texts = _texts(before)
        self._steps_written = {e.data.get("step") for e in life if e.type != "step.started"}
        self.prefills = _RecordedPrefills(
            attempt
            for attempts in (*self._past.values(), *self._attempts.values())
            for attempt in attempts
            if attempt.started["strategy"] == "prefill"
        )

    def models_for(self, name: str, flow: str = "", *, stand_in: bool = True) -> list[Model]:
        """Return the models of the present step, in order; see `Catalog.models_for`."""
        request = dict.fromkeys(a.model for a in self._attempts.get(STEP.get(), ()))
        if not request and self._is_cut and STEP.get() not in self._steps_written:
            return [Model("", "")]  # this life ended before its first attempt
        return [Model(*key, prices=FREE) for key in request]

    async def ask(self, model: Model, prompt: Prompt, http: Client, sink: Sink) -> None:
        """
        Repeat the next attempt of the present step; see `upstream.exchange.ask`.

        Raises:
            ProviderError: The attempt failed, or the log does not hold it.
        """
        step = STEP.get()
        number = self._asked.get(step, 0)
        self._asked[step] = number + 1
        attempts = self._attempts.get(step, [])
        if number >= len(attempts):
            if not self._is_cut:
                raise ProviderRefused("the log holds no such attempt", code=BEYOND)
            await asyncio.Event().wait()  # until this life ends
        attempt = attempts[number]
        for output in self._outputs(step, number, attempt):
            with suppress(Looping):  # the ending says so, too, and what came of it
                sink.take(output)
        if sink.is_full:
            await sink.drain()
        if attempt.ending is None:
            await asyncio.Event().wait()
        elif attempt.ending.type == "attempt.finished":
            sink.take(Finish(attempt.ending.data["finish_reason"]))
        else:
            raise _failure(attempt, attempt.ending)

    def _outputs(self, step: str, number: int, attempt: Recorded) -> Iterator[Output]:
        if attempt.started["strategy"] == "reattach":
            yield from self._again(step, number)
        left_out = self._left_out(step, attempt)
        self._texts[step] = self._texts.get(step, "") + "".join(attempt.texts)
        for event in attempt.outputs:
            output = _output(event)
            if isinstance(output, Text):
                output, left_out = Text(left_out + output.text), ""
            if output is not None:
                yield output
        if left_out:
            yield Text(left_out)
        if attempt.turn_state is not None:
            yield TurnState(**attempt.turn_state)
        usage = attempt.ending.data.get("usage") if attempt.ending else None
        if usage:
            counts = usage["prompt_tokens"], usage["completion_tokens"], usage.get("cached_tokens")
            is_measured = usage["basis"] == "measured"
            yield Usage(*counts, is_measured, usage.get("written_tokens"))

    def _left_out(self, step: str, attempt: Recorded) -> str:
        """Make up the text that a seam trimmed."""
        text = self._texts.get(step, "")[: attempt.started.get("at", 0)]
        self._texts[step] = text
        if attempt.ending is None:
            # The log holds no seam: assume that the model followed the prompt.
            return anchor_of(text) if attempt.started["strategy"] == "instruct" else ""
        facts = attempt.ending.data
        seam = facts.get("seam") or {}
        if trimmed := seam.get("trimmed"):
            anchor = anchor_of(text)
            return (
                "\n" * (trimmed - len(anchor)) + anchor
                if seam["kind"] == "anchor"
                else text[-trimmed:]
            )
        is_silent = not any(e.type.endswith(".delta") for e in attempt.outputs)
        if (
            facts.get("usage")
            and is_silent
            and attempt.ending
            and attempt.ending.type == "attempt.failed"
        ):
            # Its usage shows that it wrote text, which generation did not pass on.
            return anchor_of(text)[:1] or text[:1]
        return ""

    def _again(self, step: str, number: int) -> Iterator[Output]:
        """Repeat the earlier output of a retained answer, as its provider does before the rest."""
        earlier = self._attempts[step][:number] or self._past.get(step, [])[-1:]
        retained: list[Event] = []
        for attempt in reversed(earlier):
            retained += attempt.outputs
            if attempt.started["strategy"] != "reattach":
                break
        has_text = any(event.type == "text.delta" for event in retained)
        for event in retained:
            if event.type == "tool.delta":
                yield ToolFragment(0)
            elif event.type == "reasoning.delta" and not has_text:
                yield Reasoning(event.data["text"])


def _texts(events: Sequence[Event]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for event in events:
        step = event.data.get("step", "")
        if event.type == "text.delta":
            texts[step] = texts.get(step, "") + event.data["text"]
        elif event.type == "step.rewound":
            texts[step] = texts.get(step, "")[: event.data.get("at", 0)]
    return texts


def _output(event: Event) -> Output | None:  # noqa: PLR0911 - one for each type
    data = event.data
    match event.type:
        case "text.delta":
            return Text(data["text"])
        case "reasoning.delta":
            return Reasoning(data["text"])
        case "tool.delta":
            return ToolFragment(
                data["index"], data.get("id"), data.get("name"), data.get("arguments", "")
            )
        case "tool.called":
            return ToolCall(data["index"], data["id"], data["name"], data["arguments"])
        case "attempt.kept":
            return Accepted(data["handle"])
        case "step.rewound":
            return ThoughtAloud()
        case "attempt.silent":
            return Silent(data["for_s"], is_alive=data["alive"])
        case "warning.raised" if set(data) == {"message", "step"}:
            return Skipped(data["message"])
        case _:
            return None


def _failure(attempt: Recorded, ending: Event) -> ProviderError:
    """Return the error behind a failed attempt; we infer its class, which the log lacks."""
    data = ending.data
    status, wait_s = data.get("status"), data.get("retry_in_s")
    kind: type[ProviderError] = ProviderUnavailable
    if attempt.outputs or wait_s == 0:
        kind = ProviderInterrupted
    elif wait_s is None and status is not None and 400 <= status < 500 and status not in {408, 429}:
        kind = ProviderRefused
    # The wait had the provider's `Retry-After` and chance in it; here it is all `Retry-After`.
    retry_after_s = NEVER_S if wait_s is None else wait_s or None
    return kind(data["message"], code=data["code"], status=status, retry_after_s=retry_after_s)
