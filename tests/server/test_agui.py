"""Agents of AG-UI at a server: joined, interrupted, resumed, also after a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from support.servers import Serve, Served

from .test_ui_chat import FLOW


def run_input(run: str = "r1", **more: Any) -> dict[str, Any]:
    said = [{"id": "m", "role": "user", "content": "hello"}]
    return {"threadId": "t", "runId": run, "messages": said, "tools": [], "context": [], **more}


def events(reply: httpx.Response) -> list[Any]:
    assert reply.status_code == 200, reply.text
    return [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: ")]


async def test_the_same_request_joins_its_run_and_any_place_of_it_can_be_resumed(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    url = f"{shared_server.url}/v1/agui"
    first = await client.post(url, json=run_input())
    found = events(first)
    assert [found[0]["type"], found[-1]["type"]] == ["RUN_STARTED", "RUN_FINISHED"]
    again = await client.post(url, json=run_input())
    assert again.headers["x-run-id"] == first.headers["x-run-id"]
    assert again.text == first.text
    other = await client.post(url, json=run_input("r2"))
    assert other.headers["x-run-id"] != first.headers["x-run-id"]
    events_url = f"{shared_server.url}/v1/runs/{first.headers['x-run-id']}/events"
    rest = await client.get(events_url, params={"dialect": "agui", "after": "4.1"})
    assert first.text.endswith(rest.text)
    assert events(rest) == found[4:]


async def test_an_interrupt_is_resumed_at_another_server_and_each_run_has_its_name(
    no_offers: None, tmp_path: Path, serve_with: Serve, client: httpx.AsyncClient
) -> None:
    file = tmp_path / "asking.py"
    file.write_text(FLOW)
    served = serve_with(flows=str(file))
    props = {"flow": "ask_twice", "input": {}}
    first = events(await client.post(f"{served.url}/v1/agui", json=run_input(forwardedProps=props)))
    assert first[-1]["outcome"]["type"] == "interrupt"
    (interrupt,) = first[-1]["outcome"]["interrupts"]
    assert (interrupt["reason"], interrupt["toolCallId"]) == ("tool_call", "c1")
    served.stop()
    served = serve_with(flows=str(file))
    url = f"{served.url}/v1/agui"
    entry = {"interruptId": interrupt["id"], "status": "resolved", "payload": {"approved": True}}
    second = events(await client.post(url, json=run_input("r2", resume=[entry])))
    assert (second[0]["type"], second[0]["runId"]) == ("RUN_STARTED", "r2")
    words = [it["delta"] for it in second if it["type"] == "TEXT_MESSAGE_CONTENT"]
    assert "".join(words) == "Yes. "
    (interrupt,) = second[-1]["outcome"]["interrupts"]
    assert interrupt["reason"] == "input_required"
    entry = {"interruptId": interrupt["id"], "status": "resolved", "payload": "Ann"}
    third = events(await client.post(url, json=run_input("r3", resume=[entry])))
    assert third[-1]["result"] == "Ann"
    assert {it["runId"] for it in third if "runId" in it} == {"r3"}
    nobody = {"interruptId": f"{interrupt['id']}x", "status": "cancelled"}
    refused = await client.post(url, json=run_input("r4", resume=[nobody]))
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_waiting")
