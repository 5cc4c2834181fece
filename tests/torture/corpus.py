"""
Which faults are played, and what is right for each.

The rule of the game: a name's first request meets the fault, every later one is answered whole.
So a system that asks again, or asks a second model, can always reach the whole answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from faults.playing import Fault, faults

WHOLE = "今天推荐这款运动鞋，舒适的设计真的很赞！"
"""What the model of nearly all faults wanted to say."""

NOT_PLAYED = frozenset({"redirect-loop.g", "redirect-metadata.g"})
"""These ask where a key may be sent, not what becomes of an answer."""


@dataclass(frozen=True, slots=True)
class Case:
    """One fault. `answer` is None where its own answer is whole, and too long to be kept."""

    fault: Fault
    answer: str | None
    rights: frozenset[str] = field(default_factory=frozenset)

    @property
    def is_harmless(self) -> bool:
        """Whether the answer is whole, and only written in an odd way."""
        return bool(self.fault["expected"]["outcome"] == "ok")

    def is_right(self, text: str) -> bool:
        """Whether `text` is the whole answer."""
        if self.answer is not None:
            return text in self.rights
        wanted = self.fault["expected"]["text_sha256"]
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() == wanted


def cases() -> dict[str, Case]:
    """Return the faults of Chat Completions that end a text, by their ids."""
    return {name: _case(fault) for name, fault in faults().items() if _is_played(fault)}


def _is_played(fault: Fault) -> bool:
    # What a person has to configure (`options`) has no counterpart in the others, most of them
    # show no tool calls, and an answer that the model itself cuts is a matter of taste.
    expected = fault["expected"]
    ends = expected.get("finish_reason")
    return (
        fault["dialect"] == "openai"
        and not fault.get("options")
        and not expected["tool_calls"]
        and not {"length", "content_filter"} & set(ends if isinstance(ends, list) else [ends])
        and fault["id"] not in NOT_PLAYED
    )


def _case(fault: Fault) -> Case:
    expected = fault["expected"]
    if "text_sha256" in expected:
        return Case(fault, None)
    answer = expected["text"] if expected["outcome"] == "ok" else WHOLE
    assert answer.startswith(expected["text"]), fault["id"]
    return Case(fault, answer, frozenset({answer, *_others(fault)}))


def _others(fault: Fault) -> Iterator[str]:
    expected = fault["expected"]
    for other in expected.get("also_accept", ()):
        if other.get("outcome", expected["outcome"]) == "ok":
            yield other.get("text", expected["text"])
