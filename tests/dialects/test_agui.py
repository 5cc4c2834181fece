"""AG-UI: the encoder, whose events are those of its own models."""

from __future__ import annotations

from typing import Any

import pytest
from ag_ui.core import Event as AguiEvent
from pydantic import TypeAdapter

from support.logs import (
    COMPLETED,
    RUN,
    answer,
    asked,
    begun,
    called,
    documents,
    finished,
    kinds,
    log,
    started,
    text,
    used,
)
from unspool import Draft
from unspool.dialects.kit.agui_request import RunAgentInput, flow_of
from unspool.errors import SpecError

D = "agui"
WIRE = {"thread": "t1", "run": "r1"}
_event: TypeAdapter[Any] = TypeAdapter(AguiEvent)


def told(*drafts: Draft) -> list[Any]:
    found = documents(D, log(begun(wire=WIRE), started(), *drafts))
    for document in found:
        _event.validate_python(document)
    return found


def test_a_run_has_the_clients_names_and_every_event_is_one_of_its_models() -> None:
    thought = Draft("reasoning.delta", {"step": "answer", "text": "hm"})
    result = Draft("result.set", {"value": {"n": 1}})
    found = told(thought, *text("a", "b"), used(), finished(), result, COMPLETED)
    assert kinds(found) == [
        *("RUN_STARTED", "STEP_STARTED", "REASONING_START", "REASONING_MESSAGE_START"),
        *("REASONING_MESSAGE_CONTENT", "REASONING_MESSAGE_END", "REASONING_END"),
        *("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_CONTENT"),
        *("TEXT_MESSAGE_END", "STEP_FINISHED", "RUN_FINISHED"),
    ]
    assert (found[0]["threadId"], found[0]["runId"]) == ("t1", "r1")
    assert found[-1]["result"] == {"n": 1}
    assert found[-1]["usage"] == [{"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}]


def test_calls_that_the_client_has_to_answer_are_named_at_the_end() -> None:
    found = told(*called(), finished("tool_calls"), COMPLETED)
    assert found[-1]["outcome"] == {"type": "success", "pendingToolCallIds": ["c0"]}
    content = {"step": "answer", "index": 0, "id": "c0", "name": "find", "content": "3"}
    found = told(*called(), finished("tool_calls"), Draft("tool.answered", content), COMPLETED)
    assert found[-1]["outcome"] == {"type": "success"}


def test_calls_of_one_answer_are_one_message_and_have_arguments_that_clients_can_read() -> None:
    place = {"step": "answer", "index": 1, "id": "c1", "name": "look"}
    bare = [
        Draft("tool.delta", {**place, "arguments": ""}),
        Draft("tool.called", {**place, "arguments": {}}),
    ]
    for drafts in (text("so"), []):
        found = told(*drafts, *called(), *bare, finished("tool_calls"), COMPLETED)
        begun = [it for it in found if it["type"] == "TOOL_CALL_START"]
        said = {it["messageId"] for it in found if it["type"] == "TEXT_MESSAGE_START"}
        (parent,) = {it["parentMessageId"] for it in begun}
        assert said <= {parent}
        pieces = [(it["toolCallId"], it["delta"]) for it in found if it["type"] == "TOOL_CALL_ARGS"]
        assert pieces == [("c0", '{"q":'), ("c0", '"x"}'), ("c1", "{}")]


def test_a_run_that_waits_finishes_with_an_interrupt_and_goes_on_under_the_new_name() -> None:
    call = {"id": "c0", "name": "find", "arguments": {}}
    drafts = [
        *called(),
        asked("answer/call-0", call=call),
        *text("meanwhile"),
        answer("answer/call-0", id="r2"),
        *text("then"),
        finished(),
        COMPLETED,
    ]
    found = told(*drafts)
    stops = [it for it in found if it["type"] == "RUN_FINISHED"]
    (interrupt,) = stops[0]["outcome"]["interrupts"]
    assert interrupt["id"] == f"{RUN}/answer/call-0"
    assert interrupt["toolCallId"] == "c0"
    assert interrupt["expiresAt"] == "1970-01-01T00:00:09.000Z"
    place = found.index(stops[0])
    assert kinds(found)[place - 1 : place + 3] == [
        *("STEP_FINISHED", "RUN_FINISHED", "RUN_STARTED", "STEP_STARTED"),
    ]
    assert [it["runId"] for it in found if it["type"] == "RUN_STARTED"] == ["r1", "r2"]
    words = [it["delta"] for it in found if it["type"] == "TEXT_MESSAGE_CONTENT"]
    assert words == ["meanwhile", "then"]


@pytest.mark.parametrize("ending", ["failed", "incomplete"])
def test_a_run_that_failed_ends_in_an_error(ending: str) -> None:
    found = told(*text("a"), Draft(f"run.{ending}", {"code": "c", "message": "no"}))  # type: ignore[arg-type]
    assert (found[-1]["type"], found[-1]["code"]) == ("RUN_ERROR", "c")


def test_a_run_that_was_stopped_is_cancelled_also_while_it_waits() -> None:
    cancelled = Draft("run.cancelled", {"code": "cancelled", "message": "no"})
    for drafts in ([*text("a"), cancelled], [asked("q"), cancelled]):
        found = told(*drafts)
        assert found[-1]["outcome"] == {"type": "cancelled"}


def test_a_text_that_is_taken_back_is_an_error() -> None:
    back = Draft("step.rewound", {"step": "answer"})
    assert kinds(told(*text("a"), back, *text("b"), COMPLETED))[-1] == "RUN_ERROR"


def agent(**facts: Any) -> RunAgentInput:
    said = [{"id": "m", "role": "user", "content": "hi"}]
    body = {"threadId": "t", "runId": "r", "messages": said, **facts}
    return RunAgentInput.model_validate(body)


def test_an_input_is_that_of_a_chat_or_of_the_flow_it_names() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    messages = [
        {"id": "1", "role": "system", "content": "be brief"},
        {"id": "2", "role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"id": "3", "role": "reasoning", "content": "hm"},
        {"id": "4", "role": "assistant", "toolCalls": [call]},
        {"id": "5", "role": "tool", "toolCallId": "c", "content": "3"},
    ]
    context = [{"description": "place", "value": "here"}]
    props = {"model": "m", "params": {"temperature": 0}}
    flow, facts, model = flow_of(agent(messages=messages, context=context, forwardedProps=props))
    assert (flow, model) == ("chat", "m")
    assert facts["system"] == "be brief\n\nplace: here"
    assert [message["role"] for message in facts["since"]] == ["assistant", "tool"]
    assert facts["wire"] == {"thread": "t", "run": "r"}
    named = agent(forwardedProps={"flow": "copywriting", "input": {"sku": "1"}})
    assert flow_of(named) == ("copywriting", {"sku": "1"}, "")
    with pytest.raises(SpecError):
        flow_of(agent(forwardedProps={"flow": "copywriting"}))
