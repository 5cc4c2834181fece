"""
One attempt at one upstream, as the fault files tell results.

`call` asks the product's own provider for the fault's dialect, once and without a retry, and
says what came of it in words that `conformance/faults` compares.
"""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import Any
from urllib.parse import urlsplit

from unspool import Limits, Model, Prompt
from unspool.errors import ProviderError, ProviderInterrupted, ProviderRefused
from unspool.providers import Finish, Reasoning, Skipped, Text, ToolCall, Usage
from unspool.providers.upstream.http import open_http
from unspool.providers.upstream.pulled import outputs_of

KEY = "sk-canary-7a1d9e2b4c6f8035"
"""Sent as the key of every request, but where the fault is one that repeats another."""

PROVIDERS = {"openai-responses": "responses"}
"""Dialects of the files whose provider has another name."""

BROKEN = frozenset({"connection", "timeout", "protocol", "truncated"})
"""Codes of a stream that its transport ended."""

KINDS = {
    "unknown_model": "invalid_request",
    "redirect": "protocol",
    "address": "protocol",
    "truncated": "connection",
    "aborted": "server",
}
"""Codes of ours for which the files have a wider word."""


def provider_of(fault: dict[str, Any]) -> str:
    dialect = str(fault["dialect"])
    return PROVIDERS.get(dialect, dialect)


def model_of(url: str, fault: dict[str, Any]) -> Model:
    quirks = frozenset(name for name, on in fault.get("options", {}).items() if on)
    provider = provider_of(fault)
    path = urlsplit(url).path
    # The address as a person would register it: what an adapter puts at its end itself is
    # not given, and must be found again.
    root = url.removesuffix(fault["endpoint"]) if path.endswith(fault["endpoint"]) else url
    base_url = root + ("" if provider == "ollama" else "/v1")
    key = next(iter(fault.get("must_not_leak", ())), KEY)
    return Model("faulty", provider, "m-1", base_url, key, Limits(**fault["client"]), quirks=quirks)


async def call(url: str, fault: dict[str, Any], *, prompt: Prompt | None = None) -> dict[str, Any]:
    """Return what one request to `url` comes to."""
    model = model_of(url, fault)
    result: dict[str, Any] = {
        "outcome": None,
        "text": "",
        "reasoning": "",
        "finish_reason": None,
        "tool_calls": [],
        "usage": None,
        "error": None,
        "warnings": 0,
        "first_text_s": None,
    }
    began = time.monotonic()
    texts: list[str] = []
    thoughts: list[str] = []
    async with open_http() as http:
        try:
            stream = outputs_of(model, prompt or Prompt.of("你好"), http)
            async with aclosing(stream) as outputs:
                async for output in outputs:
                    match output:
                        case Text(text):
                            texts.append(text)
                            if result["first_text_s"] is None:
                                result["first_text_s"] = time.monotonic() - began
                        case Reasoning(text):
                            thoughts.append(text)
                        case _:
                            _note(output, result)
        except ProviderError as error:
            _fail(error, result)
    result["text"], result["reasoning"] = "".join(texts), "".join(thoughts)
    result["elapsed_s"] = time.monotonic() - began
    return result


def _note(output: Any, result: dict[str, Any]) -> None:
    match output:
        case ToolCall():
            told = {"id": output.id, "name": output.name, "arguments": output.arguments}
            result["tool_calls"].append(told)
        case Usage():
            asked, said = output.prompt_tokens, output.completion_tokens
            total = None if asked is None or said is None else asked + said
            result["usage"] = {
                "prompt_tokens": asked,
                "completion_tokens": said,
                "total_tokens": total,
            }
        case Skipped():
            result["warnings"] += 1
        case Finish(reason):
            result["outcome"], result["finish_reason"] = "ok", reason


def _fail(error: ProviderError, result: dict[str, Any]) -> None:
    if isinstance(error, ProviderRefused):
        outcome = "fatal_error"
    elif isinstance(error, ProviderInterrupted) and error.code in BROKEN:
        outcome = "truncated"
    else:
        outcome = "retryable_error"
    result["outcome"] = outcome
    result["error"] = {
        "kind": KINDS.get(error.code, error.code),
        "status": error.status,
        "retry_after_s": error.retry_after_s,
        "message": str(error),
    }
