"""
Bounds of one text: how long its reader waits for it, and how long it becomes.

A flow that has a text of its own for the case sets them. Nothing is asked after a bound is reached:
the request is closed, its late answer is dropped, and its usage is an estimate. A text that has
become long enough ends with its sentence; one without an end of a sentence is given up.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from ..errors import BudgetSpent, ProviderError, ProviderInterrupted, ProviderUnavailable
from ..providers import Finish, Model, Output, Prompt, Sink, Text, ThoughtAloud
from .continuation import PartialText

if TYPE_CHECKING:
    from unspool.providers.upstream.http1 import Client

    from .attempts import OpenAttempt, Out
    from .generate import Generation, GenerationDeps

OUT_OF_TIME: Final = "out_of_time"
NO_END: Final = "no_end"

GAVE_UP: Final = frozenset({OUT_OF_TIME, NO_END, BudgetSpent.code})
"""Codes after which no model is asked for this text, by a later owner of the run neither."""

HARD: Final = 1.5
"""So much longer than asked a text may become while its last sentence does not end."""

_MARKS: Final = "。！？!?…～~"
_CLOSERS: Final = "”’」』）)\"'*_"

_END: Final = re.compile(
    rf"(?:[{_MARKS}]+[{_CLOSERS}]*|\.[{_CLOSERS}]*(?=\s)|(?<=\S)(?=\n))(?=[^{_MARKS}{_CLOSERS}])"
)
"""The end of a sentence, once something follows that is no part of it."""

_MAY_END: Final = re.compile(rf"[{_MARKS}.][{_CLOSERS}]*\s*$")


class _Whole(Exception):
    """The text is long enough."""


class _NoEnd(Exception):
    """The text is too long, and stands inside a sentence."""


class Bounds:
    """
    The bounds of one step, and its clock.

    Args:
        wait_s: Seconds from now in which text must come; None: no limit.
        silence_s: Longest time without text after the first; None: no limit.
        is_whole: The text must be whole within `wait_s`, because nobody sees it before.
        max_chars: The text ends with the sentence that is open at this character.
    """

    def __init__(
        self,
        so_far: PartialText,
        *,
        wait_s: float | None = None,
        silence_s: float | None = None,
        is_whole: bool = False,
        max_chars: float | None = None,
    ) -> None:
        self.max_chars = max_chars or math.inf
        self._so_far = so_far
        self._wait_s = wait_s
        self._silence_s = None if is_whole else silence_s
        self._limit: asyncio.Timeout | None = None

    def around(self, deps: GenerationDeps) -> GenerationDeps:
        """Return the dependencies with these bounds around every request."""
        return replace(deps, ask=self._around(deps.ask))

    async def write(self, generation: Generation, out: Out) -> None:
        """
        Let `generation` write, within the time.

        Raises:
            ProviderError: As `Generation.write`; code `out_of_time` or `no_end` at a bound.
        """
        wait_s = self._silence_s if self._so_far.text and self._silence_s else self._wait_s
        if wait_s is not None and wait_s <= 0:
            raise self._out_of_time()
        try:
            async with asyncio.timeout(wait_s) as self._limit:
                await generation.write(out)
        except TimeoutError:
            raise self._out_of_time() from None  # between two requests
        finally:
            self._limit = None

    def heard(self) -> None:
        """Text came: only silence counts from here on."""
        if self._limit is not None and self._silence_s is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + self._silence_s)

    def _out_of_time(self) -> ProviderError:
        if self._so_far.text and self._silence_s is not None:
            message = f"the model was silent for {self._silence_s:g} s"
            return ProviderInterrupted(message, code=OUT_OF_TIME, retry_after_s=math.inf)
        message = "the model has shown nothing in the time for a first text"
        return ProviderUnavailable(message, code=OUT_OF_TIME, retry_after_s=math.inf)

    def _around(
        self, ask: Callable[[Model, Prompt, Client, Sink], Awaitable[None]]
    ) -> Callable[[Model, Prompt, Client, Sink], Awaitable[None]]:
        async def ask_within(model: Model, prompt: Prompt, http: Client, sink: Sink) -> None:
            task = asyncio.current_task()
            before = task.cancelling() if task else 0
            bounded = _BoundedSink(self, cast("OpenAttempt", sink), len(self._so_far.text))
            try:
                await ask(model, prompt, http, bounded)
            except _Whole:
                sink.take(Finish("stop"))
            except _NoEnd:
                raise _no_end() from None
            except asyncio.CancelledError:
                is_ours = self._limit is not None and self._limit.expired()
                # A client may cancel the run in the same moment; that goes first.
                if is_ours and task is not None and task.cancelling() == before + 1:
                    raise self._out_of_time() from None
                raise
            if bounded.is_cut:
                raise _no_end()

        return ask_within


def _no_end() -> ProviderError:
    message = "the text is too long, and its last sentence does not end"
    return ProviderInterrupted(message, code=NO_END, retry_after_s=math.inf)


class _BoundedSink:
    """
    Passes an answer on until the text is long enough, without the part that the seam leaves out.

    Attributes:
        is_cut: A limit of the model's cut it inside a sentence.
    """

    def __init__(self, bounds: Bounds, sink: OpenAttempt, chars: int) -> None:
        self._bounds = bounds
        self._sink = sink
        sink.within = self._within
        self._chars = self._at = chars
        """Characters of the step; those before this answer."""
        self._tail = ""
        """The open sentence, from `max_chars` on."""
        self._before = ""
        """The last character of the step."""
        self._last = ""
        """The last characters of the answer, to see whether a sentence ends there."""
        self.is_cut = False

    @property
    def is_full(self) -> bool:
        return self._sink.is_full

    async def drain(self) -> None:
        await self._sink.drain()

    def text(self, text: str) -> None:
        """
        Raises:
            _Whole: It is long enough.
            _NoEnd: It is much longer, without an end of the sentence.
        """
        self._bounds.heard()
        self._last = (self._last + text)[-12:]
        if self._sink.is_joined:
            self._within(text, self._sink.text)
        else:  # the seam says what of it is new
            self._sink.text(text)

    def _within(self, text: str, pass_on: Callable[[str], None]) -> None:
        before, self._before = self._before, text[-1:] or self._before
        most = self._bounds.max_chars
        if self._chars + len(text) <= most:
            self._chars += len(text)
            pass_on(text)
            return
        start = 0
        if not self._tail:  # it begins with the last character within the bound
            start = int(most) - self._chars - 1
            self._tail = before if start < 0 else ""
        known = len(self._tail)
        self._tail += text[max(0, start) :]
        new = len(self._tail) - known
        end, room = _END.search(self._tail), int(most * HARD) - self._chars
        keep = len(text) if end is None else len(text) - new + max(0, end.end() - known)
        self._chars += min(keep, room)
        if kept := text[: min(keep, room)]:
            pass_on(kept)
        if keep > room:
            raise _NoEnd
        if end is not None:
            raise _Whole

    def take(self, output: Output) -> None:
        """Take any other output."""
        match output:
            case Text(text):
                self.text(text)
                return
            case ThoughtAloud():
                self._chars, self._tail = self._at, ""
                self._before = self._last = ""
            case Finish("length"):
                self.is_cut = bool(self._last) and not _MAY_END.search(self._last)
        self._sink.take(output)
