"""
One provider's answer, and the rules that hold for every vendor.

* A stop is not an end: only a positive end signal makes an answer whole. A whole answer stays
  whole, whatever the connection does next.
* An error inside an answer of status 200 counts, even beside a reason for the end.
* The last usage counts; an impossible count is ignored.
* Fragments of tool calls stay apart, and become calls only with a whole JSON object.
* Text must be encodable: characters that no socket or database accepts are replaced.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from unspool.errors import ProviderError, ProviderInterrupted, ProviderRefused, ProviderUnavailable

from .. import Accepted, Finish, Model, Reasoning, Sink, Skipped, Text, Usage
from .surrogates import LOST, SurrogateJoiner
from .think_tags import ThinkTags
from .tool_calls import MAX_CALLS, ToolCalls
from .vendor_errors import MAX_MESSAGE_CHARS, REFUSED, told_by, without_key

log = logging.getLogger(__name__)

MAX_TOKENS: Final = 10**9
"""A usage report of more tokens than this is a mistake."""

MAX_SKIPPED: Final = 20
"""Warnings of one answer. More would say nothing new, and junk must not fill a log."""

NORMAL: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "completed": "stop",
    "complete": "stop",
    "finished": "stop",
    "done": "stop",
    "max_tokens": "length",
    "max_length": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "context_length": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "function_call": "tool_calls",
    "refusal": "content_filter",
    "sensitive": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "spii": "content_filter",
}
"""Vendors' names for the ends that every vendor has, in lower case."""

ABNORMAL: Final = re.compile(
    r"abort|error|fail|cancel|timeout|timed|resource|network|overload|unavailable|interrupt|"
    r"malformed|exception|crash|disconnect|connection|shutdown|shut_down|preempt|evict|kill|"
    r"expired|incomplete|busy|internal|unexpected|invalid|unspecified|out_of_memory|"
    r"^(unknown|other|oom|lost|reset)$"
)
"""A reason that matches this means that the vendor gave the answer up."""

NO_REASON: Final = frozenset({"", "null", "none"})
"""Values that some vendors write in every chunk for "not yet"."""

SILENT_ENDS: Final = frozenset({"content_filter", "length"})
"""Reasons for an end that explain why there is no text; a second request would not change them."""


class Answer:
    """A fold of one stream. It tells `sink` each output as soon as it is known."""

    def __init__(self, model: Model, sink: Sink) -> None:
        self._model = model
        self._sink = sink
        self._think = ThinkTags()
        self._calls = ToolCalls()
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._skipped = 0
        self._halves: SurrogateJoiner | None = None
        self._halves_of_thought = SurrogateJoiner()
        self.has_output = False
        """Text or a tool call arrived: there is an answer, though perhaps not a whole one."""
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
    def is_plain(self) -> bool:
        """The answer is in mid-flow: text that comes next needs nothing but to be passed on."""
        is_open = self._finish is None and not self.is_done
        return is_open and self.has_output and self._think.is_over and self._halves is None

    def text(self, text: str) -> None:
        """Add text of the answer; `<think>` at its beginning is reasoning."""
        if self._halves is not None:
            text = self._halves.feed(text)
        if not text:
            return
        if self._think.is_over:
            self.has_news = True
            self._sink.text(text)
        else:
            self._tell(self._think.feed(text))

    def _tell(self, outputs: list[Text | Reasoning]) -> None:
        for output in outputs:
            self.has_news = True
            if type(output) is Text:
                self.has_output = True
                self._sink.text(output.text)
            else:
                self.has_thought = True
                self._sink.take(output)

    def reasoning(self, text: str) -> None:
        """Add reasoning."""
        if self._halves is not None:
            text = self._halves_of_thought.feed(text)
        if text:
            self._tell([Reasoning(text)])

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
        """Note a report of tokens; the last one counts."""
        if prompt is None and completion is None:
            return
        counts = _count(prompt), _count(completion), _count(cached)
        if None in counts[:2] and (prompt, completion) != counts[:2]:
            self._usage = None
            self.skip("the provider's count of tokens cannot be and was left out")
            return
        if self.has_output and counts[:2] == (0, 0):
            return  # a server that reports zero for both does not count
        self._usage = Usage(counts[0], counts[1], counts[2])

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
        word = reason.strip().lower()
        if word in NO_REASON:
            return
        if word not in NORMAL and ABNORMAL.search(word):
            self.fail("aborted", f"the provider gave the answer up ({reason[:64]})")
        self._finish = NORMAL.get(word, word)

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
        if self._usage is not None:
            self._sink.take(self._usage)
        self._sink.take(Finish(self._finish or "stop", self.has_refused))

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


def _count(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # many languages have one kind of number and write it so
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS
    return value if is_count else None
