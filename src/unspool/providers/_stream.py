"""
Reading one answer over HTTP: the loop that all HTTP providers share.

An adapter says what to send (`Request`) and what each frame means (`take`); limits, broken
connections and the end of the answer are dealt with here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

import aiohttp

from ..errors import ProviderError, ProviderInterrupted
from ..sse import Decoder, EventTooLong, Frame
from . import Model, Output
from ._answer import Answer
from ._http import Request, send


class Framing(Protocol):
    """Cuts a body into frames; `sse.Decoder` is one."""

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the frames that `chunk` completes."""

    def flush(self) -> list[Frame]:
        """Return what the end of the body completes."""


Take = Callable[[Frame, Answer], None]
"""Tells the answer what a frame says. Raises ProviderError for an error inside it."""


async def converse(
    http: aiohttp.ClientSession,
    request: Request,
    model: Model,
    take: Take,
    *,
    framing: Framing | None = None,
) -> AsyncGenerator[Output]:
    """
    Send a request and yield what its answer says.

    Raises:
        ProviderError: See `providers.Provider.stream`.
    """
    answer = Answer(model)
    framing = framing or Decoder(max_event_bytes=model.limits.max_event_bytes)
    broken: ProviderError | None = None
    try:
        async with send(http, request, model) as reply:
            while not answer.is_done:
                chunk = await reply.read()
                for frame in framing.feed(chunk) if chunk else framing.flush():
                    take(frame, answer)
                outputs = answer.drain()
                for output in outputs:
                    yield output
                if not chunk:
                    break
                reply.timer.saw(output=bool(outputs), whole=answer.is_whole)
    except EventTooLong as error:
        broken = ProviderInterrupted(f"the provider sent {error}", code="protocol")
    except ProviderError as error:
        broken = error
    for output in answer.rest():  # what came before the break, in the same read
        yield output
    for output in answer.end(broken):
        yield output
