"""
Requests to an endpoint that speaks OpenAI's Chat Completions.

It writes tools and calls as OpenAI does, follows a deployment's deviations (`vendors.QUIRKS`), and
puts the beginning of an answer into the field that the vendor has for it (`vendors.PREFILLS`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from unspool.errors import ProviderRefused

from .. import Model, Prompt, Request, Tool
from .addresses import KNOWN_URLS
from .chat_state import with_state
from .turn_states import state_in
from .vendors import prefill_of, quirks_of, vendor_of

MARKS: Final[Mapping[str, dict[str, Any]]] = {
    "assistant": {},
    "prefix": {"prefix": True},
    "partial": {"partial": True},
    "continue_final_message": {},
}
"""Fields of an assistant's last message when it is the beginning of the answer."""


CHAT_ONLY: Final = frozenset(
    {"messages", "tools", "tool_choice", "parallel_tool_calls", "chat_template_kwargs"}
)
"""Parameters that raw completion does not know; the template has read the last one."""


@lru_cache(KNOWN_URLS)
def endpoint(base_url: str) -> str:
    """Return the address of chat completions, given that or the `/v1` root before it."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    return parts._replace(path=path).geturl()


def request_for(model: Model, prompt: Prompt) -> Request:
    """
    Return the request that asks `model` for an answer to `prompt`.

    Raises:
        ProviderRefused: The model cannot continue the prompt's prefix (code `prefill`).
    """
    if prompt.rendered:
        return _raw(model, prompt)
    body: dict[str, Any] = {
        "stream_options": {"include_usage": True},
        **_params(model, prompt),
        # A request may not change these: which model answers, to what, and that it streams.
        "model": model.upstream_name,
        "messages": [_message(message, model) for message in prompt.messages],
        "stream": True,
    }
    if "no_stream_options" in quirks_of(model):
        del body["stream_options"]
    if prompt.tools:
        body["tools"] = [_tool(tool) for tool in prompt.tools]
    base_url = model.base_url
    if prompt.prefix:
        base_url = _begin(body, model, prompt.prefix)
    return Request(endpoint(base_url), _key(model), body)


def _raw(model: Model, prompt: Prompt) -> Request:
    """Return the request that completes a prompt which the engine has written itself."""
    params = _params(model, prompt)
    body = {
        "stream_options": {"include_usage": True},
        **{name: value for name, value in params.items() if name not in CHAT_ONLY},
        "model": model.upstream_name,
        "prompt": prompt.rendered + prompt.prefix,
        "stream": True,
    }
    url = endpoint(model.base_url).removesuffix("/chat/completions") + "/completions"
    return Request(url, _key(model), body)


def _key(model: Model) -> dict[str, str]:
    return {"Authorization": f"Bearer {model.api_key}"} if model.api_key else {}


def _params(model: Model, prompt: Prompt) -> dict[str, Any]:
    params = {**model.params, **prompt.params}
    if "max_completion_tokens" in quirks_of(model) and "max_tokens" in params:
        most = params.pop("max_tokens")
        params.setdefault("max_completion_tokens", most)
    return params


def _begin(body: dict[str, Any], model: Model, prefix: str) -> str:
    """
    Let the answer begin with `prefix`; return the address that serves such requests.

    Raises:
        ProviderRefused: The model has no form for it (code `prefill`). We sent nothing.
    """
    way = prefill_of(model)
    if way == "body_prefix":
        body["prefix"] = prefix
    elif way in MARKS:
        begun = {"role": "assistant", "content": prefix, **MARKS[way]}
        body["messages"] = [*body["messages"], begun]
    else:
        raise ProviderRefused(
            f"model {model.name!r} cannot go on from a text; ask it in words", code="prefill"
        )
    if way == "continue_final_message":
        # The template must not open a new turn behind the text; both fields together are an error.
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    vendor = vendor_of(model.base_url)
    return (vendor.prefill_url if vendor is not None else "") or model.base_url


def _tool(tool: Tool) -> dict[str, Any]:
    facts = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": facts}


def _message(message: Mapping[str, Any], model: Model) -> Mapping[str, Any]:
    """Return a message as OpenAI writes it; only messages with tools differ from ours."""
    if "turn_state" in message:
        plain = {name: value for name, value in message.items() if name != "turn_state"}
        return with_state(dict(_message(plain, model)), state_in(message, model))
    if images := message.get("images"):
        shown = [{"type": "image_url", "image_url": {"url": image.url}} for image in images]
        return {"role": message["role"], "content": [*shown, *_texts(message)]}
    if message["role"] == "tool":
        return {name: message[name] for name in ("role", "tool_call_id", "content")}
    if calls := message.get("tool_calls"):
        return {
            **message,
            "content": message.get("content") or None,  # some servers refuse an empty text here
            "tool_calls": [_call(call) for call in calls],
        }
    return message


def _texts(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    text = message["content"]
    return [{"type": "text", "text": text}] if text else []


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    arguments = json.dumps(call["arguments"], ensure_ascii=False)
    function = {"name": call["name"], "arguments": arguments}
    return {"id": call["id"], "type": "function", "function": function}
