"""Chats of the AI SDK at a server: resumed, stopped, approved, and found again after a restart."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.servers import Serve, Served, ServeModel
from support.upstream import SILENCE, Upstream, answer, chunk

FLOW = '''
from pydantic import BaseModel
from unspool import flow

class Trip(BaseModel):
    to: str = "Oslo"

@flow
async def ask_twice(ctx, trip: Trip) -> str:
    """Asks for an approval, and then in words."""
    await ctx.say("Well. ", step="intro")
    call = {"id": "c1", "name": "book", "arguments": {"to": trip.to}}
    given = await ctx.ask("Book it?", step="book/call-0", call=call)
    await ctx.say("No. " if given.is_declined else "Yes. ", step="then")
    name = await ctx.ask("Whose name?", step="name")
    await ctx.say(f"For {name.value}.", step="end")
    return name.value
'''


def body(words: str = "hello", chat: str = "c1", **more: Any) -> dict[str, Any]:
    said = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": words}]}
    return {"id": chat, "messages": [said], "trigger": "submit-message", **more}


def parts(reply: httpx.Response) -> list[Any]:
    lines = [line[6:] for line in reply.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def words(found: list[Any]) -> str:
    return "".join(part["delta"] for part in found if part["type"] == "text-delta")


async def test_a_chat_is_replayed_from_its_start_and_is_a_conversation(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    url = f"{served.url}/v1/ui/chat"
    assert (await client.get(f"{url}/c1/stream")).status_code == 204
    first = await client.post(url, json=body())
    assert first.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert (await client.get(f"{url}/c1/stream")).text == first.text
    talk = (await client.get(f"{served.url}/api/conversations")).json()["conversations"]
    assert [(each["name"], each["turns"]) for each in talk] == [("ui:c1", 1)]
    second = await client.post(url, json=body("and now?"))
    assert parts(second)[0]["messageId"] != parts(first)[0]["messageId"]
    assert (await client.get(f"{url}/c1/stream")).text == second.text
    served.stop()
    again = serve_with()
    replayed = await client.get(f"{again.url}/v1/ui/chat/c1/stream")
    assert replayed.text == second.text
    assert (await client.get(f"{again.url}/v1/ui/chat/other/stream")).status_code == 204


async def test_leaving_stops_nothing_stopping_does_and_both_leave_the_chat_whole(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("half"), SILENCE], [*answer("whole")]]
    url = f"{serve_model().url}/v1/ui/chat"
    async with client.stream("POST", url, json=body()) as response:
        run_id = response.headers["x-run-id"]
        async for line in response.aiter_lines():
            if "text-delta" in line:
                break
    resuming = asyncio.create_task(client.get(f"{url}/c1/stream"))
    stopped = await client.post(f"{url}/c1/stop")
    assert stopped.json() == {"run": run_id, "stopped": True}
    resumed = parts(await resuming)
    assert words(resumed) == "half"
    assert resumed[-1]["type"] == "abort"
    assert (await client.post(f"{url}/c1/stop")).json()["stopped"] is False
    after = await client.post(url, json=body("again", trigger="regenerate-message"))
    assert words(parts(after)) == "whole"


async def test_a_new_message_takes_the_place_of_an_answer_that_is_being_written(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("half"), SILENCE], [*answer("whole")]]
    served = serve_model()
    url = f"{served.url}/v1/ui/chat"
    async with client.stream("POST", url, json=body()) as response:
        run_id = response.headers["x-run-id"]
        async for line in response.aiter_lines():
            if "text-delta" in line:
                break
    assert words(parts(await client.post(url, json=body("other")))) == "whole"
    run = (await client.get(f"{served.url}/v1/runs/{run_id}")).json()
    assert run["status"] == "cancelled"


async def test_a_repeated_or_wrong_request_does_not_stop_the_answer(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("half"), 0.5, *answer(" and whole")]]
    served = serve_model()
    url, key = f"{served.url}/v1/ui/chat", {"Idempotency-Key": "k1"}
    async with client.stream("POST", url, json=body(), headers=key) as response:
        run_id = response.headers["x-run-id"]
        async for line in response.aiter_lines():
            if "text-delta" in line:
                break
    assert (await client.post(url, json=body(""))).status_code == 422
    again = await client.post(url, json=body(), headers=key)
    assert again.headers["x-run-id"] == run_id
    assert words(parts(again)) == "half and whole"


async def test_the_pages_messages_are_those_that_the_model_gets(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[*answer("one")], [*answer("two")]]
    url = f"{serve_model().url}/v1/ui/chat"
    await client.post(url, json=body("first"))
    edited = body("second")
    said = {"id": "a", "role": "assistant", "parts": [{"type": "text", "text": "edited"}]}
    edited["messages"] = [*body("first")["messages"], said, *edited["messages"]]
    await client.post(url, json=edited)
    sent = upstream.requests[1].body["messages"]
    assert [message["content"] for message in sent if message["role"] != "system"] == [
        *("first", "edited", "second"),
    ]


@pytest.mark.parametrize(("approved", "said"), [(True, "Yes. "), (False, "No. ")])
async def test_a_run_that_waits_is_answered_by_the_next_request(
    no_offers: None,
    tmp_path: Path,
    serve_with: Serve,
    client: httpx.AsyncClient,
    approved: bool,
    said: str,
) -> None:
    file = tmp_path / "asking.py"
    file.write_text(FLOW)
    served = serve_with(flows=str(file))
    run_id = await waiting_run(client, served)
    approval = {"id": f"{run_id}/book/call-0", "approved": approved, "reason": "so"}
    part = {"type": "tool-book", "toolCallId": "c1", "state": "approval-responded"}
    answered = body()
    last = {"id": "a", "role": "assistant", "parts": [{**part, "approval": approval}]}
    answered["messages"].append(last)
    url = f"{served.url}/v1/ui/chat"
    first = parts(await client.post(url, json=answered))
    assert [first[0]["type"], first[1]["type"]] == ["start", "tool-approval-response"]
    assert words(first) == said
    assert [part["type"] for part in first][-2:] == ["data-question", "finish"]
    again = parts(await client.post(url, json=answered))
    assert again == first, "the same decision may be sent again"
    other = {**approval, "approved": not approved}
    answered["messages"][-1]["parts"] = [{**part, "approval": other}]
    assert parts(await client.post(url, json=answered)) == first, "somebody was faster"


async def waiting_run(client: httpx.AsyncClient, served: Served) -> str:
    asked = {"flow": "ask_twice", "dialect": "ui_messages"}
    run_id = str((await client.post(f"{served.url}/v1/runs", json=asked)).json()["id"])
    url = f"{served.url}/v1/runs/{run_id}/events?dialect=native"
    async with client.stream("GET", url) as response:
        async for line in response.aiter_lines():
            if '"question.asked"' in line:
                return run_id
    raise AssertionError("the run asked nothing")
