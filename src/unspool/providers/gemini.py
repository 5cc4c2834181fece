"""
Google's Gemini API, as Server-Sent Events.

Nothing follows the last chunk: the reason for the end is the end. A reason that is not known
to be one, such as a call that the model could not put together, is the end of no answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec

from ..formats.sse import Frame
from . import Model, Prompt, Request, Sink
from .upstream.answer import Answer
from .upstream.documents import Documents, total
from .upstream.prompts import (
    LENGTHS,
    check_prefix,
    of_prefill,
    renamed,
    talk_of,
    text_of,
)
from .upstream.reading import AnswerReader
from .upstream.turn_states import state_in

NAMES: Final = {
    **dict.fromkeys(LENGTHS, "maxOutputTokens"),
    "top_p": "topP",
    "top_k": "topK",
    "stop": "stopSequences",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}

TOP: Final = frozenset({"safetySettings", "toolConfig", "cachedContent", "tools", "labels"})
"""Parameters of the request; all others are of `generationConfig`."""

CHOICES: Final = {"auto": "AUTO", "required": "ANY", "none": "NONE"}

ENDS: Final = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
}

UNSIGNED: Final = "skip_thought_signature_validator"
"""
In the place of the signature that Gemini 3 gave to a call and wants back. Messages are every
vendor's, so it is not kept in them; this is Google's own word for a call without one.
"""


class _Function(msgspec.Struct, gc=False):
    id: str | None = None
    name: str | None = None
    args: Any = None


class _Part(msgspec.Struct, gc=False):
    text: str | None = None
    thought: bool | None = None
    functionCall: _Function | None = None  # noqa: N815
    thoughtSignature: str | None = None  # noqa: N815


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, gc=False):
    content: _Content | None = None
    finishReason: str | None = None  # noqa: N815
    index: int | None = None


class _Feedback(msgspec.Struct, gc=False):
    blockReason: str | None = None  # noqa: N815


class _WireUsage(msgspec.Struct, gc=False):
    promptTokenCount: Any = None  # noqa: N815
    toolUsePromptTokenCount: Any = None  # noqa: N815
    candidatesTokenCount: Any = None  # noqa: N815
    thoughtsTokenCount: Any = None  # noqa: N815
    cachedContentTokenCount: Any = None  # noqa: N815


class _Chunk(msgspec.Struct, gc=False):
    candidates: list[_Candidate] | None = None
    promptFeedback: _Feedback | None = None  # noqa: N815
    usageMetadata: _WireUsage | None = None  # noqa: N815
    error: Any = None


_chunks = Documents(_Chunk)
_lists = Documents(list[_Chunk])


def endpoint(base_url: str, name: str) -> str:
    """Return where model `name` streams, given the root or a version's (`/v1beta`)."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/") or "/v1beta"
    # A name may stand in a folder of its own (`tunedModels/…`), but nothing leads out of it.
    name = name if "/" in name else f"models/{name}"
    path = f"{path}/{quote(name.replace('..', ''))}:streamGenerateContent"
    return parts._replace(path=path, query="alt=sse").geturl()


class Gemini:
    def request(self, model: Model, prompt: Prompt) -> Request:
        """See `providers.Provider`."""
        # In a header: what stands in an address ends up in logs.
        headers = {"x-goog-api-key": model.api_key} if model.api_key else {}
        url = endpoint(model.base_url, model.upstream_name)
        return Request(url, headers, _body(model, prompt))

    def reader(self, model: Model, prompt: Prompt, sink: Sink) -> AnswerReader:
        """See `providers.Provider`."""
        explain = of_prefill if prompt.prefix else None
        reading = _Reading()
        reader = AnswerReader(model, sink, reading.take, explain=explain)
        reader.state = reading.state
        return reader


def _body(model: Model, prompt: Prompt) -> dict[str, Any]:
    """
    Raises:
        ProviderRefused: The model cannot go on from the prompt's prefix (code `prefill`).
    """
    check_prefix(model, prompt)
    params = renamed({**model.params, **prompt.params}, NAMES)
    if "tool_choice" in params:
        params["toolConfig"] = _choice(params.pop("tool_choice"))
    body = {name: value for name, value in params.items() if name in TOP}
    if config := _config({name: it for name, it in params.items() if name not in TOP}):
        body["generationConfig"] = config
    if system := prompt.system:
        body["systemInstruction"] = {"parts": [{"text": system}]}
    if prompt.tools:
        declared = [
            {
                "name": it.name,
                "description": it.description,
                # Not `parameters`: that takes a dialect of OpenAPI and refuses the rest.
                "parametersJsonSchema": it.parameters,
            }
            for it in prompt.tools
        ]
        body["tools"] = [{"functionDeclarations": declared}]
    body["contents"] = _contents(model, prompt)
    if prompt.prefix:
        body["contents"].append({"role": "model", "parts": [{"text": prompt.prefix}]})
    return body


def _config(params: dict[str, Any]) -> dict[str, Any]:
    if isinstance(params.get("stopSequences"), str):
        params["stopSequences"] = [params["stopSequences"]]
    match params.pop("response_format", None):
        case {"type": "json_object"}:
            params["responseMimeType"] = "application/json"
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            params["responseMimeType"] = "application/json"
            params["responseJsonSchema"] = schema
    if isinstance(given := params.pop("generationConfig", None), Mapping):
        params |= given
    return params


def _choice(choice: Any) -> dict[str, Any]:
    """Say which tool is to be called as Gemini says it."""
    if isinstance(choice, Mapping) and isinstance(function := choice.get("function"), Mapping):
        config = {"mode": "ANY", "allowedFunctionNames": [function.get("name")]}
        return {"functionCallingConfig": config}
    return {"functionCallingConfig": {"mode": CHOICES.get(str(choice), str(choice))}}


def _contents(model: Model, prompt: Prompt) -> list[dict[str, Any]]:
    """Turns alternate; results of tools stand together."""
    turns: list[dict[str, Any]] = []
    for message in talk_of(prompt):
        role = "model" if message["role"] == "assistant" else "user"
        parts = _parts(message, model)
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"] += parts
        elif parts:
            turns.append({"role": role, "parts": parts})
    return turns


def _parts(message: Mapping[str, Any], model: Model) -> list[dict[str, Any]]:
    text = text_of(message)
    if message["role"] == "tool":
        return [{"functionResponse": {"name": message["name"], "response": _result(text)}}]
    state = state_in(message, model)
    shown: list[dict[str, Any]] = [
        {"inlineData": {"mimeType": image.type, "data": image.base64}}
        for image in message.get("images", ())
    ]
    parts: list[dict[str, Any]] = [{"text": text}] if text else []
    if parts and (signature := state.get("text")):
        parts[0]["thoughtSignature"] = signature
    calls: list[dict[str, Any]] = [
        {"functionCall": {"name": it["name"], "args": it["arguments"]}}
        for it in message.get("tool_calls") or ()
    ]
    signatures = state.get("calls") or ()
    for call, signature in zip(calls, signatures, strict=False):
        if signature:
            call["thoughtSignature"] = signature
    generation = re.search(r"gemini-(\d+)", model.upstream_name)
    if calls and not any(signatures) and generation and int(generation[1]) >= 3:
        calls[0]["thoughtSignature"] = UNSIGNED  # of calls side by side the first has it
    return shown + parts + calls


def _result(text: str) -> dict[str, Any]:
    """An object is wanted; what is none is put into one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    return value if isinstance(value, dict) else {"result": value}


class _Reading:
    """One answer, chunk by chunk."""

    def __init__(self) -> None:
        self._calls = 0
        self._of_text = ""
        self._of_calls: list[str | None] = []
        """Signatures of thoughts, which are wanted back beside the same parts."""

    def state(self) -> dict[str, Any]:
        """Return the signatures; empty where there are none."""
        of_text = {"text": self._of_text} if self._of_text else {}
        of_calls = {"calls": self._of_calls} if any(self._of_calls) else {}
        return of_text | of_calls

    def take(self, frame: Frame, answer: Answer) -> None:
        if not frame.data.strip():
            return
        data = frame.data.strip()
        if data.startswith(b"["):  # as it answers where no events were asked for
            for listed in _lists.read(data, answer) or ():
                self._chunk(listed, answer)
        elif (chunk := _chunks.read(data, answer)) is not None:
            if chunk.candidates is None:
                answer.heed(data)
            if frame.event == "error" and not chunk.error:
                answer.report(data.decode("utf-8", "replace"))
            self._chunk(chunk, answer)

    def _chunk(self, chunk: _Chunk, answer: Answer) -> None:
        if chunk.error:
            answer.report(chunk.error)
        if chunk.usageMetadata is not None:
            self._count(chunk.usageMetadata, answer)
        for candidate in chunk.candidates or ():
            if not candidate.index:  # of several only the first is the answer
                self._candidate(candidate, answer)
        if chunk.promptFeedback is not None and chunk.promptFeedback.blockReason:
            answer.finish("content_filter")

    def _candidate(self, candidate: _Candidate, answer: Answer) -> None:
        parts = candidate.content.parts if candidate.content is not None else None
        for part in parts or ():
            if part.text:
                (answer.reasoning if part.thought else answer.text)(part.text)
            if part.thoughtSignature and part.functionCall is None:
                self._of_text = part.thoughtSignature
            if (call := part.functionCall) is not None:
                self._of_calls.append(part.thoughtSignature)
                answer.tool(
                    index=self._calls, id=call.id, name=call.name, arguments=call.args or {}
                )
                self._calls += 1
        if reason := candidate.finishReason:
            end = ENDS.get(reason.upper())
            if end is None:
                answer.fail("aborted", f"the provider gave the answer up ({reason[:64]})")
            answer.finish("tool_calls" if self._calls and end == "stop" else end)

    def _count(self, usage: _WireUsage, answer: Answer) -> None:
        """Counts are of all so far; what the model thought is paid as what it said."""
        request = total(usage.promptTokenCount, usage.toolUsePromptTokenCount)
        said = total(usage.candidatesTokenCount, usage.thoughtsTokenCount)
        answer.usage(request, said, usage.cachedContentTokenCount)


plug = Gemini()
