"""Messages of a conversation: they wait for their turn, and each becomes exactly one."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from support.debug_chat import CHAT
from support.images import data_url, digest
from support.servers import Desk, Served
from support.talks import Talk
from support.upstream import SILENCE, Upstream, answer, chunk
from unspool.execution.message_turns import chat_spec
from unspool.execution.messages import MAX_WAITING


@pytest.fixture
async def talk(client: httpx.AsyncClient, desk: Desk) -> Talk:
    return await Talk.begin(client, desk.url)


def code(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["error"]["code"]


async def test_the_first_message_begins_at_once_and_the_next_wait_in_their_order(
    talk: Talk, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [[chunk("一"), SILENCE], answer("二"), answer("三")]
    reply = await talk.post("第一", model=desk.model, system="简短", params={"temperature": 0})
    first = reply.json()
    assert reply.status_code == 201
    assert (first["turn"], first["place"], first["error"]) == (1, None, None)
    assert reply.headers["x-run-id"] == first["run"]
    assert reply.headers["location"] == f"/v1/runs/{first['run']}"
    for place, prompt in enumerate(("第二", "第三"), 1):
        reply = await talk.post(prompt, model=desk.model)
        assert reply.status_code == 202
        assert "x-run-id" not in reply.headers
        facts = reply.json()
        assert (facts["place"], facts["turn"], facts["run"]) == (place, None, None)
        assert (facts["prompt"], facts["model"]) == (prompt, desk.model)
    assert [it["prompt"] for it in await talk.waiting()] == ["第二", "第三"]
    await upstream.until(lambda: upstream.open == 1)
    await talk.cancel(first["run"])
    turns = await talk.rest(3)
    assert [(it["prompt"], it["text"], it["parent"]) for it in turns] == [
        ("第一", "一", 0),
        ("第二", "二", 1),
        ("第三", "三", 2),
    ]
    assert [it["status"] for it in turns] == ["cancelled", "completed", "completed"]
    sent = upstream.requests[0].body
    assert (sent["messages"][0]["content"], sent["temperature"]) == ("简短", 0)
    assert [it["content"] for it in upstream.requests[2].body["messages"]][1:] == [
        *("第一", "一", "第二", "二", "第三"),
    ]


async def test_thirty_messages_of_several_clients_are_thirty_turns_in_the_order_of_the_answers(
    talk: Talk, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = lambda asked: answer(f"to {asked.question}")
    answered: list[tuple[int, str]] = []

    async def send(number: int) -> None:
        while (reply := await talk.post(f"message {number}", model=desk.model)).status_code == 409:
            assert code(reply) == (409, "queue_full")
            await asyncio.sleep(0.02)
        answered.append((reply.json()["id"], f"message {number}"))

    await asyncio.gather(*(send(number) for number in range(30)))
    turns = await talk.rest(30)
    assert [it["prompt"] for it in turns] == [prompt for _, prompt in sorted(answered)]
    assert [it["parent"] for it in turns] == list(range(30))
    assert [it["text"] for it in turns] == [f"to {it['prompt']}" for it in turns]
    asked = Counter(request.question for request in upstream.requests)
    assert asked == Counter(f"message {number}" for number in range(30))


async def test_a_message_that_steers_stops_the_turn_keeps_its_text_and_goes_first(
    talk: Talk, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [[chunk("从前有"), SILENCE], [chunk("短"), SILENCE], answer("好")]
    first = await talk.send("讲故事", model=desk.model)
    waits = await talk.send("再讲", model=desk.model)
    await upstream.until(lambda: upstream.open == 1)
    steered = await talk.send("短一点", model=desk.model, steer=True)
    assert (steered["turn"], waits["turn"]) == (2, None)
    before = (await talk.turns())[0]
    assert (before["run"], before["status"], before["text"]) == (
        *(first["run"], "cancelled", "从前有"),
    )
    assert [it["id"] for it in await talk.waiting()] == [waits["id"]]
    # One that waits can be begun now, too.
    await upstream.until(lambda: len(upstream.requests) == 2 and upstream.open == 1)
    now = await talk.change(waits["id"], steer=True)
    assert (now.status_code, now.json()["turn"]) == (200, 3)
    turns = await talk.rest(3)
    assert [it["text"] for it in turns] == ["从前有", "短", "好"]
    said = [it["content"] for it in upstream.requests[-1].body["messages"]][1:]
    assert said == ["讲故事", "从前有", "短一点", "短", "再讲"]


async def test_a_message_is_changed_or_withdrawn_until_it_begins(
    talk: Talk, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [[chunk("一"), SILENCE], answer("好")]
    first = await talk.send("一", model=desk.model)
    one, two = [await talk.send(it, model=desk.model) for it in ("二", "三")]
    changed = await talk.change(one["id"], prompt="二改", params={"temperature": 1})
    assert changed.status_code == 200
    assert (changed.json()["prompt"], changed.json()["place"]) == ("二改", 1)
    assert (await talk.withdraw(two["id"])).status_code == 204
    for gone in (two["id"], 999_999, 2**63 - 1):
        assert code(await talk.withdraw(gone)) == (404, "unknown_record")
        assert code(await talk.change(gone, prompt="x")) == (404, "unknown_record")
    await talk.cancel(first["run"])
    turns = await talk.rest(2)
    assert [it["prompt"] for it in turns] == ["一", "二改"]
    assert upstream.requests[-1].body["temperature"] == 1
    for begun, turn in ((first, turns[0]), (one, turns[1])):
        for reply in (await talk.withdraw(begun["id"]), await talk.change(begun["id"], prompt="x")):
            assert code(reply) == (409, "message_begun")
            message = reply.json()["error"]["message"]
            assert turn["run"] in message
            assert f"turn {turn['number']}" in message
    other = await Talk.begin(talk.client, talk.server)
    assert code(await other.withdraw(one["id"])) == (404, "unknown_record")


@pytest.mark.parametrize("seed", range(6))
async def test_of_a_change_and_a_beginning_at_once_one_wins(
    talk: Talk, desk: Desk, upstream: Upstream, seed: int
) -> None:
    upstream.play = lambda asked: [chunk("一"), SILENCE] if asked.question == "一" else answer("好")
    first = await talk.send("一", model=desk.model)
    waits = await talk.send("二", model=desk.model)
    await upstream.until(lambda: upstream.open == 1)

    async def change() -> httpx.Response:
        for _ in range(seed * 3):
            await asyncio.sleep(0.001)
        if seed % 2:
            return await talk.withdraw(waits["id"])
        return await talk.change(waits["id"], prompt="二改")

    _, reply = await asyncio.gather(talk.cancel(first["run"]), change())
    turns = await talk.rest(1)
    prompts = [it["prompt"] for it in turns][1:]
    if reply.status_code == 409:
        assert prompts == ["二"]
        assert code(reply) == (409, "message_begun")
    else:
        assert prompts == ([] if seed % 2 else ["二改"])


async def test_the_same_key_is_the_same_message(talk: Talk, desk: Desk, upstream: Upstream) -> None:
    upstream.play = [[chunk("一"), SILENCE], answer("好")]
    first = await talk.send("一", model=desk.model, headers={"Idempotency-Key": "a"})
    many = await asyncio.gather(
        *(talk.send("二", model=desk.model, headers={"Idempotency-Key": "b"}) for _ in range(8))
    )
    assert len({it["id"] for it in many}) == 1
    again = await talk.post("一", model=desk.model, headers={"Idempotency-Key": "a"})
    assert (again.status_code, again.json()) == (201, first)
    other = await talk.post("三", model=desk.model, headers={"Idempotency-Key": "b"})
    assert code(other) == (422, "key_reused")
    await talk.cancel(first["run"])
    turns = await talk.rest(2)
    begun = await talk.send("二", model=desk.model, headers={"Idempotency-Key": "b"})
    assert (begun["id"], begun["turn"], begun["run"]) == (many[0]["id"], 2, turns[1]["run"])
    assert len(await talk.turns()) == 2


async def test_a_message_whose_turn_cannot_begin_stays_with_its_error_and_the_next_begins(
    talk: Talk, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [[chunk("一"), SILENCE], answer("好"), answer("终于")]
    said = {"name": "leaving", "base_url": upstream.url, "api_key": "x"}
    model = (await talk.client.post(f"{talk.server}/api/models", json=said)).json()
    first = await talk.send("一", model=desk.model)
    waits = await talk.send("二", model="leaving")
    await talk.send("三", model=desk.model)
    await talk.client.delete(f"{talk.server}/api/models/{model['id']}")
    await talk.cancel(first["run"])
    (left,) = await talk.stuck(turns=2)
    assert (left["id"], left["error"]["code"]) == (waits["id"], "unknown_record")
    assert "leaving" in left["error"]["message"]
    assert [it["prompt"] for it in await talk.turns()] == ["一", "三"]
    changed = await talk.change(left["id"], model=desk.model)
    assert changed.json()["error"] is None
    turns = await talk.rest(3)
    assert [it["prompt"] for it in turns] == ["一", "三", "二"]


async def test_a_message_that_cannot_begin_now_is_refused_and_not_kept(
    talk: Talk, desk: Desk, client: httpx.AsyncClient
) -> None:
    for body, expected in (
        ({"model": "nobody"}, (404, "unknown_record")),
        ({"tool_ids": [999_999]}, (404, "unknown_record")),
        ({"images": [{"sha256": "0" * 64}]}, (404, "unknown_record")),
    ):
        assert code(await talk.post("你好", **body)) == expected
    assert await talk.waiting() == []
    assert await talk.turns() == []
    unknown = Talk(client, desk.url, 999_999, {})
    assert code(await unknown.post("你好")) == (404, "unknown_record")
    assert (await client.get(f"{unknown.url}/messages")).status_code == 404


async def test_a_conversation_holds_so_many_waiting_messages_and_says_so(
    talk: Talk, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [[chunk("一"), SILENCE]]
    first = await talk.send("一", model=desk.model)
    for number in range(MAX_WAITING):
        await talk.send(str(number), model=desk.model)
    reply = await talk.post("too many", model=desk.model)
    assert code(reply) == (409, "queue_full")
    assert str(MAX_WAITING) in reply.json()["error"]["message"]
    for message in await talk.waiting():
        assert (await talk.withdraw(message["id"])).status_code == 204
    await talk.cancel(first["run"])
    assert len(await talk.rest(1)) == 1


async def test_a_turn_of_the_chat_is_waited_for_too_and_it_is_busy_meanwhile(
    talk: Talk, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [[chunk("一"), SILENCE], [chunk("二"), SILENCE]]
    body = {"model_id": desk.model_id, "prompt": "一", "conversation_id": talk.number}
    asking = asyncio.create_task(talk.client.post(talk.server + CHAT, json=body))
    await upstream.until(lambda: upstream.open == 1)
    waits = await talk.post("二", model=desk.model)
    assert waits.status_code == 202
    (turn,) = await talk.turns()
    await talk.cancel(turn["run"])
    await asking
    await upstream.until(lambda: len(upstream.requests) == 2)
    busy = await talk.client.post(talk.server + CHAT, json={**body, "prompt": "三"})
    assert code(busy) == (409, "going_on")
    await talk.cancel((await talk.turns())[1]["run"])
    assert [it["prompt"] for it in await talk.rest(2)] == ["一", "二"]


async def test_images_are_stored_when_they_are_sent_and_the_list_has_their_digests(
    talk: Talk, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [[chunk("一"), SILENCE], answer("一双鞋")]
    first = await talk.send("一", model=desk.model)
    await talk.send("这是什么", model=desk.model, images=[data_url()])
    (waits,) = await talk.waiting()
    assert [image["sha256"] for image in waits["images"]] == [digest()]
    await talk.cancel(first["run"])
    turns = await talk.rest(2)
    assert [image["sha256"] for image in turns[1]["images"]] == [digest()]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"prompt": ""}, 422),
        ({"prompt": "x" * 200_001}, 422),
        ({"prompt": "x", "extra": 1}, 422),
        ({"prompt": "x", "params": {"a": float("1e308")}}, 201),
        ({"prompt": "\0 nul", "model": "offline"}, 201),
        ({"prompt": "x", "model": "\0"}, 404),
        ({"prompt": "x", "images": ["http://example.com/x.png"]}, 422),
        ({"prompt": "x", "tool_ids": [2**70]}, 422),
        ({}, 422),
        ([], 422),
    ],
)
async def test_what_is_no_message_is_refused(
    client: httpx.AsyncClient, shared_server: Served, body: Any, status: int
) -> None:
    talk = await Talk.begin(client, shared_server.url)
    reply = await client.post(f"{talk.url}/messages", json=body)
    assert reply.status_code == status, reply.text
    if status == 201:
        await talk.rest(1)
    else:
        assert reply.json()["error"]["code"]
        assert await talk.turns() == []


async def test_a_lone_surrogate_and_a_long_body_are_refused(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    talk = await Talk.begin(client, shared_server.url)
    headers = {"Content-Type": "application/json"}
    for content, status in (
        (b'{"prompt": "\\ud800"}', 422),
        (b'{"prompt": "' + b"x" * 1_000_000 + b'"}', 422),
        (b"{", 422),
        (b"\xff", 400),
    ):
        url = f"{talk.url}/messages"
        reply = await client.post(url, content=content, headers=headers)
        assert reply.status_code == status, (content[:20], reply.text)
    assert await talk.turns() == []


async def test_a_message_waits_for_a_turn_of_the_chat_that_came_between(
    talk: Talk, desk: Desk, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.play = [[chunk("一"), SILENCE], answer("二")]
    messages = desk.served.core.messages
    live_run, between = messages.turns.live_run, []

    async def late(number: int) -> str:
        live = await live_run(number)
        if not between:
            spec = chat_spec({"prompt": "一", "model": desk.model})
            between.append(await messages.conversations.begin_turn(number, spec))
        return live

    monkeypatch.setattr(messages.turns, "live_run", late)
    assert (await talk.post("二", model=desk.model)).status_code == 202
    await upstream.until(lambda: upstream.open == 1)
    await talk.cancel(between[0])
    assert [it["prompt"] for it in await talk.rest(2)] == ["一", "二"]


async def test_a_deleted_conversation_takes_its_messages_along(
    talk: Talk, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [[chunk("一"), SILENCE]]
    first = await talk.send("一", model=desk.model)
    await talk.send("二", model=desk.model)
    url = f"{talk.server}/api/conversations/{talk.number}"
    assert (await talk.client.delete(url)).status_code == 204
    await talk.cancel(first["run"])
    assert (await talk.client.get(f"{talk.url}/messages")).status_code == 404
    assert len(upstream.requests) == 1
