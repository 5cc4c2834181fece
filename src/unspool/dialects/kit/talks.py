"""
Messages of a vendor's request as the input of the flow `chat`, and back.

A message is `{"role": "system" | "user" | "assistant" | "tool", "content": text}`, with `images`
(data URLs, or images that the server has), `tool_calls` (`id`, `name`, `arguments` as an object)
and `tool_call_id` as `flows.chat.ChatMessage` has them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from unspool.errors import SpecError
from unspool.runs.run import Run

Said = Mapping[str, Any]


def chat_input(messages: Sequence[Said]) -> dict[str, Any]:
    """
    Return `system`, `talk`, `prompt`, `images` and `since` of a chat.

    Instructions at the beginning become its system text; all else stays in its place. The prompt
    is the last thing a user says; calls of tools and their answers follow it.

    Raises:
        SpecError: No user says anything, another role shows an image, or a tool answers a call
            that nobody made.
    """
    for message in messages:
        if message.get("images") and message["role"] != "user":
            raise SpecError("messages: only a message of the role user may have images")
    head = 0
    while head < len(messages) and messages[head]["role"] == "system":
        head += 1
    system = "\n\n".join(message["content"] for message in messages[:head])
    rest = _named(messages[head:])
    places = [k for k, message in enumerate(rest) if message["role"] == "user"]
    if not places or not (rest[places[-1]]["content"] or rest[places[-1]].get("images")):
        raise SpecError("messages: the last message of a user must have a text or an image")
    last = places[-1]
    around = {
        "talk": rest[:last],
        "images": rest[last].get("images"),
        "since": rest[last + 1 :],
    }
    asked = {"system": system, "prompt": rest[last]["content"]}
    return asked | {name: value for name, value in around.items() if value}


def messages_of(input: Mapping[str, Any]) -> list[Said]:
    """Return the messages of a chat, from the input that `chat_input` made."""
    asked = {"role": "user", "content": input["prompt"], "images": input.get("images") or []}
    system = input.get("system")
    head = [{"role": "system", "content": system}] if system else []
    return [*head, *input.get("talk", ()), asked, *input.get("since", ())]


def answer_of(run: Run) -> list[Said]:
    """Return what a model said in a run, as a message; nothing where it said nothing."""
    steps = [step for step in run.steps.values() if not step.is_unseen]
    calls = [
        {name: call[name] for name in ("id", "name", "arguments")}
        for step in steps
        for call in step.calls
        if call["index"] not in step.answers
    ]
    said: dict[str, Any] = {"role": "assistant", "content": run.text}
    if calls:
        said["tool_calls"] = calls
    state = steps[-1].turn_state if steps else None
    if state is not None and (run.text or calls):
        said["turn_state"] = state
    return [said] if run.text or calls else []


def arguments_of(text: Any) -> dict[str, Any]:
    """
    Return the arguments of a call, which come as JSON in a text.

    Raises:
        SpecError: They are no JSON object.
    """
    if isinstance(text, Mapping):
        return dict(text)
    try:
        arguments = json.loads(text or "{}")
    except (ValueError, RecursionError, TypeError):
        arguments = None
    if not isinstance(arguments, dict):
        raise SpecError("tool calls: the arguments of a call must be a JSON object")
    return arguments


def sealed(state: Mapping[str, Any]) -> str:
    """Return a turn's state as the opaque text that clients send back with the turn."""
    return base64.urlsafe_b64encode(msgspec.json.encode(state)).decode()


def opened(data: str) -> dict[str, Any] | None:
    """Return such a state; None: another server wrote it."""
    try:
        state = json.loads(base64.urlsafe_b64decode(data))
    except (ValueError, RecursionError):
        return None
    return state if isinstance(state, dict) and state.keys() == {"by", "data"} else None


def _named(messages: Sequence[Said]) -> list[Said]:
    """Name the tool in each answer of one: OpenAI's messages name the call alone."""
    names: dict[str, str] = {}
    named: list[Said] = []
    for message in messages:
        for call in message.get("tool_calls", ()):
            names[call["id"]] = call["name"]
        if message["role"] != "tool":
            named.append(message)
            continue
        call_id = message.get("tool_call_id")
        if call_id not in names:
            raise SpecError(
                "messages: a message of a tool must follow the message with the call that it "
                "answers (`tool_call_id`)"
            )
        named.append({**message, "name": names[call_id]})
    return named
