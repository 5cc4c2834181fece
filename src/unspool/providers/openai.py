"""
Any endpoint that speaks OpenAI's Chat Completions with `stream: true`.

Alibaba Bailian (DashScope), DeepSeek, Moonshot, vLLM, llama.cpp and many more do.
The vendor's own SDK is not used: it ends silently when a stream is cut, and one bad
chunk ends it with an error.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from ..sse import Frame
from . import Model, Output, Prompt
from ._answer import Answer
from ._http import Request
from ._stream import converse

DONE = b"[DONE]"


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    finish_reason: str | None = None
    index: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: float | int | str | None = None
    completion_tokens: float | int | str | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode


def endpoint(base_url: str) -> str:
    """Return the address of chat completions, given that or the `/v1` root before it."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    return parts._replace(path=path).geturl()


class OpenAI:
    def stream(
        self, model: Model, prompt: Prompt, http: aiohttp.ClientSession
    ) -> AsyncGenerator[Output]:
        """See `providers.Provider`."""
        body = {
            "stream_options": {"include_usage": True},
            **model.params,
            **prompt.params,
            # Not for a request to change: which model answers, to what, and that it streams.
            "model": model.upstream_name,
            "messages": prompt.messages,
            "stream": True,
        }
        headers = {"Authorization": f"Bearer {model.api_key}"} if model.api_key else {}
        request = Request(endpoint(model.base_url), headers, body)
        return converse(http, request, model, _take)


def _take(frame: Frame, answer: Answer) -> None:
    data = frame.data.strip()
    if data == DONE:
        answer.is_done = True
        return
    if not data:
        return
    if frame.event == "error":
        answer.fail("server", data.decode("utf-8", "replace"))
    try:
        chunk = _read(data)
    except (ValueError, RecursionError) as error:
        # One chunk that cannot be read is no reason to lose the rest of the answer.
        answer.skip(f"a chunk that could not be read was left out: {error}")
        return
    if chunk.error:
        message = chunk.error.get("message") if isinstance(chunk.error, dict) else chunk.error
        answer.fail("server", f"the provider reported an error: {message}")
    if chunk.usage is not None:
        answer.usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
    for choice in chunk.choices or ():
        if not choice.index:  # of several choices only the first is the answer
            _choice(choice, answer)


def _choice(choice: _Choice, answer: Answer) -> None:
    delta = choice.delta
    if delta is not None:
        if thought := delta.reasoning_content or delta.reasoning:
            answer.reasoning(thought)
        if delta.content:
            answer.text(delta.content)
        for call in delta.tool_calls or ():
            function = call.function or _Function()
            answer.tool(
                index=call.index, id=call.id, name=function.name, arguments=function.arguments
            )
    if choice.finish_reason:
        answer.finish(choice.finish_reason)


def _read(data: bytes) -> _Chunk:
    try:
        return _decode(data)
    except ValueError:
        # Bytes that are no text and halves of surrogate pairs are left out, not what is
        # around them; what is no JSON at all is refused here again.
        text = json.dumps(json.loads(data.decode("utf-8", "ignore")), ensure_ascii=False)
        return _decode(text.encode("utf-8", "ignore"))


plug = OpenAI()
