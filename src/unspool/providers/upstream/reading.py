"""
How every HTTP provider reads a body: bytes, frames, the answer.

An adapter says what each frame means (`take`). This file cuts the frames, and handles the end of
the answer and servers that send no stream: the first character of a body decides what it is, not
the content type.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from unspool.errors import ProviderError, ProviderInterrupted
from unspool.formats.sse import MAX_STRAY_BYTES, Decoder, EventTooLong, Frame

from .. import Model, Sink
from .answer import Answer
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


Explain = Callable[[ProviderError], ProviderError]
"""Gives an error that ends the answer the meaning that it has for this request."""


class PlainChunks(Protocol):
    """
    The short way for a chunk that is one whole event, with text and nothing else in it. Nearly
    every chunk of an answer is one, and goes past frames and rules.
    """

    def may_be_plain(self) -> bool:
        """Whether the adapter is in mid-flow, so that the next chunk may go this way."""

    def plain_text(self, chunk: bytes) -> str:
        """Return the text of a plain chunk; empty for any other."""


class AnswerReader:
    """
    See `providers.BodyReader`.

    Args:
        take: Reads a frame.
        framing: Cuts the body; without, its first character decides.
        explain: Applied to the error that ends the answer.
        plain: The short way for most chunks, if the adapter has one.
    """

    def __init__(
        self,
        model: Model,
        sink: Sink,
        take: Take,
        *,
        framing: Framing | None = None,
        explain: Explain | None = None,
        plain: PlainChunks | None = None,
    ) -> None:
        self.is_whole = False
        self.is_done = False
        self.is_calling = False
        self._answer = Answer(model, sink)
        self._take = take
        self._opening = FirstBytes(max_event_bytes=model.limits.max_event_bytes)
        self._framing: Framing = framing or self._opening
        self._explain = explain
        self._sink = sink
        self._limit = model.limits.max_event_bytes
        self._plain = plain
        self._plain_text = _never_plain if plain is None else plain.plain_text
        self._is_plain = False

    def feed(self, chunk: bytes) -> bool:
        """See `providers.BodyReader`."""
        if self._is_plain and len(chunk) <= self._limit and (text := self._plain_text(chunk)):
            self._sink.text(text)  # nearly every chunk
            return True
        return self._feed_frames(chunk)

    def _feed_frames(self, chunk: bytes) -> bool:
        if self.is_done:
            return False
        answer = self._answer
        self._is_plain = False
        try:
            frames = self._framing.feed(chunk)
        except EventTooLong as error:
            raise ProviderInterrupted(f"the provider sent {error}", code="protocol") from None
        has_news = self._take_all(frames)
        self.is_done, self.is_whole = answer.is_done, answer.is_whole
        self.is_calling = answer.has_call
        opening = self._opening
        if self._framing is opening and opening.chosen is not None:
            self._framing = opening.chosen  # one call less for each later chunk
        if self._plain is not None and answer.is_plain and self._plain.may_be_plain():
            decoder = self._framing
            self._is_plain = isinstance(decoder, Decoder) and decoder.is_between_events
        return has_news

    def end(self, broken: ProviderError | None) -> None:
        """See `providers.BodyReader`."""
        try:
            if broken is None:
                broken = self._flush()
            self._answer.end(broken)
        except ProviderError as error:
            told = error if self._explain is None else self._explain(error)
            if told is error:
                raise
            raise told from error

    def _flush(self) -> ProviderError | None:
        """Read what the end of the body completes; return the error in it, if there is one."""
        try:
            if not self.is_done:
                self._take_all(self._framing.flush())
            _heed(self._opening.stray, self._answer)
        except ProviderError as error:
            return error
        return None

    def _take_all(self, frames: list[Frame]) -> bool:
        """Read frames into the answer; return whether they held any output."""
        take, answer, has_news = self._take, self._answer, False
        for frame in frames:
            was_whole, answer.has_news = answer.is_whole, False
            take(frame, answer)
            if answer.has_news:
                has_news = True
                answer.has_gone_on = answer.has_gone_on or was_whole
            if answer.is_done:  # words after the end do not belong to the answer
                break
        return has_news


def _never_plain(_chunk: bytes) -> str:
    """Stand in for the short way of an adapter that has none."""
    return ""


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
