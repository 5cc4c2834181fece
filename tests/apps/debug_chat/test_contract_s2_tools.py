"""S2.5 and S2.15: tools whose calls are carried out, streamed round by round."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.debug_chat import called, frames, made, mock, results
from support.patience import within
from support.readers import look
from support.servers import Desk, Serve, Served
from support.upstream import Upstream, answer
from unspool import plugs
from unspool.tools.calling.calls import MAX_ANSWER_CHARS

BEIJING = {"city": "北京"}


@pytest.fixture
def offered() -> Iterator[list[str]]:
    """Names of Python tools that a test has offered; they are withdrawn in the end."""
    names: list[str] = []
    yield names
    for name in names:
        plugs.withdraw("tools", name)


async def python(
    client: httpx.AsyncClient, served: Served | Desk, names: list[str], function: Any, **more: Any
) -> dict[str, Any]:
    plugs.offer("tools", function.__name__, function)
    names.append(function.__name__)
    answer_ = {"kind": "python", "entry_point": function.__name__}
    said = {"name": function.__name__, "answer": answer_, **more}
    return await made(client, served, "tools", said)


async def test_s2_15_calls_are_carried_out_and_the_model_answers_with_what_came_back(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [
        called(("a", "weather", BEIJING), ("b", "weather", {"city": "上海"}), text="我查一下。"),
        called(("a", "weather", {"city": "广州"})),
        answer("都是", "晴天"),
    ]
    served = desk
    tool = await mock(client, served, {"sky": "晴"})
    told = await frames(client, served, tool_ids=[tool["id"]], system_prompt="简短")
    assert "".join(frame.get("content", "") for frame in told) == "我查一下。都是晴天"
    kinds = [next(iter(frame)) for frame in told]
    assert kinds == [
        "content",
        *["tool_call"] * 4,
        *["tool_result"] * 2,
        *["tool_call"] * 2,
        "tool_result",
        *["content"] * 2,
        "done",
    ]
    final = told[-1]["final_response"]
    assert (final["output"], final["status"]) == ("我查一下。都是晴天", "success")
    assert final["metrics"]["total_tokens"] == 54
    assert results(upstream.requests[1]) == [("a", '{"sky": "晴"}'), ("b", '{"sky": "晴"}')]
    roles = [message["role"] for message in upstream.requests[2].body["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "tool", "assistant", "tool"]
    assert all(asked.body["tools"] for asked in upstream.requests)


async def test_s2_5_indexes_are_unique_over_rounds_and_every_call_is_whole_in_the_end(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [
        called(("a", "weather", BEIJING), ("b", "weather", BEIJING)),
        called(("a", "weather", {"city": "广州"})),
        answer("晴"),
    ]
    served = desk
    tool = await mock(client, served)
    told = await frames(client, served, tool_ids=[tool["id"]])
    pieces: dict[int, str] = {}
    for call in (frame["tool_call"] for frame in told if "tool_call" in frame):
        pieces[call["index"]] = pieces.get(call["index"], "") + call["arguments"]
    came = {
        frame["tool_result"]["index"]: frame["tool_result"]
        for frame in told[:-1]
        if "tool_result" in frame
    }
    calls = told[-1]["final_response"]["tool_calls"]
    assert [call["index"] for call in calls] == [0, 1, 2]
    assert {c["index"]: json.loads(c["arguments"]) for c in calls} == {
        index: json.loads(text) for index, text in pieces.items()
    }
    assert {c["index"]: c["result"] for c in calls} == {i: r["content"] for i, r in came.items()}
    assert all(result["status"] == "success" for result in came.values())


async def test_s2_5_a_viewer_cut_after_any_frame_of_the_rounds_gets_exactly_the_rest(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    body = {"model_id": 1, "prompt": "北京和上海的天气？", "tool_ids": [1], "stream": True}
    view = await look(client, f"{shared_server.url}/api/debug/chat", method="POST", json=body)
    whole = view.seen.frames
    assert any("tool_result" in data for _, data in whole)
    url = f"{shared_server.url}/v1/runs/{view.run_id}/events"
    for cut in range(1, len(whole) - 1):
        rest = await look(client, url, after=whole[cut - 1][0])
        assert whole[:cut] + rest.seen.frames == whole


async def test_s2_15_calls_side_by_side_go_on_at_the_same_time(
    client: httpx.AsyncClient,
    desk: Desk,
    upstream: Upstream,
    offered: list[str],
) -> None:
    both = asyncio.Barrier(2)

    async def meet() -> str:
        await both.wait()  # one after the other would wait for ever
        return "met"

    upstream.play = [called(("a", "meet", {}), ("b", "meet", {})), answer("好")]
    served = desk
    tool = await python(client, served, offered, meet, limit_s=5)
    told = await frames(client, served, tool_ids=[tool["id"]])
    assert results(upstream.requests[1]) == [("a", "met"), ("b", "met")]
    assert told[-1]["final_response"]["output"] == "好"


def fail() -> str:
    raise RuntimeError("out of order")


async def hang() -> str:
    await asyncio.Event().wait()
    raise AssertionError


def odd() -> object:
    return object()


def long() -> str:
    return "长" * (MAX_ANSWER_CHARS + 7)


@pytest.mark.parametrize(
    "case",
    [
        (fail, ("a", "fail", {}), "tool_failed", "out of order"),
        (hang, ("a", "hang", {}), "tool_timeout", "0.05 s"),
        (odd, ("a", "odd", {}), "tool_failed", "is not JSON"),
        (fail, ("a", "no_such", {}), "unknown_tool", "have: fail"),
        (fail, ("a", "fail", {"x": 1}), "tool_failed", "TypeError"),
    ],
)
async def test_s2_15_a_tool_that_goes_wrong_is_an_answer_and_not_the_end(
    client: httpx.AsyncClient,
    desk: Desk,
    upstream: Upstream,
    offered: list[str],
    case: tuple[Any, tuple[str, str, Any], str, str],
) -> None:
    function, call, code, word = case
    upstream.play = [called(call), answer("那就不查了")]
    served = desk
    limit_s = 0.05 if code == "tool_timeout" else 5
    tool = await python(client, served, offered, function, limit_s=limit_s)
    told = await frames(client, served, tool_ids=[tool["id"]])
    (result,) = (frame["tool_result"] for frame in told if "tool_result" in frame)
    assert (result["status"], result["code"]) == ("error", code)
    error = json.loads(result["content"])["error"]
    assert error["code"] == code
    assert word in error["message"]
    assert results(upstream.requests[1]) == [("a", result["content"])]
    assert told[-1]["final_response"]["output"] == "那就不查了"


@pytest.mark.parametrize("arguments", [{}, {"city": 3}, {"city": "北京", "country": "中国"}])
async def test_s2_15_arguments_that_do_not_fit_are_told_to_the_model(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream, arguments: Any
) -> None:
    upstream.play = [
        called(("a", "weather", arguments)),
        called(("a", "weather", BEIJING)),
        answer("晴"),
    ]
    served = desk
    tool = await mock(client, served)
    told = await frames(client, served, tool_ids=[tool["id"]])
    first, second = (frame["tool_result"] for frame in told if "tool_result" in frame)
    assert (first["code"], second["content"]) == ("invalid_arguments", "晴")
    assert told[-1]["final_response"]["status"] == "success"


async def test_s2_15_an_answer_is_cut_where_it_is_too_long_and_says_so(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream, offered: list[str]
) -> None:
    upstream.play = [called(("a", "long", {})), answer("好")]
    served = desk
    tool = await python(client, served, offered, long)
    await frames(client, served, tool_ids=[tool["id"]])
    ((_, content),) = results(upstream.requests[1])
    assert content.startswith("长" * MAX_ANSWER_CHARS + "… [cut: ")
    assert content.endswith(f"of {MAX_ANSWER_CHARS + 7} characters]")


async def test_s2_15_without_stream_the_whole_loop_is_one_answer(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [called(("a", "weather", BEIJING)), answer("晴")]
    served = desk
    tool = await mock(client, served)
    asked = {"model_id": desk.model_id, "prompt": "天气？", "tool_ids": [tool["id"], tool["id"]]}
    whole = (await client.post(f"{served.url}/api/debug/chat", json=asked)).json()
    assert (whole["output"], whole["status"]) == ("晴", "success")
    (call,) = whole["tool_calls"]
    assert (call["name"], call["result"]) == ("weather", "晴")


async def test_s2_15_calls_of_tools_that_only_the_request_names_are_told_and_not_run(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [called(("a", "weather", BEIJING), ("b", "theirs", {}))]
    served = desk
    tool = await mock(client, served)
    asked = {"prompt": "?", "tools": [{"name": "theirs"}], "tool_ids": [tool["id"]]}
    headers = {"Accept": "text/event-stream"}
    url = f"{served.url}/v1/runs"
    view = await look(
        client, url, method="POST", json={"input": asked, "model": desk.model}, headers=headers
    )
    run = (await client.get(f"{url}/{view.run_id}")).json()
    assert (run["status"], len(upstream.requests)) == ("completed", 1)
    ours, theirs = run["steps"][0]["tool_calls"]
    assert (ours["answer"], theirs["answer"]) == ({"content": "晴"}, None)


async def test_s2_15_two_tools_of_one_name_are_refused(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    asked = {"prompt": "?", "tools": [{"name": "calculate"}], "tool_ids": [2]}
    response = await client.post(f"{shared_server.url}/v1/runs", json={"input": asked})
    assert response.status_code == 422
    assert "calculate" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("question", "name", "arguments", "word"),
    [
        ("北京今天的天气怎么样？", "get_weather", {"city": "北京"}, "21"),
        ("What is the weather in Paris?", "get_weather", {"city": "Paris"}, "21"),
        ("算一下 (459 - 60) * 3", "calculate", {"expression": "(459 - 60) * 3"}, "1197"),
        ("现在几点了？", "current_time", {}, "UTC"),
    ],
)
async def test_s2_15_the_built_in_model_calls_a_tool_and_tells_its_answer(
    client: httpx.AsyncClient,
    shared_server: Served,
    question: str,
    name: str,
    arguments: dict[str, Any],
    word: str,
) -> None:
    told = await frames(client, shared_server, prompt=question, tool_ids=[1, 2, 3])
    (call,) = told[-1]["final_response"]["tool_calls"]
    assert (call["name"], json.loads(call["arguments"])) == (name, arguments)
    assert word in told[-1]["final_response"]["output"]


async def test_s2_15_a_question_that_no_tool_fits_is_answered_in_words(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    told = await frames(client, shared_server, prompt="给我讲个笑话", tool_ids=[1, 2, 3])
    assert "tool_calls" not in told[-1]["final_response"]


async def test_s2_15_a_cancelled_run_lets_its_tools_go(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream, offered: list[str]
) -> None:
    state: list[str] = []

    async def wait() -> str:
        state.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            state.append("left")
        raise AssertionError

    upstream.play = [called(("a", "wait", {}))]
    served = desk
    tool = await python(client, served, offered, wait)
    started = {"input": {"prompt": "?", "tool_ids": [tool["id"]]}, "model": desk.model}
    run_id = (await client.post(f"{served.url}/v1/runs", json=started)).json()["id"]
    async with within(5):
        while not state:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.005)
    run = (await client.post(f"{served.url}/v1/runs/{run_id}/cancel")).json()
    assert (run["status"], state) == ("cancelled", ["begun", "left"])


async def test_s2_5_a_tool_that_is_not_kept_is_unknown(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with(sample_data=False)
    asked = {"model_id": 1, "prompt": "?", "tool_ids": [1]}
    response = await client.post(f"{served.url}/api/debug/chat", json=asked)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_record")
