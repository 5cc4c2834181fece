"""
Vendors that refuse a talk whose turns lack the state that they gave out, as the real ones do.

Each shape says what it answers to a request: a call where no tool has answered yet, then a text;
400 where any turn of the model came back without its state.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from support import messages_wire as messages
from support import responses_wire as responses
from support.upstream import DONE, Script, UpstreamRequest, chunk, counted, frame, refusal

NAME = "sky_of"
CITY = {"city": "Paris"}
TOLD = "It is sunny."
AGAIN = "As I said."

Body = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """One vendor's form of a talk with thinking."""

    provider: str
    params: Body
    call: Script
    """An answer that calls the tool."""
    say: Callable[[str], Script]
    """An answer in text."""
    turns: Callable[[Body], Iterator[bool]]
    """For each turn of the model in a request: whether its state came with it."""
    has_answer: Callable[[Body], bool]
    """Whether a tool has answered."""

    def play(self, request: UpstreamRequest) -> Script:
        body = request.body
        states = list(self.turns(body))
        if not all(states):
            return refusal(400, "the thinking of an earlier turn must be passed back")
        if not states:
            return self.call
        return self.say(TOLD if self.has_answer(body) else AGAIN)


# Anthropic's Messages


def thinking(signature: str) -> tuple[bytes, ...]:
    """A block of signed thinking, and one that only the vendor can read."""
    return (
        messages.block(0, type="thinking", thinking="", signature=""),
        messages.delta(0, thinking="I need "),
        messages.delta(0, thinking="the weather"),
        messages.event(
            "content_block_delta",
            index=0,
            delta={"type": "signature_delta", "signature": signature},
        ),
        messages.event("content_block_stop", index=0),
        messages.block(1, type="redacted_thinking", data=f"hidden {signature}"),
        messages.event("content_block_stop", index=1),
    )


def _messages_turns(body: Body) -> Iterator[bool]:
    for message in body["messages"]:
        if message["role"] == "assistant":
            blocks = message["content"]
            is_call = isinstance(blocks, list) and blocks[-1]["type"] == "tool_use"
            signature = "sig-call" if is_call else "sig-text"
            yield blocks[:2] == [
                {"type": "thinking", "thinking": "I need the weather", "signature": signature},
                {"type": "redacted_thinking", "data": f"hidden {signature}"},
            ]


def _messages_has_answer(body: Body) -> bool:
    last = body["messages"][-1]["content"]
    return isinstance(last, list) and last[0]["type"] == "tool_result"


ANTHROPIC = Shape(
    "anthropic",
    {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096},
    [
        messages.START,
        *thinking("sig-call"),
        messages.block(2, type="tool_use", id="toolu_1", name=NAME, input={}),
        messages.delta(2, partial_json=json.dumps(CITY)),
        messages.stop("tool_use"),
        messages.OVER,
    ],
    lambda text: [
        messages.START,
        *thinking("sig-text"),
        messages.block(2, type="text", text=""),
        messages.delta(2, text=text),
        messages.stop(),
        messages.OVER,
    ],
    _messages_turns,
    _messages_has_answer,
)


# Chat Completions

END = (counted(10, 5), DONE)


def called(**more: Any) -> bytes:
    function = {"name": NAME, "arguments": json.dumps(CITY)}
    return chunk(tool_calls=[{"index": 0, "id": "call_1", "function": function, **more}])


def _said(body: Body) -> Iterator[Body]:
    return (it for it in body["messages"] if it["role"] == "assistant")


def _chat_has_answer(body: Body) -> bool:
    return bool(body["messages"][-1]["role"] == "tool")


DEEPSEEK = Shape(
    "openai",
    {},
    [
        chunk("", reasoning_content="I should "),
        chunk("", reasoning_content="look."),
        called(),
        chunk(finish="tool_calls"),
        *END,
    ],
    lambda text: [
        chunk("", reasoning_content="I should look."),
        chunk(text),
        chunk(finish="stop"),
        *END,
    ],
    lambda body: (it.get("reasoning_content") == "I should look." for it in _said(body)),
    _chat_has_answer,
)

SIGNED = {"google": {"thought_signature": "c2ln"}}

GEMINI_CHAT = Shape(
    "openai",
    {},
    [called(extra_content=SIGNED), chunk(finish="tool_calls"), *END],
    lambda text: [chunk(text), chunk("", extra_content=SIGNED), chunk(finish="stop"), *END],
    lambda body: (
        (it["tool_calls"][0] if "tool_calls" in it else it).get("extra_content") == SIGNED
        for it in _said(body)
    ),
    _chat_has_answer,
)

DETAIL = {"type": "reasoning.text", "index": 0, "text": "I look.", "signature": "c2ln"}

OPENROUTER = Shape(
    "openai",
    {},
    [
        chunk("", reasoning_details=[{"type": "reasoning.text", "index": 0, "text": "I "}]),
        chunk("", reasoning_details=[{"type": "reasoning.text", "index": 0, "text": "look."}]),
        chunk("", reasoning_details=[{**DETAIL, "text": ""}]),
        called(),
        chunk(finish="tool_calls"),
        *END,
    ],
    lambda text: [
        chunk("", reasoning_details=[DETAIL]),
        chunk(text),
        chunk(finish="stop"),
        *END,
    ],
    lambda body: (it.get("reasoning_details") == [DETAIL] for it in _said(body)),
    _chat_has_answer,
)


# Gemini's own API


def _gemini(*parts: Body, reason: str | None = "STOP") -> bytes:
    end = {"finishReason": reason} if reason else {}
    return frame({"candidates": [{"content": {"parts": list(parts)}, **end}]})


def _gemini_turns(body: Body) -> Iterator[bool]:
    for turn in body["contents"]:
        if turn["role"] == "model":
            yield turn["parts"][0].get("thoughtSignature") == "c2ln"


GEMINI = Shape(
    "gemini",
    {},
    [
        _gemini({"text": "I should look.", "thought": True}, reason=None),
        _gemini({"functionCall": {"name": NAME, "args": CITY}, "thoughtSignature": "c2ln"}),
    ],
    lambda text: [
        _gemini({"text": text}, reason=None),
        _gemini({"text": "", "thoughtSignature": "c2ln"}),
    ],
    _gemini_turns,
    lambda body: "functionResponse" in body["contents"][-1]["parts"][0],
)


# OpenAI's Responses

MIND = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}


def _responses(*items: Body) -> Script:
    done = [
        ("response.output_item.done", {"output_index": place, "item": item})
        for place, item in enumerate((MIND, *items))
    ]
    return responses.numbered(responses.CREATED, *done, responses.ended(output=[MIND, *items]))


def _responses_turns(body: Body) -> Iterator[bool]:
    items = body["input"]
    for before, item in zip([{}, *items], items, strict=False):
        is_turn = item.get("type") == "function_call" or item.get("role") == "assistant"
        if is_turn:
            yield before == MIND


RESPONSES = Shape(
    "responses",
    {},
    _responses(
        {
            "id": "fc_1",
            "type": "function_call",
            "call_id": "call_1",
            "name": NAME,
            "arguments": json.dumps(CITY),
        }
    ),
    lambda text: _responses({"id": "msg_1", **responses.message(text)}),
    _responses_turns,
    lambda body: body["input"][-1].get("type") == "function_call_output",
)

SHAPES = {
    "Anthropic": ANTHROPIC,
    "DeepSeek": DEEPSEEK,
    "Gemini": GEMINI,
    "Gemini as OpenAI": GEMINI_CHAT,
    "OpenRouter": OPENROUTER,
    "Responses": RESPONSES,
}
