"""Requests of the Vercel AI SDK's chats, and what they are as input of `chat`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from .results import failed_text, result_text
from .talks import chat_input

MAX_MESSAGES: Final = 1000

MAX_ID: Final = 150

Part = Mapping[str, Any]


class UiMessage(BaseModel):
    id: str = Field("", max_length=MAX_ID)
    role: Literal["system", "user", "assistant"]
    parts: list[dict[str, Any]] = Field(default_factory=list)


class UiChatRequest(BaseModel):
    """What `HttpChatTransport` sends; the fields from `model` on come from its `body` option."""

    id: str = Field(min_length=1, max_length=MAX_ID)
    messages: list[UiMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    model: str = Field("", max_length=128)
    system: str | None = Field(None, max_length=200_000)
    params: dict[str, Any] = Field(default_factory=dict)
    tools: list[dict[str, Any]] = Field(default_factory=list)
    """Functions of the page: `name`, `description`, `parameters`."""
    tool_ids: list[int] = Field(default_factory=list)
    """Numbers of registered tools, which the server runs."""


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's decision about a tool call; `id` is that of the question."""

    id: str
    is_approved: bool
    reason: str


def approvals_in(request: UiChatRequest) -> list[Approval]:
    """Return the decisions in the last message; a chat sends them with its next request."""
    last = request.messages[-1]
    found = []
    for part in last.parts if last.role == "assistant" else ():
        approval = part.get("approval")
        if part.get("state") == "approval-responded" and isinstance(approval, Mapping):
            reason = str(approval.get("reason") or "")[:4000]
            id = str(approval.get("id", ""))
            found.append(Approval(id, approval.get("approved") is True, reason))
    return found


def text_in(message: UiMessage) -> str:
    """Return the text of a message."""
    texts = [str(part.get("text", "")) for part in message.parts if part.get("type") == "text"]
    return "\n\n".join(filter(None, texts))


def chat_of(request: UiChatRequest) -> dict[str, Any]:
    """
    Return the input of `chat`.

    Raises:
        SpecError: Nothing in it is to be answered.
    """
    last = request.messages[-1]
    messages = [said for message in request.messages for said in _messages(message)]
    systems = [text_in(message) for message in request.messages if message.role == "system"]
    if request.system is not None:
        systems.insert(0, request.system)
    system = "\n\n".join(filter(None, systems))
    facts = chat_input([{"role": "system", "content": system}, *messages])
    asked = {"params": request.params, "tools": request.tools, "tool_ids": request.tool_ids}
    # Results of the page's own tools continue the message that called them.
    wire = {"wire": {"message": last.id}} if last.role == "assistant" and last.id else {}
    return {**facts, **{name: value for name, value in asked.items() if value}, **wire}


def _messages(message: UiMessage) -> Iterator[dict[str, Any]]:
    if message.role == "user":
        said: dict[str, Any] = {"role": "user", "content": text_in(message)}
        files = [part for part in message.parts if part.get("type") == "file"]
        if files:
            said["images"] = [str(part.get("url", "")) for part in files]
        yield said
    elif message.role == "assistant":
        yield from _answers(message.parts)


def _answers(parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
    """Yield a message for each step of an answer, with the results of its calls behind it."""
    texts: list[str] = []
    calls: list[Part] = []
    for part in [*parts, {"type": "step-start"}]:
        kind = str(part.get("type", ""))
        if kind == "text":
            texts.append(str(part.get("text", "")))
        elif kind.startswith("tool-") or kind == "dynamic-tool":
            if str(part.get("state", "")).startswith("output-"):
                calls.append(part)
        elif kind == "step-start" and (texts or calls):
            yield from _step("\n\n".join(texts), calls)
            texts, calls = [], []


def _step(text: str, calls: Sequence[Part]) -> Iterator[dict[str, Any]]:
    said: dict[str, Any] = {"role": "assistant", "content": text}
    made = [
        {
            "id": str(call.get("toolCallId", "")),
            "name": str(call.get("toolName") or str(call.get("type")).removeprefix("tool-")),
            "arguments": call["input"] if isinstance(call.get("input"), dict) else {},
        }
        for call in calls
    ]
    yield {**said, "tool_calls": made} if made else said
    for call, facts in zip(calls, made, strict=True):
        yield {"role": "tool", "content": _result(call), "tool_call_id": facts["id"]}


def _result(call: Part) -> str:
    match call.get("state"):
        case "output-available":
            return result_text(call.get("output"))
        case "output-denied":
            return failed_text("declined", "a person has declined this call")
        case _:
            return failed_text("failed", str(call.get("errorText", "the tool failed")))
