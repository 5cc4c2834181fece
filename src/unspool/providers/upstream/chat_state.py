"""
The state of a turn where Chat Completions are spoken.

DeepSeek and Kimi want `reasoning_content` back in the rounds after a tool call, OpenRouter and
MiniMax `reasoning_details`, Gemini the `extra_content` of calls and messages, which holds thought
signatures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

OF_CALLS: Final = ("extra_content", "provider_specific_fields", "thought_signature")
"""Fields of a tool call that are sent back as they came."""

JOINED: Final = frozenset({"text", "summary", "data"})
"""Fields of a detail that come in pieces."""


class ChatState:
    """
    A fold of one answer.

    `with_thoughts`: also keep thoughts in plain text, which only matter where tools are called.
    """

    def __init__(self, *, with_thoughts: bool) -> None:
        self._with_thoughts = with_thoughts
        self._thoughts: dict[str, list[str]] = {}
        self._details: list[dict[str, Any]] = []
        self._extra: Any = None
        self._calls: list[dict[str, Any]] = []
        """Calls as far as they were named: `id`, `index`, and the fields to send back."""

    def thought(self, field: str, text: Any) -> None:
        if self._with_thoughts and isinstance(text, str):
            self._thoughts.setdefault(field, []).append(text)

    def keep(self, details: Any, extra: Any) -> None:
        """Take other fields of a chunk; pieces of one detail share type and index."""
        self._extra = extra or self._extra
        for piece in details if isinstance(details, list) else ():
            if isinstance(piece, dict):
                self._detail(piece)

    def _detail(self, piece: dict[str, Any]) -> None:
        last = self._details[-1] if self._details else {}
        if not last or any(last.get(name) != piece.get(name) for name in ("type", "index")):
            self._details.append(dict(piece))
            return
        for name, value in piece.items():
            before = last.get(name)
            if name in JOINED and isinstance(value, str) and isinstance(before, str):
                last[name] = before + value
            elif value is not None:
                last[name] = value

    def call(self, call: Mapping[str, Any], place: int) -> None:
        """Take a fragment of a call; `place` is its number where the vendor gives none."""
        id, index = call.get("id") or None, call.get("index", place)
        known = next(
            (it for it in self._calls if (it["id"] == id if id else it["index"] == index)), None
        )
        if known is None:
            known = {"id": id, "index": index}
            self._calls.append(known)
        known.update((name, call[name]) for name in OF_CALLS if call.get(name))

    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = {name: "".join(texts) for name, texts in self._thoughts.items()}
        if self._details:
            data["reasoning_details"] = self._details
        if self._extra:
            data["extra_content"] = self._extra
        if any(len(call) > 2 for call in self._calls):
            data["calls"] = [
                {name: value for name, value in call.items() if name != "index"}
                for call in self._calls
            ]
        return data


def with_state(written: dict[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """Return an assistant's message with the state of its turn."""
    fields = {name: value for name, value in state.items() if name != "calls"}
    calls, kept = written.get("tool_calls"), state.get("calls")
    if calls and kept:
        fields["tool_calls"] = [
            {**call, **_of_call(call["id"], at, kept)} for at, call in enumerate(calls)
        ]
    return {**written, **fields}


def _of_call(id: str, at: int, kept: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the fields of a call, by its id, and where the vendor gave none by its place."""
    found = next((it for it in kept if it.get("id") == id), None)
    if found is None and at < len(kept) and not kept[at].get("id"):
        found = kept[at]
    return {name: value for name, value in (found or {}).items() if name != "id"}
