"""Tool calls of which nothing can be read: asked for again, and never taken for an answer."""

from __future__ import annotations

from typing import Any

import pytest

from unspool.flows.chat import plug
from unspool.testing import Played, play

TOOL = {"name": "f", "parameters": {"type": "object"}}
HALF = {"tool": {"index": 0, "id": "c", "name": "f", "arguments": '{"city": "Par'}}
WHOLE = {"tool": {"index": 0, "id": "c", "name": "f", "arguments": "{}"}}
NAMED = {"tool": {"index": 0, "id": "c", "name": "f", "arguments": ""}}


async def chat(*steps: dict[str, Any], end: str = "tool_calls", **asked: Any) -> Played:
    says = [[*steps, {"finish": end}]]
    return await play(plug, {"prompt": "?", "tools": [TOOL], **asked}, says=says)


@pytest.mark.parametrize("text", ["", "Let me look."])
@pytest.mark.parametrize(
    ("call", "reason", "code"),
    [
        (HALF, "tool_calls", "unreadable_calls"),
        (HALF, "length", "length"),
        (NAMED, "length", "length"),
    ],
)
async def test_a_call_that_cannot_be_read_is_no_end_of_an_answer(
    call: dict[str, Any], reason: str, code: str, text: str
) -> None:
    played = await chat(*([{"text": text}] if text else []), call, end=reason)
    assert (played.run.status, played.run.text) == ("incomplete", text)
    assert played.run.error is not None
    assert played.run.error["code"] == code
    assert played.of("tool.called") == []


@pytest.mark.parametrize(
    ("second", "reason", "code"),
    [
        ('{"city": "Par', "tool_calls", "unreadable_calls"),
        ('{"city": "Par', "length", "length"),
        ("", "length", "length"),
    ],
)
async def test_a_cut_call_beside_a_whole_one_is_not_whole_either(
    second: str, reason: str, code: str
) -> None:
    cut = {"tool": {"index": 1, "id": "d", "name": "f", "arguments": second}}
    played = await chat(WHOLE, cut, end=reason)
    assert played.run.error is not None
    assert (played.run.status, played.run.error["code"]) == ("incomplete", code)


async def test_a_call_that_can_be_read_is() -> None:
    played = await chat({"text": "Let me look."}, WHOLE)
    assert played.run.status == "completed"
    (called,) = played.of("tool.called")
    assert called["arguments"] == {}


async def test_where_no_tool_was_offered_a_text_beside_a_call_is_the_answer() -> None:
    played = await chat({"text": "Well."}, HALF, tools=[])
    assert (played.run.status, played.run.text) == ("completed", "Well.")
