"""
A fork: a run that begins with what another one has written, and goes on differently.

Its log is its own: what it takes over stands in it as its own events, so it is read, resumed
and recovered like any other run. It takes over texts, thoughts, tool calls, notes, items and
warnings; not attempts, which are what another run has cost, and not progress or a result,
which the flow says again. The old run is not touched.

A step that was finished stays so. The one that was open is gone on with; if it was about to
call a tool it is begun anew, because half a call cannot be gone on with. An edited text takes
the place of the step's own, and is gone on with too unless it is said to be whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from ..errors import SpecError
from .events import Draft, Event
from .run import Run, RunSpec, Step, is_child

PIECE_CHARS: Final = 4096
"""A text is taken over in pieces of so many characters, not in the many it was written in."""

EDITED: Final = "edited"
"""Who wrote the text of a step that a client has written, where models stand otherwise."""

_TAKEN_OVER: Final = {"note.taken", "item.found", "warning.raised"}


@dataclass(frozen=True, slots=True)
class EditedText:
    text: str
    finished: bool = False
    """Whether it is whole; otherwise it is gone on with."""

    def __post_init__(self) -> None:
        try:
            self.text.encode()
        except UnicodeEncodeError:
            raise SpecError("a text has half a character in it; send whole ones") from None


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be different in a fork. None: as it was."""

    after: int | None = None
    """Number of the last event that is taken over; None: the last one there is."""
    input: Mapping[str, Any] | None = None
    """Fields that take the place of those of the old input."""
    model: str | None = None
    dialect: str | None = None
    texts: Mapping[str, EditedText] = field(default_factory=dict)
    cancel: bool = False
    """Stop the old run first."""

    def digest(self, run_id: str) -> str:
        """Tell this request from any other."""
        try:
            request = json.dumps(["fork", run_id, asdict(self)], sort_keys=True)
            return hashlib.sha256(request.encode()).hexdigest()
        except (ValueError, RecursionError, TypeError):
            return ""  # it will be refused for what cannot be written down

    def applied(self, old: RunSpec) -> RunSpec:
        """Return what the fork is asked. It is nobody's child, whatever the old run was."""
        return replace(
            old,
            input={**old.input, **(self.input or {})},
            model=old.model if self.model is None else self.model,
            dialect=old.dialect if self.dialect is None else self.dialect,
            parent="",
        )


class History:
    """What a run hands on to its fork: a fold of its events up to the place of the fork."""

    def __init__(self, texts: Mapping[str, EditedText]) -> None:
        self._texts = texts
        self._run = Run()
        self._order: list[Draft | str] = []
        """Steps by name, where they began, and what was said between them."""
        self._is_edited = False
        """From the first edited step on, what was said may be said of a text that is gone."""

    def take(self, event: Event) -> None:
        """Take in the next event."""
        if event.type == "step.started" and event.data["step"] not in self._run.steps:
            self._order.append(event.data["step"])
            self._is_edited = self._is_edited or event.data["step"] in self._texts
        elif event.type in _TAKEN_OVER and not self._is_edited:
            self._order.append(Draft(event.type, event.data))
        elif event.type == "step.rewound" and not event.data.get("at"):
            self._order = [e for e in self._order if not _is_of(e, event.data["step"])]
        self._run.apply(event)

    def drafts(self) -> list[Draft]:
        """
        Return the events that the fork begins with, after its `run.started`.

        Raises:
            SpecError: A text is given for a step that has not begun by then.
        """
        unknown = [name for name in self._texts if name not in self._run.steps]
        if unknown:
            have = ", ".join(self._run.steps) or "none yet"
            raise SpecError(f"no step {unknown[0]!r} up to that event; steps: {have}")
        drafts: list[Draft] = []
        for entry in self._order:
            if not isinstance(entry, Draft):
                drafts += self._step(self._run.steps[entry])
            elif entry.type != "item.found" or not is_child(entry.data):
                drafts.append(entry)  # but not of children: a fork has its own
        return drafts

    def _step(self, step: Step) -> Iterator[Draft]:
        edited = self._texts.get(step.name)
        if edited is not None:
            unseen = step.is_unseen
            step = Step(step.name, [edited.text], finished=edited.finished, model=EDITED)
            step.is_unseen = unseen
            step.finish_reason = "stop"
        elif step.has_call and not step.finished:
            return
        yield step.beginning()
        for piece in _pieces("".join(step.reasoning)):
            yield Draft("reasoning.delta", {"step": step.name, "text": piece})
        for piece in _pieces(step.text):
            yield Draft("text.delta", {"step": step.name, "text": piece})
        for call in step.calls:
            yield Draft("tool.called", {"step": step.name, **call})
        if step.finished:
            yield step.ending()
        for call in step.calls:
            if (answer := step.answers.get(call["index"])) is not None:
                named = {name: call[name] for name in ("index", "id", "name")}
                yield Draft("tool.answered", {"step": step.name, **named, **answer})


def _is_of(entry: Draft | str, step: str) -> bool:
    """Whether an entry was recognised in the text of a step."""
    if not isinstance(entry, Draft) or entry.type != "item.found":
        return False
    return bool(entry.data.get("step") == step)


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), PIECE_CHARS):
        yield text[start : start + PIECE_CHARS]
