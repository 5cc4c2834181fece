"""
Names of tools that providers take.

OpenAI and Anthropic take `[A-Za-z0-9_-]{1,64}` alone. A tool with another name, such as a Chinese
one, is asked for under a plain name, which says nothing, and under its own in its description. Its
calls carry its own name again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

import msgspec

from .. import Output, Prompt, Sink, Tool, ToolCall, ToolFragment

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def plain_name(name: str) -> str:
    """Return the name under which a provider takes a tool; the same one always."""
    if _PLAIN.fullmatch(name):
        return name
    return f"tool_{sha256(name.encode()).hexdigest()[:12]}"


def plain_names(prompt: Prompt) -> tuple[Prompt, dict[str, str]]:
    """Return a prompt with plain names of tools, and the given name of each changed one."""
    if not prompt.tools and not any("name" in m or "tool_calls" in m for m in prompt.messages):
        return prompt, {}
    messages = tuple(_message(message) for message in prompt.messages)
    tools = tuple(_tool(tool) for tool in prompt.tools)
    given = {plain_name(t.name): t.name for t in prompt.tools if plain_name(t.name) != t.name}
    return replace(prompt, messages=messages, tools=tools), given


def _tool(tool: Tool) -> Tool:
    plain = plain_name(tool.name)
    if plain == tool.name:
        return tool
    return replace(tool, name=plain, description=f"{tool.name}: {tool.description}")


def _message(message: Mapping[str, Any]) -> Mapping[str, Any]:
    changed = dict(message)
    if message.get("role") == "tool" and "name" in message:
        changed["name"] = plain_name(message["name"])
    if calls := message.get("tool_calls"):
        changed["tool_calls"] = [{**call, "name": plain_name(call["name"])} for call in calls]
    return changed


class NamesRestored:
    """Passes outputs on to `sink`, calls with the given names of their tools."""

    def __init__(self, sink: Sink, given: Mapping[str, str]) -> None:
        self._sink = sink
        self._given = given
        self.text = sink.text
        self.drain = sink.drain

    @property
    def is_full(self) -> bool:
        return self._sink.is_full

    def take(self, output: Output) -> None:
        if isinstance(output, ToolFragment | ToolCall) and output.name:
            given = self._given.get(output.name, output.name)
            output = msgspec.structs.replace(output, name=given)
        self._sink.take(output)
