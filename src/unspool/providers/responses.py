"""
OpenAI's Responses, also in the background: an answer that the provider keeps, so that a
stream that broke is read on where it stopped (quirk `background`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from ..errors import ProviderError, ProviderInterrupted, ProviderUnavailable
from . import Handle, Model, Prompt, Request, Sink
from .upstream.prompts import (
    LENGTHS,
    check_prefix,
    of_prefill,
    renamed,
    talk_of,
    text_of,
)
from .upstream.reading import AnswerReader
from .upstream.responses_events import ResponsesReading
from .upstream.turn_states import arranged, has_tools, state_in
from .upstream.vendors import vendor_of

NAMES: Final = dict.fromkeys(LENGTHS, "max_output_tokens")

ENCRYPTED: Final = "reasoning.encrypted_content"
"""What OpenAI is asked to tell of its reasoning, so that it can be sent back."""

GONE: Final = frozenset({400, 404, 410})
"""What is answered for an answer that is not kept, or not any more."""


def endpoint(base_url: str) -> str:
    """Return the address of responses, given that or the `/v1` root before it."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/")
    if not path.endswith("/responses"):
        path += "/responses"
    return parts._replace(path=path).geturl()


class Responses:
    def request(self, model: Model, prompt: Prompt) -> Request:
        """See `providers.Provider`. A kept answer goes on being written after we leave."""
        headers = {"Authorization": f"Bearer {model.api_key}"} if model.api_key else {}
        if prompt.handle is not None:
            return Request(_again(model.base_url, prompt.handle), headers)
        return Request(endpoint(model.base_url), headers, _body(model, prompt))

    def reader(self, model: Model, prompt: Prompt, sink: Sink) -> AnswerReader:
        """See `providers.Provider`."""
        is_kept = "background" in model.quirks
        reading = ResponsesReading(
            prompt,
            max_tokens=_params(model, prompt).get("max_output_tokens"),
            is_kept=is_kept,
        )

        def explain(error: ProviderError) -> ProviderError:
            error = of_prefill(error) if prompt.handle is None else _of_kept(error, prompt)
            error.after = reading.after
            return error

        is_explained = is_kept or prompt.handle is not None or prompt.prefix
        reader = AnswerReader(model, sink, reading.take, explain=explain if is_explained else None)
        if has_tools(model, prompt):
            reader.state = reading.state
        return reader


def _again(base_url: str, handle: Handle) -> str:
    """Return where a kept answer is read on; without `after`, from its beginning."""
    parts = urlsplit(endpoint(base_url))
    query = [*parse_qsl(parts.query), ("stream", "true")]
    if handle.after is not None:
        query.append(("starting_after", str(handle.after)))
    path = f"{parts.path}/{quote(handle.id, safe='')}"
    return parts._replace(path=path, query=urlencode(query)).geturl()


def _of_kept(error: ProviderError, prompt: Prompt) -> ProviderError:
    """
    Tell an error of reading on as one of this way of going on: the text so far stays good,
    also where the answer is not kept any more or is another one.
    """
    is_gone = error.status in GONE
    if not (is_gone or isinstance(error, ProviderUnavailable)):
        return error
    kind = ProviderInterrupted if prompt.prefix else ProviderUnavailable
    told = kind(
        str(error),
        code="not_kept" if is_gone else error.code,
        status=error.status,
        retry_after_s=error.retry_after_s,
    )
    told.finish_reason = error.finish_reason
    return told


def _params(model: Model, prompt: Prompt) -> dict[str, Any]:
    return renamed({**model.params, **prompt.params}, NAMES)


def _body(model: Model, prompt: Prompt) -> dict[str, Any]:
    """
    Raises:
        ProviderRefused: The model cannot go on from the prompt's prefix (code `prefill`).
    """
    check_prefix(model, prompt)
    params = _params(model, prompt)
    if (form := params.pop("response_format", None)) is not None:
        params["text"] = {"format": _form(form)}
    if (verbosity := params.pop("verbosity", None)) is not None:
        params["text"] = {**(params.get("text") or {}), "verbosity": verbosity}
    if (effort := params.pop("reasoning_effort", None)) is not None:
        params["reasoning"] = {"effort": effort}
    if "tool_choice" in params:
        params["tool_choice"] = _choice(params["tool_choice"])
    body = {**params, "model": model.upstream_name, "stream": True}
    if "background" in model.quirks:
        body |= {"background": True, "store": True}  # one needs the other
    if system := prompt.system:
        body["instructions"] = system
    if prompt.tools:
        body["tools"] = [
            {
                "type": "function",
                "name": it.name,
                "description": it.description,
                "parameters": it.parameters,
                # Otherwise a schema must name every field as required.
                "strict": False,
            }
            for it in prompt.tools
        ]
    if has_tools(model, prompt) and _is_openais(model):
        body["include"] = sorted({ENCRYPTED, *params.get("include", ())})
    body["input"] = [item for message in talk_of(prompt) for item in _items(message, model)]
    if prompt.prefix:
        body["input"].append(_said(prompt.prefix))
    return body


def _form(form: Any) -> Any:
    """Take the form that Chat Completions has for a schema: one level deeper."""
    if isinstance(form, Mapping) and isinstance(inner := form.get("json_schema"), Mapping):
        return {"type": "json_schema", **inner}
    return form


def _choice(choice: Any) -> Any:
    if isinstance(choice, Mapping) and isinstance(function := choice.get("function"), Mapping):
        return {"type": "function", "name": function.get("name")}
    return choice


def _is_openais(model: Model) -> bool:
    vendor = vendor_of(model.base_url)
    return vendor is not None and vendor.name == "openai"


def _items(message: Mapping[str, Any], model: Model) -> list[Mapping[str, Any]]:
    text = text_of(message)
    if message["role"] == "tool":
        call_id = message["tool_call_id"]
        return [{"type": "function_call_output", "call_id": call_id, "output": text}]
    if message["role"] == "assistant":
        entries, calls = state_in(message, model).get("entries"), message.get("tool_calls")
        return arranged(entries or (), text, calls or (), said=_said, called=_called)
    if images := message.get("images"):
        shown = [{"type": "input_image", "image_url": image.url} for image in images]
        asked = [{"type": "input_text", "text": text}] if text else []
        return [{"role": message["role"], "content": [*shown, *asked]}]
    return [{"role": message["role"], "content": text}]


def _called(call: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "function_call",
        "call_id": call["id"],
        "name": call["name"],
        "arguments": json.dumps(call["arguments"], ensure_ascii=False),
    }


def _said(text: str) -> dict[str, Any]:
    """What the model said: in the long form, which servers other than OpenAI's want."""
    content = [{"type": "output_text", "text": text}]
    return {"type": "message", "role": "assistant", "content": content}


plug = Responses()
