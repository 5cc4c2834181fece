"""Whose messages they are: keys, tenants, budgets, tickets; and the same at several servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from support.keys import Keys, bearer, made
from support.patience import within
from support.postgres import shared_server
from support.servers import Served, ServeModel, Tune
from support.talks import Talk, events_in
from support.upstream import KEY, SILENCE, Script, Upstream, UpstreamRequest, answer, chunk
from unspool.records import Records
from unspool.records.keys import revoke_key, split_key

SECRET = SecretStr("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")


def play(asked: UpstreamRequest) -> Script:
    """Silence after the word for what ends with a question mark."""
    is_open = asked.question.endswith("?")
    return [chunk("…"), SILENCE] if is_open else answer(f"to {asked.question}")


@pytest.fixture
async def keyed(tune: Tune, upstream: Upstream) -> AsyncIterator[Keys]:
    """A server that wants keys, with the upstream as its model."""
    upstream.play = play
    model = {"llm_api_key": KEY, "llm_base_url": upstream.url, "llm_model": "tested"}
    settings = tune(access="keys", retries=0, **model)
    texts = await made(settings.data_dir)
    served = Served(settings).start()
    yield Keys(served, texts)
    served.stop()


async def drained(lines: AsyncIterator[str]) -> None:
    async for _ in lines:
        pass


async def run_of(talk: Talk, turn: int) -> dict[str, object]:
    """The facts of a turn's run, by the first event of its log."""
    (_, event) = events_in(await talk.whole(f"turn={turn}&types=run.started"))[0]
    return dict(event["data"])


async def test_a_turn_is_charged_to_the_key_and_the_user_of_its_message(
    keyed: Keys, client: httpx.AsyncClient, upstream: Upstream
) -> None:
    first = await Talk.begin(client, keyed.url, **keyed.of("admin"))
    second = Talk(client, keyed.url, first.number, keyed.of("runs:write"))
    sent = await first.send("open?", headers={"Unspool-User": "ann"})
    await upstream.until(lambda: upstream.open == 1)
    assert (await second.post("mine", headers={"Unspool-User": "bob"})).status_code == 202
    changed = (await first.send("theirs"))["id"]
    assert (await second.change(changed, prompt="mine now")).status_code == 200
    await first.cancel(sent["run"])
    assert [turn["prompt"] for turn in await first.rest(3)] == ["open?", "mine", "mine now"]
    ids = {name: split_key(keyed.texts[name]) for name in ("admin", "runs:write")}
    admin, writer = (parts[0] for parts in ids.values() if parts is not None)
    facts = [await run_of(first, turn) for turn in (1, 2, 3)]
    assert [fact["key"] for fact in facts] == [admin, writer, writer]
    assert [fact.get("user") for fact in facts] == ["ann", "bob", None]


async def test_a_message_whose_key_was_revoked_does_not_begin(
    keyed: Keys, client: httpx.AsyncClient, upstream: Upstream
) -> None:
    mine = await Talk.begin(client, keyed.url, **keyed.of("admin"))
    sent = await mine.send("open?")
    await upstream.until(lambda: upstream.open == 1)
    theirs = Talk(client, keyed.url, mine.number, keyed.of("runs:write"))
    await theirs.send("too late")
    await mine.send("in time")
    parts = split_key(keyed.texts["runs:write"])
    assert parts is not None
    reply = await client.delete(f"{keyed.url}/api/keys/{parts[0]}", headers=keyed.of("admin"))
    assert reply.status_code == 204
    await mine.cancel(sent["run"])
    (left,) = await mine.stuck(turns=2)
    assert (left["prompt"], left["error"]["code"]) == ("too late", "unauthorized")
    assert [turn["prompt"] for turn in await mine.turns()] == ["open?", "in time"]
    again = await mine.change(left["id"], prompt="mine now")
    assert again.status_code == 200
    assert [turn["prompt"] for turn in await mine.rest(3)][-1] == "mine now"


async def test_a_budget_without_room_refuses_a_message_and_keeps_one_that_waits(
    keyed: Keys, client: httpx.AsyncClient, upstream: Upstream
) -> None:
    talk = await Talk.begin(client, keyed.url, **keyed.of("admin"))
    sent = await talk.send("open?", params={"max_tokens": 17})
    await upstream.until(lambda: upstream.open == 1)
    await talk.send("waits", params={"max_tokens": 17})
    budget = {"kind": "tenant", "ceiling": 1000.0, "max": 0.001, "currency": "CNY"}
    reply = await client.put(f"{keyed.url}/api/budgets", json=budget, headers=talk.headers)
    assert reply.status_code == 200, reply.text
    await talk.cancel(sent["run"])
    (left,) = await talk.stuck(turns=1)
    assert left["error"]["code"] == "budget_exceeded"
    refused = await talk.post("now", params={"max_tokens": 17})
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "budget_exceeded")
    assert len(await talk.waiting()) == 1, "what is refused at once is not kept"
    reply = await client.put(
        f"{keyed.url}/api/budgets", json={**budget, "max": 100.0}, headers=talk.headers
    )
    assert (await talk.change(left["id"], params={"max_tokens": 17})).status_code == 200
    assert [turn["prompt"] for turn in await talk.rest(2)] == ["open?", "waits"]


async def test_a_ticket_opens_one_conversation_to_a_page(
    keyed: Keys, client: httpx.AsyncClient
) -> None:
    mine = await Talk.begin(client, keyed.url, **keyed.of("admin"))
    other = await Talk.begin(client, keyed.url, **keyed.of("admin"))
    await mine.send("hello")
    await mine.rest(1)

    async def ticket(**asked: object) -> httpx.Response:
        reader = keyed.of("admin")
        return await client.post(f"{keyed.url}/v1/tickets", json=asked, headers=reader)

    made = (await ticket(conversation=mine.number)).json()
    assert made["conversation"] == mine.number
    query = f"ticket={made['ticket']}"
    events = f"{mine.url}/events?follow=false"
    assert "run.completed" in (await client.get(f"{events}&{query}")).text
    for method, url in (
        ("GET", f"{other.url}/events?follow=false"),
        ("GET", f"{mine.url}0/events?follow=false"),
        ("POST", f"{mine.url}/messages"),
        ("GET", f"{keyed.url}/api/conversations/{mine.number}"),
        ("GET", f"{keyed.url}/v1/runs"),
    ):
        joint = "&" if "?" in url else "?"
        reply = await client.request(method, f"{url}{joint}{query}")
        assert reply.status_code == 403, url
    writes = (await ticket(conversation=mine.number, scope="runs:write")).json()["ticket"]
    body = {"prompt": "from the page"}
    sent = await client.post(f"{mine.url}/messages?ticket={writes}", json=body)
    assert sent.status_code == 201
    for asked in ({}, {"run": "x", "conversation": 1}):
        assert (await ticket(**asked)).status_code == 422
    assert (await ticket(conversation=999_999)).status_code == 404
    theirs = await client.post(
        f"{keyed.url}/v1/tickets",
        json={"conversation": mine.number},
        headers=keyed.of("other"),
    )
    assert theirs.status_code == 404


async def test_a_stream_counts_once_for_its_key_and_ends_when_that_is_revoked(
    keyed: Keys, client: httpx.AsyncClient, upstream: Upstream
) -> None:
    talk = await Talk.begin(client, keyed.url, **keyed.of("admin"))
    sent = await talk.send("open?")
    await upstream.until(lambda: upstream.open == 1)
    parts = split_key(keyed.texts["runs:read"])
    assert parts is not None
    budget = {"kind": "key", "subject": parts[0], "viewers": 2}
    reply = await client.put(f"{keyed.url}/api/budgets", json=budget, headers=talk.headers)
    assert reply.status_code == 200, reply.text
    reader = bearer(keyed.texts["runs:read"])
    url = f"{talk.url}/events"
    async with (
        client.stream("GET", url, headers=reader) as one,
        client.stream("GET", url, headers=reader) as two,
    ):
        lines = [stream.aiter_lines() for stream in (one, two)]
        for each in lines:
            assert await anext(each)
        assert (await client.get(url, headers=reader)).status_code == 429
        records = await Records.open(keyed.served.settings.data_dir / "records.db")
        assert await revoke_key(records, parts[0])
        await records.aclose()
        async with within(10):
            with pytest.raises(httpx.RemoteProtocolError):
                await drained(lines[0])
    await talk.cancel(sent["run"])


# Several servers


@pytest.fixture
def two(serve_model: ServeModel, tmp_path: Path) -> list[Served]:
    """Two servers over one PostgreSQL, with the upstream as their model."""
    url = SecretStr(shared_server().new_database())
    place = {"database_url": url, "secret_key": SECRET, "sample_data": False}
    return [serve_model(**place, data_dir=tmp_path / str(number)) for number in range(2)]


@pytest.mark.timeout(60)
async def test_messages_of_two_servers_are_turns_in_one_order_and_both_show_them(
    two: list[Served], client: httpx.AsyncClient, upstream: Upstream
) -> None:
    upstream.play = play
    talk = await Talk.begin(client, two[0].url)
    places = [talk, talk.at(two[1].url)]
    watching = [asyncio.create_task(it.look(frames=100_000)) for it in places]
    first = await talk.send("open?")
    await upstream.until(lambda: upstream.open == 1)
    sent = await asyncio.gather(*(places[n % 2].send(f"m{n}") for n in range(12)))
    order = [it["prompt"] for it in sorted(sent, key=lambda it: it["id"])]
    nul = await talk.send("a\0b")
    assert (await talk.withdraw(nul["id"])).status_code == 204
    assert [it["prompt"] for it in await places[1].waiting()] == order
    changed = await places[1].change(sent[0]["id"], prompt="changed")
    assert changed.status_code == 200
    order = ["changed" if it == "m0" else it for it in order]
    # A message of one server steers a turn that the other one carries.
    steered = await places[1].send("first", steer=True)
    assert steered["turn"] == 2
    turns = await talk.rest(14)
    assert [it["prompt"] for it in turns] == ["open?", "first", *order]
    assert turns[0]["run"] == first["run"]
    assert [it["parent"] for it in turns] == list(range(14))
    whole = events_in(await talk.whole())
    await asyncio.sleep(2.5)  # until both must have seen the last turn
    await client.delete(f"{two[0].url}/api/conversations/{talk.number}")
    for view in await asyncio.gather(*watching):
        assert events_in(view) == whole
