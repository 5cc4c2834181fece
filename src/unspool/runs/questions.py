"""Questions of a run to people, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .events import Draft

AnswerOutcome = Literal["answered", "declined", "expired"]


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """
    A person's answer to a question.

    Attributes:
        value: A text, or an object that fits the question's schema; None if there is none.
        reason: Why it was declined.
        by: The id of the key that gave it; empty: the server has no keys.
        id: One for each answer that somebody sends, so that he knows his own in the log.
    """

    outcome: AnswerOutcome
    value: Any = None
    reason: str = ""
    by: str = ""
    id: str = ""

    @property
    def is_declined(self) -> bool:
        return self.outcome == "declined"

    def event(self, step: str) -> Draft:
        """Return its event."""
        optional = {"value": self.value, "reason": self.reason, "by": self.by, "id": self.id}
        facts = {name: value for name, value in optional.items() if value not in ("", None)}
        return Draft("question.answered", {"step": step, "outcome": self.outcome, **facts})


@dataclass(slots=True)
class Question:
    """
    A question, and its answer once there is one.

    Attributes:
        schema: JSON Schema of the answer, an object; None: the answer is a text.
        call: The tool call that waits for approval; None: it is no such question.
        until_ms: When it expires (Unix milliseconds).
    """

    step: str
    text: str
    until_ms: int
    schema: Mapping[str, Any] | None = None
    call: Mapping[str, Any] | None = None
    answer: GivenAnswer | None = None

    def event(self) -> Draft:
        """Return the event that asks it."""
        optional = {"schema": self.schema, "call": self.call}
        facts = {name: value for name, value in optional.items() if value is not None}
        asked = {"step": self.step, "text": self.text, "until_ms": self.until_ms}
        return Draft("question.asked", {**asked, **facts})


def question_of(data: Mapping[str, Any]) -> Question:
    """Return the question of a `question.asked`."""
    names = ("step", "text", "until_ms", "schema", "call")
    return Question(**{name: data[name] for name in names if name in data})


def answer_of(data: Mapping[str, Any]) -> GivenAnswer:
    """Return the answer of a `question.answered`."""
    names = ("outcome", "value", "reason", "by", "id")
    return GivenAnswer(**{name: data[name] for name in names if name in data})
