"""A sink that remembers what a reader told it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from unspool import Model, Prompt
from unspool.errors import ProviderError
from unspool.providers import (
    BodyReader,
    Finish,
    Output,
    Reasoning,
    Skipped,
    Text,
    ToolCall,
    ToolFragment,
    open_provider,
)


@dataclass
class Hearing:
    outputs: list[Output] = field(default_factory=list)
    error: ProviderError | None = None
    is_full = False

    def text(self, text: str) -> None:
        self.take(Text(text))

    def take(self, output: Output) -> None:
        self.outputs.append(output)

    async def drain(self) -> None:
        """It is never full."""

    @property
    def said(self) -> str:
        return "".join(it.text for it in self.outputs if isinstance(it, Text))

    @property
    def thought(self) -> str:
        return "".join(it.text for it in self.outputs if isinstance(it, Reasoning))

    @property
    def calls(self) -> list[ToolCall]:
        return [it for it in self.outputs if isinstance(it, ToolCall)]

    @property
    def called(self) -> list[tuple[str, Any]]:
        return [(call.name, call.arguments) for call in self.calls]

    @property
    def warnings(self) -> int:
        return sum(isinstance(it, Skipped) for it in self.outputs)

    @property
    def reason(self) -> str | None:
        """The reason for the end; None: the answer is not whole."""
        return next((it.reason for it in self.outputs if isinstance(it, Finish)), None)

    def fragments_of(self, index: int) -> str:
        """The arguments of a call as a viewer sees them grow."""
        parts = (it for it in self.outputs if isinstance(it, ToolFragment))
        return "".join(part.arguments for part in parts if part.index == index)


def read_with(
    reader: BodyReader, pieces: Iterable[bytes], broken: ProviderError | None = None
) -> ProviderError | None:
    """Feed a reader; return the error that the answer comes to. `broken` ends the reading."""
    try:
        try:
            for piece in pieces:
                reader.feed(piece)
                if reader.is_done:
                    break
        except ProviderError as failed:
            broken = failed
        reader.end(broken)
    except ProviderError as failed:
        return failed
    return None


def heard(
    pieces: Iterable[bytes], provider: str = "openai", prompt: Prompt | None = None
) -> Hearing:
    """Return what a reader of `provider` makes of an answer."""
    model = Model("m", provider, "m-1", "http://127.0.0.1:9")
    hearing = Hearing()
    reader = open_provider(provider).reader(model, prompt or Prompt.of("你好"), hearing)
    hearing.error = read_with(reader, pieces)
    return hearing
