"""Compares a replayed run with its log: event by event, and byte by byte in every dialect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from .. import plugs
from ..dialects import encoder_for, frames_of, open_dialect
from ..formats.sse import Frame
from ..runs.events import Draft, Event, encode_event
from ..runs.run import RunSpec

FROM_LOG: Final = ("cost", "until_ms")
"""Prices and times of day, which a replay takes from the log."""


def frames_in(dialect: str, events: Sequence[Event]) -> list[str]:
    """Return a run's whole stream in a dialect, frame by frame."""
    plug = open_dialect(dialect)
    encoder = encoder_for(dialect)
    frames = [f for event in events for f in frames_of(event.seq, encoder.encode(event))]
    trailer = [Frame(plug.trailer).encode()] if plug.trailer else []
    return [frame.decode() for frame in frames + trailer]


@dataclass(frozen=True, slots=True)
class Difference:
    """The first difference. None means that this side has no such event or frame."""

    where: str
    recorded: str | None
    replayed: str | None


def key_of(event: Draft | Event) -> str:
    return str(event.data.get("step", ""))


def compared(
    recorded: Sequence[Event], drafts: Sequence[Draft]
) -> tuple[Difference | None, list[Event]]:
    """Return the first difference, and the drafts with the numbers and times of the log."""
    waiting: dict[str, list[Draft]] = {}
    key = key_of if _is_mixed(recorded) else _one
    for draft in drafts:
        waiting.setdefault(key(draft), []).append(draft)
    queues = {name: iter(queue) for name, queue in waiting.items()}
    aligned: list[Event] = []
    for event in recorded:
        found = next(queues.get(key(event), iter(())), None)
        if found is None or (event.type, _comparable(event.data)) != (
            found.type,
            _comparable(found.data),
        ):
            return _difference(event, found), aligned
        data = {**found.data, **{k: event.data[k] for k in FROM_LOG if k in event.data}}
        aligned.append(Event(event.seq, found.type, event.at_ms, data))
    for queue in queues.values():
        for found in queue:
            return _difference(None, found), aligned
    return None, aligned


def _one(_: Draft | Event) -> str:
    return ""


def _is_mixed(events: Sequence[Event]) -> bool:
    """Whether steps ran at the same time: then we compare the order within each step only."""
    order = [key for key in map(key_of, events) if key]
    changes = [key for n, key in enumerate(order) if n == 0 or order[n - 1] != key]
    return len(changes) > len(set(changes))


def _comparable(data: Mapping[str, Any]) -> Any:
    """Return event data as the log would hold it, without what only it can know."""
    plain = {name: value for name, value in data.items() if name not in FROM_LOG}
    return msgspec.json.decode(msgspec.json.encode(plain))


def _difference(event: Event | None, found: Draft | None) -> Difference:
    seq = 0 if event is None else event.seq
    at_ms = 0 if event is None else event.at_ms
    return Difference(
        f"event {seq}" if event is not None else "after the last event",
        None if event is None else encode_event(event).decode(),
        None if found is None else encode_event(Event(seq, found.type, at_ms, found.data)).decode(),
    )


def first_byte(
    spec: RunSpec, recorded: Sequence[Event], replayed: Sequence[Event]
) -> Difference | None:
    for dialect in plugs.names("dialects"):
        pairs = _pairs(frames_in(dialect, recorded), frames_in(dialect, replayed))
        for number, (one, other) in enumerate(pairs, start=1):
            if one != other:
                return Difference(f"frame {number} in {dialect}", one, other)
    return None


def _pairs(one: list[str], other: list[str]) -> Iterator[tuple[str | None, str | None]]:
    for number in range(max(len(one), len(other))):
        yield (
            one[number] if number < len(one) else None,
            other[number] if number < len(other) else None,
        )
