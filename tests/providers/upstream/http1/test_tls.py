"""TLS: who may be believed, and what an end without a farewell means."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.certificates import authority_pem, client_context, server_context
from support.patience import within
from support.raw_http import (
    CHUNKED,
    CUT,
    LAST,
    OK,
    RAGGED,
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
from unspool.providers.upstream.http1 import BadTls, Broken, Client, ConnectTimeout
from unspool.providers.upstream.http1.connecting import resolve

KEEPS = [whole(b"abc")]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """Every name means this machine."""
    opened = Client(tls=client_context(), resolve=lambda _, port: resolve("127.0.0.1", port))
    yield opened
    await opened.aclose()


async def test_a_server_that_proves_who_it_is_is_asked_and_kept(client: Client) -> None:
    async with RawServer(KEEPS, tls=server_context()) as server:
        for _ in range(3):
            assert await exchange(client, f"https://provider.test:{server.port}/x") == (
                b"abc",
                None,
            )
        assert server.connections == 1
        assert b"Host: provider.test:" in server.requests[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "provider.test."])
async def test_a_certificate_may_name_an_address_or_a_name_with_a_dot(
    client: Client, host: str
) -> None:
    async with RawServer(KEEPS, tls=server_context()) as server:
        assert await exchange(client, f"https://{host}:{server.port}/") == (b"abc", None)


async def test_the_name_is_told_to_the_server(client: Client) -> None:
    names: list[str | None] = []
    context = server_context.__wrapped__()
    context.sni_callback = lambda _, name, __: names.append(name)
    async with RawServer(KEEPS, tls=context) as server:
        await exchange(client, f"https://provider.test:{server.port}/")
    assert names == ["provider.test"]


async def test_a_certificate_of_another_name_is_refused(client: Client) -> None:
    async with RawServer(KEEPS, tls=server_context()) as server:
        with pytest.raises(BadTls, match=r"certificate of other\.test is not valid: Hostname"):
            await ask(client, f"https://other.test:{server.port}/")
        await server.until(lambda: server.open == 0)
        assert server.requests == []


async def test_a_certificate_that_nobody_known_has_signed_is_refused(client: Client) -> None:
    async with RawServer(KEEPS, tls=server_context(is_trusted=False)) as server:
        with pytest.raises(BadTls, match=r"certificate of provider\.test is not valid"):
            await ask(client, f"https://provider.test:{server.port}/")
        assert server.requests == []


async def test_without_a_context_the_system_is_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with RawServer(KEEPS, tls=server_context()) as server:
        stranger = Client()
        with pytest.raises(BadTls):
            await ask(stranger, server.url)
        await stranger.aclose()
        (tmp_path / "authority.pem").write_text(authority_pem())
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        friend = Client()
        assert await exchange(friend, server.url) == (b"abc", None)
        await friend.aclose()


async def test_a_server_without_tls_is_told_of(client: Client) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BadTls, match=r"the TLS handshake with provider\.test failed: "):
            await ask(client, f"https://provider.test:{port}/")


async def test_a_handshake_that_is_never_answered_takes_no_longer_than_its_limit(
    client: Client,
) -> None:
    async with RawServer([SILENCE]) as server:
        with pytest.raises(ConnectTimeout):
            await ask(client, f"https://provider.test:{server.port}/", connect_s=0.1)
        await server.until(lambda: server.open == 0)


FRAMED = [OK + b"Content-Length: 9\r\n\r\nabc", CHUNKED + chunk(b"abc")]


@pytest.mark.parametrize("start", FRAMED)
@pytest.mark.parametrize("end", [CUT, RAGGED, RESET])
async def test_a_framed_body_that_stops_early_is_broken(
    client: Client, start: bytes, end: End
) -> None:
    async with RawServer([start, 0.02, end], tls=server_context()) as server:
        body, error = await exchange(client, server.url)
        assert (body, type(error)) == (b"abc", Broken)
        await server.until(lambda: server.open == 0)


@pytest.mark.parametrize("end", [CUT, RAGGED, RESET])
async def test_a_body_that_was_whole_stays_whole_however_the_connection_ends(
    client: Client, end: End
) -> None:
    async with RawServer(
        [CHUNKED + chunk(b"abc") + LAST, 0.02, end], tls=server_context()
    ) as server:
        response = await ask(client, server.url)
        pushed = Pushed(response)
        assert await pushed.end() is None
        assert pushed.body == b"abc"
        await server.until(lambda: server.open == 0)
        response.release()


async def test_a_body_without_framing_is_whole_after_a_farewell(client: Client) -> None:
    async with RawServer([OK + b"\r\nabc", 0.02, CUT], tls=server_context()) as server:
        response = await ask(client, server.url)
        pushed = Pushed(response)
        assert await pushed.end() is None
        assert (pushed.body, response.is_framed) == (b"abc", False)


@pytest.mark.parametrize("end", [RAGGED, RESET])
async def test_a_body_without_framing_is_broken_without_a_farewell(
    client: Client, end: End
) -> None:
    async with RawServer([OK + b"\r\nabc", 0.02, end], tls=server_context()) as server:
        body, error = await exchange(client, server.url)
    assert (body, type(error)) == (b"abc", Broken)


async def test_a_refusal_after_the_handshake_is_a_break() -> None:
    """With TLS 1.3 a server asks for a certificate that we have not, and says so only then."""
    context = server_context.__wrapped__()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority_pem())
    client = Client(tls=client_context())
    async with RawServer(KEEPS, tls=context) as server:
        # The alert, or the reset that follows it: the request has gone already.
        with pytest.raises(Broken, match=r"^(TLS ended: \w*ALERT\w*|Connection reset by peer)$"):
            await ask(client, server.url)
    await client.aclose()


async def test_bytes_that_are_not_the_servers_break_a_stream(client: Client) -> None:
    async with RawServer([CHUNKED + chunk(b"abc"), SILENCE], tls=server_context()) as server:
        evil = asyncio.Event()

        async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection("127.0.0.1", server.port)

            async def forth() -> None:
                while data := await reader.read(65536):
                    back.write(data)

            async def home() -> None:
                while data := await there.read(65536):
                    writer.write(data)

            going, coming = asyncio.ensure_future(forth()), asyncio.ensure_future(home())
            await evil.wait()
            coming.cancel()
            writer.write(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            await going
            back.close()
            writer.close()

        relay = await asyncio.start_server(between, "127.0.0.1", 0)
        async with relay:
            port = relay.sockets[0].getsockname()[1]
            response = await ask(client, f"https://provider.test:{port}/")
            assert await response.read() == b"abc"
            pushed = Pushed(response)
            evil.set()
            error = await pushed.end()
            await server.until(lambda: server.open == 0)
    assert type(error) is Broken
    assert str(error).startswith("TLS ended: ")


async def test_a_pause_holds_over_tls_too(client: Client) -> None:
    body = bytes(range(256)) * 8192
    is_paused = False
    async with RawServer([whole(body)], tls=server_context()) as server:
        response = await ask(client, server.url)
        got = bytearray()
        over = asyncio.Event()

        def feed(data: bytes) -> None:
            nonlocal is_paused
            assert not is_paused
            got.extend(data)
            is_paused = True
            response.pause()
            asyncio.get_running_loop().call_later(0.001, resume)

        def resume() -> None:
            nonlocal is_paused
            is_paused = False
            response.resume()

        response.read_to(feed, lambda _: over.set())
        async with within(10):
            await over.wait()
        assert got == body
        response.release()


async def test_a_request_over_tls_can_be_given_up_at_any_moment() -> None:
    async with RawServer([0.005, *KEEPS], tls=server_context()) as server:
        for wait_ms in range(0, 30, 2):
            client = Client(tls=client_context())
            asking = asyncio.ensure_future(ask(client, server.url))
            await asyncio.sleep(wait_ms / 1000)
            asking.cancel()
            await asyncio.wait([asking])
            if not asking.cancelled():
                asking.result().close()
            await client.aclose()
        await server.until(lambda: server.open == 0)
