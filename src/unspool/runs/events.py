"""
What can happen to a run, as data.

A run is the list of its events and nothing else. Everything shown to anyone
(status, text so far, tokens per second, the JSON of any dialect) is computed
from this list, so two viewers of one run can never disagree.

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
    "attempt.started",
    "attempt.kept",
    "attempt.failed",
    "attempt.finished",
    "text.delta",
    "reasoning.delta",
    "tool.delta",
    "tool.called",
    "tool.answered",
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
    """An event before the journal has given it a place."""

    type: EventType
    data: Mapping[str, Any] = {}


class Event(msgspec.Struct, frozen=True, gc=False):
    """A draft at its final place: `seq` is 1, 2, 3 … without gaps; `at_ms` is Unix time."""

    seq: int
    type: EventType
    at_ms: int
    data: Mapping[str, Any]

    @property
    def is_terminal(self) -> bool:
        return self.type in TERMINAL


encode_event = msgspec.json.Encoder().encode
"""One event as one line of JSON: what the journal keeps and what the native dialect sends."""

decode_event = msgspec.json.Decoder(Event).decode
