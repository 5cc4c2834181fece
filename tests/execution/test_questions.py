"""Runs that wait for a person: answered once, from anywhere, also by another server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from support.patience import within
from support.postgres import shared_server
from support.servers import Serve, Served
from unspool.execution.replay import read_log, replay

FLOWS = '''
from pydantic import BaseModel
from unspool import flow

class Trip(BaseModel):
    to: str
    within_s: float = 60.0

SCHEMA = {"type": "object", "properties": {"seat": {"enum": ["window", "aisle"]}},
          "required": ["seat"], "additionalProperties": False}

@flow
async def book(ctx, trip: Trip) -> dict:
    """Books a trip."""
    await ctx.say(f"A trip to {trip.to}. ", step="intro")
    seat = await ctx.ask("Which seat?", step="seat", schema=SCHEMA, within_s=trip.within_s)
    name = await ctx.ask("Whose name?", step="name", within_s=trip.within_s)
    await ctx.say("Booked.", step="end")
    return {"seat": seat.value["seat"], "name": name.value, "declined": name.is_declined}
'''


@pytest.fixture
def flows(no_offers: None, tmp_path: Path) -> str:
    path = tmp_path / "trips.py"
    path.write_text(FLOWS)
    return str(path)


def over_one_database(flows: str) -> dict[str, Any]:
    """Settings of servers that share a new database."""
    database = SecretStr(shared_server().new_database())
    key = SecretStr("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
    return {"database_url": database, "secret_key": key, "sample_data": False, "flows": flows}


async def begun(client: httpx.AsyncClient, served: Served, **facts: Any) -> str:
    body = {"flow": "book", "input": {"to": "Oslo", **facts}}
    reply = await client.post(f"{served.url}/v1/runs", json=body)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


async def until(client: httpx.AsyncClient, served: Served, run_id: str, *statuses: str) -> Any:
    async with within(15):
        while True:
            reply = await client.get(f"{served.url}/v1/runs/{run_id}")
            if reply.status_code == 200 and reply.json()["status"] in statuses:
                return reply.json()
            await asyncio.sleep(0.02)


async def give(
    client: httpx.AsyncClient, served: Served, run_id: str, key: str = "", **facts: Any
) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    url = f"{served.url}/v1/runs/{run_id}/answers"
    return await client.post(url, json=facts, headers=headers)


async def test_a_run_waits_for_two_answers_and_goes_on(
    flows: str, serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with(flows=flows, max_live_runs=1)
    run_id = await begun(client, served)
    run = await until(client, served, run_id, "waiting")
    (seat,) = run["questions"]
    assert (seat["step"], seat["text"], seat["answer"]) == ("seat", "Which seat?", None)
    assert seat["schema"]["required"] == ["seat"]
    other = await begun(client, served)  # a run that waits takes no room
    listed = (await client.get(f"{served.url}/v1/runs?status=waiting")).json()["runs"]
    assert {each["id"]: each["status"] for each in listed}[run_id] == "waiting"
    progress = (await client.get(f"{served.url}/v1/runs/{run_id}/progress")).json()
    assert (progress["status"], progress["left_s"]) == ("waiting", None)
    misfit = await give(client, served, run_id, value={"seat": "roof"})
    assert (misfit.status_code, misfit.json()["error"]["code"]) == (422, "invalid_request")
    reply = await give(client, served, run_id, value={"seat": "window"})
    assert reply.status_code == 200
    await until(client, served, run_id, "waiting")
    declined = await give(client, served, run_id, step="name", declined=True, reason="later")
    assert declined.status_code == 200
    run = await until(client, served, run_id, "completed")
    assert run["result"] == {"seat": "window", "name": None, "declined": True}
    assert run["questions"][1]["answer"] == {
        "outcome": "declined",
        "value": None,
        "reason": "later",
    }
    assert run["text"] == "A trip to Oslo. Booked."
    late = await give(client, served, run_id, step="name", value="Ann")
    assert (late.status_code, late.json()["error"]["code"]) == (409, "not_waiting")
    await client.post(f"{served.url}/v1/runs/{other}/cancel")
    run = await until(client, served, other, "cancelled")
    assert (await give(client, served, other, value="x")).status_code == 409


async def test_a_run_that_waits_is_not_cancelled_because_nobody_watches(
    flows: str, serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with(flows=flows)
    leave = {"Unspool-When-Left": "cancel; after=0.1"}
    body = {"flow": "book", "input": {"to": "Oslo"}}
    reply = await client.post(f"{served.url}/v1/runs", json=body, headers=leave)
    run_id = reply.json()["id"]
    await until(client, served, run_id, "waiting")
    async with client.stream("GET", f"{served.url}/v1/runs/{run_id}/events") as watching:
        assert watching.status_code == 200
    await asyncio.sleep(0.5)  # longer than it may go on unwatched
    run = await until(client, served, run_id, "waiting", "cancelled")
    assert run["status"] == "waiting"
    assert (run["progress"]["left_s"], served.core.runner.live_count) == (None, 0)
    figures = (await client.get(f"{served.url}/metrics")).text
    (waiting,) = (line for line in figures.splitlines() if line.startswith("unspool_waiting_runs"))
    assert waiting.endswith(" 1.0")
    await give(client, served, run_id, value={"seat": "window"})
    run = await until(client, served, run_id, "waiting", "cancelled")
    assert len(run["questions"]) == 2


async def test_of_two_answers_at_once_one_counts_and_the_same_may_come_again(
    flows: str, serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with(flows=flows)
    run_id = await begun(client, served)
    await until(client, served, run_id, "waiting")
    seats = ("window", "aisle") * 5
    replies = await asyncio.gather(
        *(
            give(client, served, run_id, f"key {n}", step="seat", value={"seat": seat})
            for n, seat in enumerate(seats)
        )
    )
    statuses = [reply.status_code for reply in replies]
    assert sorted(statuses) == [200] + [409] * 9
    first = statuses.index(200)
    again = await give(
        client, served, run_id, f"key {first}", step="seat", value={"seat": seats[first]}
    )
    assert again.status_code == 200
    run = await until(client, served, run_id, "waiting")
    assert run["questions"][0]["answer"]["value"] == {"seat": seats[first]}


async def test_a_question_that_nobody_answers_in_time_ends_the_run(
    flows: str, serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with(flows=flows)
    run_id = await begun(client, served, within_s=0.05)
    run = await until(client, served, run_id, "incomplete")
    assert run["error"]["code"] == "unanswered"
    assert run["questions"][0]["answer"]["outcome"] == "expired"


async def test_a_run_that_waits_is_taken_over_and_answered_at_the_next_server(
    flows: str, serve_with: Serve, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    place = tmp_path / "data"
    first = serve_with(flows=flows, data_dir=place)
    run_id = await begun(client, first)
    await until(client, first, run_id, "waiting")
    assert (await give(client, first, run_id, value={"seat": "aisle"})).status_code == 200
    first.stop()
    second = serve_with(flows=flows, data_dir=place)
    reply = await give(client, second, run_id, step="name", value="Ann")
    if reply.status_code == 409:  # its second question was not asked before the stop
        await until(client, second, run_id, "waiting")
        reply = await give(client, second, run_id, step="name", value="Ann")
    assert reply.status_code == 200, reply.text
    run = await until(client, second, run_id, "completed")
    assert run["result"] == {"seat": "aisle", "name": "Ann", "declined": False}
    events = (await client.get(f"{second.url}/v1/runs/{run_id}/events")).text
    log = read_log("\n".join(line[6:] for line in events.splitlines() if "data: " in line).encode())
    assert [event.type for event in log].count("question.asked") == 2
    assert (await replay(log)).difference is None


async def test_an_answer_reaches_the_server_that_carries_the_run(
    flows: str, serve_with: Serve, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    shared = over_one_database(flows)
    carries, answers = (serve_with(**shared, data_dir=tmp_path / str(n)) for n in range(2))
    run_id = await begun(client, carries)
    await until(client, answers, run_id, "waiting")
    replies = await asyncio.gather(
        *(
            give(client, served, run_id, step="seat", value={"seat": seat})
            for served, seat in ((carries, "window"), (answers, "aisle"))
        )
    )
    assert sorted(reply.status_code for reply in replies) == [200, 409]
    carries.stop()
    await until(client, answers, run_id, "waiting")
    reply = await give(client, answers, run_id, step="name", value="Ann")
    assert reply.status_code == 200, reply.text
    assert (await until(client, answers, run_id, "completed"))["result"]["name"] == "Ann"


async def listed(client: httpx.AsyncClient, served: Served) -> dict[str, str]:
    """Return the runs that wait: the journal, the index and its counts say the same."""
    url = f"{served.url}/v1/runs?status=waiting"
    plain = (await client.get(url)).json()["runs"]
    found = (await client.get(f"{url}&totals=1")).json()
    # Not all of the rows: in between, another server may take a run over.
    facts, same = ([(row["id"], row["status"]) for row in rows] for rows in (plain, found["runs"]))
    assert facts == same
    assert found["totals"]["statuses"].get("waiting", 0) == len(plain)
    return dict(facts)


async def test_every_server_lists_the_runs_that_wait_at_any(
    flows: str, serve_with: Serve, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    shared = over_one_database(flows)
    carries, answers = (serve_with(**shared, data_dir=tmp_path / str(n)) for n in range(2))
    servers = [carries, answers]
    run_id, other = [await begun(client, each) for each in servers]
    for each in (run_id, other):
        await until(client, answers, each, "waiting")
    servers.append(serve_with(**shared, data_dir=tmp_path / "late"))
    both = {run_id: "waiting", other: "waiting"}
    assert [await listed(client, each) for each in servers] == [both] * 3
    assert (await give(client, answers, run_id, value={"seat": "aisle"})).status_code == 200
    await until(client, answers, run_id, "waiting")
    assert [await listed(client, each) for each in servers] == [both] * 3
    assert (await give(client, answers, run_id, value="Ann")).status_code == 200
    await until(client, answers, run_id, "completed")
    await client.post(f"{carries.url}/v1/runs/{other}/cancel")
    assert [await listed(client, each) for each in servers] == [{}] * 3
    run_id = await begun(client, carries)
    await until(client, carries, run_id, "waiting")
    carries.stop()
    assert await listed(client, answers) == {run_id: "waiting"}


async def test_a_viewer_answers_over_its_socket(
    flows: str, serve_with: Serve, client: httpx.AsyncClient
) -> None:
    import aiohttp

    served = serve_with(flows=flows)
    run_id = await begun(client, served)
    await until(client, served, run_id, "waiting")
    async with (
        aiohttp.ClientSession() as web,
        web.ws_connect(f"{served.url}/v1/runs/{run_id}/ws") as socket,
    ):
        await socket.send_json({"type": "answer", "value": {"seat": "window"}})
        await socket.send_json({"type": "answer", "step": "seat", "value": {"seat": "aisle"}})
        kinds = []
        while "error" not in kinds:
            message = json.loads((await socket.receive(5)).data)
            kinds.append(message.get("type") or json.loads(message["data"])["type"])
            if kinds[-1] == "error":
                assert message["code"] == "not_waiting"
        assert "question.asked" in kinds
    run = await until(client, served, run_id, "waiting")
    assert run["questions"][0]["answer"]["value"] == {"seat": "window"}
