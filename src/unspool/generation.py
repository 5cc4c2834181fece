"""
One piece of text from some model: attempts, retries, failover before the first output.

`generate` is the whole policy in one loop. What it yields is what the log keeps: the
model's deltas, and every attempt with its reason, usage and cost.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeGuard

import aiohttp

from .errors import ProviderError, ProviderInterrupted, ProviderRefused, ProviderUnavailable
from .progress import estimate_tokens
from .providers import (
    Finish,
    Model,
    Output,
    Prompt,
    Reasoning,
    Skipped,
    Text,
    ToolFragment,
    Usage,
    open_provider,
)

log = logging.getLogger(__name__)

FIRST_WAIT_S = 0.5
"""Before the first retry; each further one waits twice as long (0.5, 1, 2 s)."""

JITTER = 0.25
"""Up to so much is added to a wait, so that many clients do not come back at once."""

MAX_RETRY_AFTER_S = 60.0
"""A provider that asks for more patience than this is taken as down."""


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    number: int
    model: Model
    strategy: str
    """first, retry, or next (another model)."""


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    number: int
    error: ProviderError
    has_output: bool
    usage: Usage | None
    """None where nothing came: whether it was paid for is not known."""
    retry_in_s: float | None


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    number: int
    model: Model
    finish_reason: str
    usage: Usage


Progress = AttemptStarted | AttemptFailed | AttemptFinished
Said = Text | Reasoning | ToolFragment | Skipped


@dataclass(frozen=True, slots=True)
class Means:
    """What generation works with, handed in so that a test can hold it."""

    http: aiohttp.ClientSession
    retries: int = 3
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random


async def generate(
    prompt: Prompt, models: Sequence[Model], means: Means, *, attempts_before: int = 0
) -> AsyncGenerator[Said | Progress]:
    """
    Yield what the first model that can says, and how it came about.

    Until something was said, a passing fault is retried and then the next model asked.
    `attempts_before` is where the numbering of attempts goes on.

    Raises:
        ProviderRefused, ProviderUnavailable: No model gave anything.
        ProviderInterrupted: The text so far is good, but it is not whole.
    """
    number = attempts_before
    last: ProviderError = ProviderRefused("no model is set up", code="no_model")
    for place, model in enumerate(models):
        for retry in range(means.retries + 1):
            number += 1
            yield AttemptStarted(number, model, _strategy(place, retry))
            attempt = _Attempt(model, prompt)
            try:
                stream = open_provider(model.provider).stream(model, prompt, means.http)
                async with aclosing(stream) as outputs:
                    async for output in outputs:
                        if attempt.take(output):
                            yield output
                attempt.check_end()
            except ProviderError as error:
                last = error
            else:
                yield AttemptFinished(number, model, attempt.finish_reason, attempt.usage())
                return
            wait_s = _wait_s(last, retry, means)
            usage = attempt.usage() if attempt.has_output else None
            yield AttemptFailed(number, last, attempt.has_output, usage, wait_s)
            if attempt.has_output:
                raise last
            if wait_s is None:
                break
            log.warning("Attempt %d at %s failed: %s", number, model.name, last)
            await means.sleep(wait_s)
    raise last


def _strategy(place: int, retry: int) -> str:
    if retry:
        return "retry"
    return "next" if place else "first"


def _wait_s(error: ProviderError, retry: int, means: Means) -> float | None:
    """Return how long to wait before asking the same model again; None for never."""
    if not isinstance(error, ProviderUnavailable) or retry >= means.retries:
        return None
    asked_s = error.retry_after_s or 0.0
    if asked_s > MAX_RETRY_AFTER_S:
        return None
    wait_s: float = FIRST_WAIT_S * 2**retry
    return max(asked_s, wait_s * (1 + JITTER * means.random()))


class _Attempt:
    """One request: passes on what is said and keeps count of it."""

    def __init__(self, model: Model, prompt: Prompt) -> None:
        self.model = model
        self.prompt = prompt
        self.finish_reason = ""
        self._reported: Usage | None = None
        self.parts: list[str] = []
        self._has_call = False

    def take(self, output: Output) -> TypeGuard[Said]:
        """Count an output; tell whether it is to be passed on."""
        if isinstance(output, Text) and output.text:  # the path of every token
            self.parts.append(output.text)
            return True
        match output:
            case Text(text) | Reasoning(text):
                self.parts.append(text)
                return bool(text)
            case ToolFragment():
                self.parts.append(output.arguments)
                self._has_call = True
                return True
            case Skipped():
                return True
            case Finish(reason):
                self.finish_reason = reason
            case Usage():
                self._reported = output
        return False

    @property
    def has_output(self) -> bool:
        return self._has_call or any(self.parts)

    def check_end(self) -> None:
        """A stop is not an end, whichever provider forgot to say so."""
        if not self.finish_reason:
            raise ProviderInterrupted("the stream stopped before its end", code="truncated")

    def usage(self) -> Usage:
        """What the provider reported, else our estimate, marked as such."""
        if self._reported is not None:
            return self._reported
        return estimated_usage(self.prompt, "".join(self.parts))


def estimated_usage(prompt: Prompt, said: str) -> Usage:
    """Count tokens ourselves, where the provider has not (yet) said."""
    asked = "".join(str(message.get("content") or "") for message in prompt.messages)
    return Usage(estimate_tokens(asked), estimate_tokens(said), measured=False)
