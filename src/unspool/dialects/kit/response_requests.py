"""Requests of OpenAI's Responses as runs of the flow `chat`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from unspool.errors import SpecError
from unspool.runs.run import RunSpec

from .response_items import messages_in
from .talks import Said, chat_input

NOT_OFFERED: Final = ("prompt", "conversation", "top_logprobs", "context_management")

NOT_PASSED: Final = frozenset(
    {
        *("truncation", "service_tier", "prompt_cache_key", "prompt_cache_retention"),
        *("safety_identifier", "stream_options", "max_tool_calls", "store", "moderation"),
    }
)
"""Parameters that are about OpenAI's own service."""

KEPT: Final = ("instructions", "background", "metadata", "previous_response_id", "include")
"""Fields that the response shows again or obeys, and no parameter of the model says."""


class ResponseTool(BaseModel):
    type: str
    name: str = ""
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ResponseRequest(BaseModel):
    """Fields without a line here are passed to the model as they are."""

    model_config = ConfigDict(extra="allow")

    model: str = Field("", max_length=128)
    input: str | list[dict[str, Any]] = ""
    instructions: str | None = None
    tools: list[ResponseTool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, str] | None = None
    previous_response_id: str | None = None
    include: list[str] | None = None
    stream: bool | None = False
    background: bool | None = False
    user: str | None = None

    def spec(self, before: Sequence[Said] = ()) -> RunSpec:
        """
        Return the run that it asks for; `before` is what was said before its input.

        Raises:
            SpecError: It asks for something that we do not have.
        """
        extra = self.model_extra or {}
        if found := next((name for name in NOT_OFFERED if extra.get(name)), None):
            raise SpecError(f"{found}: not offered here; leave it out")
        head = [{"role": "system", "content": self.instructions}] if self.instructions else []
        body = chat_input([*head, *before, *messages_in(self.input)])
        body["params"] = self._params(extra)
        if self.tools:
            body["tools"] = [_tool(tool) for tool in self.tools]
        body["wire"] = {name: value for name in KEPT if (value := getattr(self, name))}
        return RunSpec("chat", body, model=self.model, dialect="openai_responses")

    def _params(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        given = {
            "max_tokens": self.max_output_tokens,
            "response_format": _form((self.text or {}).get("format")),
            "verbosity": (self.text or {}).get("verbosity"),
            "reasoning_effort": (self.reasoning or {}).get("effort"),
            "tool_choice": _choice(self.tool_choice),
        }
        left = NOT_PASSED.union(NOT_OFFERED)
        passed = {name: value for name, value in extra.items() if name not in left}
        return {name: value for name, value in {**passed, **given}.items() if value is not None}


def _tool(tool: ResponseTool) -> dict[str, Any]:
    if tool.type != "function":
        raise SpecError(f"tools: those of type {tool.type[:64]!r} are not offered here")
    return {
        "name": tool.name,
        "description": tool.description or "",
        "parameters": tool.parameters or {"type": "object"},
    }


def _form(form: Any) -> Any:
    """Return the form of an answer as Chat Completions has it: one level deeper."""
    if not isinstance(form, Mapping) or form.get("type") in {None, "text"}:
        return None
    if form["type"] == "json_schema":
        inner = {name: value for name, value in form.items() if name != "type"}
        return {"type": "json_schema", "json_schema": inner}
    return form


def _choice(choice: Any) -> Any:
    if isinstance(choice, Mapping):
        if choice.get("type") != "function":
            raise SpecError("tool_choice: auto, none, required, or one function")
        return {"type": "function", "function": {"name": choice.get("name")}}
    return choice


def shown_params(input: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a run as its response shows them again."""
    params = input.get("params") or {}
    choice = params.get("tool_choice", "auto")
    if isinstance(choice, Mapping):
        choice = {"type": "function", "name": (choice.get("function") or {}).get("name")}
    form = params.get("response_format") or {"type": "text"}
    inner = form.get("json_schema") if isinstance(form, Mapping) else None
    wordy = {"verbosity": it} if (it := params.get("verbosity")) else {}
    return {
        "max_output_tokens": params.get("max_tokens"),
        "parallel_tool_calls": params.get("parallel_tool_calls", True),
        "reasoning": {"effort": params.get("reasoning_effort"), "summary": None},
        "temperature": params.get("temperature"),
        "text": {"format": {"type": "json_schema", **inner} if inner else form, **wordy},
        "tool_choice": choice,
        "tools": [{"type": "function", "strict": False, **it} for it in input.get("tools") or ()],
        "top_p": params.get("top_p"),
    }
