"""
Any endpoint that speaks OpenAI's Chat Completions with `stream: true`.

Alibaba Bailian (DashScope), DeepSeek, Moonshot, vLLM, llama.cpp and many more do.
The vendor's own SDK is not used: it ends silently when a stream is cut, and one bad
chunk ends it with an error.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator
from typing import Any, NoReturn
from urllib.parse import urlsplit

import aiohttp
import msgspec

from ..errors import ProviderError, ProviderInterrupted, ProviderUnavailable
from ..sse import Decoder, EventTooLong, Frame
from . import Finish, Model, Output, Prompt, Reasoning, Skipped, Text, ToolFragment, Usage
from ._http import MAX_MESSAGE_CHARS, post, without_key

log = logging.getLogger(__name__)

DONE = b"[DONE]"

_SILENT_ENDS = frozenset({"content_filter", "length"})
"""Reasons for an end that explain why there is no text; asking again would not change them."""

MAX_TOKENS = 10**9
"""More tokens than this in a usage report are a mistake of the reporter."""


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


class _Answer:
    """What one stream has said: a fold of its chunks."""

    def __init__(self) -> None:
        self.has_output = False
        self.is_done = False
        self.finish: str | None = None
        self.usage: Usage | None = None

    def take(self, frame: Frame, model: Model) -> list[Output]:
        data = frame.data.strip()
        if data == DONE:
            self.is_done = True
            return []
        if not data:
            return []
        if frame.event == "error":
            self._fail(data.decode("utf-8", "replace"), model)
        try:
            chunk = _read(data)
        except (ValueError, RecursionError) as error:
            # One chunk that cannot be read is no reason to lose the rest of the answer.
            message = f"a chunk that could not be read was left out: {error}"
            log.warning(message)
            return [Skipped(message)]
        if chunk.error:
            self._fail(chunk.error, model)
        if chunk.usage is not None:
            self.usage = _usage(chunk.usage)
        outputs: list[Output] = []
        for choice in chunk.choices or ():
            if not choice.index:  # of several choices only the first is the answer
                self._choice(choice, outputs)
        if outputs:
            self.has_output = True
        return outputs

    def _fail(self, error: Any, model: Model) -> NoReturn:
        """An error inside a 200 answer counts, even where an end was told before or after it."""
        self.finish, self.is_done = None, False
        message = error.get("message") if isinstance(error, dict) else error
        text = without_key(str(message), model)[:MAX_MESSAGE_CHARS]
        raise ProviderInterrupted(f"the provider reported an error: {text}", code="server")

    def _choice(self, choice: _Choice, outputs: list[Output]) -> None:
        delta = choice.delta
        if choice.finish_reason:
            self.finish = choice.finish_reason
        if delta is None:
            return
        if thought := delta.reasoning_content or delta.reasoning:
            outputs.append(Reasoning(thought))
        if delta.content:
            outputs.append(Text(delta.content))
        for place, call in enumerate(delta.tool_calls or ()):
            function = call.function or _Function()
            index = place if call.index is None else call.index
            outputs.append(ToolFragment(index, call.id, function.name, function.arguments or ""))

    def end(self, broken: ProviderError | None = None) -> list[Output]:
        """
        Return what ends the answer, if it is whole.

        Raises:
            ProviderUnavailable, ProviderInterrupted: A stop is not an end.
        """
        if not self.has_output and self.finish not in _SILENT_ENDS:
            if broken is not None:
                raise ProviderUnavailable(str(broken), code=broken.code) from broken
            raise ProviderUnavailable("the provider answered nothing", code="empty")
        if self.finish is None and not self.is_done:
            raise broken or ProviderInterrupted(
                "the provider's stream stopped before its end", code="truncated"
            )
        usage: list[Output] = [] if self.usage is None else [self.usage]
        return [*usage, Finish(self.finish or "stop")]


class OpenAI:
    async def stream(
        self, model: Model, prompt: Prompt, http: aiohttp.ClientSession
    ) -> AsyncGenerator[Output]:
        """See `providers.Provider`."""
        body = {
            "stream_options": {"include_usage": True},
            **prompt.params,
            # Not for a request to change: which model answers, to what, and that it streams.
            "model": model.upstream_name,
            "messages": prompt.messages,
            "stream": True,
        }
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if model.api_key:
            headers["Authorization"] = f"Bearer {model.api_key}"
        answer = _Answer()
        decoder = Decoder(max_event_bytes=model.limits.max_event_bytes)
        url, raw = endpoint(model.base_url), msgspec.json.encode(body)
        broken: ProviderInterrupted | None = None
        try:
            async with post(http, url, model=model, body=raw, headers=headers) as reply:
                while not answer.is_done:
                    chunk = await reply.read()
                    has_said = False
                    for frame in decoder.feed(chunk) if chunk else decoder.flush():
                        for output in answer.take(frame, model):
                            has_said = True
                            yield output
                    if not chunk:
                        break
                    reply.timer.saw(output=has_said)
        except EventTooLong as error:
            broken = ProviderInterrupted(f"the provider sent {error}", code="protocol")
        except ProviderInterrupted as error:
            broken = error
        for output in answer.end(broken):
            yield output


def _read(data: bytes) -> _Chunk:
    try:
        return _decode(data)
    except ValueError:
        # Bytes that are no text and halves of surrogate pairs are left out, not what is
        # around them; what is no JSON at all is refused here again.
        text = json.dumps(json.loads(data.decode("utf-8", "ignore")), ensure_ascii=False)
        return _decode(text.encode("utf-8", "ignore"))


def _usage(usage: _Usage) -> Usage | None:
    def count(value: float | str | None) -> int | None:
        return value if isinstance(value, int) and 0 <= value <= MAX_TOKENS else None

    prompt, completion = count(usage.prompt_tokens), count(usage.completion_tokens)
    return None if prompt is None and completion is None else Usage(prompt, completion)


plug = OpenAI()
