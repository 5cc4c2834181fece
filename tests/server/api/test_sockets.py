"""A run over a WebSocket: the frames of the event stream, and a way up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from support.readers import look, until
from support.runs import read, start, until_ended
from support.servers import Serve, Served, ServeModel
from support.upstream import SILENCE, Upstream, answer, chunk

CHAT = {"flow": "chat", "input": {"prompt": "请介绍运动鞋"}}
COPY = {"flow": "copywriting", "input": {"sku": "8WZ01CM1", "count": 2}, "dialect": "copywriting"}


@asynccontextmanager
async def opened(
    served: Served, run_id: str, query: str = "", **more: Any
) -> AsyncIterator[ClientConnection]:
    url = f"ws{served.url.removeprefix('http')}/v1/runs/{run_id}/ws{query}"
    async with connect(url, proxy=None, compression=None, **more) as socket:
        yield socket


async def rest(socket: ClientConnection) -> tuple[list[Any], int]:
    """Everything up to the end, and the code of the close."""
    seen = []
    with suppress(ConnectionClosed):
        while True:
            seen.append(json.loads(await asyncio.wait_for(socket.recv(), 10)))
    return seen, socket.close_code or 0


async def whole(served: Served, run_id: str, query: str = "") -> tuple[list[Any], int]:
    async with opened(served, run_id, query) as socket:
        return await rest(socket)


async def refused(served: Served, **more: Any) -> int:
    with pytest.raises(InvalidStatus) as caught:
        async with opened(served, "any", **more):
            pass
    return int(caught.value.response.status_code)


@pytest.mark.parametrize("dialect", ["native", "copywriting", "plain", "debug_chat"])
async def test_the_frames_are_those_of_the_event_stream_from_any_id_on(
    client: httpx.AsyncClient, shared_server: Served, dialect: str
) -> None:
    run_id = await start(client, shared_server, COPY)
    await until_ended(client, shared_server, run_id)
    query = f"?dialect={dialect}"
    url = f"{shared_server.url}/v1/runs/{run_id}/events{query}"
    by_events = (await look(client, url)).seen.frames
    by_socket, code = await whole(shared_server, run_id, query)
    assert code == 1000
    # A trailer has no id; an event source keeps the last one.
    assert [frame["data"] for frame in by_socket] == [data for _, data in by_events]
    ids = [frame["id"] for frame in by_socket if "id" in frame]
    assert ids == [id for id, _ in by_events][: len(ids)]
    last = (await read(client, shared_server, run_id))["last_seq"]
    for cut in {*range(0, len(ids), max(1, len(ids) // 9)), len(ids) - 1}:
        again, code = await whole(shared_server, run_id, f"{query}&after={ids[cut]}")
        # Who has the last event needs no trailer either; an event source is answered 204.
        left = [] if str(ids[cut]) == str(last) else by_socket[cut + 1 :]
        assert (again, code) == (left, 1000)


async def test_a_viewer_sees_what_comes_while_it_comes_and_is_counted(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("今天"), SILENCE]]
    served = serve_model()
    run_id = await start(client, served, CHAT)
    async with opened(served, run_id, "?dialect=plain") as socket:
        assert json.loads(await socket.recv())["data"] == "今天"
        assert (await read(client, served, run_id))["viewers"] == 1
    await until(lambda: served.core.viewing.count(run_id) == 0)


async def test_a_run_is_cancelled_from_above_and_its_end_is_the_answer(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("今天"), SILENCE]]
    served = serve_model()
    run_id = await start(client, served, CHAT)
    async with opened(served, run_id) as socket:
        await upstream.until(lambda: upstream.open == 1)
        await socket.send('{"type": "cancel"}')
        seen, code = await rest(socket)
    assert (json.loads(seen[-1]["data"])["type"], code) == ("run.cancelled", 1000)
    await upstream.until(lambda: upstream.left == 1, within_s=1)


async def test_a_run_is_steered_from_above_and_the_fork_is_named_before_the_end(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("今天推荐"), SILENCE], answer("今天推荐那顶帽子")]
    served = serve_model()
    run_id = await start(client, served, CHAT)
    async with opened(served, run_id, "?dialect=plain") as socket:
        await socket.recv()
        await socket.send(json.dumps({"type": "steer", "input": {"prompt": "请介绍帽子"}}))
        seen, code = await rest(socket)
    (forked,) = [message for message in seen if message.get("type") == "forked"]
    assert code == 1000
    assert (await until_ended(client, served, forked["run"]))["text"] == "今天推荐那顶帽子"
    assert (await read(client, served, run_id))["status"] == "cancelled"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("", "invalid_request"),
        ("null", "invalid_request"),
        ("[1]", "invalid_request"),
        ("{", "invalid_request"),
        ("[" * 5000, "invalid_request"),
        (b"\x00\xff", "invalid_request"),
        ('{"type": "dance"}', "invalid_request"),
        ('{"type": ["cancel"]}', "invalid_request"),
        ('{"type": "steer", "texts": 7}', "invalid_request"),
        ('{"type": "steer", "afterwards": 7}', "invalid_request"),
        ('{"type": "steer", "texts": {"answer": "\\ud800"}}', "invalid_request"),
        ('{"type": "steer", "after": 10000}', "bad_cursor"),
        ('{"type": "steer", "model": "nobody"}', "unknown_record"),
    ],
)
async def test_what_cannot_be_done_is_answered_and_the_stream_goes_on(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream, message: Any, code: str
) -> None:
    upstream.play = [[chunk("今天"), SILENCE]]
    served = serve_model()
    run_id = await start(client, served, CHAT)
    async with opened(served, run_id, "?dialect=plain") as socket:
        await socket.recv()
        await socket.send(message)
        told = json.loads(await socket.recv())
        assert (told["type"], told["code"]) == ("error", code)
        await socket.send('{"type": "cancel"}')
        seen, closed = await rest(socket)
    assert ("[ERROR]" in seen[-1]["data"], closed) == (True, 1000)


@pytest.mark.parametrize(
    ("run", "query", "code"),
    [
        ("nobody", "", 4404),
        ("", "?after=x", 4400),
        ("", "?after=99999", 4400),
        ("", "?after=1.9&dialect=native", 4400),
        ("", "?dialect=nope", 4422),
    ],
)
async def test_a_place_that_is_not_there_closes_the_socket_with_a_code_that_says_so(
    client: httpx.AsyncClient, shared_server: Served, run: str, query: str, code: int
) -> None:
    run_id = await start(client, shared_server, CHAT)
    await until_ended(client, shared_server, run_id)
    assert await whole(shared_server, run or run_id, query) == ([], code)


async def test_a_viewer_who_has_everything_is_told_so_at_once(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    run_id = await start(client, shared_server, CHAT)
    run = await until_ended(client, shared_server, run_id)
    assert await whole(shared_server, run_id, f"?after={run['last_seq']}") == ([], 1000)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://203.0.113.9", "http://[", "file://"]
)
async def test_a_page_of_another_site_cannot_open_a_socket(
    shared_server: Served, origin: str
) -> None:
    assert await refused(shared_server, origin=origin) == 403


async def test_a_page_of_this_machine_and_of_an_allowed_host_can(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with(allowed_hosts="app.example")
    run_id = await start(client, served, CHAT)
    for origin in (served.url, "http://localhost:5173", "https://app.example"):
        async with opened(served, run_id, origin=origin) as socket:
            assert (await rest(socket))[1] == 1000


async def test_a_foreign_host_and_a_long_path_are_refused_as_for_every_request(
    shared_server: Served,
) -> None:
    assert await refused(shared_server, additional_headers={"Host": "evil.example"}) == 400, "two"
    assert await refused(shared_server, query=f"?after={'1' * 9000}") == 431
    assert await refused(shared_server, additional_headers={"X-Long": "1" * 9000}) == 431


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("", 400),
        ("Sec-WebSocket-Version: 13\r\n", 400),
        ("Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 400),
        ("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n", 400),
    ],
)
async def test_an_opening_that_is_none_is_refused_and_the_connection_closed(
    shared_server: Served, head: str, status: int
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", shared_server.port)
    upgrade = "Host: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    writer.write(f"GET /v1/runs/any/ws HTTP/1.1\r\n{upgrade}{head}\r\n".encode())
    answered = await asyncio.wait_for(reader.read(), 5)
    assert answered.startswith(f"HTTP/1.1 {status} ".encode())
    writer.close()
    await writer.wait_closed()


async def test_the_name_of_a_run_cannot_break_out_of_the_head(shared_server: Served) -> None:
    assert await whole(shared_server, "x%0d%0aSet-Cookie:%20a=b") == ([], 4404)


async def test_a_message_that_is_too_large_closes_the_socket(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("今天"), SILENCE]]
    served = serve_model(max_body_bytes=2000)
    run_id = await start(client, served, CHAT)
    async with opened(served, run_id) as socket:
        await socket.send("x" * 2001)
        assert (await rest(socket))[1] == 1009
    assert (await read(client, served, run_id))["status"] == "running"
    await until(lambda: served.core.viewing.count(run_id) == 0)


async def test_a_viewer_who_takes_nothing_is_dropped_and_may_come_back(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    long = "长" * 30_000
    upstream.play = [[*(chunk(long) for _ in range(70)), *answer("完")]]
    served = serve_model(stalled_viewer_s=0.4)
    run_id = await start(client, served, CHAT)
    # Its queue is full after one message; then it reads no more, and so nothing is taken.
    async with opened(served, run_id, "?dialect=plain", max_queue=1) as socket:
        first = json.loads(await socket.recv())
        await until(lambda: served.core.viewing.count(run_id) == 0, within_s=15, pause_s=0.02)
        socket.transport.abort()
    seen, code = await whole(served, run_id, f"?dialect=plain&after={first['id']}")
    assert code == 1000
    assert [frame["data"] for frame in seen] == [long] * 69 + ["完"]


async def test_a_run_that_is_not_to_go_on_alone_is_cancelled_when_its_socket_closes(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("今天"), SILENCE]]
    served = serve_model()
    leave = {"Unspool-When-Left": "cancel"}
    answered = await client.post(f"{served.url}/v1/runs", json=CHAT, headers=leave)
    run_id = answered.json()["id"]
    async with opened(served, run_id, "?dialect=plain") as socket:
        await socket.recv()
    assert (await until_ended(client, served, run_id))["status"] == "cancelled"


async def test_a_server_that_stops_says_that_it_is_worth_coming_back(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("今天推荐"), SILENCE], answer("今天推荐这双鞋")]
    served = serve_model()
    run_id = await start(client, served, CHAT)
    async with opened(served, run_id, "?dialect=plain") as socket:
        first = json.loads(await socket.recv())
        stopping = asyncio.create_task(asyncio.to_thread(served.stop))
        assert (await rest(socket))[1] == 1012
        await stopping
    seen, code = await whole(serve_model(), run_id, f"?dialect=plain&after={first['id']}")
    assert ("".join(frame["data"] for frame in seen), code) == ("这双鞋", 1000)
