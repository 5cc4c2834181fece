"""
Events of Anthropic's Messages.

Blocks that only the vendor understands (signed thinking, redacted thinking, its own tools) are kept
as they came, in their order: it wants them back with the turn.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final

import msgspec

from unspool.formats.sse import Frame

from .answer import Answer
from .documents import Documents, total
from .token_counts import Counts
from .turn_states import Entries

INPUT: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")

OURS: Final = frozenset({"text", "tool_use"})
"""Blocks that we read; all others belong to the vendor."""


class _WireBlock(msgspec.Struct, gc=False):
    type: str = ""
    id: str | None = None
    name: str | None = None
    text: str | None = None
    thinking: str | None = None
    input: Any = None


class _WireDelta(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _WireUsage(msgspec.Struct, gc=False):
    input_tokens: Any = None
    output_tokens: Any = None
    cache_read_input_tokens: Any = None
    cache_creation_input_tokens: Any = None


class _WireMessage(msgspec.Struct, gc=False):
    usage: _WireUsage | None = None


class _WireEvent(msgspec.Struct, gc=False):
    type: str = ""
    index: int | None = None
    delta: _WireDelta | None = None
    content_block: _WireBlock | None = None
    message: _WireMessage | None = None
    usage: _WireUsage | None = None
    error: Any = None
    content: list[_WireBlock] | None = None
    stop_reason: str | None = None


_events = Documents(_WireEvent)


class MessagesReading:
    """One answer, event by event. `prefix` is the text that it goes on from."""

    def __init__(self, prefix: str) -> None:
        self._left_off = prefix[len(prefix.rstrip()) :]
        """White space that could not be sent; the model is likely to begin with it."""
        self._inputs: dict[int | None, Any] = {}
        """Arguments told at once, of calls of which no part has come yet."""
        self._foreign: set[int | None] = set()
        """Blocks whose parts of JSON are no calls of ours: the vendor runs them itself."""
        self._parts = Entries()
        self._kept: dict[int | None, dict[str, Any]] = {}
        """The vendor's own blocks that are not over yet."""
        self._json: dict[int | None, list[str]] = {}
        """Arguments of the vendor's own calls, in pieces."""
        self._input: dict[str, Any] = {}
        """Tokens of the prompt by their kind. A report may lack some, or say zero for unknown."""

    def take(self, frame: Frame, answer: Answer) -> None:
        event = _events.read(frame.data, answer) if frame.data.strip() else None
        if event is None:
            if frame.event == "error":
                answer.report(frame.data.decode("utf-8", "replace"))
            return
        if not event.type:
            answer.heed(frame.data)
        if event.error or "error" in (event.type, frame.event):
            answer.heed(frame.data)
            answer.report(event.error or "")
        if event.type == "content_block_start":
            self._keep(frame.data, event)
        self._tell(event, answer)

    def state(self) -> dict[str, Any]:
        """Return what the vendor wants back; empty where it sent nothing of its own."""
        for index in list(self._json):
            self._settle(index, None)
        return {"entries": self._parts.entries} if self._parts.has_raw else {}

    def _keep(self, data: bytes, event: _WireEvent) -> None:
        """Keep the beginning of a block of the vendor's own, as it is."""
        block = event.content_block
        if block is None or block.type in OURS:
            return
        raw = json.loads(data.decode("utf-8", "ignore"), strict=False)["content_block"]
        self._kept[event.index] = raw
        self._parts.raw(raw)

    def _tell(self, event: _WireEvent, answer: Answer) -> None:
        match event.type:
            case "content_block_delta" if event.delta is not None:
                self._part(event.delta, event.index, answer)
            case "content_block_start" if event.content_block is not None:
                self._block(event.content_block, event.index, answer)
            case "content_block_stop":
                self._settle(event.index, answer)
            case "message_start" if event.message is not None:
                self._asked(event.message.usage or _WireUsage())
            case "message_delta":
                self._end(event, answer)
            case "message_stop":
                answer.is_done = True
            case "message":
                self._at_once(event, answer)

    def _part(self, delta: _WireDelta, index: int | None, answer: Answer) -> None:
        if delta.text:
            self._say(delta.text, answer)
        if delta.thinking:
            answer.reasoning(delta.thinking)
        if (kept := self._kept.get(index)) is not None:
            self._add(kept, delta, index)
        if delta.partial_json and index not in self._foreign:
            self._inputs.pop(index, None)
            answer.tool(index=index, arguments=delta.partial_json)

    def _add(self, kept: dict[str, Any], delta: _WireDelta, index: int | None) -> None:
        """Add a delta to a block of the vendor's own."""
        for name, text in (("thinking", delta.thinking), ("signature", delta.signature)):
            if text:
                kept[name] = (kept.get(name) or "") + text
        if delta.partial_json:
            self._json.setdefault(index, []).append(delta.partial_json)

    def _block(self, block: _WireBlock, index: int | None, answer: Answer) -> None:
        if block.type == "tool_use":
            self._parts.call(block.id or "")
            answer.tool(index=index, id=block.id, name=block.name)
            if block.input:
                self._inputs[index] = block.input
        elif block.type.endswith("tool_use"):
            self._foreign.add(index)
        if block.type == "thinking":
            answer.next_thought()
        if block.text:
            self._say(block.text, answer)
        if block.thinking:
            answer.reasoning(block.thinking)

    def _settle(self, index: int | None, answer: Answer | None) -> None:
        """Tell a call's arguments, where they came at once; finish the vendor's own block."""
        kept = self._kept.pop(index, None)
        if kept is not None and (pieces := self._json.pop(index, None)):
            with suppress(ValueError, RecursionError):
                kept["input"] = json.loads("".join(pieces))
        if answer is not None and (arguments := self._inputs.pop(index, None)) is not None:
            answer.tool(index=index, arguments=arguments)

    def _say(self, text: str, answer: Answer) -> None:
        while self._left_off and text:
            if text[0] != self._left_off[0]:
                self._left_off = ""
                break
            text, self._left_off = text[1:], self._left_off[1:]
        self._parts.text(len(text))
        answer.text(text)

    def _at_once(self, event: _WireEvent, answer: Answer) -> None:
        """Take in a whole message, from a server that does not stream."""
        for index, content in enumerate(event.content or ()):
            self._block(content, index, answer)
        event.delta = _WireDelta(stop_reason=event.stop_reason)
        self._end(event, answer)

    def _asked(self, usage: _WireUsage) -> None:
        known = self._input
        for name in INPUT:
            count = getattr(usage, name)
            if count or name not in known:
                known[name] = count

    def _counted(self, completion: Any) -> Counts:
        new, cached, written = map(self._input.get, INPUT)
        # What was read from the cache, or written to it, is not in `input_tokens`.
        return Counts(total(new, cached, written), completion, cached, written)

    def _end(self, event: _WireEvent, answer: Answer) -> None:
        if (usage := event.usage) is not None:
            self._asked(usage)
            answer.count(self._counted(usage.output_tokens))
        if event.delta is not None and event.delta.stop_reason:
            for index in list(self._inputs):
                self._settle(index, answer)
            answer.finish(event.delta.stop_reason)
