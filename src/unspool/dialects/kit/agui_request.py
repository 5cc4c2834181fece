"""Requests of AG-UI (`RunAgentInput`), and what they are as input of `chat`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from ...errors import SpecError
from .talks import arguments_of, chat_input

MAX_MESSAGES: Final = 1000

MAX_ID: Final = 200

SILENT: Final = frozenset({"reasoning", "activity"})
"""Messages that no model gets."""


class _AguiModel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class AguiTool(_AguiModel):
    name: str = Field(max_length=64)
    description: str = Field("", max_length=20_000)
    parameters: dict[str, Any] | None = None


class AguiContext(_AguiModel):
    description: str
    value: str


class AguiResume(_AguiModel):
    interrupt_id: str
    status: Literal["resolved", "cancelled"]
    payload: Any = None


class RunAgentInput(_AguiModel):
    """`state` is taken and left alone: flows here have none."""

    thread_id: str = Field(min_length=1, max_length=MAX_ID)
    run_id: str = Field(min_length=1, max_length=MAX_ID)
    messages: list[dict[str, Any]] = Field(default_factory=list, max_length=MAX_MESSAGES)
    tools: list[AguiTool] | None = None
    context: list[AguiContext] | None = None
    forwarded_props: dict[str, Any] | None = None
    """`model`, `params` and `tool_ids` of the chat; or `flow` and `input` for another flow."""
    resume: list[AguiResume] | None = None


def flow_of(request: RunAgentInput) -> tuple[str, dict[str, Any], str]:
    """
    Return the flow, its input and the model.

    Raises:
        SpecError: Nothing in it is to be answered.
    """
    props = request.forwarded_props or {}
    model = str(props.get("model") or "")
    flow, given = props.get("flow", "chat"), props.get("input")
    if flow != "chat" or given is not None:
        if not isinstance(given, dict) or not isinstance(flow, str):
            raise SpecError("forwardedProps: a `flow` needs its `input`, an object")
        return flow, given, model
    facts = _chat(request)
    for name in ("params", "tool_ids"):
        if name in props:
            facts[name] = props[name]
    facts["wire"] = {"thread": request.thread_id, "run": request.run_id}
    return "chat", facts, model


def _chat(request: RunAgentInput) -> dict[str, Any]:
    systems = [
        _text(message.get("content"))
        for message in request.messages
        if message.get("role") in {"system", "developer"}
    ]
    systems += [f"{it.description}: {it.value}" for it in request.context or ()]
    told = [
        _message(message)
        for message in request.messages
        if message.get("role") not in SILENT | {"system", "developer"}
    ]
    system = "\n\n".join(filter(None, systems))
    facts = chat_input([{"role": "system", "content": system}, *told])
    if request.tools:
        facts["tools"] = [
            {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters or {"type": "object"},
            }
            for tool in request.tools
        ]
    return facts


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    content, role = message.get("content"), message.get("role")
    if role == "tool":
        text, id = _text(content), str(message.get("toolCallId", ""))
        return {"role": "tool", "content": text, "tool_call_id": id}
    said: dict[str, Any] = {"role": role, "content": _text(content)}
    if role == "assistant":
        if calls := message.get("toolCalls"):
            said["tool_calls"] = [_call(call) for call in calls]
    elif role != "user":
        raise SpecError(f"a message has the role {str(role)[:40]!r}, which is none")
    elif isinstance(content, list) and (images := [_image(it) for it in content if _shows(it)]):
        said["images"] = images
    return said


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    arguments = arguments_of(function.get("arguments"))
    return {"id": call.get("id"), "name": function.get("name"), "arguments": arguments}


def _shows(part: Mapping[str, Any]) -> bool:
    return part.get("type") != "text"


def _image(part: Mapping[str, Any]) -> str:
    source = part.get("source") or {}
    if part.get("type") != "image" or source.get("type") != "data":
        raise SpecError("of parts of a message, texts and images with their data are taken")
    return f"data:{source.get('mimeType')};base64,{source.get('value')}"


def _text(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    texts = [str(part.get("text", "")) for part in content if part.get("type") == "text"]
    return "\n\n".join(texts)
