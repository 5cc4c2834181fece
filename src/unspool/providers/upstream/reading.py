"""
How every HTTP provider reads a body: bytes, frames (`framing`), the answer.

An adapter says what each frame means (`take`). This file handles the end of the answer, and the
short way of plain chunks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from unspool.errors import ProviderError, ProviderInterrupted
from unspool.formats.sse import Decoder, EventTooLong, Frame

from .. import Model, Sink
from .answer import Answer
from .framing import Document, FirstBytes, Framing

Take = Callable[[Frame, Answer], None]
"""Reads a frame into the answer. Raises ProviderError for an error inside the frame."""


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

    Attributes:
        state: Returns what the provider wants back with this turn (`turn_states`); None: nothing.
    """

    state: Callable[[], dict[str, Any]] | None = None

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
        self.traits: frozenset[str] = frozenset()
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
            if self.state is not None:
                self._answer.state = self.state()
            self._answer.end(broken)
        except ProviderError as error:
            told = error if self._explain is None else self._explain(error)
            if told is error:
                raise
            raise told from error
        finally:
            self.traits = self._answer.traits

    def _flush(self) -> ProviderError | None:
        """Read what the end of the body completes; return the error in it, if there is one."""
        try:
            if not self.is_done:
                frames = self._framing.flush()
                if isinstance(self._opening.chosen, Document):
                    for frame in frames:
                        self._answer.heed(frame.data)
                self._take_all(frames)
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
    answer.heed(stray)
    words = stray.decode("utf-8", "replace").split("\n")[0][:100]
    answer.fail("protocol", f"the provider's answer is no stream of events: {words!r}")
