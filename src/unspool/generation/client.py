"""
`LLMClient`: generation without a run, for programs that only want the words (S1).

    client = get_llm_client()
    async for chunk in client.stream_chat("请介绍运动鞋的特点"):
        print(chunk, end="", flush=True)

The same retries, limits and providers as in a run; nothing is written down.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

from unspool.providers.upstream.http1 import Client

from ..errors import LLMClientError, ProviderError
from ..models.catalog import OFFLINE
from ..models.environment import model_from
from ..models.health import Health
from ..providers import Delta, Limits, Model, Prompt, Reasoning, Text, ToolFragment, Usage
from ..providers.upstream.http import open_http
from ..settings import Settings
from .attempts import AttemptFailed, AttemptFinished, AttemptStarted
from .generate import GenerationDeps, generate
from .queue import ModelLines

log = logging.getLogger(__name__)

SYSTEM = "You are a helpful sales assistant."
PREVIEW_CHARS = 10


@dataclass(slots=True)
class Completion:
    """A whole answer: the fold of its deltas. Times are in milliseconds from the call."""

    text: str
    reasoning: str
    model: str
    finish_reason: str
    usage: Usage
    attempts: int
    first_chunk_ms: float | None
    total_ms: float


@dataclass(slots=True)
class _ClientCall:
    """The progress of one call, for its log lines and its error."""

    started_s: float = field(default_factory=time.perf_counter)
    chunks: int = 0
    parts: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    attempts: int = 0
    first_chunk_ms: float | None = None
    finished: AttemptFinished | None = None

    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self.started_s) * 1000

    def saw(self, text: str) -> None:
        self.chunks += 1
        self.parts.append(text)
        if self.first_chunk_ms is None:
            self.first_chunk_ms = self.elapsed_ms()
            preview = text[:PREVIEW_CHARS]
            log.info(f"First chunk received: {preview}... ({self.first_chunk_ms:.2f}ms)")


class LLMClient:
    """
    A client of one model.

    Without a key or an address it answers in stub mode: the built-in offline model, no
    network. Used as `async with`, it keeps connections open between calls; otherwise
    every call closes its own.
    """

    def __init__(
        self, model: Model | None = None, *, retries: int = 3, allow_private: bool = True
    ) -> None:
        self.model = model or OFFLINE
        self._retries = retries
        self._allow_private = allow_private
        self._health = Health()
        self._lines = ModelLines()
        self._http: Client | None = None

    @property
    def is_stub(self) -> bool:
        """True if no model is configured and the built-in one answers."""
        return self.model.provider == OFFLINE.provider

    def with_limits(self, **limits: float | int | None) -> LLMClient:
        """Return a client with other limits: `connect_s`, `first_event_s`, `idle_s` …"""
        changed: Limits = replace(self.model.limits, **limits)  # type: ignore[arg-type]
        return LLMClient(
            replace(self.model, limits=changed),
            retries=self._retries,
            allow_private=self._allow_private,
        )

    async def __aenter__(self) -> Self:
        self._http = open_http(allow_private=self._allow_private)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def stream_chat(
        self,
        prompt: str,
        system: str = SYSTEM,
        temperature: float | None = None,
        max_tokens: int | None = None,
        is_bound: bool = False,
        **params: Any,
    ) -> AsyncGenerator[str]:
        """
        Yield the answer piece by piece as text.

        `params` are further parameters of the OpenAI API and passed through. `is_bound`: the answer
        must fit a form, such as JSON; if it breaks off, no message asks a model to continue it.

        Raises:
            LLMClientError: After 1 attempt and 3 retries, or at once if a retry cannot help; it
                holds code, status, attempts and the text so far.
        """
        request = {"temperature": temperature, "max_tokens": max_tokens, **params}
        call = _ClientCall()
        whole = replace(Prompt.of(prompt, system=system, **request), is_bound=is_bound)
        async with aclosing(self._deltas(whole, call)) as deltas:
            async for delta in deltas:
                if isinstance(delta, Text):
                    yield delta.text

    async def stream(
        self, prompt: str, system: str = SYSTEM, **params: Any
    ) -> AsyncGenerator[Delta]:
        """Yield `Text`, `Reasoning` and `ToolFragment` deltas; otherwise as `stream_chat`."""
        request = Prompt.of(prompt, system=system, **params)
        async with aclosing(self._deltas(request, _ClientCall())) as deltas:
            async for delta in deltas:
                yield delta

    async def complete(self, prompt: str, system: str = SYSTEM, **params: Any) -> Completion:
        """Return the whole answer, folded from the same stream."""
        call = _ClientCall()
        request = Prompt.of(prompt, system=system, **params)
        async with aclosing(self._deltas(request, call)) as deltas:
            async for _ in deltas:
                pass
        assert call.finished is not None
        return Completion(
            text="".join(call.parts),
            reasoning="".join(call.reasoning),
            model=call.finished.model.name,
            finish_reason=call.finished.finish_reason,
            usage=call.finished.usage,
            attempts=call.attempts,
            first_chunk_ms=call.first_chunk_ms,
            total_ms=call.elapsed_ms(),
        )

    async def _deltas(self, prompt: Prompt, call: _ClientCall) -> AsyncGenerator[Delta]:
        http = self._http or open_http(allow_private=self._allow_private)
        deps = GenerationDeps(http, retries=self._retries, health=self._health, lines=self._lines)
        chars = len(str(prompt.messages[-1]["content"]))
        log.info("LLM stream started: model %s, %d characters", self.model.name, chars)
        try:
            generating = generate(prompt, [self.model], deps)
            async with aclosing(generating) as pieces:
                async for piece in pieces:
                    match piece:
                        case Text(text):
                            call.saw(text)
                            yield piece
                        case Reasoning(text):
                            call.reasoning.append(text)
                            yield piece
                        case ToolFragment():
                            yield piece
                        case AttemptStarted():
                            call.attempts += 1
                        case AttemptFailed(number, model, error):
                            log.warning("Attempt %d at %s failed: %s", number, model.name, error)
                        case AttemptFinished():
                            call.finished = piece
        except ProviderError as error:
            raise _final(error, call) from error
        finally:
            if http is not self._http:
                await http.aclose()
        chars = sum(map(len, call.parts))
        log.info(
            f"LLM stream completed: {call.chunks} chunks, {chars} chars, {call.elapsed_ms():.2f} ms"
        )


def _final(error: ProviderError, call: _ClientCall) -> LLMClientError:
    log.error("LLM stream failed after %d attempts: %s: %s", call.attempts, error.code, error)
    attempts = "one attempt" if call.attempts == 1 else f"{call.attempts} attempts"
    return LLMClientError(
        f"no whole answer after {attempts}: {error}",
        code=error.code,
        status=error.status,
        attempts=call.attempts,
        text="".join(call.parts),
    )


def get_llm_client(settings: Settings | None = None) -> LLMClient:
    """
    Return a client of the model that the environment (or `.env`) describes.

    `LLM_API_KEY`, `LLM_BASE_URL`, `LLM_MODEL`, else `OPENAI_API_KEY`, `OPENAI_BASE_URL`
    (or `OPENAI_API_URL`), `OPENAI_MODEL`. Without a key: stub mode.
    """
    settings = settings or Settings()
    return LLMClient(
        model_from(settings),
        retries=settings.retries,
        allow_private=settings.allow_private_upstreams,
    )
