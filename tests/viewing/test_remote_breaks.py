"""What the client in Python does when an answer is lost, or a stream has a hole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from support.keys import Keys
from support.lost_answers import LostAnswers
from support.servers import Desk
from support.upstream import SILENCE, Upstream, chunk
from unspool import connect
from unspool.viewing.remote import following
from unspool.viewing.remote.errors import EventMissing, NotUnspool, RequestRefused

HOLE = (
    'id: 1.1\ndata: {"seq":1,"type":"run.started","turn":1,"run":"r","parent":0}\n\n'
    'id: 1.2\ndata: {"seq":2,"type":"text.delta","data":{"text":"a"},"turn":1,"run":"r"}\n\n'
    'id: 1.4\ndata: {"seq":4,"type":"text.delta","data":{"text":"c"},"turn":1,"run":"r"}\n\n'
)


@asynccontextmanager
async def answering(kind: str, body: str) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server with one answer to everything; yield its address, and the requests so far."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", asked


async def test_a_change_and_a_withdrawal_whose_answers_are_lost_are_done(
    desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [[chunk("一"), SILENCE]]
    relay = LostAnswers()
    async with relay.before(desk.served.port) as url, connect(url) as server:
        talk = await server.begin_conversation("shoes")
        await talk.send("第一", model=desk.model)
        kept = await talk.send("第二", model=desk.model)
        gone = await talk.send("不要", model=desk.model)
        relay.lose = ["PATCH", "DELETE"]
        assert (await talk.change(kept["id"], prompt="讲两个"))["prompt"] == "讲两个"
        await talk.withdraw(gone["id"])
        assert relay.lost == ["PATCH", "DELETE"]
        assert [it["prompt"] for it in await talk.messages()] == ["讲两个"]
        with pytest.raises(RequestRefused) as refused:
            await talk.withdraw(gone["id"])  # nothing was lost: it was gone before
        assert refused.value.status == 404


@pytest.mark.parametrize("types", [(), ("text.delta",)])
async def test_a_hole_in_a_turn_is_an_error_unless_a_filter_made_it(types: tuple[str, ...]) -> None:
    seen = []
    async with answering("text/event-stream", HOLE) as (url, _), connect(url) as server:
        events = server.conversation(1).events(types=types)
        try:
            async for event in events:
                seen.append(event.seq)
                if event.seq == 4:
                    break
        except EventMissing:
            seen.append(-1)
        await events.aclose()
    assert seen == ([1, 2, 4] if types else [1, 2, -1])


async def test_an_address_where_something_else_answers_is_an_error_at_once() -> None:
    async with answering("text/html", "<p/>") as (url, asked), connect(url) as server:
        with pytest.raises(NotUnspool):
            await server.start("chat", {"prompt": "?"})
        with pytest.raises(NotUnspool):
            await anext(server.run("any").events())
        assert len(asked) == 2


async def test_a_server_that_always_leaves_an_event_out_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "GIVE_UP_S", 0.5)
    log = "".join(
        f'id: {seq}\ndata: {{"seq":{seq},"type":"text.delta","data":{{"text":"a"}}}}\n\n'
        for seq in (1, 2, 4)
    )
    async with answering("text/event-stream", log) as (url, asked), connect(url) as server:
        with pytest.raises(EventMissing, match="event 3"):
            assert [event async for event in server.run("any").events()]
        assert len(asked) > 1, "a proxy may have lost it once"


async def test_a_key_opens_what_its_scopes_allow_and_no_more(keys: Keys) -> None:
    async with connect(keys.url, key=keys.texts["admin"]) as server:
        run = await server.start("chat", {"prompt": "请介绍运动鞋"})
        assert (await run.wait())["status"] == "completed"
    async with connect(keys.url, key=keys.texts["runs:read"]) as server:
        last = [event async for event in server.run(run.id).events()][-1]
        assert last.type == "run.completed"
        with pytest.raises(RequestRefused) as refused:
            await server.start("chat", {"prompt": "?"})
        assert refused.value.status == 403
    for name, status in (("unknown", 401), ("", 401), ("other", 404)):
        async with connect(keys.url, key=keys.texts[name]) as server:
            with pytest.raises(RequestRefused) as refused:
                await anext(server.run(run.id).events())
            assert refused.value.status == status
