"""
What a provider wants back with a turn of its own: signed thinking, thought signatures, encrypted
reasoning.

A reader reports it as `TurnState` at the end of an answer, and the log keeps it with the step. It
comes back in `turn_state` of the assistant's message. Only the deployment that wrote it gets it:
another one would refuse it, and must not read it.

Its `data` belongs to the provider's adapter. Where the order of an answer's parts matters, it is a
list of entries: `{"raw": …}` for a part to send back as it came, `{"text": n}` for the next `n`
characters of the text, `{"call": id}` for a tool call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from .. import Model, Prompt, TurnState

MAX_STATE_BYTES: Final = 512 * 1024
"""Of one turn, as JSON. Thinking of a hundred thousand tokens fits."""

CLIENT: Final = "client"
"""In the place of a deployment: a client sends back what it was shown, so any may read it."""

Part = Mapping[str, Any]


def deployment_of(model: Model) -> str:
    """Return a short digest that tells deployments apart and gives no address away."""
    place = "\n".join((model.provider, model.base_url, model.upstream_name))
    return hashlib.sha256(place.encode()).hexdigest()[:16]


def turn_state(model: Model, data: Mapping[str, Any]) -> TurnState | None:
    """Return the state of a turn; None if it is too large to keep."""
    state = TurnState(deployment_of(model), dict(data))
    return state if len(msgspec.json.encode(state)) <= MAX_STATE_BYTES else None


def state_in(message: Mapping[str, Any], model: Model) -> Mapping[str, Any]:
    """Return what `model` wants back with a message; empty where another one wrote it."""
    state = message.get("turn_state")
    if not isinstance(state, Mapping) or state.get("by") not in {CLIENT, deployment_of(model)}:
        return {}
    data = state.get("data")
    return data if isinstance(data, Mapping) else {}


def has_tools(model: Model, prompt: Prompt) -> bool:
    """Whether the turn may go on after tools: vendors want thinking back only then."""
    return bool(prompt.tools or prompt.params.get("tools") or model.params.get("tools"))


class Entries:
    """Collects the parts of an answer in their order."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def text(self, chars: int) -> None:
        last = self.entries[-1] if self.entries else {}
        if "text" in last:
            last["text"] += chars
        elif chars:
            self.entries.append({"text": chars})

    def call(self, id: str) -> None:
        self.entries.append({"call": id})

    def raw(self, part: dict[str, Any]) -> None:
        self.entries.append({"raw": part})

    @property
    def has_raw(self) -> bool:
        return any("raw" in entry for entry in self.entries)


def arranged(
    entries: Sequence[Part],
    text: str,
    calls: Sequence[Part],
    *,
    said: Callable[[str], Part],
    called: Callable[[Part], Part],
) -> list[Part]:
    """
    Return the parts of a turn in the order in which they came.

    Text and calls that are not those of the entries (an edited turn) stand behind all that is sent
    back as it came.
    """
    by_id = {call["id"]: call for call in calls}
    known = [entry["call"] for entry in entries if "call" in entry]
    fits = sum(entry.get("text", 0) for entry in entries) == len(text)
    if not fits or sorted(known) != sorted(by_id):
        raw = [entry["raw"] for entry in entries if "raw" in entry]
        return [*raw, *([said(text)] if text else []), *map(called, calls)]
    parts: list[Part] = []
    at = 0
    for entry in entries:
        if "raw" in entry:
            parts.append(entry["raw"])
        elif "call" in entry:
            parts.append(called(by_id[entry["call"]]))
        else:
            parts.append(said(text[at : at + entry["text"]]))
            at += entry["text"]
    return parts
