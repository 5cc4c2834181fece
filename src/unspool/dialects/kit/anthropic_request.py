"""Requests of Anthropic's Messages API, and what they are as input of `chat`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...errors import SpecError
from .results import failed_text
from .talks import chat_input, opened
from .users import user_named

MAX_MESSAGES: Final = 1000

NOT_PASSED: Final = frozenset(
    {
        *("cache_control", "service_tier", "inference_geo", "speed", "container", "diagnostics"),
        *("context_management", "compaction", "fallbacks", "fallback_credit_token"),
        *("billing_policy", "user_profile_id", "workspace_id", "thread", "betas"),
    }
)
"""Parameters that are about Anthropic's own service."""

CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}


class MessageParam(BaseModel):
    role: Literal["user", "assistant", "system"]
    content: str | list[dict[str, Any]]


class ToolParam(BaseModel):
    type: str = "custom"
    name: str = Field(max_length=64)
    description: str = Field("", max_length=20_000)
    input_schema: dict[str, Any] | None = None


class MessagesRequest(BaseModel):
    model_config = ConfigDict(extra="allow")
    """Parameters without a line here go to the model: `temperature`, `top_p`, `thinking` …"""

    model: str = Field("", max_length=128)
    messages: list[MessageParam] = Field(min_length=1, max_length=MAX_MESSAGES)
    system: str | list[dict[str, Any]] = ""
    max_tokens: int | None = Field(None, ge=1)
    stop_sequences: list[str] | None = None
    tools: list[ToolParam] = Field(default_factory=list)
    tool_choice: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    stream: bool = False

    @property
    def user(self) -> str:
        """The client's user; empty: it names none."""
        return user_named(str((self.metadata or {}).get("user_id") or ""))


def chat_of(request: MessagesRequest) -> dict[str, Any]:
    """
    Return the input of `chat`.

    Raises:
        SpecError: It asks for something that is not offered here.
    """
    said = [part for message in request.messages for part in _messages(message)]
    facts = chat_input([{"role": "system", "content": _text_in(request.system)}, *said])
    params = _params(request.model_extra or {})
    if request.max_tokens is not None:
        params["max_tokens"] = request.max_tokens
    if request.stop_sequences:
        params["stop"] = request.stop_sequences
    if request.tool_choice is not None and request.tools:
        params["tool_choice"] = _choice(request.tool_choice)
        if request.tool_choice.get("disable_parallel_tool_use"):
            params["parallel_tool_calls"] = False
    return {**facts, "params": params, "tools": [_tool(tool) for tool in request.tools]}


def _params(extra: Mapping[str, Any]) -> dict[str, Any]:
    """
    Raises:
        SpecError: It asks for something that is not offered here.
    """
    if extra.get("mcp_servers"):
        raise SpecError("mcp_servers: not offered here; leave it out")
    left = NOT_PASSED | {"mcp_servers", "output_config"}
    params = {name: it for name, it in extra.items() if it is not None and name not in left}
    config = extra.get("output_config")
    if not isinstance(config, Mapping):
        return params
    rest = {name: it for name, it in config.items() if it is not None and name != "format"}
    form = config.get("format")
    if isinstance(form, Mapping) and form.get("type") == "json_schema":
        # In this form it reaches each vendor in its own way.
        asked = {"name": "answer", "schema": form.get("schema")}
        params["response_format"] = {"type": "json_schema", "json_schema": asked}
    return params | ({"output_config": rest} if rest else {})


def _choice(choice: Mapping[str, Any]) -> Any:
    if choice.get("type") == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return CHOICES.get(str(choice.get("type")), "auto")


def _tool(tool: ToolParam) -> dict[str, Any]:
    if tool.input_schema is None:
        raise SpecError(f"the tool {tool.name} has no input_schema; tools of a vendor are not run")
    facts = {"name": tool.name, "parameters": tool.input_schema}
    return {**facts, "description": tool.description}


def _messages(message: MessageParam) -> list[dict[str, Any]]:
    """Return the messages that one of theirs is: results of tools are messages of their own."""
    if isinstance(message.content, str):
        return [{"role": message.role, "content": message.content}]
    if message.role == "system":
        return [{"role": "system", "content": _text_in(message.content)}]
    if message.role == "assistant":
        return [_answer(message.content)]
    results = [block for block in message.content if block.get("type") == "tool_result"]
    others = [block for block in message.content if block.get("type") != "tool_result"]
    said: list[dict[str, Any]] = [_result(block) for block in results]
    if others or not results:
        asked: dict[str, Any] = {"role": "user", "content": _text_in(others, but=("image",))}
        if images := [_image(block) for block in others if block.get("type") == "image"]:
            asked["images"] = images
        said.append(asked)
    return said


def _result(block: Mapping[str, Any]) -> dict[str, Any]:
    content = block.get("content", "")
    text = content if isinstance(content, str) else _text_in(content or ())
    if block.get("is_error"):
        text = failed_text("failed", text)
    return {"role": "tool", "content": text, "tool_call_id": str(block.get("tool_use_id", ""))}


def _answer(blocks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    calls = [
        {"id": block.get("id", ""), "name": block.get("name", ""), "arguments": block["input"]}
        for block in blocks
        if block.get("type") == "tool_use" and isinstance(block.get("input"), dict)
    ]
    thoughts = ("tool_use", "thinking", "redacted_thinking")
    said: dict[str, Any] = {"role": "assistant", "content": _text_in(blocks, but=thoughts)}
    if calls:
        said["tool_calls"] = calls
    for block in blocks:
        if block.get("type") == "redacted_thinking":
            said["turn_state"] = opened(str(block.get("data", "")))
    return said


def _text_in(content: str | Sequence[Mapping[str, Any]], but: Sequence[str] = ()) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for block in content:
        kind = block.get("type")
        if kind == "text":
            texts.append(str(block.get("text", "")))
        elif kind not in but:
            raise SpecError(f"content of the type {str(kind)[:40]!r} is not taken here")
    return "\n\n".join(texts)


def _image(block: Mapping[str, Any]) -> str:
    source = block.get("source") or {}
    if source.get("type") != "base64":
        raise SpecError("an image must be sent as base64, not by an address")
    return f"data:{source.get('media_type')};base64,{source.get('data')}"
