"""
Events of OpenAI's Responses, including those that arrive a second time.

Events are numbered. We leave out an event that we had already. If an answer is read from its
beginning again, we also leave out the text that the reader has.
"""

from __future__ import annotations

from typing import Any

import msgspec

from unspool.errors import ProviderInterrupted
from unspool.formats.sse import Frame

from .. import Prompt
from .answer import Answer
from .documents import Documents


class _Part(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct, gc=False):
    type: str = ""
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    content: list[_Part] | None = None


class _Details(msgspec.Struct, gc=False):
    cached_tokens: Any = None


class _WireUsage(msgspec.Struct, gc=False):
    input_tokens: Any = None
    output_tokens: Any = None
    input_tokens_details: _Details | None = None


class _Why(msgspec.Struct, gc=False):
    reason: str | None = None


class _ResponseObject(msgspec.Struct, gc=False):
    id: str | None = None
    output: list[_Item] | None = None
    usage: _WireUsage | None = None
    error: Any = None
    incomplete_details: _Why | None = None
    status: str = ""


class _WireEvent(msgspec.Struct, gc=False):
    type: str = ""
    sequence_number: int | None = None
    delta: str | None = None
    arguments: str | None = None
    item_id: str | None = None
    output_index: int | None = None
    item: _Item | None = None
    response: _ResponseObject | None = None
    error: Any = None
    code: str | None = None
    message: str | None = None
    object: str = ""


_events = Documents(_WireEvent)
_responses = Documents(_ResponseObject)


class ResponsesReading:
    """
    One answer, event by event.

    Attributes:
        after: Number of the last event that was read.
    """

    def __init__(self, prompt: Prompt, *, max_tokens: Any, is_kept: bool) -> None:
        handle = prompt.handle
        self._max_tokens = max_tokens
        self.after = None if handle is None else handle.after
        self._handle = "" if handle is None else handle.id
        self._is_kept = is_kept and handle is None
        self._is_again = handle is not None
        self._known = prompt.prefix if handle is not None and handle.after is None else ""
        """Text that arrives again first, and that the reader has."""
        self._had_text = bool(handle is not None and prompt.prefix)
        self._is_numbered = True
        self._last_type = ""
        self._calls = 0
        self._by_id: dict[str, int] = {}
        self._by_place: dict[int, int] = {}

    def take(self, frame: Frame, answer: Answer) -> None:
        data = frame.data.strip()
        if not data or data == b"[DONE]":  # some gateways add it; it is no end here
            return
        event = _events.read(data, answer)
        if event is None:
            if frame.event == "error":
                answer.report(data.decode("utf-8", "replace"))
            return
        if self._handle:
            # The output belongs to the new response, which may break off again.
            answer.accept(self._handle)
            self._handle = ""
        if event.error:  # whichever event holds it
            answer.report(event.error)
        if event.object == "response":  # of a server that does not stream
            response = _responses.read(data, answer) or _ResponseObject()
            self._whole(response, f"response.{response.status}", answer)
        elif self._is_new(event):
            self._tell(event, event.type or frame.event or "", answer)

    def _tell(self, event: _WireEvent, type: str, answer: Answer) -> None:
        match type:
            case "response.output_text.delta" | "response.refusal.delta":
                answer.has_refused = answer.has_refused or type == "response.refusal.delta"
                self._say(event.delta or "", answer)
            case "response.reasoning_text.delta" | "response.reasoning_summary_text.delta":
                if not self._known:
                    answer.reasoning(event.delta or "")
            case "response.output_item.added" | "response.output_item.done" if event.item:
                self._item(event.item, event.output_index, answer, is_done=type.endswith("done"))
            case "response.function_call_arguments.delta" | "response.function_call_arguments.done":
                number = self._number(event.item_id, event.output_index)
                # `done` repeats all arguments: `Answer.tool` leaves them out.
                answer.tool(index=number, arguments=event.delta or event.arguments)
            case "error":
                answer.report({"code": event.code, "message": event.message})
            case _:
                self._whole(event.response or _ResponseObject(), type, answer)

    def _is_new(self, event: _WireEvent) -> bool:
        """Whether an event is new; numbers that do not count up are no numbers."""
        number = event.sequence_number
        if number is None or not self._is_numbered:
            return True
        if self.after is not None and number <= self.after:
            if number < self.after or event.type == self._last_type or not self._last_type:
                return False
            # Another event under the same number: the gateway writes one number for all.
            self._is_numbered = False
            return True
        self.after, self._last_type = number, event.type
        return True

    def _say(self, text: str, answer: Answer) -> None:
        if self._known:
            common = min(len(text), len(self._known))
            if text[:common] != self._known[:common]:
                raise _other()
            text, self._known = text[common:], self._known[common:]
        self._had_text = self._had_text or bool(text)
        answer.text(text)

    def _number(self, item_id: str | None, place: int | None) -> int:
        """
        Return our index of a call. Servers name its item in each event by id, by place or by
        both, and some use one place for all.
        """
        if not item_id and place is None:
            return max(0, self._calls - 1)
        number = self._by_id.get(item_id) if item_id else None
        if number is None and place is not None:
            number = self._by_place.get(place)
            if item_id and number in self._by_id.values():
                number = None
        if number is None:
            number = self._calls
            self._calls += 1
        if item_id:
            self._by_id[item_id] = number
        if place is not None:
            self._by_place[place] = number
        return number

    def _item(
        self, item: _Item, output_index: int | None, answer: Answer, *, is_done: bool
    ) -> None:
        if item.type != "function_call":
            return
        number = self._number(item.id, output_index)
        arguments = item.arguments if is_done else None
        answer.tool(index=number, id=item.call_id, name=item.name, arguments=arguments)

    def _whole(self, response: _ResponseObject, type: str, answer: Answer) -> None:
        """Read an event about the response: its beginning, or how it ended."""
        if self._is_kept and response.id:
            self._is_kept = False  # reported once
            answer.accept(response.id)
        match type:
            case "response.completed":
                self._end(response, answer)
                reason = "tool_calls" if self._calls else "stop"
                answer.finish("length" if self._is_full(response) else reason)
            case "response.incomplete":
                self._end(response, answer)
                reason = (response.incomplete_details or _Why()).reason or "no reason"
                if reason not in {"max_output_tokens", "content_filter"}:
                    answer.fail("aborted", f"the provider gave the answer up ({reason[:64]})")
                answer.finish(reason)
            case "response.failed":
                answer.report(response.error or "")
            case "response.cancelled":
                answer.fail("aborted", "the answer was cancelled at the provider")

    def _end(self, response: _ResponseObject, answer: Answer) -> None:
        """Read the final response: the usage, and the whole answer once more."""
        for place, item in enumerate(response.output or ()):
            self._item(item, place, answer, is_done=True)
            if item.type == "message" and not self._had_text:
                for part in item.content or ():  # parts of it never arrived
                    answer.has_refused = answer.has_refused or bool(part.refusal)
                    answer.text(part.text or part.refusal or "")
        if self._known:
            raise _other()
        if self._is_again and self._had_text:
            answer.has_output = True  # its text is there already, if we left nothing else out
        if (usage := response.usage) is not None:
            details = usage.input_tokens_details or _Details()
            answer.usage(usage.input_tokens, usage.output_tokens, details.cached_tokens)
        answer.is_done = True

    def _is_full(self, response: _ResponseObject) -> bool:
        """Whether it reached its token limit: llama.cpp calls that completed, too."""
        said = response.usage and response.usage.output_tokens
        limit = self._max_tokens
        return isinstance(said, int) and isinstance(limit, int) and said >= limit


def _other() -> ProviderInterrupted:
    return ProviderInterrupted(
        "what the provider kept is not the answer that was begun", code="protocol"
    )
