"""
What one stream has said, and the rules that hold whoever said it.

* A stop is not an end: only a positive end signal makes an answer whole, and one that is
  whole stays so, whatever the connection does next.
* An error inside an answer of status 200 counts, also where an end was told before or after.
* The last usage counts; a count that cannot be is no count.
* Tool calls are kept apart and are calls only when their arguments are a whole JSON object.
* Text is text: what no socket or database could take is replaced.
"""

from __future__ import annotations

import logging
from typing import Any, Final, NoReturn

from ..errors import ProviderError, ProviderInterrupted, ProviderRefused, ProviderUnavailable
from . import (
    Accepted,
    Finish,
    Model,
    Output,
    Reasoning,
    Skipped,
    Text,
    Usage,
)
from ._http import MAX_MESSAGE_CHARS, without_key
from ._think import ThinkTags
from ._tools import ToolCalls

log = logging.getLogger(__name__)

MAX_TOKENS: Final = 10**9
"""More tokens than this in a usage report are a mistake of the reporter."""

NORMAL: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "completed": "stop",
    "complete": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "refusal": "content_filter",
    "sensitive": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "spii": "content_filter",
}
"""Vendors' words for the ends that every vendor has, in small letters."""

ABNORMAL: Final = (
    "abort",
    "error",
    "fail",
    "cancel",
    "timeout",
    "resource",
    "network",
    "overload",
    "unavailable",
    "interrupt",
    "malformed",
)
"""A reason with one of these in it tells of an answer that was given up, not of its end."""

SILENT_ENDS: Final = frozenset({"content_filter", "length"})
"""Reasons for an end that explain why there is no text; asking again would not change them."""

REFUSED: Final = frozenset({"auth", "quota", "invalid_request", "unknown_model", "redirect"})
"""Codes of errors that the same request would meet again."""


class Answer:
    """A fold of what one stream says. `drain` gives what is to be passed on."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._outputs: list[Output] = []
        self._think = ThinkTags()
        self._calls = ToolCalls()
        self._finish: str | None = None
        self._usage: Usage | None = None
        self.has_output = False
        self.is_done = False
        """Nothing more is to be read."""

    @property
    def is_whole(self) -> bool:
        """An end was told; what may follow is usage."""
        return self._finish is not None or self.is_done

    def drain(self) -> list[Output]:
        """Return what came since the last call."""
        outputs = self._outputs
        if outputs:
            self._outputs = []
        return outputs

    def text(self, text: str) -> None:
        """Take in text of the answer; `<think>` at its beginning is reasoning."""
        if not text:
            return
        self.has_output = True
        if self._think.is_over:  # the path of every token
            self._outputs.append(Text(text))
        else:
            self._outputs += self._think.feed(text)

    def reasoning(self, text: str) -> None:
        if text:
            self.has_output = True
            self._outputs.append(Reasoning(text))

    def tool(
        self,
        *,
        index: int | None = None,
        id: str | None = None,
        name: str | None = None,
        arguments: str | dict[str, Any] | None = None,
    ) -> None:
        """Take in a fragment of a tool call, told apart by index, else by id, else by place."""
        fragment = self._calls.feed(index=index, id=id, name=name, arguments=arguments)
        self.has_output = True
        if fragment is not None:
            self._outputs.append(fragment)

    def accept(self, handle: str) -> None:
        """The provider keeps the answer under this id."""
        self._outputs.append(Accepted(handle))

    def usage(self, prompt: Any, completion: Any, cached: Any = None) -> None:
        """Take in a report of tokens; the last one counts."""
        if prompt is None and completion is None:
            return
        counts = _count(prompt), _count(completion), _count(cached)
        if None in counts[:2] and (prompt, completion) != counts[:2]:
            self._usage = None
            self.skip("the provider's count of tokens cannot be and was left out")
            return
        self._usage = Usage(counts[0], counts[1], counts[2])

    def skip(self, message: str) -> None:
        """Leave something out and say so."""
        log.warning("%s: %s", self._model.name, message)
        self._outputs.append(Skipped(message))

    def finish(self, reason: str) -> None:
        """
        Take in the reason that the provider gave for the end.

        Raises:
            ProviderError: The reason tells of an answer that was given up.
        """
        word = reason.lower()
        if word not in NORMAL and any(sign in word for sign in ABNORMAL):
            self.fail("aborted", f"the provider gave the answer up ({reason[:64]})")
        self._finish = NORMAL.get(word, word)

    def fail(self, code: str, message: str) -> NoReturn:
        """
        Raise the error that the provider told of inside its answer.

        Raises:
            ProviderRefused: The same request would meet it again.
            ProviderUnavailable, ProviderInterrupted: It may pass.
        """
        self._finish, self.is_done = None, False
        text = without_key(message, self._model)[:MAX_MESSAGE_CHARS]
        if code in REFUSED:
            raise ProviderRefused(text, code=code)
        kind = ProviderInterrupted if self.has_output else ProviderUnavailable
        raise kind(text, code=code)

    def rest(self) -> list[Output]:
        """Return what was held back: nothing more will come."""
        self._outputs += self._think.flush()
        return self.drain()

    def end(self, broken: ProviderError | None = None) -> list[Output]:
        """
        Return what ends the answer, if it is whole.

        `broken` is how reading it ended, where it did not end well.

        Raises:
            ProviderError: `broken`, or that a stop is not an end.
        """
        if broken is not None and not isinstance(broken, ProviderInterrupted):
            raise broken
        if not self.has_output and self._finish not in SILENT_ENDS:
            raise self._nothing(broken) from broken
        if not self.is_whole:
            raise broken or ProviderInterrupted(
                "the provider's stream stopped before its end", code="truncated"
            )
        calls, cut_short = self._calls.end()
        for name in cut_short:
            self.skip(f"the call of {name!r} has arguments that are not a whole JSON object")
        usage: list[Output] = [] if self._usage is None else [self._usage]
        return [*self.drain(), *calls, *usage, Finish(self._finish or "stop")]

    def _nothing(self, broken: ProviderInterrupted | None) -> ProviderUnavailable:
        if broken is not None:
            error = ProviderUnavailable(str(broken), code=broken.code)
            error.after = broken.after
        else:
            error = ProviderUnavailable("the provider answered nothing", code="empty")
            error.finish_reason = self._finish
        return error


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS
    return value if is_count else None
