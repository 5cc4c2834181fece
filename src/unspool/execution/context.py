"""
Implements `flows.Context` over a pen.

A step runs once. The log answers for a finished step, and a half-written one continues where the
log ends. So a later owner recovers a run by running its flow again.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, Unpack

from ..dialects import open_dialect
from ..errors import NOT_ADMITTED, ProviderInterrupted, ProviderRefused, UnknownRecord
from ..failpoints import point
from ..flows import Call, CallPlace, Form, GenerateOptions, Outcome, Reader, ToolAnswer
from ..flows.kit.structured import structured
from ..generation.bounds import GAVE_UP, Bounds
from ..generation.continuation import PartialText, RetainedAnswer
from ..generation.enough import Enough
from ..generation.generate import Generation, GenerationDeps
from ..journals import Pen
from ..models.catalog import Catalog
from ..providers import Prompt
from ..providers.upstream.prompts import seeing
from ..records import Records
from ..records.images import find_images
from ..runs.events import Draft, EventType
from ..runs.questions import GivenAnswer
from ..runs.run import Run, RunSpec, Step, fact_key
from ..settings import Settings
from .budgets import Allowance
from .exchanges import Exchanges
from .prompts import carried_s, prompt_of, shown
from .questions import WITHIN_S, Questions
from .step_writer import ReaderFeed, StepWriter

log = logging.getLogger(__name__)

_finished = point("context.finished")
_saying = point("context.saying")
_answered = point("context.answered")

SAY_CHARS = 4
"""Known text is written in pieces of this many characters, as a model would."""


class Children(Protocol):
    """Child runs; see `children`."""

    async def start(self, spec: RunSpec, number: int) -> str:
        """
        Start run `number` of `spec.parent`, or find it, and return its id.

        Raises:
            SpecError: A name or the input is wrong.
        """

    async def outcome(self, run_id: str, on_progress: Callable[[int], object]) -> Outcome:
        """
        Wait for its end and return the outcome.

        `on_progress` gets the number of pieces of its text, at the same numbers for every caller.
        """

    async def stop(self, parent: str) -> None:
        """Cancel the live children."""


class ToolRunner(Protocol):
    """Carries out calls of tools; see `tools.calling.calls`."""

    async def answer(
        self, call: Call, offered: Sequence[Mapping[str, Any]], place: CallPlace
    ) -> ToolAnswer:
        """Carry out a call; a failing tool never ends a run."""


class RunContext:
    """
    See `flows.Context`. `past` is the run in the log when this owner begins.

    A flow that runs again repeats all its facts outside of steps: progress, items, warnings, the
    result. We do not write a fact again that the log already holds (`past.facts`).
    """

    children: Children | None = None
    """The runner sets it if runs may have children."""
    tools: ToolRunner | None = None
    """Likewise, if tools can be called."""
    exchanges: Exchanges | None = None
    """Likewise, if what attempts send and get is kept."""
    allowance: Allowance | None = None
    """What it may spend; None: as much as it needs."""
    questions: Questions | None = None
    """What it asks people."""
    records: Records | None = None
    """Where images are; None: a replay, which asks no model."""

    def __init__(
        self,
        pen: Pen,
        spec: RunSpec,
        past: Run,
        catalog: Catalog,
        deps: GenerationDeps,
        settings: Settings,
    ) -> None:
        self._pen = pen
        self._spec = spec
        self._steps = past.steps
        self._notes = past.notes
        self._past = past
        self._numbers = itertools.count(len(past.attempts) + 1)
        self._catalog = catalog
        self._deps = deps
        self._can_rewind = open_dialect(spec.dialect).can_rewind
        self._enough: dict[str, Enough] = {}
        self._pace_s = SAY_CHARS / settings.say_chars_per_s
        self.first_text_s = settings.first_text_s
        self.model = spec.model
        self._began_s = time.monotonic() - carried_s(past)

    @property
    def has_written(self) -> bool:
        return any(
            step.parts or step.has_call for step in self._steps.values() if not step.is_unseen
        )

    async def generate(
        self,
        text: str,
        *,
        step: str,
        system: str = "",
        read: Callable[[], Reader] | None = None,
        **how: Unpack[GenerateOptions],
    ) -> str:
        state = self._begin(step, is_unseen=how.get("is_unseen", False))
        by_lines = how.get("by_lines", False)
        enough = self._enough[step] = Enough()
        reading = (
            None if read is None else ReaderFeed(read, state.text, enough=enough, by_lines=by_lines)
        )
        if state.finished:
            if reading is not None:
                reading.end()
            return state.text
        if enough.is_said:  # its owner died between the last sign and the end
            return self._ended(state, reading, model=state.model or "", finish_reason="stop")
        self._check_given_up(state)
        name = how.get("model") or self._spec.model
        models = self._catalog.models_for(name, self._spec.flow, stand_in=how.get("stand_in", True))
        prompt = prompt_of(text, system, how)
        if prompt.has_images:
            models, prompt = seeing(models), await self._with_images(prompt)
        contract = self._spec.dialect
        writing = StepWriter(self._pen, state, prompt, reading, contract=contract)
        if self.allowance is not None:
            writing.on_account = self.allowance.note
        so_far = self._so_far(state, prompt, by_lines=by_lines and self._can_rewind is not False)
        # A reader has read the end already, and what it found there stands in the log.
        so_far.can_cut = self._can_rewind is True and reading is None
        bounds = self._bounds(so_far, how)
        deps = bounds.around(self._deps) if bounds else self._deps
        if self.exchanges is not None:
            deps = replace(deps, ask=self.exchanges.around(deps.ask, self._pen.run_id))
        if self.allowance is not None:
            deps = replace(deps, ask=self.allowance.around(deps.ask))
        generation = Generation(
            prompt,
            models,
            deps,
            so_far=so_far,
            numbers=self._numbers,
            can_rewind=self._can_rewind is True,
        )
        generation.enough = enough
        try:
            await (bounds.write(generation, writing) if bounds else generation.write(writing))
        except asyncio.CancelledError:
            writing.stopped()
            raise
        return self._ended(state, reading, model=writing.model, finish_reason=writing.finish_reason)

    async def _with_images(self, prompt: Prompt) -> Prompt:
        """
        Put images in the place of their digests.

        Raises:
            ProviderRefused: One was deleted meanwhile.
        """
        if self.records is None:
            return prompt
        named = [image for message in prompt.messages for image in message.get("images", ())]
        try:
            found = await find_images(self.records, [image["sha256"] for image in named])
        except UnknownRecord as error:
            raise ProviderRefused(str(error), code="image_gone") from None
        return replace(prompt, messages=tuple(shown(message, found) for message in prompt.messages))

    def _bounds(self, so_far: PartialText, how: GenerateOptions) -> Bounds | None:
        first_text_s, max_chars = how.get("first_text_s"), how.get("max_chars")
        if first_text_s is None and max_chars is None:
            return None
        age_s = time.monotonic() - self._began_s
        wait_s = None if first_text_s is None else first_text_s - age_s
        is_whole = how.get("is_unseen", False)
        timed = {"wait_s": wait_s, "silence_s": first_text_s}
        return Bounds(so_far, **timed, is_whole=is_whole, max_chars=max_chars)

    def _check_given_up(self, state: Step) -> None:
        """Ask nobody for a step that an earlier owner of the run has given up."""
        last = self._past.last_attempt(state.name)
        if last is not None and (code := last.facts.get("code")) in GAVE_UP:
            raise ProviderInterrupted(last.facts["message"], code=code)

    def _ended(
        self, state: Step, reading: ReaderFeed | None, *, model: str, finish_reason: str
    ) -> str:
        if reading is not None:
            reading.end()
        # The next commit, of the run's ending as a rule, holds the ending of the step too.
        self._finish(state, model=model, finish_reason=finish_reason)
        _finished()
        return state.text

    def enough(self, step: str) -> None:
        self._enough[step].say()

    def ending(self, step: str) -> str:
        state = self._steps.get(step)
        return (state.finish_reason or "") if state else ""

    async def structured(
        self, form: type[Form], text: str, *, step: str, **how: Unpack[GenerateOptions]
    ) -> Form:
        return await structured(self, form, text, step=step, **how)

    def _so_far(self, state: Step, prompt: Prompt, *, by_lines: bool) -> PartialText:
        so_far = PartialText(state.parts, has_call=state.has_call, by_lines=by_lines)
        last = self._past.last_attempt(state.name)
        if last is not None and last.handle and last.status != "finished":
            received = state.text[last.at :], last.thoughts, last.fragments
            so_far.retained = RetainedAnswer(last.model, last.handle, None, prompt, *received)
        return so_far

    async def say(self, text: str, *, step: str, model: str = "template") -> str:
        state = self._begin(step)
        if state.finished:
            return state.text
        if state.parts and state.model:
            model = f"{state.model}+{model}"  # the model that began, and the one that finished
        for start in range(0, len(text), SAY_CHARS):
            piece = text[start : start + SAY_CHARS]
            self._pen.append(Draft("text.delta", {"step": step, "text": piece}))
            state.parts.append(piece)
            _saying()
            await asyncio.sleep(self._pace_s)
        self._finish(state, model=model, finish_reason="stop")
        await self._pen.commit()
        _finished()
        return state.text

    async def note(self, name: str, compute: Callable[[], Awaitable[Any]]) -> Any:
        if name not in self._notes:
            value = await compute()
            self._pen.append(Draft("note.taken", {"name": name, "value": value}))
            await self._pen.commit()
            self._notes[name] = value
        return self._notes[name]

    def noted(self, name: str) -> Any:
        return self._notes.get(name)

    async def ask(
        self,
        text: str,
        *,
        step: str,
        schema: Mapping[str, Any] | None = None,
        within_s: float = WITHIN_S,
        call: Mapping[str, Any] | None = None,
    ) -> GivenAnswer:
        assert self.questions is not None, "this context asks nobody"
        return await self.questions.ask(
            text, step=step, schema=schema, within_s=within_s, call=call
        )

    async def child(
        self, number: int, flow: str, input: Mapping[str, Any], *, model: str = ""
    ) -> Outcome:
        assert self.children is not None, "this context has no `children`"
        run_id = self._past.children.get(number)
        if run_id is None:
            parent, model = self._pen.run_id, model or self._spec.model
            try:
                spec = self._spec.child(flow, input, model=model, parent=parent)
                run_id = await self.children.start(spec, number)
            except NOT_ADMITTED as error:
                reason = {"code": error.code, "message": str(error)}
                return self._child_ended(number, Outcome(None, "failed", error=reason))
        about = {"number": number, "run": run_id}
        self.found("child", about)

        def on_progress(pieces: int) -> None:
            self.found("child_progress", {**about, "pieces": pieces})

        return self._child_ended(number, await self.children.outcome(run_id, on_progress))

    def _child_ended(self, number: int, outcome: Outcome) -> Outcome:
        facts = {"number": number, "run": outcome.run, "status": outcome.status}
        error = {"error": outcome.error} if outcome.error else {}
        self.found("child_ended", {**facts, "items": outcome.items, **error})
        return outcome

    def calls(self, step: str) -> Sequence[Call]:
        return [Call(**call) for call in self._steps[step].calls]

    def turn_state(self, step: str) -> Mapping[str, Any] | None:
        return self._steps[step].turn_state

    def has_called(self, step: str) -> bool:
        state = self._steps.get(step)
        return state is not None and state.has_call

    def has_cut_call(self, step: str) -> bool:
        return self._steps[step].has_cut_call

    async def answer(
        self,
        step: str,
        call: Call,
        tools: Sequence[Mapping[str, Any]],
        *,
        instead: ToolAnswer | None = None,
    ) -> ToolAnswer:
        state = self._steps[step]
        if call.index not in state.answers:
            assert self.tools is not None, "this context has no `tools`"
            place = CallPlace(self._pen.run_id, step, call.index)
            answer = instead or await self.tools.answer(call, tools, place)
            fields = {"content": answer.content, **({"code": answer.code} if answer.code else {})}
            named = {"step": step, "index": call.index, "id": call.id, "name": call.name}
            _answered()
            self._pen.append(Draft("tool.answered", {**named, **fields}))
            state.answers[call.index] = fields
            await self._pen.commit()
        return ToolAnswer(**state.answers[call.index])

    def written(self, step: str) -> str:
        state = self._steps.get(step)
        return state.text if state else ""

    def writer(self, step: str) -> str:
        state = self._steps.get(step)
        return (state.model or "") if state else ""

    def progress(
        self, message: str, *, current: int | None = None, total: int | None = None
    ) -> None:
        facts = {"message": message, "current": current, "total": total}
        self._append_once("progress.made", {k: v for k, v in facts.items() if v is not None})

    def found(self, kind: str, item: Mapping[str, Any], *, step: str = "") -> None:
        origin = {"step": step} if step else {}
        self._append_once("item.found", {"kind": kind, "item": item, **origin})

    def warn(self, message: str, **facts: Any) -> None:
        log.warning("Run %s: %s %s", self._pen.run_id, message, facts or "")
        self._append_once("warning.raised", {"message": message, **facts})

    def result(self, value: Any) -> None:
        self._append_once("result.set", {"value": value})

    def _append_once(self, kind: EventType, data: Mapping[str, Any]) -> None:
        fact = fact_key(kind, data)
        if self._past.facts[fact] > 0:
            self._past.facts[fact] -= 1
        else:
            self._pen.append(Draft(kind, data))

    def _begin(self, name: str, *, is_unseen: bool = False) -> Step:
        state = self._steps.get(name)
        if state is None:
            state = self._steps[name] = Step(name, is_unseen=is_unseen)
            self._pen.append(state.beginning())
        return state

    def _finish(self, state: Step, *, model: str, finish_reason: str) -> None:
        state.finished, state.model, state.finish_reason = True, model, finish_reason
        self._pen.append(state.ending())
