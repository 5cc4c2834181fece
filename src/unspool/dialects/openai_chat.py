"""
`POST /v1/chat/completions`, as OpenAI's clients speak it.

A stream is `(chunk)* [DONE]`. A run that does not complete ends with `{"error": {…}}`, at which
the official clients raise; without it they would take a cut answer for a whole one. What is not
streamed is put together from the chunks of what would have been.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from ..errors import SpecError
from ..providers.upstream.turn_states import CLIENT
from ..runs.events import Event
from ..runs.options import RunOptions
from ..runs.run import RunSpec
from . import CompleteAnswer, Options, RunGateway
from .kit.answers import AnswerFacts, failure_of
from .kit.failures import OpenAIRefusals, openai_error, status_of
from .kit.response_items import content_of
from .kit.talks import arguments_of, chat_input
from .kit.users import user_named

PATH: Final = "/v1/chat/completions"

NOT_PASSED: Final = frozenset(
    {
        *("store", "metadata", "service_tier", "safety_identifier"),
        *("prompt_cache_key", "prompt_cache_retention"),
    }
)
"""Parameters that are about OpenAI's own service."""

NOT_OFFERED: Final = ("logprobs", "top_logprobs", "audio", "functions", "function_call")
"""Parameters whose answers we do not have."""

RETURNING_S: Final = 30.0
"""A client with an `Idempotency-Key` means to return: so long its run waits for it."""


class CompletionFunction(BaseModel):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class CompletionTool(BaseModel):
    type: Literal["function"] = "function"
    function: CompletionFunction

    def described(self) -> dict[str, Any]:
        """Return it as `flows.chat.ChatTool` has it."""
        function = self.function
        return {
            "name": function.name,
            "description": function.description or "",
            "parameters": function.parameters or {"type": "object"},
        }


class MadeFunction(BaseModel):
    name: str
    arguments: str | dict[str, Any] = ""


class CompletionCall(BaseModel):
    id: str
    type: Literal["function"] = "function"
    function: MadeFunction


class CompletionMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[CompletionCall] | None = None
    tool_call_id: str = ""

    def said(self) -> dict[str, Any]:
        """Return it as `kit.talks` has messages."""
        text, images = content_of(self.content)
        role = "system" if self.role == "developer" else self.role
        facts: dict[str, Any] = {"role": role, "content": text or self.refusal or ""}
        if images:
            facts["images"] = images
        if self.tool_calls and role == "assistant":
            facts["tool_calls"] = [
                {
                    "id": call.id,
                    "name": call.function.name,
                    "arguments": arguments_of(call.function.arguments),
                }
                for call in self.tool_calls
            ]
            if self.reasoning_content:  # some vendors want it back in the rounds after a call
                thought = {"reasoning_content": self.reasoning_content}
                facts["turn_state"] = {"by": CLIENT, "data": thought}
        if role == "tool":
            facts["tool_call_id"] = self.tool_call_id
        return facts


class StreamOptions(BaseModel):
    include_usage: bool | None = False


class CompletionRequest(BaseModel):
    """Fields without a line here are passed to the model as they are."""

    model_config = ConfigDict(extra="allow")

    model: str = Field("", max_length=128)
    messages: list[CompletionMessage] = Field(min_length=1, max_length=1000)
    tools: list[CompletionTool] | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = None
    user: str | None = None

    def spec(self) -> RunSpec:
        """
        Return the run that it asks for.

        Raises:
            SpecError: It asks for something that we do not have.
        """
        extra = self.model_extra or {}
        if self.n not in (None, 1):
            raise SpecError("n: one answer at a time; leave it out")
        if found := next((name for name in NOT_OFFERED if extra.get(name)), None):
            raise SpecError(f"{found}: not offered here; leave it out")
        if set(extra.pop("modalities", None) or ["text"]) != {"text"}:
            raise SpecError("modalities: only text is offered here")
        body = chat_input([message.said() for message in self.messages])
        body["params"] = {
            name: value
            for name, value in extra.items()
            if value is not None and name not in NOT_PASSED and name not in NOT_OFFERED
        }
        if self.tools:
            body["tools"] = [tool.described() for tool in self.tools]
        if self.stream_options is not None and self.stream_options.include_usage:
            body["wire"] = {"include_usage": True}
        return RunSpec("chat", body, model=self.model, dialect="openai_chat")


class CompletionEncoder:
    """One run as chunks."""

    def __init__(self) -> None:
        self.run_id = ""
        self._facts = AnswerFacts()
        self._has_begun = False
        self._argued: set[int] = set()
        """Calls that have arguments so far, by their index."""
        self._is_broken = False

    def encode(self, event: Event) -> Sequence[bytes]:
        if self._is_broken:
            return ()
        match event.type:
            case "text.delta":
                return (self._chunk({"content": event.data["text"]}),)
            case "reasoning.delta":
                return (self._chunk({"reasoning_content": event.data["text"]}),)
            case "tool.delta" | "tool.called":
                return self._call(event)
            case "run.completed":
                return self._end()
            case _:
                return self._rare(event)

    def _rare(self, event: Event) -> Sequence[bytes]:
        if event.is_terminal or event.type == "step.rewound":
            self._is_broken = True
            return (_error(**failure_of(event)),)
        self._facts.see(event)
        return ()

    def _call(self, event: Event) -> Sequence[bytes]:
        data, index = event.data, self._facts.call_index(event)
        if index is None:
            return ()
        arguments = data["arguments"]
        if event.type == "tool.called":
            if index in self._argued:
                return ()
            # A model may call without arguments; clients read them as JSON all the same.
            arguments = msgspec.json.encode(arguments).decode()
        if arguments:
            self._argued.add(index)
        function: dict[str, Any] = {"arguments": arguments}
        call: dict[str, Any] = {"index": index, "function": function}
        if data.get("name") and event.type == "tool.delta":
            id_ = data.get("id") or f"call_{index}"
            call = {"index": index, "id": id_, "type": "function", "function": function}
            function["name"] = data["name"]
        return (self._chunk({"tool_calls": [call]}),)

    def _end(self) -> Sequence[bytes]:
        last = self._chunk({}, self._facts.finish)
        if not self._facts.wire.get("include_usage"):
            return (last,)
        counted = self._head() | {"choices": [], "usage": self._usage()}
        return (last, msgspec.json.encode(counted))

    def _usage(self) -> dict[str, Any] | None:
        facts = self._facts
        asked, said = facts.tokens("prompt_tokens"), facts.tokens("completion_tokens")
        if asked is None or said is None:
            return None
        counts = {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
        return {**counts, "prompt_tokens_details": {"cached_tokens": facts.cached_tokens}}

    def _head(self) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self.run_id}",
            "object": "chat.completion.chunk",
            "created": self._facts.created_s,
            "model": self._facts.model,
        }

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        if not self._has_begun:
            self._has_begun = True
            delta = {"role": "assistant", "content": "", **delta}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = self._head() | {"choices": [choice]}
        if self._facts.wire.get("include_usage"):
            chunk["usage"] = None
        return msgspec.json.encode(chunk)


def _error(code: str, message: str) -> bytes:
    return msgspec.json.encode(openai_error(status_of(code), code, message))


def completion_of(answer: CompleteAnswer) -> Response:
    """Return the answer that is not streamed, from the frames of one that would have been."""
    headers = {"X-Run-Id": answer.run_id}
    chunks = [msgspec.json.decode(frame) for frame in answer.frames]
    if (error := chunks[-1].get("error")) is not None:
        headers["x-should-retry"] = "false"  # we have tried again ourselves
        return JSONResponse({"error": error}, status_of(error["code"]), headers=headers)
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    calls: dict[int, dict[str, Any]] = {}
    usage = finish = None
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            finish = choice["finish_reason"] or finish
            _join(message, calls, choice["delta"])
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    elif message["content"] is None:
        message["content"] = ""  # only an answer that calls tools has none
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    head = {name: chunks[-1][name] for name in ("id", "created", "model")}
    body = {**head, "object": "chat.completion", "choices": [choice]}
    return JSONResponse(body | ({"usage": usage} if usage else {}), headers=headers)


def _join(message: dict[str, Any], calls: dict[int, dict[str, Any]], delta: dict[str, Any]) -> None:
    for name in ("content", "reasoning_content"):
        if delta.get(name):
            message[name] = (message.get(name) or "") + delta[name]
    for call in delta.get("tool_calls", ()):
        if "id" in call:
            function = {"name": call["function"]["name"], "arguments": ""}
            calls[call["index"]] = {"id": call["id"], "type": "function", "function": function}
        calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]


def left_alone(options: RunOptions) -> RunOptions:
    """Let the run end when its client leaves, as clients of this API expect, if it may choose."""
    if options.continues or options.cancel_after_s is not None:
        return options
    return replace(options, cancel_after_s=RETURNING_S if options.key else 0.0)


def for_user(options: RunOptions, user: str | None) -> RunOptions:
    """Take the user whom the body names, if no header does."""
    return replace(options, user=user_named(user)) if user and not options.user else options


class OpenAIChat:
    trailer = b"[DONE]"
    can_rewind = False
    refusals = (OpenAIRefusals((PATH, "/v1/models")),)

    def routes(self, gateway: RunGateway) -> APIRouter:
        router = APIRouter(tags=["OpenAI"])

        @router.post(PATH)
        async def complete(request: CompletionRequest, options: Options) -> Response:
            """Answer a chat as OpenAI does; a client who leaves stops its run."""
            options = for_user(left_alone(options), request.user)
            spec = request.spec()
            if request.stream:
                return await gateway.stream(spec, options)
            spec = replace(spec, input={**spec.input, "wire": {"include_usage": True}})
            return await gateway.answer(spec, options, completion_of)

        return router

    def encoder(self) -> CompletionEncoder:
        return CompletionEncoder()


plug = OpenAIChat()
