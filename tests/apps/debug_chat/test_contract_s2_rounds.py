"""S2.15: rounds that break off, go wrong, or never end."""

from __future__ import annotations

import httpx

from support.debug_chat import called, frames, mock
from support.servers import Desk, ServeModel
from support.upstream import CUT, Script, Upstream, UpstreamRequest, answer, chunk
from unspool.flows.chat import MAX_REPEATS, MAX_ROUNDS

BEIJING = {"city": "北京"}


def always_calling(asked: UpstreamRequest) -> Script:
    if asked.body.get("tool_choice") == "none":
        return answer("到此为止")
    return called(("a", "weather", BEIJING))


async def test_s2_15_after_the_last_round_the_model_has_to_answer(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = always_calling
    served = desk
    tool = await mock(client, served)
    told = await frames(client, served, tool_ids=[tool["id"]], params={"tool_choice": "required"})
    assert told[-1]["final_response"]["output"] == "到此为止"
    assert len(told[-1]["final_response"]["tool_calls"]) == MAX_ROUNDS
    choices = [asked.body.get("tool_choice") for asked in upstream.requests]
    # One that must call would call for ever: it holds for the first round.
    assert choices == ["required", *[None] * (MAX_ROUNDS - 1), "none"]


async def test_s2_15_a_model_that_calls_all_the_same_is_no_success(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [called(("a", "weather", BEIJING))]
    served = desk
    tool = await mock(client, served)
    told = await frames(client, served, tool_ids=[tool["id"]])
    assert (told[-1]["status"], len(upstream.requests)) == ("error", MAX_ROUNDS + 1)
    assert f"{MAX_ROUNDS} rounds" in told[-1]["error"]


async def test_s2_15_a_round_whose_call_breaks_off_is_asked_for_again(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    begun = chunk(tool_calls=[{"index": 0, "id": "x", "function": {"name": "weather"}}])
    upstream.play = [[begun, CUT], called(("a", "weather", BEIJING)), answer("晴")]
    served = desk
    tool = await mock(client, served)
    told = await frames(client, served, tool_ids=[tool["id"]])
    final = told[-1]["final_response"]
    assert (final["output"], final["status"]) == ("晴", "success")
    assert [(call["id"], call["index"]) for call in final["tool_calls"]] == [("a", 1)]


async def test_s2_15_a_call_that_breaks_off_again_and_again_ends_the_run(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    begun = chunk(tool_calls=[{"index": 0, "id": "x", "function": {"name": "weather"}}])
    upstream.play = [[begun, CUT]]
    served = desk
    tool = await mock(client, served)
    told = await frames(client, served, tool_ids=[tool["id"]])
    assert (told[-1]["status"], len(upstream.requests)) == ("error", MAX_REPEATS + 1)
    assert "tool_calls" not in told[-1]["final_response"]


async def test_s2_15_a_text_that_breaks_off_is_gone_on_with_in_words(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [
        called(("a", "weather", BEIJING)),
        [chunk("今天北京的天气是晴"), CUT],
        answer("北京的天气是晴", "天。"),
    ]
    served = serve_model(retries=1)
    tool = await mock(client, served)
    told = await frames(client, served, tool_ids=[tool["id"]])
    final = told[-1]["final_response"]
    assert (final["output"], final["status"]) == ("今天北京的天气是晴天。", "success")
    assert upstream.requests[2].body["tool_choice"] == "none"
    roles = [message["role"] for message in upstream.requests[2].body["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


async def test_s2_15_text_before_a_call_that_breaks_off_is_never_said_twice(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    begun = chunk(tool_calls=[{"index": 0, "id": "x", "function": {"name": "weather"}}])
    upstream.play = [[chunk("我查一下。"), begun, CUT]]
    served = desk
    tool = await mock(client, served)
    told = await frames(client, served, tool_ids=[tool["id"]])
    assert (told[-1]["status"], len(upstream.requests)) == ("error", 1)
    assert told[-1]["final_response"]["output"] == "我查一下。"


async def test_s2_15_calls_that_cannot_be_read_are_asked_for_again(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    broken = called(("a", "weather", '{"city": "北'))
    upstream.play = [broken, called(("b", "weather", BEIJING)), answer("晴"), broken]
    served = desk
    tool = await mock(client, served)
    told = await frames(client, served, tool_ids=[tool["id"]])
    assert told[-1]["final_response"]["output"] == "晴"
    told = await frames(client, served, tool_ids=[tool["id"]])
    assert (told[-1]["status"], len(upstream.requests)) == ("error", 3 + MAX_REPEATS + 1)
    assert "cannot be read" in told[-1]["error"]
