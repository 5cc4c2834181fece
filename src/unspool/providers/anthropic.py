"""
Anthropic's Messages API, and others that speak it.

Two things are its own: an answer's length must be bounded, and a text that it is to go on
from must not end in white space.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from ..errors import ProviderRefused
from . import Image, Model, Prompt, Request, Sink
from .upstream.messages_events import MessagesReading
from .upstream.prompts import (
    LENGTHS,
    check_prefix,
    of_prefill,
    renamed,
    talk_of,
    text_of,
)
from .upstream.reading import AnswerReader
from .upstream.turn_states import arranged, has_tools, state_in

VERSION: Final = "2023-06-01"
"""Of the API; the only one whose streams are these."""

MAX_TOKENS: Final = 4096
"""Longest answer where nobody says: the API wants a bound, and each model takes this one."""

NAMES: Final = {**dict.fromkeys(LENGTHS, "max_tokens"), "stop": "stop_sequences"}
CHOICES: Final = {"auto": "auto", "required": "any", "none": "none"}


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
        reading = MessagesReading(prompt.prefix)
        reader = AnswerReader(model, sink, reading.take, explain=explain)
        if has_tools(model, prompt):
            reader.state = reading.state
        return reader


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
    params = _one_by_one(params, prompt)
    if (form := params.pop("response_format", None)) is not None:
        params = _formed(params, form)
    body = {"max_tokens": MAX_TOKENS, **params, "model": model.upstream_name, "stream": True}
    if system := prompt.system:
        body["system"] = system
    if prompt.tools:
        body["tools"] = [
            {"name": it.name, "description": it.description, "input_schema": it.parameters}
            for it in prompt.tools
        ]
    body["messages"] = _messages(prompt, None if _is_off(body) else model)
    if prefix := prompt.prefix.rstrip():
        if _is_thinking(body):
            raise ProviderRefused("a model that thinks cannot go on from a text", code="prefill")
        body["messages"].append({"role": "assistant", "content": prefix})
    return body


def _is_thinking(body: Mapping[str, Any]) -> bool:
    thinking = body.get("thinking")
    return isinstance(thinking, Mapping) and thinking.get("type") != "disabled"


def _is_off(body: Mapping[str, Any]) -> bool:
    """Whether thinking is off by name: thoughts of earlier turns would then be refused."""
    thinking = body.get("thinking")
    return isinstance(thinking, Mapping) and thinking.get("type") == "disabled"


def _formed(params: dict[str, Any], form: Any) -> dict[str, Any]:
    """Say which form the answer has; JSON without a schema is a matter of the prompt here."""
    match form:
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            config = params.get("output_config") or {}
            asked = {"type": "json_schema", "schema": schema}
            return {**params, "output_config": {"format": asked, **config}}
        case _:
            return params


def _choice(choice: Any) -> Any:
    """Say which tool is to be called as Anthropic says it."""
    if isinstance(choice, str):
        return {"type": CHOICES.get(choice, choice)}
    if isinstance(choice, Mapping) and isinstance(function := choice.get("function"), Mapping):
        return {"type": "tool", "name": function.get("name")}
    return choice


def _one_by_one(params: dict[str, Any], prompt: Prompt) -> dict[str, Any]:
    """Say whether several tools may be called at once as Anthropic says it."""
    if (may := params.pop("parallel_tool_calls", None)) is None or may or not prompt.tools:
        return params
    choice = params.get("tool_choice") or {"type": "auto"}
    if not isinstance(choice, Mapping) or choice.get("type") == "none":
        return params
    return {**params, "tool_choice": {"disable_parallel_tool_use": True, **choice}}


def _messages(prompt: Prompt, model: Model | None) -> list[dict[str, Any]]:
    """Results of tools stand together in one message of the user, before what is said to them."""
    turns: list[tuple[str, list[Mapping[str, Any]]]] = []
    for message in talk_of(prompt):
        role = "assistant" if message["role"] == "assistant" else "user"
        blocks = _blocks(message, model)
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        elif blocks:
            turns.append((role, blocks))
    return [{"role": role, "content": _plain(blocks)} for role, blocks in turns]


def _blocks(message: Mapping[str, Any], model: Model | None) -> list[Mapping[str, Any]]:
    """Return a message as blocks, with the state of its turn for the model that wrote it."""
    if message["role"] == "tool":
        result = {"type": "tool_result", "tool_use_id": _id(message["tool_call_id"])}
        return [{**result, "content": text_of(message)}]
    text, calls = text_of(message), message.get("tool_calls") or ()
    entries = state_in(message, model).get("entries") if model is not None else None
    shown = [_shown(image) for image in message.get("images", ())]
    return [*shown, *arranged(entries or (), text, calls, said=_said, called=_called)]


def _shown(image: Image) -> dict[str, Any]:
    source = {"type": "base64", "media_type": image.type, "data": image.base64}
    return {"type": "image", "source": source}


def _said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _called(call: Mapping[str, Any]) -> dict[str, Any]:
    id = _id(call["id"])
    return {"type": "tool_use", "id": id, "name": call["name"], "input": call["arguments"]}


def _plain(blocks: list[Mapping[str, Any]]) -> str | list[Mapping[str, Any]]:
    is_plain = len(blocks) == 1 and blocks[0]["type"] == "text"
    return str(blocks[0]["text"]) if is_plain else blocks


def _id(id: str) -> str:
    """Other vendors' ids may have signs that are refused here."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", id)


plug = Anthropic()
