"""Tools whose calls wait for a person who approves them, in runs, conversations and batches."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx

from support.debug_chat import called, frames, mock, results
from support.patience import within
from support.servers import Serve, Served, ServeModel
from support.upstream import Upstream, answer
from unspool.core.retention import RetentionRules
from unspool.execution import questions
from unspool.execution.replay import read_log, replay
from unspool.formats.images import read_data_url

DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)
"""A picture of one point."""

PLACES = [{"city": "Oslo"}, {"city": "Rome"}]


async def until(client: httpx.AsyncClient, served: Served, run_id: str, opened: int) -> Any:
    """Return the run once so many of its questions are open; with none, once it has ended."""
    async with within(20):
        while True:
            run = (await client.get(f"{served.url}/v1/runs/{run_id}")).json()
            waits = [it for it in run.get("questions", ()) if it["answer"] is None]
            is_over = run.get("status") not in {"queued", "running", "waiting"}
            if len(waits) == opened if opened else is_over:
                return run
            await asyncio.sleep(0.02)


async def waiting(client: httpx.AsyncClient, served: Served) -> Any:
    """Return the only run that waits, once there is one."""
    async with within(20):
        while True:
            reply = await client.get(f"{served.url}/v1/runs?status=waiting")
            if runs := reply.json()["runs"]:
                (run,) = runs
                return run
            await asyncio.sleep(0.02)


async def give(client: httpx.AsyncClient, served: Served, run_id: str, **facts: Any) -> None:
    reply = await client.post(f"{served.url}/v1/runs/{run_id}/answers", json=facts)
    assert reply.status_code == 200, reply.text


async def log_of(client: httpx.AsyncClient, served: Served, run_id: str) -> list[Any]:
    exported = await client.get(f"{served.url}/v1/runs/{run_id}/export?format=jsonl")
    return read_log(exported.content)


async def begun(client: httpx.AsyncClient, served: Served, name: str, **given: Any) -> str:
    reply = await client.post(f"{served.url}/v1/runs", json={"flow": name, "input": given})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


async def test_a_tool_says_whether_its_calls_need_approval(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with()
    tool = await mock(client, served)
    assert tool["approve"] is False
    place = f"{served.url}/api/tools/{tool['id']}"
    assert (await client.patch(place, json={"approve": True})).json()["approve"] is True
    assert (await client.patch(place, json={"limit_s": 5})).json()["approve"] is True
    assert (await client.patch(place, json={"approve": "perhaps"})).status_code == 422


async def test_calls_wait_for_approval_and_the_model_learns_what_was_declined(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    wrong = ("c", "weather", {"town": "Bonn"})
    both = called(*((name, "weather", PLACES[n]) for n, name in enumerate("ab")), wrong)
    upstream.play = [both, answer("Sunny.")]
    served = serve_model()
    tool = await mock(client, served, approve=True)
    run_id = await begun(client, served, "chat", prompt="weather?", tool_ids=[tool["id"]])
    run = await until(client, served, run_id, 2)
    assert run["status"] == "waiting"
    first, second = run["questions"]  # nobody is asked for a call that cannot be carried out
    assert [first["step"], second["step"]] == ["answer/call-0", "answer/call-1"]
    assert first["call"] == {"id": "a", "name": "weather", "arguments": PLACES[0]}
    unnamed = (await client.post(f"{served.url}/v1/runs/{run_id}/answers", json={})).json()
    wanted = "several questions are open: answer/call-0, answer/call-1; name one of them"
    assert wanted in unnamed["error"]["message"]
    await give(client, served, run_id, step=second["step"], declined=True, reason="too far")
    await give(client, served, run_id, step=first["step"])
    run = await until(client, served, run_id, 0)
    assert (run["status"], run["text"]) == ("completed", "Sunny.")
    told = dict(results(upstream.requests[-1]))
    assert told["a"] == "晴"
    assert json.loads(told["b"])["error"] == {
        "code": "declined",
        "message": "a person has declined this call: too far",
    }
    assert json.loads(told["c"])["error"]["code"] == "invalid_arguments"
    assert "approve" not in upstream.requests[0].body["tools"][0]["function"]
    assert (await replay(await log_of(client, served, run_id))).difference is None


async def test_calls_that_need_no_approval_are_not_held_up(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [called(("a", "weather", PLACES[0]), ("b", "now", {})), answer("Done.")]
    served = serve_model()
    asks = await mock(client, served, approve=True)
    free = await mock(client, served, name="now", parameters={"type": "object"})
    numbers = [asks["id"], free["id"]]
    run_id = await begun(client, served, "chat", prompt="?", tool_ids=numbers)
    await until(client, served, run_id, 1)
    done: list[Any] = []
    async with within(20):
        while True:
            log = await log_of(client, served, run_id)
            if done := [event for event in log if event.type == "tool.answered"]:
                break
            await asyncio.sleep(0.02)
    assert [event.data["name"] for event in done] == ["now"]
    await give(client, served, run_id)
    await until(client, served, run_id, 0)
    assert (await replay(await log_of(client, served, run_id))).difference is None


async def test_a_call_that_nobody_approves_in_time_is_an_answer_too(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream, monkeypatch: Any
) -> None:
    monkeypatch.setattr(questions, "MAX_WITHIN_S", 0.05)
    upstream.play = [called(("a", "weather", PLACES[0])), answer("Nobody was there.")]
    served = serve_model()
    tool = await mock(client, served, approve=True)
    run_id = await begun(client, served, "chat", prompt="?", tool_ids=[tool["id"]])
    run = await until(client, served, run_id, 0)
    assert (run["status"], run["text"]) == ("completed", "Nobody was there.")
    ((_, told),) = results(upstream.requests[-1])
    assert json.loads(told)["error"]["code"] == "unanswered"
    assert (await replay(await log_of(client, served, run_id))).difference is None


async def test_a_turn_of_a_conversation_waits_and_the_next_one_follows_it(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [called(("a", "weather", PLACES[0])), answer("Sunny."), answer("Indeed.")]
    served = serve_model()
    tool = await mock(client, served, approve=True)
    talk = (await client.post(f"{served.url}/api/conversations", json={})).json()["id"]
    turn = {"conversation_id": talk, "tool_ids": [tool["id"]]}
    telling = asyncio.create_task(frames(client, served, **turn))
    run = await waiting(client, served)
    refused = await client.post(
        f"{served.url}/api/debug/chat", json={"model_id": 1, "prompt": "and?", **turn}
    )
    assert refused.status_code == 409
    await give(client, served, run["id"])
    assert (await telling)[-1]["final_response"]["output"] == "Sunny."
    told = await frames(client, served, prompt="and?", **turn)
    assert told[-1]["final_response"]["output"] == "Indeed."


async def test_an_item_that_waits_holds_up_no_other_where_there_is_room_for_one(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [called(("a", "weather", PLACES[0])), answer("Two."), answer("One.")]
    served = serve_model(max_live_runs=1)
    tool = await mock(client, served, approve=True)
    items = [{"prompt": "one", "tool_ids": [tool["id"]]}, {"prompt": "two"}]
    batch = await begun(client, served, "batch", flow="chat", items=items, concurrency=2)
    child = await waiting(client, served)
    async with within(20):
        while True:
            listed = await client.get(f"{served.url}/v1/runs?parent={batch}&status=completed")
            if listed.json()["runs"]:
                break
            await asyncio.sleep(0.02)
    await give(client, served, child["id"])
    run = await until(client, served, batch, 0)
    assert run["result"]["completed"] == 2


async def test_images_of_a_run_that_waits_for_weeks_are_kept(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [called(("a", "weather", PLACES[0])), answer("Sunny.")]
    served = serve_model()
    tool = await mock(client, served, approve=True)
    asked = {"prompt": "?", "tool_ids": [tool["id"]], "images": [DOT]}
    run_id = await begun(client, served, "chat", **asked)
    await until(client, served, run_id, 1)
    old = RetentionRules(max_age_s=-3 * 86_400.0)  # as in three days, with nothing kept
    await served.call(lambda: served.core.retention.prune(old))
    await give(client, served, run_id)
    assert (await until(client, served, run_id, 0))["text"] == "Sunny."
    await served.call(lambda: served.core.retention.prune(old))
    (sha256,) = (it.sha256 for it in [read_data_url(DOT)])
    assert (await client.get(f"{served.url}/api/images/{sha256}")).status_code == 404


async def test_a_batch_waits_for_its_items_and_their_room_is_free(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [called(("a", "weather", PLACES[0])), answer("One."), answer("Two.")]
    served = serve_model(max_live_runs=2)
    tool = await mock(client, served, approve=True)
    items = [{"prompt": "one", "tool_ids": [tool["id"]]}, {"prompt": "two"}]
    batch = await begun(client, served, "batch", flow="chat", items=items, concurrency=1)
    child = await waiting(client, served)
    facts = (await client.get(f"{served.url}/v1/runs/{child['id']}")).json()
    assert facts["parent"] == batch
    parent = (await client.get(f"{served.url}/v1/runs/{batch}")).json()
    assert parent["status"] == "running"
    await give(client, served, child["id"], declined=True)
    run = await until(client, served, batch, 0)
    assert (run["status"], run["result"]["completed"]) == ("completed", 2)
    assert [item["text"] for item in run["result"]["items"]] == ["One.", "Two."]
