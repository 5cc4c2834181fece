"""What is sent, to the byte, and what is refused before anything is."""

from __future__ import annotations

import asyncio
import base64

import pytest

from support.raw_http import SILENCE, RawServer, ask, exchange, whole
from unspool.providers.upstream.http1 import BadRequest, Client
from unspool.providers.upstream.http1.request import Target, request_head

MIB = 1024 * 1024


def sent(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> list[str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    head = request_head(method, Target.of(url), named, body).decode()
    assert head.endswith("\r\n\r\n")
    return head.removesuffix("\r\n\r\n").split("\r\n")


async def test_a_request_arrives_as_it_was_meant(client: Client) -> None:
    async with RawServer([whole(b"")]) as server:
        headers = {"Authorization": "Bearer k", "X-Name": "好"}
        url = server.url + "v1/chat?a=1&b=%20#part"
        await exchange(client, url, method="POST", headers=headers, body=b'{"a":1}')
        assert server.requests == [
            b"POST /v1/chat?a=1&b=%20 HTTP/1.1\r\n"
            b"Host: 127.0.0.1:" + str(server.port).encode() + b"\r\n"
            b"Accept-Encoding: gzip, deflate\r\n"
            b"User-Agent: unspool\r\n"
            b"Content-Length: 7\r\n"
            b"Authorization: Bearer k\r\n"
            b"X-Name: \xe5\xa5\xbd\r\n\r\n"
            b'{"a":1}'
        ]


@pytest.mark.parametrize(
    ("url", "line", "host"),
    [
        ("http://a.test", "GET / HTTP/1.1", "a.test"),
        ("http://a.test?x=1", "GET /?x=1 HTTP/1.1", "a.test"),
        ("http://A.Test:80/b#c", "GET /b HTTP/1.1", "a.test"),
        ("https://a.test:443/", "GET / HTTP/1.1", "a.test"),
        ("https://a.test:8443/", "GET / HTTP/1.1", "a.test:8443"),
        ("http://a.test/b c/你", "GET /b%20c/%E4%BD%A0 HTTP/1.1", "a.test"),
        ("http://a.test/%2Fb%20?q=a+b", "GET /%2Fb%20?q=a+b HTTP/1.1", "a.test"),
        ("http://[::1]:8080/", "GET / HTTP/1.1", "[::1]:8080"),
        ("http://bücher.test/", "GET / HTTP/1.1", "xn--bcher-kva.test"),
        ("http://例子.test/", "GET / HTTP/1.1", "xn--fsqu00a.test"),
    ],
)
def test_an_address_becomes_a_line_and_a_host(url: str, line: str, host: str) -> None:
    assert sent(url)[:2] == [line, f"Host: {host}"]


def test_an_address_knows_where_it_leads() -> None:
    target = Target.of("https://[::1]/")
    assert (target.host, target.port, target.is_tls) == ("::1", 443, True)
    target = Target.of("http://bücher.test:81/")
    assert (target.host, target.port, target.is_tls) == ("xn--bcher-kva.test", 81, False)


BAD_URLS = ["", "a.test", "/path", "ftp://a.test/", "http://", "http:///x", "http://a.test:x/"]
BAD_URLS += ["http://a.test:99999/", "http://[::1/", "http://a b.test/", "http://a\r\nb.test/"]


@pytest.mark.parametrize("url", BAD_URLS)
async def test_what_is_no_address_is_refused(client: Client, url: str) -> None:
    with pytest.raises(BadRequest, match="not one of http or https"):
        await ask(client, url)


@pytest.mark.parametrize("evil", ["\r\nX: y", "\n", "\r", "\0"])
def test_an_address_cannot_begin_a_header(evil: str) -> None:
    for url in (f"http://a.test/{evil}", f"http://a.test/?q={evil}", f"http://u{evil}:p@a.test/"):
        try:
            lines = sent(url)
        except BadRequest:
            continue
        assert all(line.split(" ")[0] in {"GET", *NAMES} for line in lines)
        assert "\0" not in "".join(lines)


NAMES = {"Host:", "Accept-Encoding:", "User-Agent:", "Authorization:"}


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\rb", "a\0b", "\x7f", "\ud800"])
async def test_the_value_of_a_header_cannot_begin_another(client: Client, value: str) -> None:
    async with RawServer([whole(b"")]) as server:
        with pytest.raises(BadRequest) as caught:
            await ask(client, server.url, headers={"Authorization": value})
        assert server.connections == 0
    assert value not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "ä", "(a)"])
def test_the_name_of_a_header_is_a_word(name: str) -> None:
    with pytest.raises(BadRequest, match="name of a header"):
        sent("http://a.test/", **{name: "x"})


@pytest.mark.parametrize("method", ["", "GET /", "G\r\n", "Ä"])
def test_a_method_is_a_word(method: str) -> None:
    with pytest.raises(BadRequest, match="method"):
        sent("http://a.test/", method)


OURS = ["Content-Length", "transfer-encoding", "HOST", "Connection", "Accept-Encoding"]


@pytest.mark.parametrize("name", OURS)
def test_how_a_message_is_framed_is_not_the_callers_to_say(name: str) -> None:
    with pytest.raises(BadRequest, match=name):
        sent("http://a.test/", **{name: "5"})


def test_a_value_may_have_tabs_and_any_text() -> None:
    assert "X: a\tb é 好" in sent("http://a.test/", X="a\tb é 好")


def test_a_user_in_the_address_is_sent_as_authorization_and_nowhere_else() -> None:
    lines = sent("http://me:p%40ss@a.test/x")
    assert lines[:2] == ["GET /x HTTP/1.1", "Host: a.test"]
    assert f"Authorization: Basic {base64.b64encode(b'me:p@ss').decode()}" in lines
    lines = sent("http://me:p@a.test/x", authorization="Bearer k")
    assert [line for line in lines if line.lower().startswith("auth")] == [
        "authorization: Bearer k"
    ]


def test_a_body_has_its_length_and_none_has_none() -> None:
    assert "Content-Length: 2" in sent("http://a.test/", "POST", b"{}")
    assert "Content-Length: 0" in sent("http://a.test/", "POST")
    assert not [line for line in sent("http://a.test/") if line.startswith("Content-Length")]
    assert "Content-Length: 0" in sent("http://a.test/", "GET", b"")


def test_a_user_agent_of_the_caller_is_taken() -> None:
    lines = sent("http://a.test/", user_agent="mine")
    assert [line for line in lines if line.lower().startswith("user-agent")] == ["user-agent: mine"]


async def test_a_large_body_arrives_whole_through_a_slow_reader(client: Client) -> None:
    body = bytes(range(256)) * 16384
    got = bytearray()

    async def sip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.05)
        while len(got) < len(body):
            got.extend(await reader.read(65536))
            await asyncio.sleep(0)
        writer.write(whole(b"abc"))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(sip, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        response = await ask(client, url, method="POST", body=body)
        assert await response.read() == b"abc"
        response.release()
        assert got == body
        await client.aclose()


async def test_a_large_body_does_not_pile_up_in_the_transport(client: Client) -> None:
    async with RawServer([SILENCE], reads_bodies=False) as server:
        asking = asyncio.ensure_future(ask(client, server.url, method="POST", body=b"x" * 64 * MIB))
        await server.until(lambda: len(server.requests) == 1)
        (connection,) = client._pool._open
        assert connection.transport.get_write_buffer_size() < MIB
        assert len(connection._unsent) > 32 * MIB
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await server.until(lambda: server.open == 0)
