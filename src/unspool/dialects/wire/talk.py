"""Messages of clients as the input of `chat`, whatever their contract calls them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import SpecError

Message = Mapping[str, Any]
"""`role` (`user`, `assistant`, `tool`), `content`, and what `flows.chat.ChatMessage` has beside."""


def input_of(messages: Sequence[Message], *, system: str = "") -> dict[str, Any]:
    """
    Return the input of `chat`: the last message of the user is its prompt.

    Raises:
        SpecError: The user says nothing, or an answer stands last, which no model is to go on from.
    """
    places = [place for place, message in enumerate(messages) if message["role"] == "user"]
    if not places:
        raise SpecError("no message of the user; send one at least")
    if messages[-1]["role"] == "assistant":
        raise SpecError("the last message must be the user's, or the answer to a tool call")
    question = messages[places[-1]]
    if not question["content"]:
        raise SpecError("the user's last message has no text; say what to do")
    named = _named(messages)
    talk, since = named[: places[-1]], named[places[-1] + 1 :]
    facts: dict[str, Any] = {"prompt": question["content"], "system": system, "talk": talk}
    if images := question.get("images"):
        facts["images"] = images
    return {**facts, "since": since} if since else facts


def _named(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return messages whose answers of tools name their tool, which some providers want."""
    names: dict[str, str] = {}
    named = []
    for message in messages:
        names |= {call["id"]: call["name"] for call in message.get("tool_calls") or ()}
        if message["role"] == "tool":
            id = message["tool_call_id"]
            if id not in names:
                raise SpecError(f"a tool answers the call {id[:100]!r}, which no message makes")
            named.append({**message, "name": names[id]})
        else:
            named.append(dict(message))
    return named


def arguments_in(text: str) -> dict[str, Any]:
    """
    Return the arguments of a call.

    Raises:
        SpecError: They are no JSON object.
    """
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise SpecError("the arguments of a tool call are no JSON object")
    return found


def text_of_result(value: Any) -> str:
    """Return what a tool answered as the text that a model gets."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
