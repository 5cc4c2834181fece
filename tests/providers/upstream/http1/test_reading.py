"""How a body reaches its reader: pushed, paused, pulled, broken off."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from support.patience import within
from support.raw_http import (
    CHUNKED,
    CUT,
    LAST,
    OK,
    SILENCE,
    Pushed,
    RawServer,
    ask,
    chunk,
    exchange,
    whole,
)
from unspool.providers.upstream.http1 import BadEncoding, Broken, Client, Closed, Response
from unspool.providers.upstream.http1.response import MAX_HELD_BYTES

MIB = 1024 * 1024


async def test_bytes_are_pushed_as_they_come(client: Client) -> None:
    frames = [b"data: %d\n\n" % number for number in range(5)]
    async with RawServer(
        [CHUNKED, *(step for it in frames for step in (chunk(it), 0.02)), LAST]
    ) as s:
        pushed = Pushed(await ask(client, s.url))
        assert await pushed.end() is None
    assert pushed.pieces == frames


async def test_what_came_before_a_reader_is_handed_over_at_once(client: Client) -> None:
    async with RawServer([CHUNKED + chunk(b"early"), SILENCE]) as server:
        response = await ask(client, server.url)
        await asyncio.sleep(0.05)
        pushed = Pushed(response)
        assert pushed.pieces == [b"early"]
        response.close()


async def test_the_end_that_came_before_a_reader_is_told_at_once(client: Client) -> None:
    async with RawServer([whole(b"abc")]) as server:
        response = await ask(client, server.url)
        await asyncio.sleep(0.05)
        pushed = Pushed(response)
        assert (pushed.pieces, pushed.ends) == ([b"abc"], [None])
        response.release()


async def test_what_came_before_a_break_is_handed_over_to_a_late_reader(client: Client) -> None:
    async with RawServer([CHUNKED + chunk(b"early"), CUT]) as server:
        response = await ask(client, server.url)
        await server.until(lambda: server.open == 0)
        await asyncio.sleep(0.05)
        pushed = Pushed(response)
        assert pushed.pieces == [b"early"]
        assert [type(end) for end in pushed.ends] == [Broken]


FLOOD = [OK + b"\r\n", *[b"x" * 65536] * 1024]


async def test_without_a_reader_little_is_read(client: Client) -> None:
    async with RawServer(FLOOD) as server:
        response = await ask(client, server.url)
        await asyncio.sleep(0.3)
        assert response._held_bytes <= MAX_HELD_BYTES + 256 * 1024
        assert server.sent < 32 * MIB
        got = 0
        while got < 48 * MIB:
            got += len(await response.read())
        response.close()
        await server.until(lambda: server.open == 0)


async def test_a_reader_that_pauses_is_not_called_and_misses_nothing(client: Client) -> None:
    body = bytes(range(256)) * 4096
    got: list[bytes] = []
    over = asyncio.Event()

    async with RawServer([CHUNKED, *map(chunk, (body[:300], body[300:])), LAST]) as server:
        response = await ask(client, server.url)

        def feed(data: bytes) -> None:
            assert not is_paused
            got.append(data)
            pause()

        def pause() -> None:
            nonlocal is_paused
            is_paused = True
            response.pause()
            asyncio.get_running_loop().call_later(0.001, resume)

        def resume() -> None:
            nonlocal is_paused
            is_paused = False
            response.resume()

        is_paused = False
        response.read_to(feed, lambda _: over.set())
        async with within(10):
            await over.wait()
        response.release()
    assert b"".join(got) == body
    assert server.connections == 1


async def test_a_pause_holds_the_end_back_too(client: Client) -> None:
    async with RawServer([CHUNKED, chunk(b"a") + chunk(b"b") + LAST]) as server:
        response = await ask(client, server.url)
        pieces: list[bytes] = []
        ends: list[Exception | None] = []

        def feed(data: bytes) -> None:
            pieces.append(data)
            response.pause()

        response.read_to(feed, ends.append)
        await asyncio.sleep(0.1)
        assert (pieces, ends) == ([b"a"], [])
        response.resume()
        assert (pieces, ends) == ([b"a", b"b"], [])
        response.resume()
        assert ends == [None]
        response.release()


async def test_a_pause_stops_the_server(client: Client) -> None:
    async with RawServer(FLOOD) as server:
        response = await ask(client, server.url)
        got = 0
        ends: list[Exception | None] = []

        def feed(data: bytes) -> None:
            nonlocal got
            got += len(data)
            if got > MIB:
                response.pause()

        response.read_to(feed, ends.append)
        await asyncio.sleep(0.3)
        assert MIB < got < 2 * MIB
        assert server.sent < 32 * MIB
        response.close()
        assert [type(end) for end in ends] == [Closed]
        await server.until(lambda: server.open == 0)


@pytest.mark.parametrize("encoding", [b"identity", b"gzip"])
async def test_what_a_reader_raises_ends_its_exchange_and_nothing_else(
    client: Client, encoding: bytes
) -> None:
    body = gzip.compress(b"abc") if encoding == b"gzip" else b"abc"
    head = OK + b"Content-Encoding: " + encoding + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with RawServer([head, 0.02, chunk(body), SILENCE], [whole(b"def")]) as server:
        ends: list[Exception | None] = []
        mine = ZeroDivisionError("mine")

        def feed(_: bytes) -> None:
            raise mine

        response = await ask(client, server.url)
        response.read_to(feed, ends.append)
        await server.until(lambda: server.open == 0)
        assert ends == [mine]
        assert await exchange(client, server.url) == (b"def", None)


async def test_what_a_reader_raises_at_once_ends_its_exchange_too(client: Client) -> None:
    async with RawServer([CHUNKED + chunk(b"abc"), SILENCE]) as server:
        response = await ask(client, server.url)
        await asyncio.sleep(0.05)
        ends: list[Exception | None] = []

        def feed(_: bytes) -> None:
            raise ValueError

        response.read_to(feed, ends.append)
        assert [type(end) for end in ends] == [ValueError]
        await server.until(lambda: server.open == 0)


async def test_a_reader_that_fails_at_the_end_is_told_of_and_harms_nobody(
    client: Client, complaints: list[dict[str, object]]
) -> None:
    async with RawServer([whole(b"abc")]) as server:
        failed = asyncio.Event()

        def ended(_: Exception | None) -> None:
            response.release()
            failed.set()
            raise ZeroDivisionError

        response = await ask(client, server.url)
        response.read_to(lambda _: None, ended)
        await failed.wait()
        assert await exchange(client, server.url) == (b"abc", None)
        assert server.connections == 1
    assert [type(it["exception"]) for it in complaints] == [ZeroDivisionError]
    complaints.clear()


async def test_closing_tells_the_reader_at_once_and_only_once(client: Client) -> None:
    async with RawServer([CHUNKED + chunk(b"abc"), SILENCE]) as server:
        response = await ask(client, server.url)
        pushed = Pushed(response)
        response.close()
        assert [type(end) for end in pushed.ends] == [Closed]
        response.close()
        response.release()
        assert type(await pushed.end()) is Closed
        await server.until(lambda: server.open == 0)


async def test_a_reader_may_close_from_within(client: Client) -> None:
    async with RawServer([CHUNKED, chunk(b"a") + chunk(b"b") + LAST, SILENCE]) as server:
        response = await ask(client, server.url)
        pieces: list[bytes] = []
        ends: list[Exception | None] = []

        def feed(data: bytes) -> None:
            pieces.append(data)
            response.close()

        response.read_to(feed, ends.append)
        await server.until(lambda: server.open == 0)
        assert pieces == [b"a"]
        assert [type(end) for end in ends] == [Closed]


async def test_a_reader_may_pause_and_resume_from_within(client: Client) -> None:
    async with RawServer([CHUNKED, chunk(b"a") + chunk(b"b") + chunk(b"c"), LAST]) as server:
        response = await ask(client, server.url)
        pieces: list[bytes] = []
        over = asyncio.Event()

        def feed(data: bytes) -> None:
            response.pause()
            response.resume()
            pieces.append(data)

        response.read_to(feed, lambda _: over.set())
        async with within(5):
            await over.wait()
        response.release()
        assert pieces == [b"a", b"b", b"c"]


async def test_a_reader_may_ask_again_when_it_hears_of_the_end(client: Client) -> None:
    async with RawServer([whole(b"abc")]) as server:
        response = await ask(client, server.url)
        again: list[asyncio.Task[Response]] = []

        def ended(_: Exception | None) -> None:
            response.release()
            again.append(asyncio.ensure_future(ask(client, server.url)))

        response.read_to(lambda _: None, ended)
        await server.until(lambda: len(server.requests) == 2)
        second = await again[0]
        assert await second.read() == b"abc"
        second.close()
        assert server.connections == 1


async def test_releasing_before_the_end_closes(client: Client) -> None:
    async with RawServer([CHUNKED + chunk(b"abc"), SILENCE]) as server:
        response = await ask(client, server.url)
        pushed = Pushed(response)
        response.release()
        assert type(await pushed.end()) is Closed
        await server.until(lambda: server.open == 0)


async def test_a_body_can_be_pulled(client: Client) -> None:
    async with RawServer([CHUNKED, chunk(b"abc"), 0.02, chunk(b"def"), LAST]) as server:
        response = await ask(client, server.url)
        pieces = []
        while piece := await response.read():
            pieces.append(piece)
        assert await response.read() == b""
        response.release()
    assert b"".join(pieces) == b"abcdef"


async def test_pulling_a_large_body_gets_all_of_it(client: Client) -> None:
    body = bytes(range(256)) * 16384
    async with RawServer([whole(body)]) as server:
        response = await ask(client, server.url)
        await asyncio.sleep(0.05)
        got = bytearray()
        async with within(5):
            while piece := await response.read():
                got += piece
        response.release()
        assert got == body


async def test_pulling_tells_of_a_break_after_what_came_before(client: Client) -> None:
    async with RawServer([CHUNKED + chunk(b"abc"), CUT]) as server:
        response = await ask(client, server.url)
        await asyncio.sleep(0.05)
        assert await response.read() == b"abc"
        for _ in range(2):
            with pytest.raises(Broken):
                await response.read()


async def test_pulling_ends_when_the_response_is_closed(client: Client) -> None:
    async with RawServer([CHUNKED, SILENCE]) as server:
        response = await ask(client, server.url)
        reading = asyncio.ensure_future(response.read())
        await asyncio.sleep(0.02)
        response.close()
        with pytest.raises(Closed):
            await reading


async def test_pulling_what_cannot_be_decoded_closes(client: Client) -> None:
    async with RawServer([whole(b"abc", b"Content-Encoding: gzip")]) as server:
        response = await ask(client, server.url)
        with pytest.raises(BadEncoding):
            await response.read()
        await server.until(lambda: server.open == 0)


async def test_a_pull_that_is_cancelled_loses_nothing(client: Client) -> None:
    async with RawServer([CHUNKED, 0.1, chunk(b"abc"), LAST]) as server:
        response = await ask(client, server.url)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await response.read()
        assert await response.read() == b"abc"
        response.release()
