"""
Reading one answer over HTTP: the loop that all HTTP providers share.

An adapter gives the `Request` and says what each frame means (`take`). This file handles limits,
broken connections and the end of the answer. It also handles servers that send no stream: the
first character of a body decides what it is, not the content type.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Final, Protocol

from unspool.errors import ProviderError, ProviderInterrupted
from unspool.formats.sse import MAX_STRAY_BYTES, Decoder, EventTooLong, Frame
from unspool.providers.upstream.http1 import Client

from .. import Model, Output, Skipped
from .answer import Answer
from .http import Request, send
from .vendor_errors import error_in

_BLANK: Final = b"\xef\xbb\xbf \t\r\n"
"""White space and the byte order mark: they come before a body begins."""


class Framing(Protocol):
    """Cuts a body into frames; `sse.Decoder` is one."""

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the frames that `chunk` completes."""

    def flush(self) -> list[Frame]:
        """Return what the end of the body completes."""


Take = Callable[[Frame, Answer], None]
"""Reads a frame into the answer. Raises ProviderError for an error inside the frame."""


class Document:
    """
    A body that is not a stream: a JSON document, several of them one per line, or a page.

    Attributes:
        stray: The beginning of a body that is not JSON.
    """

    def __init__(self, *, max_event_bytes: int) -> None:
        self._limit = max_event_bytes
        self._body = bytearray()
        self.stray = b""

    def feed(self, chunk: bytes) -> list[Frame]:
        """
        Raises:
            EventTooLong: It is larger than `max_event_bytes`.
        """
        self._body += chunk
        if len(self._body) > self._limit:
            raise EventTooLong(f"a document of more than {self._limit} bytes")
        return []

    def flush(self) -> list[Frame]:
        """Return the document; its lines where only they are documents."""
        body = bytes(self._body).strip(_BLANK)
        for parts in ([body], body.splitlines()):
            if parts and _is_json(parts[0]):
                return [Frame(part) for part in parts if part.strip()]
        self.stray = body[:MAX_STRAY_BYTES]
        return []


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return False
    return True


class FirstBytes:
    """Chooses how to cut a body as soon as its first character has arrived."""

    def __init__(self, *, max_event_bytes: int) -> None:
        self._decoder = Decoder(max_event_bytes=max_event_bytes)
        self._document = Document(max_event_bytes=max_event_bytes)
        self.chosen: Decoder | Document | None = None

    def feed(self, chunk: bytes) -> list[Frame]:
        """
        Raises:
            EventTooLong: One event, or the document, is larger than `max_event_bytes`.
        """
        if self.chosen is None:
            start = chunk.lstrip(_BLANK)
            if not start:
                return []
            self.chosen = self._document if start[:1] in b"{[<" else self._decoder
            chunk = start
        return self.chosen.feed(chunk)

    def flush(self) -> list[Frame]:
        return [] if self.chosen is None else self.chosen.flush()

    @property
    def stray(self) -> bytes:
        """The beginning of any bytes that belong to no event."""
        return b"" if self.chosen is None else self.chosen.stray


async def converse(
    http: Client,
    request: Request,
    model: Model,
    take: Take,
    *,
    framing: Framing | None = None,
) -> AsyncGenerator[Output]:
    """
    Send a request and yield the outputs of its answer.

    Raises:
        ProviderError: See `providers.Provider.stream`.
    """
    answer = Answer(model)
    opening = FirstBytes(max_event_bytes=model.limits.max_event_bytes)
    framing = framing or opening
    broken: ProviderError | None = None
    try:
        async with send(http, request, model) as reply:
            while not answer.is_done:
                chunk = await reply.read()
                was_whole = answer.is_whole
                _take_all(framing.feed(chunk) if chunk else framing.flush(), take, answer)
                outputs = answer.drain()
                for output in outputs:
                    yield output
                if not chunk:
                    break
                is_new = any(type(output) is not Skipped for output in outputs)
                if is_new and was_whole:
                    answer.has_gone_on = True
                reply.timer.saw(output=is_new, whole=answer.is_whole)
                if framing is opening and opening.chosen is not None:
                    framing = opening.chosen  # one call less for each later chunk
        _heed(opening.stray, answer)
    except EventTooLong as error:
        broken = ProviderInterrupted(f"the provider sent {error}", code="protocol")
    except ProviderError as error:
        broken = error
    for output in answer.rest():  # outputs from before the break, in the same read
        yield output
    for output in answer.end(broken):
        yield output


def _take_all(frames: list[Frame], take: Take, answer: Answer) -> None:
    for frame in frames:
        take(frame, answer)
        if answer.is_done:  # words after the end do not belong to the answer
            return


def _heed(stray: bytes, answer: Answer) -> None:
    """
    Report bytes outside of any event when they explain why the answer has no end.

    Raises:
        ProviderError: They are an error, or at least not an answer.
    """
    if not stray or answer.is_whole:
        return
    with suppress(ValueError, RecursionError):
        if (error := error_in(json.loads(stray))) is not None:
            answer.report(error)
    words = stray.decode("utf-8", "replace").split("\n")[0][:100]
    answer.fail("protocol", f"the provider's answer is no stream of events: {words!r}")
