"""
S2.8: `call_model`, the debug chat for programs that need no server.

    async for chunk in call_model(model, "你好", stream=True):
        print(chunk.get("content", ""), end="")

The dicts are the frames of `POST /api/debug/chat`, made by the same encoder from the same
events; only that nobody writes these down. Calls of tools are told, not run.
"""

from __future__ import annotations

import time
from collections.abc import (
    AsyncGenerator,
    Coroutine,
    Generator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, Self, overload

from unspool.errors import ProviderError
from unspool.execution.step_writer import StepWriter
from unspool.generation.attempts import GenerationEvent, PassedOn
from unspool.generation.client import get_llm_client
from unspool.generation.continuation import PartialText
from unspool.generation.generate import GenerationDeps, generate
from unspool.providers import Model, Prompt, Tool
from unspool.providers.upstream.http import open_http
from unspool.runs.events import Draft, Event
from unspool.runs.run import Step

from .dialects.debug_chat import ChatEncoder, answer_of, log_begin, log_end

Frame = dict[str, Any]

STEP = "answer"


class Calling(AsyncGenerator[Frame, None]):
    """The frames of one call. Existing programs await it first; that returns itself."""

    def __init__(self, frames: AsyncGenerator[Frame, None]) -> None:
        self._frames = frames

    def __await__(self) -> Generator[Any, None, Self]:
        return self._itself().__await__()

    async def _itself(self) -> Self:
        return self

    def asend(self, value: None) -> Coroutine[Any, Any, Frame]:
        return self._frames.asend(value)

    def athrow(
        self,
        typ: type[BaseException] | BaseException,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
    ) -> Coroutine[Any, Any, Frame]:
        return self._frames.athrow(typ, val, tb)  # type: ignore[arg-type]


@overload
def call_model(
    model: Model | None,
    prompt: str,
    system_prompt: str | None = None,
    params: Mapping[str, Any] | None = None,
    stream: Literal[False] = False,
    tools: Sequence[Mapping[str, Any]] | None = None,
) -> Coroutine[Any, Any, Frame]: ...


@overload
def call_model(
    model: Model | None,
    prompt: str,
    system_prompt: str | None = None,
    params: Mapping[str, Any] | None = None,
    *,
    stream: Literal[True],
    tools: Sequence[Mapping[str, Any]] | None = None,
) -> Calling: ...


def call_model(
    model: Model | None,
    prompt: str,
    system_prompt: str | None = None,
    params: Mapping[str, Any] | None = None,
    stream: bool = False,
    tools: Sequence[Mapping[str, Any]] | None = None,
) -> Calling | Coroutine[Any, Any, Frame]:
    """
    Ask a model: frames as they come (`stream`), or the whole answer, to be awaited.

    Whatever the model does is in the frames: a failure is the last one's `error` and `status`.

    `model` None is the model that the environment describes, else the built-in one. `params`
    are of the vendor's API (`temperature` …) and go before the model's own. Each of the `tools`
    is `{"name", "description", "parameters"}`, or written as OpenAI has it.

    Returns:
        With `stream` an async generator of the contract's frames, which may be awaited first;
        otherwise a coroutine of one dict: `output`, `metrics`, `status`, and `tool_calls` and
        `error` where there are any.
    """
    request = Prompt.of(prompt, system=system_prompt or "", **(params or {}))
    request = replace(request, tools=tuple(map(_tool, tools or ())))
    model = model or get_llm_client().model
    frames = _frames(model, request, is_streamed=stream)
    return Calling(frames) if stream else _whole(frames)


def _tool(fields: Mapping[str, Any]) -> Tool:
    function = fields.get("function", fields)
    named = ("name", "description", "parameters")
    return Tool(**{name: function[name] for name in named if name in function})


async def _whole(frames: AsyncGenerator[Frame, None]) -> Frame:
    async with aclosing(frames):
        async for frame in frames:
            last = frame
    return answer_of(last)


class _FramePen:
    """See `journals.Pen`: what it takes is turned into events at once, by the clock."""

    is_behind = False
    size = 0
    run_id = "called"
    epoch = 1

    def __init__(self) -> None:
        self._waiting: list[Event] = []
        self._seq = 0

    def append(self, *drafts: Draft) -> None:
        for draft in drafts:
            self._seq += 1
            at_ms = int(time.time() * 1000)
            self._waiting.append(Event(self._seq, draft.type, at_ms, draft.data))

    def append_text(self, step: str, text: str) -> bool:
        self.append(Draft("text.delta", {"step": step, "text": text}))
        return False

    async def commit(self) -> None:
        """It stores nothing."""

    async def end(self, ending: Draft) -> None:
        self.append(ending)

    def take(self) -> list[Event]:
        """Return the events since the last call."""
        events, self._waiting = self._waiting, []
        return events


async def _frames(
    model: Model, prompt: Prompt, *, is_streamed: bool
) -> AsyncGenerator[Frame, None]:
    encoder, pen = ChatEncoder(), _FramePen()
    log_begin(model, is_streamed=is_streamed)
    async with aclosing(_written(model, prompt, pen)) as written:
        async for _ in written:
            for event in pen.take():
                frame = encoder.frame(event)
                if frame is not None:
                    if event.is_terminal:
                        log_end(frame, event)
                    yield frame


async def _written(model: Model, prompt: Prompt, pen: _FramePen) -> AsyncGenerator[None, None]:
    """Write one answer, and continue when the reader has taken the last piece."""
    state = Step(STEP)
    writing = StepWriter(pen, state, prompt)
    pen.append(Draft("run.started", {"input": {}}), Draft("step.started", {"step": STEP}))
    yield
    ending = Draft("run.completed")
    async with open_http() as http:
        saying: AsyncGenerator[PassedOn | GenerationEvent] = generate(
            prompt, [model], GenerationDeps(http), so_far=PartialText(state.parts)
        )
        try:
            async with aclosing(saying) as pieces:
                async for piece in pieces:
                    writing.take(piece)
                    yield
            pen.append(state.ending())
        except ProviderError as error:
            facts = {"code": error.code, "message": str(error)}
            has_any = state.parts or state.has_call
            ending = Draft("run.incomplete" if has_any else "run.failed", facts)
    pen.append(ending)
    yield
