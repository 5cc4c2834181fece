"""Anthropic's Messages: the encoder, and the requests and errors of its route."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from support.images import data_url
from support.logs import COMPLETED, begun, called, documents, finished, kinds, log, started, text
from support.logs import used as used_up
from support.servers import Served, ServeModel
from support.upstream import END, Upstream, answer, chunk, refusal
from unspool import Draft
from unspool.dialects.anthropic_messages import message_of
from unspool.dialects.kit.anthropic_request import MessagesRequest, chat_of
from unspool.errors import SpecError

D = "anthropic_messages"
ASKED: dict[str, Any] = {
    "model": "",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "hi"}],
}


def told(*drafts: Draft) -> list[Any]:
    return documents(D, log(begun(), started(), *drafts))


def test_a_text_is_one_block_between_its_marks() -> None:
    found = told(*text("a", "b"), used_up(), finished("length"), COMPLETED)
    assert kinds(found) == [
        *("message_start", "content_block_start", "content_block_delta", "content_block_delta"),
        *("content_block_stop", "message_delta", "message_stop"),
    ]
    assert found[0]["message"]["id"].startswith("msg_")
    assert found[-2]["delta"]["stop_reason"] == "max_tokens"
    assert found[-2]["usage"] == {
        "input_tokens": 7,
        "output_tokens": 3,
        "cache_read_input_tokens": 0,
    }


def test_thoughts_are_a_block_of_their_own_before_the_text() -> None:
    thought = Draft("reasoning.delta", {"step": "answer", "text": "hm"})
    found = told(thought, *text("a"), finished(), COMPLETED)
    blocks = [it["content_block"]["type"] for it in found if "content_block" in it]
    assert blocks == ["thinking", "text"]
    assert [it["index"] for it in found if "index" in it] == [0, 0, 0, 0, 1, 1, 1]


def test_thoughts_are_signed_because_clients_send_back_no_others_as_thoughts() -> None:
    thought = Draft("reasoning.delta", {"step": "answer", "text": "hm"})
    found = told(thought, *text("a"), finished(), COMPLETED)
    _, message = message_of([json.dumps(it).encode() for it in found])
    assert message["content"][0]["signature"]
    talk = [*ASKED["messages"], {"role": "assistant", "content": message["content"]}]
    talk.append({"role": "user", "content": "more"})
    facts = chat_of(MessagesRequest.model_validate({**ASKED, "messages": talk}))
    assert facts["talk"][1] == {"role": "assistant", "content": "a"}


def test_a_call_streams_its_arguments_and_is_the_reason_for_the_stop() -> None:
    found = told(*text("so"), *called(), finished("tool_calls"), COMPLETED)
    status, message = message_of([json.dumps(it).encode() for it in found])
    assert status == 200
    assert message["content"] == [
        {"type": "text", "text": "so"},
        {"type": "tool_use", "id": "c0", "name": "find", "input": {"q": "x"}},
    ]
    assert message["stop_reason"] == "tool_use"


def test_calls_side_by_side_keep_their_blocks() -> None:
    first, second = called(0), called(1)
    mixed = [piece for pair in zip(first, second, strict=True) for piece in pair]
    found = told(*mixed, finished("tool_calls"), COMPLETED)
    _, message = message_of([json.dumps(it).encode() for it in found])
    assert [block["id"] for block in message["content"]] == ["c0", "c1"]
    assert all(block["input"] == {"q": "x"} for block in message["content"])


def test_a_call_without_a_name_waits_until_it_is_whole() -> None:
    place = {"step": "answer", "index": 0}
    whole = {**place, "id": "c0", "name": "find", "arguments": {"q": "x"}}
    found = told(
        Draft("tool.delta", {**place, "arguments": '{"q":"x"}'}), Draft("tool.called", whole)
    )
    assert kinds(found)[1:] == [
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
    ]


@pytest.mark.parametrize("ending", ["failed", "cancelled", "incomplete"])
def test_a_run_that_is_not_whole_ends_in_an_error_and_nothing_else(ending: str) -> None:
    found = told(*text("a"), Draft(f"run.{ending}", {"code": "c", "message": "no"}))  # type: ignore[arg-type]
    assert found[-1]["type"] == "error"
    assert found[-1]["error"] == {"type": "api_error", "message": "c: no"}
    assert "message_stop" not in kinds(found)


def test_a_text_that_is_taken_back_is_an_error_because_clients_cannot_take_it_back() -> None:
    back = Draft("step.rewound", {"step": "answer"})
    found = told(*text("a"), back, *text("b"), COMPLETED)
    assert kinds(found)[-1] == "error"
    assert kinds(found).count("error") == 1


def test_what_a_vendor_wants_back_goes_to_the_client_and_comes_back() -> None:
    state = {"by": "m", "data": {"entries": [1]}}
    found = told(*text("a"), finished(turn_state=state), COMPLETED)
    _, message = message_of([json.dumps(it).encode() for it in found])
    assert [block["type"] for block in message["content"]] == ["text", "redacted_thinking"]
    talk = [*ASKED["messages"], {"role": "assistant", "content": message["content"]}]
    talk.append({"role": "user", "content": "more"})
    facts = chat_of(MessagesRequest.model_validate({**ASKED, "messages": talk}))
    assert facts["talk"][1]["turn_state"] == state


def test_a_request_is_the_input_of_a_chat() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": data_url().partition(",")[2]}
    request = MessagesRequest.model_validate(
        {
            **ASKED,
            "system": [{"type": "text", "text": "be brief"}],
            "temperature": 0.5,
            "stop_sequences": ["END"],
            "tools": [{"name": "find", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": source},
                        {"type": "text", "text": "what is it?"},
                    ],
                },
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "c1", "name": "find", "input": {}}],
                },
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "3"}],
                },
            ],
        }
    )
    facts = chat_of(request)
    assert facts["system"] == "be brief"
    assert facts["prompt"] == "what is it?"
    assert facts["images"] == [data_url()]
    assert [message["role"] for message in facts["since"]] == ["assistant", "tool"]
    assert facts["since"][1]["name"] == "find"
    assert facts["params"] == {
        "temperature": 0.5,
        "max_tokens": 64,
        "stop": ["END"],
        "tool_choice": "required",
        "parallel_tool_calls": False,
    }


async def test_a_stream_names_its_events_and_a_whole_answer_says_the_same(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    url = f"{shared_server.url}/v1/messages"
    streamed = await client.post(url, json={**ASKED, "stream": True})
    assert "event: message_start\ndata: " in streamed.text
    frames = [line[6:].encode() for line in streamed.text.splitlines() if line.startswith("data: ")]
    whole = (await client.post(url, json=ASKED)).json()
    assert message_of(frames)[1]["content"] == whole["content"]
    assert whole["stop_reason"] == "end_turn"
    assert whole["usage"]["output_tokens"] > 0


@pytest.mark.parametrize(
    ("change", "status", "kind"),
    [
        ({"model": "nobody"}, 404, "not_found_error"),
        ({"messages": []}, 400, "invalid_request_error"),
        ({"tools": [{"name": "web", "type": "web_search"}]}, 400, "invalid_request_error"),
    ],
)
async def test_refusals_have_their_shape(
    shared_server: Served,
    client: httpx.AsyncClient,
    change: dict[str, Any],
    status: int,
    kind: str,
) -> None:
    reply = await client.post(f"{shared_server.url}/v1/messages", json={**ASKED, **change})
    assert reply.status_code == status
    assert reply.json()["type"] == "error"
    assert reply.json()["error"]["type"] == kind


async def test_a_whole_answer_that_failed_is_not_asked_for_again(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("half"), 0.01]]
    reply = await client.post(f"{serve_model().url}/v1/messages", json=ASKED)
    assert reply.status_code == 500
    assert reply.headers["x-should-retry"] == "false"
    assert reply.json()["error"]["type"] == "api_error"


async def test_results_of_tools_reach_the_model_as_messages(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[*answer("three")]]
    use = {"type": "tool_use", "id": "c1", "name": "count", "input": {"of": "x"}}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "3"}
    talk = [
        *ASKED["messages"],
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    tools = [{"name": "count", "input_schema": {"type": "object"}}]
    body = {**ASKED, "messages": talk, "tools": tools}
    reply = await client.post(f"{serve_model().url}/v1/messages", json=body)
    assert reply.json()["content"] == [{"type": "text", "text": "three"}]
    sent = upstream.requests[0].body["messages"]
    assert [message["role"] for message in sent][-3:] == ["user", "assistant", "tool"]
    assert sent[-1]["content"] == "3"


def test_one_block_is_open_at_a_time() -> None:
    # The official client in JavaScript tells of the last block at every end of one.
    in_turn = [*called(0)[:2], *called(1)[:2], called(0)[2], called(1)[2]]
    mixed = [*called(0)[:1], *called(1)[:2], called(0)[1], called(0)[2], called(1)[2]]
    for drafts in (in_turn, mixed, [*called(0)[:2], *text("then"), called(0)[2]]):
        open_blocks: list[int] = []
        for it in told(*drafts, finished("tool_calls"), COMPLETED):
            match it["type"]:
                case "content_block_start":
                    open_blocks.append(it["index"])
                case "content_block_stop":
                    assert open_blocks == [it["index"]]
                    open_blocks.clear()
                case "content_block_delta":
                    assert open_blocks == [it["index"]]
                case _:
                    pass
        assert not open_blocks


def test_parameters_of_anthropics_own_service_reach_no_model_and_a_form_reaches_any() -> None:
    schema = {"type": "object"}
    form = {"format": {"type": "json_schema", "schema": schema}, "effort": "low"}
    own = {"cache_control": {"type": "ephemeral"}, "service_tier": "auto", "container": None}
    facts = chat_of(MessagesRequest.model_validate({**ASKED, **own, "output_config": form}))
    asked = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    effort = {"output_config": {"effort": "low"}}
    assert facts["params"] == {"max_tokens": 64, "response_format": asked, **effort}
    with pytest.raises(SpecError, match="mcp_servers"):
        chat_of(MessagesRequest.model_validate({**ASKED, "mcp_servers": [{"name": "x"}]}))


def test_instructions_may_stand_between_messages_and_descriptions_may_be_long() -> None:
    talk = [
        *ASKED["messages"],
        {"role": "assistant", "content": "yes?"},
        {"role": "system", "content": [{"type": "text", "text": "be brief"}]},
        {"role": "user", "content": "more"},
    ]
    tool = {"name": "find", "input_schema": {"type": "object"}, "description": "x" * 20_000}
    facts = chat_of(MessagesRequest.model_validate({**ASKED, "messages": talk, "tools": [tool]}))
    assert [message["role"] for message in facts["talk"]] == ["user", "assistant", "system"]
    assert len(facts["tools"][0]["description"]) == 20_000


async def test_a_request_that_the_provider_refuses_is_no_fault_of_the_server(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [refusal(400, "too long")]
    reply = await client.post(f"{serve_model().url}/v1/messages", json=ASKED)
    assert reply.status_code == 400
    assert reply.json()["error"]["type"] == "invalid_request_error"


async def test_a_cut_call_is_told_as_a_failure_and_never_without_its_arguments(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    calls = [
        {"index": k, "id": f"c{k}", "function": {"name": "find", "arguments": arguments}}
        for k, arguments in enumerate(['{"q":1}', '{"q'])
    ]
    upstream.play = [[chunk(tool_calls=calls), chunk(finish="tool_calls"), *END[1:]]]
    url = f"{serve_model().url}/v1/messages"
    offered = {"tools": [{"name": "find", "input_schema": {"type": "object"}}]}
    reply = await client.post(url, json={**ASKED, **offered})
    assert reply.status_code == 500
    assert "unreadable_calls" in reply.json()["error"]["message"]
    streamed = await client.post(url, json={**ASKED, **offered, "stream": True})
    assert "event: error" in streamed.text
    assert "message_stop" not in streamed.text
    unasked = await client.post(url, json=ASKED)
    assert [block["id"] for block in unasked.json()["content"]] == ["c0"]
