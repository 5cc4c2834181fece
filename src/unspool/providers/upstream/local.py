"""
How answers of models inside this process are written down and read: a JSON document per line, one
output each, much as `scripted` has its steps.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from unspool.errors import (
    ProviderError,
    ProviderInterrupted,
    ProviderRefused,
    ProviderUnavailable,
)

from .. import Finish, Output, Reasoning, Sink, Skipped, ToolCall, ToolFragment, Usage
from .answer import SILENT_ENDS
from .tool_calls import ToolCalls


class Failure(msgspec.Struct, omit_defaults=True):
    """An end by an error; see `scripted.Fail`."""

    fail: Literal["refused", "unavailable", "interrupted"]
    message: str
    code: str | None = None
    status: int | None = None
    retry_after_s: float | None = None


class LocalLine(msgspec.Struct, omit_defaults=True):
    """One output; exactly one field is set."""

    text: str | None = None
    reasoning: str | None = None
    tool: ToolFragment | None = None
    call: ToolCall | None = None
    usage: Usage | None = None
    skipped: str | None = None
    finish: str | None = None
    failure: Failure | None = None

    def encode(self) -> bytes:
        return _encode(self) + b"\n"


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LocalLine).decode


class LocalReader:
    """See `providers.BodyReader`."""

    def __init__(self, sink: Sink) -> None:
        self.is_whole = False
        self.is_done = False
        self.traits: frozenset[str] = frozenset()
        self._sink = sink
        self._half = b""
        self._has_output = False
        self._calls = ToolCalls()
        self._has_whole_calls = False

    def feed(self, chunk: bytes) -> bool:
        """See `providers.BodyReader`."""
        *lines, self._half = (self._half + chunk).split(b"\n")
        for line in lines:
            self._read(_decode(line))
        return bool(lines)

    def end(self, broken: ProviderError | None) -> None:
        """See `providers.BodyReader`."""
        if broken is not None:
            raise broken
        if not self.is_whole:
            message = "the script ended without a finish"
            raise self._error(Failure("unavailable", message))

    def _read(self, line: LocalLine) -> None:
        if line.text:
            self._has_output = True
            self._sink.text(line.text)
        elif line.failure is not None:
            raise self._error(line.failure)
        elif (output := _output(line)) is not None:
            self._note_call(output)
            is_said = not isinstance(output, Usage | Skipped | Finish)
            self._has_output = self._has_output or is_said
            self.is_whole = self.is_whole or isinstance(output, Finish)
            self._sink.take(output)

    def _note_call(self, output: Output) -> None:
        """Put a script's fragments together; a model that tells whole calls needs nothing."""
        match output:
            case ToolFragment(index, id, name, arguments):
                self._calls.feed(index=index, id=id, name=name, arguments=arguments)
            case ToolCall():
                self._has_whole_calls = True
            case Finish(reason) if not self._has_whole_calls:
                whole, _ = self._calls.end(is_cut=reason in SILENT_ENDS)
                for call in whole:
                    self._sink.take(call)

    def _error(self, failure: Failure) -> ProviderError:
        kind: type[ProviderError] = ProviderInterrupted if self._has_output else ProviderUnavailable
        if failure.fail == "refused":
            kind = ProviderRefused
        return kind(
            failure.message,
            code=failure.code,
            status=failure.status,
            retry_after_s=failure.retry_after_s,
        )


def _output(line: LocalLine) -> Any:
    if line.reasoning:
        return Reasoning(line.reasoning)
    if line.skipped is not None:
        return Skipped(line.skipped)
    if line.finish is not None:
        return Finish(line.finish)
    return line.tool or line.call or line.usage
