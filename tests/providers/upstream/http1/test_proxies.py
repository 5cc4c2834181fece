"""Proxies: which one, whether at all, and what we send it."""

from __future__ import annotations

import asyncio
import base64
import ssl
from typing import Self

import pytest

from support.certificates import client_context, server_context
from support.raw_http import CUT, SILENCE, RawServer, ask, exchange, whole
from unspool.providers.upstream.http1 import (
    BadProxy,
    BadTls,
    Client,
    Forbidden,
    NotConnected,
    Proxies,
)
from unspool.providers.upstream.http1.proxies import Place
from unspool.providers.upstream.http1.request import Target

KEEPS = [whole(b"abc")]


class Tunnels:
    """A proxy that leads every tunnel to one port of this machine."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.heads: list[bytes] = []
        self._port, self._tls = port, tls

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._lead, "127.0.0.1", 0, ssl=self._tls)
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        # What a proxy says of a body means nothing in its answer to CONNECT (RFC 9110, 9.3.6).
        writer.write(b"HTTP/1.1 200 Established\r\nContent-Length: 9\r\n\r\n")
        await asyncio.gather(_pipe(reader, back), _pipe(there, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except (ConnectionError, ssl.SSLError):
        pass
    writer.close()


async def test_http_goes_to_the_proxy_with_its_whole_address() -> None:
    async with RawServer(KEEPS) as proxy:
        address = proxy.url.replace("://", "://me:p%40ss@")
        client = Client(proxies=Proxies(http=address))
        for name in ("a", "b"):
            url = f"http://{name}.test:81/x?y=1#z"
            assert await exchange(client, url, headers={"Authorization": "k"}) == (b"abc", None)
        await client.aclose()
        assert proxy.connections == 1  # the proxy's, whatever the server
        assert proxy.requests[0].startswith(b"GET http://a.test:81/x?y=1 HTTP/1.1\r\n")
        secret = base64.b64encode(b"me:p@ss")
        assert b"\r\nHost: a.test:81\r\n" in proxy.requests[0]
        assert b"\r\nProxy-Authorization: Basic " + secret + b"\r\n" in proxy.requests[0]
        assert b"\r\nAuthorization: k\r\n" in proxy.requests[0]


@pytest.mark.parametrize("proxy_tls", [False, True])
async def test_https_goes_through_a_tunnel(proxy_tls: bool) -> None:
    tls = server_context() if proxy_tls else None
    async with (
        RawServer(KEEPS, tls=server_context()) as server,
        Tunnels(server.port, tls) as proxy,
    ):
        address = proxy.url.replace("://", "://me:pass@")
        client = Client(proxies=Proxies(https=address), tls=client_context())
        for _ in range(2):
            answer = await exchange(client, "https://provider.test/x", headers={"Key": "k"})
            assert answer == (b"abc", None)
        assert len(proxy.heads) == 1
        lines = proxy.heads[0].split(b"\r\n")
        assert lines[:2] == [b"CONNECT provider.test:443 HTTP/1.1", b"Host: provider.test:443"]
        assert b"Proxy-Authorization: Basic " + base64.b64encode(b"me:pass") in lines
        assert b"Key" not in proxy.heads[0]
        assert server.requests[0].startswith(b"GET /x HTTP/1.1\r\nHost: provider.test\r\n")
        assert b"roxy" not in server.requests[0]
        await client.aclose()
        await server.until(lambda: server.open == 0)


async def test_behind_a_proxy_the_server_must_still_prove_who_it_is() -> None:
    async with RawServer(KEEPS, tls=server_context()) as server, Tunnels(server.port) as proxy:
        client = Client(proxies=Proxies(https=proxy.url), tls=client_context())
        with pytest.raises(BadTls, match=r"certificate of other\.test"):
            await ask(client, "https://other.test/")
        await client.aclose()
        assert server.requests == []


@pytest.mark.parametrize("status", [407, 403, 502, 302])
async def test_a_proxy_that_opens_no_tunnel_is_told_of(status: int) -> None:
    refusal = b"HTTP/1.1 %d sk-secret\r\nContent-Length: 0\r\n\r\n" % status
    async with RawServer([refusal, SILENCE]) as proxy:
        client = Client(proxies=Proxies(https=proxy.url))
        with pytest.raises(BadProxy) as caught:
            await ask(client, "https://provider.test/")
        assert str(caught.value) == f"the proxy answered {status} and opened no tunnel"
        await proxy.until(lambda: proxy.open == 0)
        await client.aclose()


@pytest.mark.parametrize("script", [[CUT], [b"what?", SILENCE]])
async def test_a_proxy_that_is_none_is_told_of(script: list[bytes]) -> None:
    async with RawServer(script) as proxy:
        client = Client(proxies=Proxies(https=proxy.url))
        with pytest.raises(BadProxy):
            await ask(client, "https://provider.test/")
        await client.aclose()


async def test_a_tunnel_can_be_given_up_at_any_moment() -> None:
    async with RawServer(KEEPS, tls=server_context()) as server, Tunnels(server.port) as proxy:
        for wait_ms in range(0, 20, 2):
            client = Client(proxies=Proxies(https=proxy.url), tls=client_context())
            asking = asyncio.ensure_future(ask(client, "https://provider.test/"))
            await asyncio.sleep(wait_ms / 1000)
            asking.cancel()
            await asyncio.wait([asking])
            if not asking.cancelled():
                asking.result().close()
            await client.aclose()
        await server.until(lambda: server.open == 0)


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "http://metadata.google.internal/"])
async def test_a_proxy_is_not_asked_for_what_nothing_is_sent_to(url: str) -> None:
    async with RawServer(KEEPS) as proxy:
        client = Client(proxies=Proxies(http=proxy.url))
        with pytest.raises(Forbidden):
            await ask(client, url)
        await client.aclose()
        assert proxy.connections == 0


async def test_the_proxys_own_address_may_be_private_whatever_the_setting() -> None:
    async with RawServer(KEEPS) as proxy:
        client = Client(allow_private=False, proxies=Proxies(http=proxy.url))
        assert await exchange(client, "http://a.test/") == (b"abc", None)
        with pytest.raises(Forbidden):
            await ask(client, "http://10.0.0.1/")
        await client.aclose()


async def test_a_proxy_that_is_not_there_is_told_of() -> None:
    client = Client(proxies=Proxies(http="http://me:secret@127.0.0.1:1"))
    with pytest.raises(NotConnected) as caught:
        await ask(client, "http://a.test/")
    assert "secret" not in str(caught.value)
    await client.aclose()


async def test_a_proxy_of_another_kind_is_refused() -> None:
    client = Client(proxies=Proxies(http="socks5://me:secret@127.0.0.1:1080"))
    with pytest.raises(BadProxy) as caught:
        await ask(client, "http://a.test/")
    assert "secret" not in str(caught.value)
    await client.aclose()


def test_passwords_are_not_shown() -> None:
    address = "http://me:secret@the.proxy:1"
    target = Target.of(address)
    assert target.authorization
    for shown in (repr(Proxies(address, address)), repr(target), repr(Place.to(target, target))):
        assert "secret" not in shown
        assert "Basic" not in shown


# Which one


def proxy_of(url: str) -> str | None:
    target = Proxies.from_environment().proxy_for(Target.of(url))
    return None if target is None else target.host


@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_the_environment_says_which_proxy(monkeypatch: pytest.MonkeyPatch, case: object) -> None:
    assert callable(case)
    assert proxy_of("http://a.test/") is None
    monkeypatch.setenv(case("all_proxy"), "http://all.proxy:1")
    assert [proxy_of("http://a.test/"), proxy_of("https://a.test/")] == ["all.proxy"] * 2
    monkeypatch.setenv(case("http_proxy"), "plain.proxy:3128")
    assert [proxy_of("http://a.test/"), proxy_of("https://a.test/")] == ["plain.proxy", "all.proxy"]
    monkeypatch.setenv(case("https_proxy"), "http://safe.proxy:1")
    assert proxy_of("https://a.test/") == "safe.proxy"


def test_the_lower_case_spelling_counts_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://upper.proxy:1")
    monkeypatch.setenv("http_proxy", "http://lower.proxy:1")
    assert proxy_of("http://a.test/") == "lower.proxy"


def test_a_header_of_a_client_is_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUEST_METHOD", "GET")
    monkeypatch.setenv("HTTP_PROXY", "http://evil.proxy:1")
    assert proxy_of("http://a.test/") is None


async def test_the_environment_counts_unless_an_argument_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with RawServer(KEEPS) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        client, direct = Client(), Client(proxies=Proxies())
        assert await exchange(client, "http://a.test/") == (b"abc", None)
        with pytest.raises(NotConnected):
            await ask(direct, "http://a.invalid/")
        assert proxy.connections == 1
        await client.aclose()
        await direct.aclose()


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_direct"),
    [
        ("*", "http://a.test/", True),
        ("a.test", "http://a.test/", True),
        ("A.TEST", "http://b.a.test/", True),
        (".a.test", "http://b.a.test/", True),
        ("*.a.test", "http://b.a.test/", True),
        ("a.test", "http://ba.test/", False),
        ("other.test, a.test", "http://a.test/", True),
        ("other.test a.test", "http://a.test/", True),
        ("a.test:81", "http://a.test:81/", True),
        ("a.test:81", "http://a.test/", False),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.0.0.0/8", "http://11.1.2.3/", False),
        ("10.0.0.0/8", "http://a.test/", False),
        ("10.1.2.3", "http://10.1.2.3:8080/", True),
        ("fd00::/8", "http://[fd00::1]/", True),
        ("[fd00::1]:81", "http://[fd00::1]:81/", True),
        ("[fd00::1]:81", "http://[fd00::1]/", False),
        ("", "http://a.test/", False),
        ("", "http://localhost:8080/", True),
        ("", "http://127.0.0.1:8080/", True),
        ("", "http://[::1]:8080/", True),
        ("", "http://a.localhost/", True),
    ],
)
def test_what_goes_through_no_proxy(no_proxy: str, url: str, is_direct: bool) -> None:
    proxies = Proxies(http="http://the.proxy:1", no_proxy=no_proxy)
    assert (proxies.proxy_for(Target.of(url)) is None) == is_direct
