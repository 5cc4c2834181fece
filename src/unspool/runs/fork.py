"""
A fork: a run that starts with another run's text and continues it differently.

It has its own log, which begins with the events it takes over; so we read, resume and recover it
like any other run. It takes over texts, thoughts, tool calls, notes, items and
warnings. It takes over no attempts, which are the other run's cost, and no progress or result,
which the flow will report again. The old run does not change.

A finished step stays finished. The fork continues the open step, but starts it over if it held half
a tool call, which cannot continue. An edited text replaces that of its step; the fork continues it
unless the client marks it finished.
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
"""We copy a text in pieces of this many characters, not token by token."""

EDITED: Final = "edited"
"""Stands in place of a model's name for a text that a client wrote."""

_TAKEN_OVER: Final = {"note.taken", "item.found", "warning.raised"}


@dataclass(frozen=True, slots=True)
class EditedText:
    text: str
    finished: bool = False
    """Whether the text is complete; if not, the fork continues it."""

    def __post_init__(self) -> None:
        try:
            self.text.encode()
        except UnicodeEncodeError:
            raise SpecError("a text holds half a character; send whole ones") from None


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of a fork. None: the same as in the old run."""

    after: int | None = None
    """Number of the last event to take over; None: the newest."""
    input: Mapping[str, Any] | None = None
    """Fields that replace those of the old input."""
    model: str | None = None
    dialect: str | None = None
    texts: Mapping[str, EditedText] = field(default_factory=dict)
    cancel: bool = False
    """Cancel the old run first."""

    def digest(self, run_id: str) -> str:
        """Return a digest of this request; empty if it cannot be written as JSON."""
        try:
            request = json.dumps(["fork", run_id, asdict(self)], sort_keys=True)
            return hashlib.sha256(request.encode()).hexdigest()
        except (ValueError, RecursionError, TypeError):
            return ""  # admission refuses it

    def applied(self, old: RunSpec) -> RunSpec:
        """Return the fork's spec. A fork is no child, even if the old run was one."""
        return replace(
            old,
            input={**old.input, **(self.input or {})},
            model=old.model if self.model is None else self.model,
            dialect=old.dialect if self.dialect is None else self.dialect,
            parent="",
        )


class History:
    """Folds a run's events, up to the fork, into the events that the fork takes over."""

    def __init__(self, texts: Mapping[str, EditedText]) -> None:
        self._texts = texts
        self._run = Run()
        self._order: list[Draft | str] = []
        """Steps by name, where they began, and the entries between them."""
        self._is_edited = False
        """After the first edited step, later entries may be about a text that is gone."""

    def take(self, event: Event) -> None:
        """Read the next event."""
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
            SpecError: The client edits a step that had not begun by then.
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
                drafts.append(entry)  # but not children: a fork has its own
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
    """Whether an entry is an item that a reader found in the text of a step."""
    if not isinstance(entry, Draft) or entry.type != "item.found":
        return False
    return bool(entry.data.get("step") == step)


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), PIECE_CHARS):
        yield text[start : start + PIECE_CHARS]
