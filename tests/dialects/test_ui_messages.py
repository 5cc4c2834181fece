"""The AI SDK's UI message stream: the encoder, and what its parts add up to."""

from __future__ import annotations

from typing import Any

import pytest

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
from unspool.dialects.kit.ui_request import UiChatRequest, approvals_in, chat_of

D = "ui_messages"
CALL = {"id": "c0", "name": "find", "arguments": {"q": "x"}}


def told(*drafts: Draft) -> list[Any]:
    return documents(D, log(begun(), started(), *drafts))


def shown(found: list[Any]) -> list[str]:
    """The texts of a message, as the client's fold has them."""
    parts: list[list[str]] = []
    step, open_ = 0, dict[str, list[str]]()
    for part in found:
        match part["type"]:
            case "start-step":
                step = len(parts)
            case "text-start":
                open_[part["id"]] = [part["id"], ""]
                parts.append(open_[part["id"]])
            case "text-delta":
                open_[part["id"]][1] += part["delta"]
            case "reset-step":
                del parts[step:]
                open_ = {}
    return [words for _, words in parts]


def test_a_message_has_a_stable_id_steps_and_an_end() -> None:
    found = told(*text("a", "b"), used(), finished(), COMPLETED)
    assert kinds(found) == [
        *("start", "start-step", "text-start", "text-delta", "text-delta"),
        *("text-end", "finish-step", "finish"),
    ]
    assert found[0]["messageId"] == f"msg_{RUN}"
    assert found[-1]["finishReason"] == "stop"
    assert found[-1]["messageMetadata"]["usage"]["total_tokens"] == 10


@pytest.mark.parametrize(("at", "left"), [(0, ["z"]), (1, ["a", "z"]), (2, ["ab", "z"])])
def test_a_text_that_is_taken_back_is_reset_and_what_stands_is_written_again(
    at: int, left: list[str]
) -> None:
    back = Draft("step.rewound", {"step": "answer", **({"at": at} if at else {})})
    found = told(*text("ab", "c"), back, *text("z"), finished(), COMPLETED)
    assert "".join(shown(found)) == "".join(left)


def test_taking_back_one_of_two_steps_keeps_the_other() -> None:
    found = told(
        started("b"),
        *text("one"),
        *text("two", step="b"),
        Draft("step.rewound", {"step": "answer"}),
        *text("new"),
        finished(),
        finished(step="b"),
        COMPLETED,
    )
    assert sorted(shown(found)) == ["new", "two"]


def test_a_call_has_its_input_and_its_output() -> None:
    content = {"step": "answer", "index": 0, "id": "c0", "name": "find", "content": '{"n": 3}'}
    found = told(*called(), finished("tool_calls"), Draft("tool.answered", content), COMPLETED)
    assert [kind for kind in kinds(found) if kind.startswith("tool-")] == [
        *("tool-input-start", "tool-input-delta", "tool-input-delta", "tool-input-available"),
        "tool-output-available",
    ]
    assert found[-2]["output"] == {"n": 3}
    for code, kind in (("declined", "tool-output-denied"), ("failed", "tool-output-error")):
        failed = Draft("tool.answered", {**content, "code": code})
        assert kind in kinds(told(*called(), failed, COMPLETED))


def test_a_run_that_waits_ends_the_stream_and_its_answer_begins_another() -> None:
    events = log(
        begun(),
        started(),
        *called(),
        finished("tool_calls"),
        asked("answer/call-0", call=CALL),
        Draft("progress.made", {"message": "meanwhile"}),
        answer("answer/call-0", reason="fine"),
        started("answer-2"),
        *text("done", step="answer-2"),
        finished(step="answer-2"),
        COMPLETED,
    )
    before = documents(D, events[:8])
    assert kinds(before)[-2:] == ["tool-approval-request", "finish"]
    assert before[-2]["approvalId"] == f"{RUN}/answer/call-0"
    rest = documents(D, events, after=8)
    assert kinds(rest)[:3] == ["start", "tool-approval-response", "data-progress"]
    assert rest[0]["messageId"] == before[0]["messageId"]
    assert rest[1]["approved"] is True
    assert kinds(rest)[-1] == "finish"


def test_two_approvals_come_one_after_the_other() -> None:
    events = log(
        begun(),
        started(),
        *called(0),
        *called(1),
        finished("tool_calls"),
        asked("q0", call=CALL),
        asked("q1", call={**CALL, "id": "c1"}),
        answer("q0"),
        answer("q1", "declined"),
        COMPLETED,
    )
    found = kinds(documents(D, events))
    assert found.count("tool-approval-request") == 2
    assert found.index("tool-approval-response") < len(found) - found[::-1].index(
        "tool-approval-request"
    )


def test_an_answer_in_words_begins_a_new_message() -> None:
    events = log(begun(), started(), asked("q"), answer("q", value="x"), *text("a"), COMPLETED)
    starts = [it["messageId"] for it in documents(D, events) if it["type"] == "start"]
    assert starts == [f"msg_{RUN}", f"msg_{RUN}-1"]


@pytest.mark.parametrize(
    ("ending", "last"), [("failed", "finish"), ("incomplete", "finish"), ("cancelled", "abort")]
)
def test_a_run_that_is_not_whole_is_never_a_silent_end(ending: str, last: str) -> None:
    found = told(*text("a"), Draft(f"run.{ending}", {"code": "c", "message": "no"}))  # type: ignore[arg-type]
    assert kinds(found)[-1] == last
    assert ("error" in kinds(found)) is (ending != "cancelled")


def test_a_run_that_is_cancelled_while_it_waits_ends() -> None:
    events = log(begun(), started(), asked("q"), Draft("run.cancelled", {"message": "no"}))
    assert kinds(documents(D, events))[-1] == "abort"


def ui_request(*messages: dict[str, Any], **more: Any) -> UiChatRequest:
    return UiChatRequest.model_validate({"id": "c", "messages": messages, **more})


def user(words: str) -> dict[str, Any]:
    return {"id": "u", "role": "user", "parts": [{"type": "text", "text": words}]}


def assistant(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": "a", "role": "assistant", "parts": list(parts)}


def test_messages_are_the_input_of_a_chat() -> None:
    tool = {"type": "tool-find", "toolCallId": "c0", "input": {"q": 1}, "output": [1]}
    facts = chat_of(
        ui_request(
            user("first"),
            assistant(
                {"type": "step-start"},
                {"type": "text", "text": "I look"},
                {**tool, "state": "output-available"},
                {"type": "step-start"},
                {"type": "text", "text": "found"},
            ),
            user("second"),
            system="be brief",
        )
    )
    assert facts["prompt"] == "second"
    assert facts["system"] == "be brief"
    assert [message["role"] for message in facts["talk"]] == [
        *("user", "assistant", "tool", "assistant"),
    ]
    assert facts["talk"][2]["content"] == "[1]"
    assert "wire" not in facts


def test_results_of_the_pages_tools_continue_the_message_that_called_them() -> None:
    tool = {"type": "tool-find", "toolCallId": "c0", "input": {}, "output": 3}
    facts = chat_of(ui_request(user("how many?"), assistant({**tool, "state": "output-available"})))
    assert facts["wire"] == {"message": "a"}
    found = documents(D, log(begun(wire=facts["wire"])))
    assert found[0]["messageId"] == "a"


def test_decisions_are_read_from_the_last_message_alone() -> None:
    approval = {"id": f"{RUN}/q", "approved": False, "reason": "no"}
    part = {"type": "tool-find", "state": "approval-responded", "approval": approval}
    (found,) = approvals_in(ui_request(user("x"), assistant(part)))
    assert (found.id, found.is_approved, found.reason) == (f"{RUN}/q", False, "no")
    assert approvals_in(ui_request(assistant(part), user("x"))) == []
