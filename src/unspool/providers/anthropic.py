"""
Anthropic's Messages API, and whoever else speaks it.

Two things are its own: an answer's length must be bounded, and a text that it is to go on
from must not end in white space.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from ..errors import ProviderRefused
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
from .upstream.token_counts import Counts

VERSION: Final = "2023-06-01"
"""Of the API; the only one whose streams are these."""

MAX_TOKENS: Final = 4096
"""Longest answer where nobody says: the API wants a bound, and each model takes this one."""

NAMES: Final = {**dict.fromkeys(LENGTHS, "max_tokens"), "stop": "stop_sequences"}
INPUT: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
CHOICES: Final = {"auto": "auto", "required": "any", "none": "none"}


class _WireBlock(msgspec.Struct, gc=False):
    type: str = ""
    id: str | None = None
    name: str | None = None
    text: str | None = None
    thinking: str | None = None
    input: Any = None


class _WireDelta(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _WireUsage(msgspec.Struct, gc=False):
    input_tokens: Any = None
    output_tokens: Any = None
    cache_read_input_tokens: Any = None
    cache_creation_input_tokens: Any = None


class _WireMessage(msgspec.Struct, gc=False):
    usage: _WireUsage | None = None


class _WireEvent(msgspec.Struct, gc=False):
    type: str = ""
    index: int | None = None
    delta: _WireDelta | None = None
    content_block: _WireBlock | None = None
    message: _WireMessage | None = None
    usage: _WireUsage | None = None
    error: Any = None
    content: list[_WireBlock] | None = None
    stop_reason: str | None = None


_events = Documents(_WireEvent)


def endpoint(base_url: str) -> str:
    """Return the address of messages, given that, the `/v1` before it, or the root."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/")
    if not path.endswith("/messages"):
        path += "/messages" if path.endswith("/v1") else "/v1/messages"
    return parts._replace(path=path).geturl()


class Anthropic:
    def request(self, model: Model, prompt: Prompt) -> Request:
        """See `providers.Provider`."""
        headers = {"anthropic-version": VERSION}
        if "bearer" in model.quirks:
            headers["Authorization"] = f"Bearer {model.api_key}"
        elif model.api_key:
            headers["x-api-key"] = model.api_key
        return Request(endpoint(model.base_url), headers, _body(model, prompt))

    def reader(self, model: Model, prompt: Prompt, sink: Sink) -> AnswerReader:
        """See `providers.Provider`."""
        explain = of_prefill if prompt.prefix else None
        return AnswerReader(model, sink, _Reading(prompt.prefix).take, explain=explain)


def _body(model: Model, prompt: Prompt) -> dict[str, Any]:
    """
    Raises:
        ProviderRefused: The model cannot go on from the prompt's prefix (code `prefill`).
    """
    check_prefix(model, prompt)
    params = renamed({**model.params, **prompt.params}, NAMES)
    if isinstance(params.get("stop_sequences"), str):
        params["stop_sequences"] = [params["stop_sequences"]]
    if "tool_choice" in params:
        params["tool_choice"] = _choice(params["tool_choice"])
    body = {"max_tokens": MAX_TOKENS, **params, "model": model.upstream_name, "stream": True}
    if system := prompt.system:
        body["system"] = system
    if prompt.tools:
        body["tools"] = [
            {"name": it.name, "description": it.description, "input_schema": it.parameters}
            for it in prompt.tools
        ]
    body["messages"] = _messages(prompt)
    if prefix := prompt.prefix.rstrip():
        if _is_thinking(body):
            raise ProviderRefused("a model that thinks cannot go on from a text", code="prefill")
        body["messages"].append({"role": "assistant", "content": prefix})
    return body


def _is_thinking(body: Mapping[str, Any]) -> bool:
    thinking = body.get("thinking")
    return isinstance(thinking, Mapping) and thinking.get("type") != "disabled"


def _choice(choice: Any) -> Any:
    """Say which tool is to be called as Anthropic says it."""
    if isinstance(choice, str):
        return {"type": CHOICES.get(choice, choice)}
    if isinstance(choice, Mapping) and isinstance(function := choice.get("function"), Mapping):
        return {"type": "tool", "name": function.get("name")}
    return choice


def _messages(prompt: Prompt) -> list[dict[str, Any]]:
    """Results of tools stand together in one message of the user, before what is said to them."""
    turns: list[tuple[str, list[dict[str, Any]]]] = []
    for message in talk_of(prompt):
        role = "assistant" if message["role"] == "assistant" else "user"
        blocks = _blocks(message)
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        elif blocks:
            turns.append((role, blocks))
    return [{"role": role, "content": _plain(blocks)} for role, blocks in turns]


def _blocks(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    if message["role"] == "tool":
        result = {"type": "tool_result", "tool_use_id": _id(message["tool_call_id"])}
        return [{**result, "content": text_of(message)}]
    text = text_of(message)  # a block without text would be refused
    said: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    calls = [
        {"type": "tool_use", "id": _id(it["id"]), "name": it["name"], "input": it["arguments"]}
        for it in message.get("tool_calls") or ()
    ]
    return said + calls


def _plain(blocks: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    is_plain = len(blocks) == 1 and blocks[0]["type"] == "text"
    return str(blocks[0]["text"]) if is_plain else blocks


def _id(id: str) -> str:
    """Other vendors' ids may have signs that are refused here."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", id)


class _Reading:
    """One answer, event by event. `prefix` is the text that it goes on from."""

    def __init__(self, prefix: str) -> None:
        self._left_off = prefix[len(prefix.rstrip()) :]
        """White space that could not be sent; the model is likely to begin with it."""
        self._inputs: dict[int | None, Any] = {}
        """Arguments told at once, of calls of which no part has come yet."""
        self._foreign: set[int | None] = set()
        """Blocks whose parts of JSON are no calls of ours: the vendor runs them itself."""
        self._input: dict[str, Any] = {}
        """Tokens of the prompt by their kind. A report may lack some, or say zero for unknown."""

    def take(self, frame: Frame, answer: Answer) -> None:
        event = _events.read(frame.data, answer) if frame.data.strip() else None
        if event is None:
            if frame.event == "error":
                answer.report(frame.data.decode("utf-8", "replace"))
            return
        if not event.type:
            answer.heed(frame.data)
        if event.error or "error" in (event.type, frame.event):
            answer.report(event.error or "")
        self._tell(event, answer)

    def _tell(self, event: _WireEvent, answer: Answer) -> None:
        match event.type:
            case "content_block_delta" if event.delta is not None:
                self._part(event.delta, event.index, answer)
            case "content_block_start" if event.content_block is not None:
                self._block(event.content_block, event.index, answer)
            case "content_block_stop":
                self._settle(event.index, answer)
            case "message_start" if event.message is not None:
                self._asked(event.message.usage or _WireUsage())
            case "message_delta":
                self._end(event, answer)
            case "message_stop":
                answer.is_done = True
            case "message":
                self._at_once(event, answer)

    def _part(self, delta: _WireDelta, index: int | None, answer: Answer) -> None:
        if delta.text:
            self._say(delta.text, answer)
        if delta.thinking:
            answer.reasoning(delta.thinking)
        if delta.partial_json and index not in self._foreign:
            self._inputs.pop(index, None)
            answer.tool(index=index, arguments=delta.partial_json)

    def _block(self, block: _WireBlock, index: int | None, answer: Answer) -> None:
        if block.type == "tool_use":
            answer.tool(index=index, id=block.id, name=block.name)
            if block.input:
                self._inputs[index] = block.input
        elif block.type.endswith("tool_use"):
            self._foreign.add(index)
        if block.type == "thinking":
            answer.next_thought()
        if block.text:
            self._say(block.text, answer)
        if block.thinking:
            answer.reasoning(block.thinking)

    def _settle(self, index: int | None, answer: Answer) -> None:
        """Tell a call's arguments, where they came at once."""
        if (arguments := self._inputs.pop(index, None)) is not None:
            answer.tool(index=index, arguments=arguments)

    def _say(self, text: str, answer: Answer) -> None:
        while self._left_off and text:
            if text[0] != self._left_off[0]:
                self._left_off = ""
                break
            text, self._left_off = text[1:], self._left_off[1:]
        answer.text(text)

    def _at_once(self, event: _WireEvent, answer: Answer) -> None:
        """Take in a whole message, from a server that does not stream."""
        for index, content in enumerate(event.content or ()):
            self._block(content, index, answer)
        event.delta = _WireDelta(stop_reason=event.stop_reason)
        self._end(event, answer)

    def _asked(self, usage: _WireUsage) -> None:
        known = self._input
        for name in INPUT:
            count = getattr(usage, name)
            if count or name not in known:
                known[name] = count

    def _counted(self, completion: Any) -> Counts:
        new, cached, written = map(self._input.get, INPUT)
        # What was read from the cache, or written to it, is not in `input_tokens`.
        return Counts(total(new, cached, written), completion, cached, written)

    def _end(self, event: _WireEvent, answer: Answer) -> None:
        if (usage := event.usage) is not None:
            self._asked(usage)
            answer.count(self._counted(usage.output_tokens))
        if event.delta is not None and event.delta.stop_reason:
            for index in list(self._inputs):
                self._settle(index, answer)
            answer.finish(event.delta.stop_reason)


plug = Anthropic()
