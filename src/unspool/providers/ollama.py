"""
Ollama's own API: one JSON document a line, and settings of the model in `options`.

Its other API speaks as OpenAI does; this one tells thinking apart and takes `num_ctx`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from ..formats.sse import EventTooLong, Frame
from . import Model, Prompt, Request, Sink
from .upstream.answer import Answer
from .upstream.documents import Documents
from .upstream.prompts import LENGTHS, check_prefix, of_prefill, renamed, text_of
from .upstream.reading import AnswerReader

NAMES: Final = {**dict.fromkeys(LENGTHS, "num_predict"), "response_format": "format"}

NOTHING: Final = frozenset({"load", "unload"})
"""Reasons for the end of an answer to no question."""

TOP: Final = frozenset({"think", "format", "keep_alive", "options", "tools", "logprobs"})
"""Parameters of the request; all others are options of the model."""


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: Any = None


class _WireCall(msgspec.Struct, gc=False):
    id: str | None = None
    function: _Function | None = None


class _WireMessage(msgspec.Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_WireCall] | None = None


class _Line(msgspec.Struct, gc=False):
    message: _WireMessage | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    error: Any = None


_lines = Documents(_Line)


def endpoint(base_url: str) -> str:
    """Return the address of chats, given that, the `/api` before it, or the root."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/")
    if not path.endswith("/api/chat"):
        path += "/chat" if path.endswith("/api") else "/api/chat"
    return parts._replace(path=path).geturl()


class JsonLines:
    """Cuts a body into lines; feed it bytes cut anywhere."""

    def __init__(self, *, max_event_bytes: int) -> None:
        self._limit = max_event_bytes
        self._line = bytearray()

    def feed(self, chunk: bytes) -> list[Frame]:
        """
        Raises:
            EventTooLong: One line is longer than `max_event_bytes`.
        """
        *lines, rest = chunk.split(b"\n")
        if lines and self._line:
            lines[0] = bytes(self._line) + lines[0]
            self._line.clear()
        self._line += rest
        if len(self._line) > self._limit or any(len(line) > self._limit for line in lines):
            raise EventTooLong(f"a line of more than {self._limit} bytes")
        return [Frame(line) for line in lines]

    def flush(self) -> list[Frame]:
        """Return the last line, which may lack its end."""
        line = bytes(self._line)
        self._line.clear()
        return [Frame(line)]


class Ollama:
    def request(self, model: Model, prompt: Prompt) -> Request:
        """See `providers.Provider`."""
        headers = {"Accept": "application/x-ndjson"}
        if model.api_key:  # a local one has none
            headers["Authorization"] = f"Bearer {model.api_key}"
        return Request(endpoint(model.base_url), headers, _body(model, prompt))

    def reader(self, model: Model, prompt: Prompt, sink: Sink) -> AnswerReader:
        """See `providers.Provider`."""
        explain = of_prefill if prompt.prefix else None
        framing = JsonLines(max_event_bytes=model.limits.max_event_bytes)
        return AnswerReader(model, sink, _Reading().take, framing=framing, explain=explain)


def _body(model: Model, prompt: Prompt) -> dict[str, Any]:
    """
    Raises:
        ProviderRefused: The model cannot go on from the prompt's prefix (code `prefill`).
    """
    check_prefix(model, prompt)
    params = renamed({**model.params, **prompt.params}, NAMES)
    body = {name: value for name, value in params.items() if name in TOP}
    options = {name: value for name, value in params.items() if name not in TOP}
    if isinstance(options.get("stop"), str):
        options["stop"] = [options["stop"]]
    if isinstance(given := body.pop("options", None), Mapping):
        options |= given
    if options:
        body["options"] = options
    if "format" in body:
        body["format"] = _format(body["format"])
    if prompt.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": it.name,
                    "description": it.description,
                    "parameters": it.parameters,
                },
            }
            for it in prompt.tools
        ]
    messages = [_message(message) for message in prompt.messages]
    if prompt.prefix:
        messages.append({"role": "assistant", "content": prompt.prefix})
    return {**body, "model": model.upstream_name, "messages": messages, "stream": True}


def _format(form: Any) -> Any:
    """Take OpenAI's `response_format` too: `json`, or the schema itself."""
    match form:
        case {"type": "json_object"}:
            return "json"
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return schema
        case _:
            return form


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    facts = {"role": message["role"], "content": text_of(message)}
    if images := message.get("images"):
        facts["images"] = [image.base64 for image in images]
    if message["role"] == "tool":
        facts["tool_name"] = message["name"]
    if calls := message.get("tool_calls"):
        facts["tool_calls"] = [
            {"function": {"name": it["name"], "arguments": it["arguments"]}} for it in calls
        ]
    return facts


class _Reading:
    """One answer, line by line."""

    def __init__(self) -> None:
        self._calls = 0
        self._ids: set[str] = set()

    def take(self, frame: Frame, answer: Answer) -> None:
        if not frame.data.strip():
            return
        line = _lines.read(frame.data, answer)
        if line is None:
            return
        if line.error:
            answer.report(line.error)
        if line.message is None and not line.done:
            answer.heed(frame.data)
        if (said := line.message) is not None:
            if said.thinking:
                answer.reasoning(said.thinking)
            if said.content:
                answer.text(said.content)
            for call in said.tool_calls or ():
                self._call(call, answer)
        if line.done:
            self._end(line, answer)

    def _end(self, line: _Line, answer: Answer) -> None:
        answer.usage(line.prompt_eval_count, line.eval_count)
        reason = line.done_reason or "stop"
        if reason in NOTHING:
            reason = "stop"
        answer.finish("tool_calls" if self._calls and reason == "stop" else reason)
        answer.is_done = True

    def _call(self, call: _WireCall, answer: Answer) -> None:
        """Each call comes whole. Ids may be missing, or the same ones again."""
        id = call.id if call.id not in self._ids else None
        if id:
            self._ids.add(id)
        function = call.function or _Function()
        answer.tool(
            index=self._calls, id=id, name=function.name, arguments=function.arguments or {}
        )
        self._calls += 1


plug = Ollama()
