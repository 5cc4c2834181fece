"""
One provider's answer, and the rules that hold for every vendor.

* A stop is not an end: only a positive end signal makes an answer whole. A whole answer stays
  whole, whatever the connection does next.
* An error inside an answer of status 200 counts, even beside a reason for the end.
* The last usage counts, unless it is poorer than an earlier one; an impossible one is ignored.
* Fragments of tool calls stay apart, and become calls only with a whole JSON object.
* Text must be encodable: characters that no socket or database accepts are replaced.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from unspool.errors import ProviderError, ProviderInterrupted, ProviderRefused, ProviderUnavailable

from .. import Accepted, Finish, Model, Reasoning, Sink, Skipped, Text, TurnState, Usage
from .reasons import ABNORMAL, NO_REASON, PAUSED, end_of, word_of
from .surrogates import LOST, SurrogateJoiner
from .think_tags import ThinkTags, Told
from .token_counts import Counts, TokenCounts
from .tool_calls import MAX_CALLS, ToolCalls
from .turn_states import turn_state
from .vendor_errors import MAX_MESSAGE_CHARS, REFUSED, error_in, told_by, without_key

log = logging.getLogger(__name__)

MAX_SKIPPED: Final = 20
"""Warnings of one answer. More would say nothing new, and junk must not fill a log."""

SILENT_ENDS: Final = frozenset({"content_filter", "length"})
"""Reasons for an end that explain why there is no text; a second request would not change them."""


class Answer:
    """A fold of one stream. It tells `sink` each output as soon as it is known."""

    def __init__(self, model: Model, sink: Sink) -> None:
        self._model = model
        self._sink = sink
        self._think = ThinkTags(thinks_first="thinks_first" in model.quirks)
        self._calls = ToolCalls()
        self._finish: str | None = None
        self._counts = TokenCounts()
        self._is_filtered = False
        self._thoughts_by = ""
        """Where thoughts come from, `field` or `tag`: the other place says the same again."""
        self._thought_before = ""
        """The end of the last thought, where another one is to begin on a line of its own."""
        self._skipped = 0
        self._halves: SurrogateJoiner | None = None
        self._halves_of_thought = SurrogateJoiner()
        self.state: dict[str, Any] = {}
        """What the provider wants back with this turn (`turn_states`)."""
        self.has_output = False
        """Text or a tool call arrived: there is an answer, though perhaps not a whole one."""
        self.has_call = False
        """A tool call began."""
        self.has_thought = False
        """Reasoning arrived, which is no answer by itself."""
        self.has_refused = False
        """Its text says that the model will not answer."""
        self.is_done = False
        """The reader should stop."""
        self.has_news = False
        """It told the sink something that belongs to the answer; the reader takes it back."""
        self.has_gone_on = False
        """
        Output followed a reason for the end: some vendors give one in every chunk. The reason then
        counts for nothing, unless the rest ends in good order.
        """

    @property
    def is_whole(self) -> bool:
        """The vendor gave an end; only usage may follow."""
        return self.is_done or (self._finish is not None and not self.has_gone_on)

    @property
    def traits(self) -> frozenset[str]:
        """See `providers.BodyReader`."""
        return frozenset({"thinks_first"} if self._think.was_unopened else ())

    @property
    def is_plain(self) -> bool:
        """The answer is in mid-flow: text that comes next needs nothing but to be passed on."""
        is_open = self._finish is None and not self.is_done
        return is_open and self.has_output and self._think.is_settled and self._halves is None

    def text(self, text: str) -> None:
        """Add text of the answer; `<think>` at its beginning is reasoning."""
        if self._halves is not None:
            text = self._halves.feed(text)
        if not text:
            return
        think = self._think
        if think.is_settled and not (think.may_close and "<" in text):
            self.has_news = True
            self._sink.text(text)
        else:
            self._tell(think.feed(text))

    def _tell(self, outputs: list[Told]) -> None:
        """Tell what was found in the text."""
        for output in outputs:
            if type(output) is Text:
                self.has_news = self.has_output = True
                self._sink.text(output.text)
            elif type(output) is Reasoning:
                self._think_aloud(output.text, "tag")
            else:
                self.has_news = self.has_thought = True
                self.has_output = False
                self._sink.take(output)

    def _think_aloud(self, text: str, place: str) -> None:
        self._thoughts_by = self._thoughts_by or place
        if place == self._thoughts_by:
            self.has_news = self.has_thought = True
            self._sink.take(Reasoning(text))

    def reasoning(self, text: str) -> None:
        """Add reasoning."""
        if self._halves is not None:
            text = self._halves_of_thought.feed(text)
        if not text:
            return
        if self._thought_before:
            text, self._thought_before = self._thought_before + text, ""
        self._think.are_apart()
        self._think_aloud(text, "field")

    def next_thought(self) -> None:
        """A thought of its own begins: it is told from the one before by an empty line."""
        if self.has_thought:
            self._thought_before = "\n\n"

    def may_have_halves(self) -> None:
        """From here on texts may hold characters that cannot be encoded (`surrogates`)."""
        if self._halves is None:
            self._halves = SurrogateJoiner()

    def tool(
        self,
        *,
        index: int | None = None,
        id: str | None = None,
        name: str | None = None,
        arguments: Any = None,
    ) -> None:
        """Add a fragment of a tool call; see `tool_calls`."""
        was_full = self._calls.is_full
        fragment = self._calls.feed(index=index, id=id, name=name, arguments=arguments)
        self.has_call = True
        if self._calls.is_full and not was_full:
            self.skip(f"more than {MAX_CALLS} tool calls; the further ones were left out")
        if fragment is not None:
            self.has_output = self.has_news = True
            self._sink.take(fragment)

    def accept(self, handle: str) -> None:
        """Note the id under which the provider keeps the answer."""
        self.has_news = True
        self._sink.take(Accepted(handle))

    def usage(self, prompt: Any, completion: Any, cached: Any = None) -> None:
        """Note a report of tokens; see `count`."""
        self.count(Counts(prompt, completion, cached))

    def count(self, report: Counts) -> None:
        """Note a report of tokens; the last one counts, as far as it says anything."""
        if self.has_output and report[:2] == (0, 0):
            return  # a server that reports zero for both does not count
        if not self._counts.take(report):
            self.skip("the provider's count of tokens cannot be and was left out")

    def filtered(self) -> None:
        """A filter took something out of the answer, whatever reason the end may have."""
        self._is_filtered = True

    def skip(self, message: str) -> None:
        """Leave something out and warn; after `MAX_SKIPPED` warnings only leave it out."""
        self._skipped += 1
        if self._skipped > MAX_SKIPPED:
            return
        if self._skipped == MAX_SKIPPED:
            message += "; what further is left out is not told any more"
        log.warning("%s: %s", self._model.name, message)
        self._sink.take(Skipped(message))

    def finish(self, reason: str) -> None:
        """
        Note the provider's reason for the end.

        Raises:
            ProviderError: The reason means that the vendor gave the answer up.
        """
        word = word_of(reason)
        if word in NO_REASON:
            return
        end = end_of(word)
        if end is None:
            self.fail(*_no_end(word, reason[:64]))
        self._finish = end

    def heed(self, data: bytes) -> None:
        """
        Read a document that is no part of an answer.

        Raises:
            ProviderError: It is an error.
        """
        try:
            error = error_in(json.loads(data))
        except (ValueError, RecursionError):
            return
        if error is not None:
            self.report(error)

    def report(self, error: Mapping[str, Any] | str) -> NoReturn:
        """
        Raise the error of a document (`vendor_errors.error_in`) inside the answer.

        Raises:
            ProviderError: See `fail`.
        """
        told = told_by(error, self._model)
        what = told.message or "it did not say which"
        message = f"the provider reported an error: {what}"
        self.fail(told.code, message, retry_after_s=told.retry_after_s)

    def fail(self, code: str, message: str, *, retry_after_s: float | None = None) -> NoReturn:
        """
        Raise the error that the provider reported inside its answer.

        Raises:
            ProviderRefused: The same request would fail again.
            ProviderUnavailable, ProviderInterrupted: The error may pass.
        """
        self._finish, self.is_done = None, False
        text = without_key(message, self._model)[:MAX_MESSAGE_CHARS]
        if code in REFUSED:
            raise ProviderRefused(text, code=code)
        has_any = self.has_output or self.has_thought or self._think.is_holding
        kind = ProviderInterrupted if has_any else ProviderUnavailable
        raise kind(text, code=code, retry_after_s=retry_after_s)

    def end(self, broken: ProviderError | None = None) -> None:
        """
        Tell the sink all that is held back, and the outputs that end the answer, if it is whole.

        `broken` is the error that ended the reading, if one did.

        Raises:
            ProviderError: `broken`, or the answer has no end.
        """
        self._tell_held()
        if broken is not None and broken.code == "paused":
            broken.turn_state = self._turn_state()
            self._tell_usage()
        if broken is not None and not isinstance(broken, ProviderInterrupted):
            raise broken
        if broken is None:
            self.has_gone_on = False
        is_cut = self.has_thought and not self.is_whole
        if not self.has_output and not is_cut and self._finish not in SILENT_ENDS:
            raise self._nothing(broken) from broken
        if not self.is_whole:
            raise broken or ProviderInterrupted(
                "the provider's stream stopped before its end", code="truncated"
            )
        calls, cut_short = self._calls.end(is_cut=self._finish in SILENT_ENDS)
        for name in cut_short:
            self.skip(f"the call of {name[:64]!r} has arguments that are not a whole JSON object")
        for call in calls:
            self._sink.take(call)
        if (state := self._turn_state()) is not None:
            self._sink.take(state)
        self._tell_usage()
        reason = self._finish or "stop"
        if self._is_filtered and reason == "stop":
            reason = "content_filter"
        self._sink.take(Finish(reason, self.has_refused))

    def _turn_state(self) -> TurnState | None:
        if not self.state:
            return None
        state = turn_state(self._model, self.state)
        if state is None:
            self.skip("the provider's state of this turn is too large and was left out")
        return state

    def _tell_usage(self) -> None:
        if (counts := self._counts.counts) is not None:
            prompt, completion, cached, written = counts
            self._sink.take(Usage(prompt, completion, cached, written_tokens=written))

    def _tell_held(self) -> None:
        """Tell the outputs held back until now: nothing more will arrive."""
        if self._halves is not None and (lost := self._halves.flush()):
            self._tell(self._think.feed(lost))
        if self._halves_of_thought.flush():
            self.reasoning(LOST)
        self._tell(self._think.flush())

    def _nothing(self, broken: ProviderInterrupted | None) -> ProviderError:
        """Return the error for an answer without text or call; reasoning alone is no answer."""
        kind = ProviderInterrupted if self.has_thought else ProviderUnavailable
        if broken is not None and not self.is_whole:
            error: ProviderError = kind(str(broken), code=broken.code)
            error.after = broken.after
        elif self._skipped and not self.is_whole:
            error = kind("nothing that the provider sent could be read", code="protocol")
        else:
            what = "nothing but its thoughts" if self.has_thought else "nothing"
            error = kind(f"the provider answered {what}", code="empty")
            error.finish_reason = self._finish
        return error


def _no_end(word: str, reason: str) -> tuple[str, str]:
    """Return code and words for a reason that is the end of no answer."""
    if word in PAUSED:
        return "paused", "the provider paused the turn, which goes on in a next request"
    if ABNORMAL.search(word):
        return "aborted", f"the provider gave the answer up ({reason})"
    return "aborted", f"the provider stopped for a reason that is not known as an end ({reason})"
