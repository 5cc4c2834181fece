"""Asking a provider once, and what was heard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from support.upstream import Script, Upstream
from unspool import Model, Prompt
from unspool.errors import ProviderError
from unspool.providers import (
    Accepted,
    Finish,
    Output,
    Reasoning,
    Skipped,
    Text,
    Tool,
    ToolCall,
    ToolFragment,
    Usage,
)
from unspool.providers.upstream.http1 import Client
from unspool.providers.upstream.pulled import outputs_of

WEATHER = Tool(
    "get_weather",
    "Weather of a city",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)

TALK: tuple[dict[str, Any], ...] = (
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "北京和上海的天气？"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "c:1", "name": "get_weather", "arguments": {"city": "北京"}},
            {"id": "c:2", "name": "get_weather", "arguments": {"city": "上海"}},
        ],
    },
    {"role": "tool", "tool_call_id": "c:1", "name": "get_weather", "content": '{"celsius": 3}'},
    {"role": "tool", "tool_call_id": "c:2", "name": "get_weather", "content": "雨"},
    {"role": "user", "content": "谢谢"},
)
"""A talk with two calls side by side, in our form."""


@dataclass
class Heard:
    outputs: list[Output] = field(default_factory=list)
    error: ProviderError | None = None

    def _all(self, kind: type[Any]) -> Iterator[Any]:
        return (output for output in self.outputs if isinstance(output, kind))

    @property
    def text(self) -> str:
        return "".join(it.text for it in self._all(Text))

    @property
    def reasoning(self) -> str:
        return "".join(it.text for it in self._all(Reasoning))

    @property
    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        return [(it.name, it.arguments) for it in self._all(ToolCall)]

    @property
    def ids(self) -> list[str]:
        return [it.id for it in self._all(ToolCall)]

    @property
    def fragments(self) -> list[ToolFragment]:
        return list(self._all(ToolFragment))

    @property
    def usage(self) -> Usage | None:
        return next(self._all(Usage), None)

    @property
    def finish(self) -> str | None:
        return next((it.reason for it in self._all(Finish)), None)

    @property
    def accepted(self) -> list[str]:
        return [it.id for it in self._all(Accepted)]

    @property
    def skipped(self) -> int:
        return len(list(self._all(Skipped)))

    @property
    def failure(self) -> tuple[str, str]:
        """Kind and code of the error."""
        assert self.error is not None, "no error"
        return type(self.error).__name__.removeprefix("Provider").lower(), self.error.code


async def ask(model: Model, prompt: Prompt | None = None) -> Heard:
    """One attempt."""
    heard = Heard()
    try:
        async with Client() as http:
            stream = outputs_of(model, prompt or Prompt.of("你好"), http)
            async with aclosing(stream) as outputs:
                async for output in outputs:
                    heard.outputs.append(output)
    except ProviderError as error:
        heard.error = error
    return heard


def at(upstream: Upstream, provider: str, path: str, **more: Any) -> Model:
    """A model of `provider` at an upstream; `path` begins at the root of its host."""
    root = upstream.url.removesuffix("/v1")
    return replace(upstream.model(idle_s=2, **more), provider=provider, base_url=root + path)


def bytewise(script: Script) -> Script:
    """The same answer, each byte alone."""
    return [bytes([byte]) for part in script if isinstance(part, bytes) for byte in part]
