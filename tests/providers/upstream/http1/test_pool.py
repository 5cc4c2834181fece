"""Which connections are kept, for how long, and what happens to one that its server gave up."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from support.raw_http import (
    CHUNKED,
    CUT,
    LAST,
    OK,
    RESET,
    SILENCE,
    End,
    Pushed,
    RawServer,
    ask,
    chunk,
    exchange,
    whole,
)
from unspool.providers.upstream.http1 import Broken, Client, Closed
from unspool.providers.upstream.http1 import client as client_module
from unspool.providers.upstream.http1 import pool as pool_module
from unspool.providers.upstream.http1.connecting import resolve

KEEPS = [whole(b"abc")]


async def test_a_connection_is_used_again_and_remembers_nothing(client: Client) -> None:
    answers = [whole(b"abc", b"X: 1"), CHUNKED + chunk(b"de") + LAST, whole(b"f")]
    async with RawServer(*([answer] for answer in answers)) as server:
        for body, header in ((b"abc", "1"), (b"de", None), (b"f", None)):
            response = await ask(client, server.url)
            assert response.headers.get("x") == header
            pushed = Pushed(response)
            assert await pushed.end() is None
            assert pushed.body == body
            response.release()
        assert server.connections == 1


async def test_at_once_each_request_has_a_connection_of_its_own(client: Client) -> None:
    async with RawServer([CHUNKED + chunk(b"abc"), 0.1, LAST]) as server:
        results = await asyncio.gather(*(exchange(client, server.url) for _ in range(5)))
        assert results == [(b"abc", None)] * 5
        assert server.connections == 5
        await exchange(client, server.url)
        assert server.connections == 5


async def test_a_response_that_was_released_cannot_close_the_next_one(client: Client) -> None:
    async with RawServer(KEEPS, [CHUNKED, 0.1, chunk(b"def"), LAST]) as server:
        first = await ask(client, server.url)
        assert await first.read() == b"abc"
        first.release()
        second = Pushed(await ask(client, server.url))
        first.release()
        first.close()
        first.pause()
        first.resume()
        assert await second.end() is None
        assert second.body == b"def"
        assert server.connections == 1


@pytest.mark.parametrize("end", [CUT, RESET])
async def test_a_kept_connection_that_was_closed_meanwhile_is_not_used(
    client: Client, end: End
) -> None:
    async with RawServer([whole(b"abc"), 0.05, end]) as server:
        for _ in range(2):
            assert await exchange(client, server.url) == (b"abc", None)
            await server.until(lambda: server.open == 0)
            await asyncio.sleep(0.02)
        assert (server.connections, len(server.requests)) == (2, 2)


@pytest.mark.parametrize("end", [CUT, RESET])
@pytest.mark.parametrize("body", [None, b"{}", b"x" * 1_000_000])
async def test_a_kept_connection_that_is_closed_instead_of_an_answer_costs_nothing(
    client: Client, end: End, body: bytes | None
) -> None:
    async with RawServer(KEEPS, [end], KEEPS) as server:
        for _ in range(2):
            got = await exchange(client, server.url, method="POST", body=body)
            assert got == (b"abc", None)
        assert (server.connections, len(server.requests)) == (2, 3)


async def test_one_byte_of_an_answer_is_an_answer_and_nothing_is_sent_again(
    client: Client,
) -> None:
    async with RawServer(KEEPS, [b"H", 0.02, CUT], KEEPS) as server:
        await exchange(client, server.url)
        with pytest.raises(Broken):
            await ask(client, server.url)
        assert len(server.requests) == 2


async def test_stale_connections_are_tried_a_bounded_number_of_times_and_then_a_new_one(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_STALE", 2)
    slow = [CHUNKED, 0.1, LAST]
    async with RawServer(*[slow] * 4, [CUT], [CUT], KEEPS) as server:
        await asyncio.gather(*(exchange(client, server.url) for _ in range(4)))
        assert server.connections == 4
        assert await exchange(client, server.url) == (b"abc", None)
        assert (server.connections, len(server.requests)) == (5, 7)


async def test_a_new_connection_that_is_closed_instead_of_an_answer_is_a_failure(
    client: Client,
) -> None:
    async with RawServer([CUT]) as server:
        with pytest.raises(Broken):
            await ask(client, server.url)
        assert len(server.requests) == 1


async def test_no_more_than_a_bound_are_kept_and_the_oldest_goes_first(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "MAX_IDLE", 2)
    async with RawServer(KEEPS) as one, RawServer(KEEPS) as two, RawServer(KEEPS) as three:
        for server in (one, two, three):
            await exchange(client, server.url)
        await one.until(lambda: one.open == 0)
        assert (two.open, three.open) == (1, 1)


async def test_a_connection_is_not_kept_for_ever(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "IDLE_S", 0.2)
    async with RawServer(KEEPS) as one, RawServer(KEEPS) as two:
        await exchange(client, one.url)
        await asyncio.sleep(0.1)
        await exchange(client, two.url)
        await one.until(lambda: one.open == 0)
        assert two.open == 1
        await two.until(lambda: two.open == 0)


async def test_a_connection_that_was_paused_is_read_again_when_it_is_kept(client: Client) -> None:
    async with RawServer([whole(b"x" * 100_000)], KEEPS) as server:
        response = await ask(client, server.url)
        response.pause()
        await asyncio.sleep(0.05)
        response.resume()
        pushed = Pushed(response)
        assert await pushed.end() is None
        response.pause()
        response.release()
        assert await exchange(client, server.url) == (b"abc", None)
        assert server.connections == 1


async def test_places_do_not_share_connections() -> None:
    client = Client(resolve=lambda _, port: resolve("127.0.0.1", port))
    async with RawServer(KEEPS) as server:
        for host in ("a.test", "b.test", "a.test", "A.test"):
            await exchange(client, f"http://{host}:{server.port}/{host}")
        assert server.connections == 2
        await client.aclose()


async def test_closing_the_client_closes_everything_and_tells_who_waits() -> None:
    client = Client()
    async with RawServer(KEEPS, [CHUNKED + chunk(b"a"), SILENCE], [SILENCE]) as server:
        idle = await ask(client, server.url)
        assert await idle.read() == b"abc"
        pushed = Pushed(await ask(client, server.url))
        waiting = asyncio.ensure_future(ask(client, server.url))
        idle.release()
        await server.until(lambda: len(server.requests) == 3)
        await client.aclose()
        assert type(await pushed.end()) is Closed
        with pytest.raises(Closed):
            await waiting
        await server.until(lambda: server.open == 0)
        with pytest.raises(Closed):
            await ask(client, server.url)
        await client.aclose()


async def test_a_client_of_nothing_can_be_closed() -> None:
    client = Client()
    await client.aclose()


async def test_an_answer_before_the_request_is_sent_is_taken_and_ends_the_connection(
    client: Client,
) -> None:
    early = b"HTTP/1.1 413 Large\r\nContent-Length: 3\r\n\r\nabc"
    async with RawServer([early, SILENCE], reads_bodies=False) as server:
        response = await ask(client, server.url, method="POST", body=b"x" * 64_000_000)
        assert (response.status, await response.read()) == (413, b"abc")
        response.release()
        await server.until(lambda: server.open == 0)


async def test_an_ok_that_is_early_counts_as_well(client: Client) -> None:
    async with RawServer([OK + b"Content-Length: 3\r\n\r\nabc", 0.05]) as server:
        for _ in range(2):
            assert await exchange(client, server.url, method="POST", body=b"") == (b"abc", None)
        assert server.connections == 1


async def test_a_kept_connection_holds_nothing_of_its_answers(client: Client) -> None:
    async with RawServer([CHUNKED, chunk(b"abc"), LAST]) as server:
        response = await ask(client, server.url)
        pushed = Pushed(response)
        assert await pushed.end() is None
        response.release()
        gone = [weakref.ref(response), weakref.ref(pushed)]
        gc.disable()
        try:
            del response, pushed
            assert [ref() for ref in gone] == [None, None]
        finally:
            gc.enable()
        assert server.open == 1
