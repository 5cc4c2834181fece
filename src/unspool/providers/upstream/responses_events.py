"""
Events of OpenAI's Responses, including those that arrive a second time.

Events are numbered. We leave out an event that we had already. If an answer is read from its
beginning again, we also leave out the text that the reader has.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from unspool.errors import ProviderInterrupted
from unspool.formats.sse import Frame

from .. import Prompt
from .answer import Answer
from .documents import Documents
from .responses_parts import Item, Kind, Parts
from .token_counts import openai_counts
from .turn_states import Entries


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
    summary: list[_Part] | None = None
    encrypted_content: str | None = None


class _Why(msgspec.Struct, gc=False):
    reason: str | None = None


class _ResponseObject(msgspec.Struct, gc=False):
    id: str | None = None
    output: list[_Item] | None = None
    usage: Any = None
    error: Any = None
    incomplete_details: _Why | None = None
    status: str = ""


class _WireEvent(msgspec.Struct, gc=False):
    type: str = ""
    sequence_number: int | None = None
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    part: _Part | None = None
    content_index: int | None = None
    summary_index: int | None = None
    arguments: str | None = None
    item_id: str | None = None
    output_index: int | None = None
    item: _Item | None = None
    response: _ResponseObject | None = None
    error: Any = None
    code: str | None = None
    message: str | None = None
    object: str = ""


PARTS_DONE: Final[dict[str, Kind]] = {
    "response.output_text.done": "text",
    "response.refusal.done": "text",
    "response.content_part.done": "text",
    "response.reasoning_text.done": "thought",
    "response.reasoning_summary_text.done": "summary",
    "response.reasoning_summary_part.done": "summary",
}
"""Events that hold a part as a whole."""

KINDS: Final[dict[str, Kind]] = {"reasoning_text": "thought", "summary_text": "summary"}
"""Of parts that say of which type they are."""

NOT_COMPLETED: Final = frozenset({"failed", "incomplete", "cancelled"})
"""States of a response which its event may call completed all the same."""

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
        self._parts = Parts()
        self._entries = Entries()
        self._is_numbered = True
        self._last_type = ""
        self._has_refused = False
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
            self._tell(event, event.type or frame.event or "", data, answer)

    def _tell(self, event: _WireEvent, type: str, data: bytes, answer: Answer) -> None:
        match type:
            case "response.output_text.delta" | "response.refusal.delta":
                self._has_refused = self._has_refused or type == "response.refusal.delta"
                self._parts.note("text", _item_of(event), event.content_index)
                self._say(event.delta or "", answer)
            case "response.reasoning_text.delta":
                self._think(event.delta, "thought", _item_of(event), event.content_index, answer)
            case "response.reasoning_summary_text.delta":
                self._think(event.delta, "summary", _item_of(event), event.summary_index, answer)
            case "response.output_item.added" | "response.output_item.done" if event.item:
                is_done = type.endswith("done")
                if is_done:
                    self._keep(event.item, data)
                self._item(event.item, event.output_index, answer, is_done=is_done)
            case "response.function_call_arguments.delta" | "response.function_call_arguments.done":
                number = self._number(event.item_id, event.output_index)
                # `done` repeats all arguments: `Answer.tool` leaves them out.
                answer.tool(index=number, arguments=event.delta or event.arguments)
            case "error":
                answer.report({"code": event.code, "message": event.message})
            case _ if type in PARTS_DONE:
                self._part_done(event, PARTS_DONE[type], answer)
            case "":
                answer.heed(data)
            case _:
                self._whole(event.response or _ResponseObject(), type, answer)

    def state(self) -> dict[str, Any]:
        """Return the items of reasoning, in their places; empty where none can be sent back."""
        return {"entries": self._entries.entries} if self._entries.has_raw else {}

    def _keep(self, item: _Item, data: bytes) -> None:
        """Keep an item of reasoning that the provider can read again."""
        if item.type == "function_call":
            self._entries.call(item.call_id or "")
        elif item.type == "reasoning" and (item.encrypted_content or item.content):
            self._entries.raw(json.loads(data.decode("utf-8", "ignore"), strict=False)["item"])

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
        self._entries.text(len(text))
        answer.text(text)

    def _part_done(self, event: _WireEvent, kind: Kind, answer: Answer) -> None:
        part = event.part or _Part()
        text = event.text or event.refusal or part.text or part.refusal
        index = event.summary_index if kind == "summary" else event.content_index
        if part.type in KINDS:
            kind = KINDS[part.type]
        self._whole_part(text, kind, _item_of(event), index, answer)

    def _whole_part(
        self, text: str | None, kind: Kind, item: Item, index: int | None, answer: Answer
    ) -> None:
        """Tell a part that is done, unless something of it has come, now or before we read on."""
        parts = self._parts
        if not text or self._is_again:
            return
        if parts.has(kind, item, index) or parts.has_otherwise(kind, item):
            return
        if kind == "text":
            parts.note(kind, item, index)
            self._say(text, answer)
        else:
            self._think(text, kind, item, index, answer)

    def _whole_item(self, item: _Item, place: Item, answer: Answer) -> None:
        kind: Kind = "text" if item.type == "message" else "thought"
        for index, part in enumerate(item.summary or ()):
            self._whole_part(part.text, "summary", place, index, answer)
        for index, part in enumerate(item.content or ()):
            self._whole_part(part.text or part.refusal, kind, place, index, answer)

    def _think(
        self, text: str | None, kind: Kind, item: Item, index: int | None, answer: Answer
    ) -> None:
        if not text or self._known:
            return
        self._parts.note(kind, item, index)
        if self._parts.is_next_thought(item, index):
            answer.next_thought()
        answer.reasoning(text)

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
        if is_done and item.type in {"message", "reasoning"}:
            self._whole_item(item, item.id if output_index is None else output_index, answer)
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
        if type == "response.completed" and response.status in NOT_COMPLETED:
            type = f"response.{response.status}"
        match type:
            case "response.completed":
                self._end(response, answer)
                reason = "refusal" if self._has_refused else "tool_calls" if self._calls else "stop"
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
        had = {"message": self._had_text, "reasoning": answer.has_thought}
        for place, item in enumerate(response.output or ()):
            if not had.get(item.type):
                # Its place may be another one here: gateways leave items out.
                self._item(item, place, answer, is_done=True)
        if self._known:
            raise _other()
        if self._is_again and self._had_text:
            answer.has_output = True  # its text is there already, if we left nothing else out
        if response.usage is not None:
            answer.count(openai_counts(response.usage))
        answer.is_done = True

    def _is_full(self, response: _ResponseObject) -> bool:
        """Whether it reached its token limit: llama.cpp calls that completed, too."""
        said = openai_counts(response.usage).completion
        limit = self._max_tokens
        return isinstance(said, int) and isinstance(limit, int) and said >= limit


def _item_of(event: _WireEvent) -> Item:
    return event.item_id if event.output_index is None else event.output_index


def _other() -> ProviderInterrupted:
    return ProviderInterrupted(
        "what the provider kept is not the answer that was begun", code="protocol"
    )
