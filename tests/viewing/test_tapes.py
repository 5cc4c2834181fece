"""Viewers who are late, slow or gone: all see the same bytes, and none costs much."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest

from support.postgres import shared_server
from support.readers import look, post, until
from support.servers import Served, ServeModel
from support.upstream import Upstream, answer, chunk
from unspool import Draft, Journal, Pen, RunSpec, open_journal, plugs
from unspool.formats.sse import Decoder, Frame
from unspool.viewing.cursor import Cursor
from unspool.viewing.tapes import READ_EVENTS, Tape, Tapes

SPEC = RunSpec("copywriting", {"count": 1, "style": "natural"}, dialect="copywriting")


async def written(journal: Journal, count: int, *, is_ended: bool = True) -> Pen:
    pen = await journal.create(SPEC)
    pen.append(Draft("step.started", {"step": "post-1"}))
    for number in range(count):
        pen.append(Draft("text.delta", {"step": "post-1", "text": f"{number}，" + "x" * 50}))
    if is_ended:
        pen.append(Draft("step.finished", {"step": "post-1"}))
        await pen.end(Draft("run.completed"))
    else:
        await pen.commit()
    return pen


async def played(tape: Tape, after: int = 0, max_bytes: int = 1_000) -> bytes:
    """What a viewer of the tape gets from a place on."""
    body = b""
    while True:
        data, after = tape.read(after, max_bytes)
        body += data
        if not data:
            if tape.has_ended and after >= tape.head:
                return body
            await tape.wind()


@pytest.fixture
async def tapes(journal: Journal) -> AsyncIterator[Tapes]:
    yield Tapes(journal, max_bytes=2_000, max_write_bytes=1_000)
    gc.collect()


@pytest.mark.parametrize("dialect", plugs.names("dialects"))
async def test_viewers_of_one_run_share_a_tape_and_see_what_one_alone_would(
    journal: Journal, tapes: Tapes, dialect: str
) -> None:
    pen = await written(journal, 30)
    alone = await played(tapes.own(pen.run_id, dialect))
    big = Tapes(journal, max_bytes=1_000_000, max_write_bytes=1_000)
    shared = big.shared(pen.run_id, dialect)
    assert big.shared(pen.run_id, dialect) is shared
    assert await played(shared) == await played(shared, max_bytes=1) == alone
    assert big.shared(pen.run_id, "native") is not shared or dialect == "native"


async def test_a_tape_is_forgotten_with_its_last_viewer(journal: Journal, tapes: Tapes) -> None:
    pen = await written(journal, 3)
    tape = tapes.shared(pen.run_id, "native")
    assert len(tapes._shared) == 1
    del tape
    gc.collect()
    assert len(tapes._shared) == 0


async def test_a_tape_keeps_no_more_than_it_may_however_long_the_run(
    journal: Journal, tapes: Tapes
) -> None:
    pen = await written(journal, 1, is_ended=False)
    tape = tapes.shared(pen.run_id, "copywriting")
    most = 0
    for number in range(400):
        pen.append(Draft("text.delta", {"step": "post-1", "text": f"{number}" + "x" * 50}))
        await pen.commit()
        await tape.wind()
        most = max(most, sum(map(len, tape._frames)))
    assert most <= 3 * 2_000
    assert tape.base > 300


def seq_of(frame: Frame) -> int:
    """The number of its event; a trailer has none."""
    return int((frame.id or "0").partition(".")[0])


@pytest.mark.parametrize("dialect", plugs.names("dialects"))
async def test_a_tape_of_ones_own_goes_on_from_any_place(
    journal: Journal, tapes: Tapes, dialect: str
) -> None:
    pen = await written(journal, 10)
    whole = tapes.own(pen.run_id, dialect)
    frames = Decoder().feed(await played(whole))
    for after in range(14):
        tape = tapes.own(pen.run_id, dialect)
        await tape.skip(after)
        rest = Decoder().feed(await played(tape, after))
        assert rest == [frame for frame in frames if seq_of(frame) > after]


async def test_winding_in_parts_makes_the_same_frames(journal: Journal, tapes: Tapes) -> None:
    pen = await written(journal, READ_EVENTS + 50)
    tape = tapes.own(pen.run_id, "copywriting")
    body = await played(tape, max_bytes=10_000)
    frames = Decoder().feed(body)
    assert len(frames) == READ_EVENTS + 50 + 4
    assert [int(frame.id or 0) for frame in frames] == list(range(1, len(frames) + 1))


async def test_who_holds_the_last_frame_has_nothing_left_in_any_dialect(
    journal: Journal, tapes: Tapes
) -> None:
    pen = await written(journal, 3)
    for dialect in plugs.names("dialects"):
        frames = Decoder().feed(await played(tapes.own(pen.run_id, dialect)))
        for frame in frames:
            is_last = frame is frames[-1]
            place = Cursor.parse(frame.id or "0")
            has_more = await tapes.has_more(pen.run_id, dialect, place.seq, place.frame)
            assert has_more is not is_last


async def test_a_slow_viewer_catches_up_to_the_byte_behind_a_small_shared_tape(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    words = [f"{number}，" + "字" * 200 for number in range(300)]
    upstream.play = [[*[s for w in words for s in (chunk(w), 0.0005)], *answer("完")]]
    served = serve_model(max_tape_bytes=4_000, max_write_bytes=2_000)
    first = await post(client, served.url + "/ai/stream", {"prompt": "你好"}, frames=1)
    url = f"{served.url}/v1/runs/{first.run_id}/events"
    slow = [asyncio.create_task(sip(served, first.run_id)) for _ in range(3)]
    quick = (await look(client, url)).seen.raw
    bodies = await asyncio.gather(*slow)
    assert quick.decode().count("字") == 60_000
    assert [body == quick for body in bodies] == [True, True, True]


async def sip(served: Served, run_id: str) -> bytes:
    """Read a stream through a small window, a little at a time; return its body."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", served.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=2_048)
    writer.write(f"GET /v1/runs/{run_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
        await asyncio.sleep(0.001)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return body


async def test_a_viewer_who_takes_nothing_is_let_go_and_the_run_goes_on(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[*[s for _ in range(200) for s in (chunk("字" * 10_000), 0.005)], *answer()]]
    served = serve_model(stalled_viewer_s=0.2)
    asked = {"flow": "chat", "input": {"prompt": "你好"}}
    run_id = (await client.post(f"{served.url}/v1/runs", json=asked)).json()["id"]
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", served.port))
        ask = f"GET /v1/runs/{run_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
        await loop.sock_sendall(sock, ask.encode())
        await until(lambda: served.core.viewing.count(run_id) == 1, pause_s=0.01)
        await until(lambda: served.core.viewing.count(run_id) == 0, pause_s=0.01)
    whole = await look(client, f"{served.url}/v1/runs/{run_id}/events?dialect=plain")
    assert sum(map(len, whole.seen.data)) == 2_000_000


async def test_a_long_log_that_is_there_is_told_without_waiting_for_any_of_it(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    pen = await journal.create(RunSpec("chat"))
    words = [Draft("text.delta", {"step": "answer", "text": "字"})] * 1700
    pen.append(Draft("step.started", {"step": "answer"}), *words)
    await pen.end(Draft("run.completed", {}))
    tape = Tape(journal, pen.run_id, "native", max_bytes=None, max_write_bytes=1_000)
    winds = 0
    while tape.is_behind:
        await tape.wind()
        winds += 1
    assert (winds, tape.has_ended, tape.head) == (4, True, 1703)
    assert not tape.is_behind


async def test_viewers_who_are_ahead_of_a_tape_wind_it_side_by_side() -> None:
    """As where they come from another server; each waits for the database."""
    journal = await open_journal(shared_server().new_database())
    try:
        pen = await written(journal, 10)
        tape = Tapes(journal, max_bytes=10_000, max_write_bytes=10_000).shared(pen.run_id, "native")
        await asyncio.gather(tape.skip(7), tape.skip(3), tape.skip(5))
        data, after = tape.read(7, 10_000)
    finally:
        await journal.aclose()
    assert data.startswith(b"id: 8\n")
    assert after == tape.head == 14
