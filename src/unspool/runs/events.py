"""
The events of a run, as data.

A run is the list of its events and nothing else. We compute all that viewers see (status, text so
far, tokens per second, the JSON of any dialect) from this list, so two viewers never disagree.

To add an event type: a line in `EventType`, a row in PROTOCOL.md, and a case in
`runs.Run` if it changes what a run is. Names are `noun.verb-ed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import msgspec

EventType = Literal[
    "run.started",
    "run.released",
    "run.recovered",
    "step.started",
    "step.finished",
    "step.rewound",
    "attempt.queued",
    "attempt.started",
    "attempt.kept",
    "attempt.silent",
    "attempt.failed",
    "attempt.finished",
    "text.delta",
    "reasoning.delta",
    "tool.delta",
    "tool.called",
    "tool.answered",
    "question.asked",
    "question.answered",
    "note.taken",
    "progress.made",
    "item.found",
    "warning.raised",
    "result.set",
    "run.completed",
    "run.failed",
    "run.cancelled",
    "run.incomplete",
]

EVENT_TYPES: Final[tuple[EventType, ...]] = get_args(EventType)

TERMINAL: Final[frozenset[str]] = frozenset(
    {"run.completed", "run.failed", "run.cancelled", "run.incomplete"}
)
"""The four endings. A log has at most one of them, and nothing after it."""


class Draft(msgspec.Struct, frozen=True, gc=False):
    """An event before the journal numbers it."""

    type: EventType
    data: Mapping[str, Any] = {}


class Event(msgspec.Struct, frozen=True, gc=False):
    """A numbered event: `seq` is 1, 2, 3 … without gaps; `at_ms` is Unix time in milliseconds."""

    seq: int
    type: EventType
    at_ms: int
    data: Mapping[str, Any]

    @property
    def is_terminal(self) -> bool:
        return self.type in TERMINAL


encode_event = msgspec.json.Encoder().encode
"""Encode an event as a line of JSON, for the journal and the native dialect."""

decode_event = msgspec.json.Decoder(Event).decode
