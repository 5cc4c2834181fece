"""Where an answer ends, and whether it may be believed."""

from __future__ import annotations

from typing import Any

import pytest

from support.raw_http import (
    CHUNKED,
    CUT,
    HALF,
    LAST,
    OK,
    RESET,
    SILENCE,
    Pushed,
    RawServer,
    Script,
    ask,
    chunk,
    exchange,
    whole,
)
from unspool.providers.upstream.http1 import (
    BadFraming,
    Broken,
    Client,
    TransportError,
)
from unspool.providers.upstream.http1.connection import (
    MAX_BETWEEN_BYTES,
    MAX_HEAD_BYTES,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
)


async def play(client: Client, *script: Any, **changes: Any) -> tuple[bytes, Exception | None]:
    async with RawServer(script) as server:
        return await exchange(client, server.url, **changes)


EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

BAD = {
    "both framing headers": OK
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "both, the other way round": OK
    + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a list of lengths": OK + b"Content-Length: 3, 4\r\n\r\nabcd",
    "a negative length": OK + b"Content-Length: -3\r\n\r\nabc",
    "an endless length": OK + b"Content-Length: 99999999999999999999\r\n\r\nabc",
    "another transfer coding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked that is not last": OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a blank in a name": OK + b"X Y: a\r\nContent-Length: 0\r\n\r\n",
    "a line without a colon": OK + b"nothing\r\nContent-Length: 0\r\n\r\n",
    "a zero byte": OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "another version": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a switch of protocols": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "a switch without a name": b"HTTP/1.1 101 Switching\r\n\r\n",
    "no status": b"HTTP/1.1 20\r\n\r\n",
    "a status below all": b"HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD)
async def test_a_head_that_could_mean_two_things_is_no_answer(client: Client, name: str) -> None:
    async with RawServer([BAD[name], SILENCE]) as server:
        with pytest.raises(BadFraming) as caught:
            await ask(client, server.url)
        await server.until(lambda: server.open == 0)
    assert str(caught.value).startswith("the answer ")


@pytest.mark.parametrize(
    "bad",
    [b"zz\r\n", b"-5\r\n", b"+5\r\n", b"0x5\r\n", b"\r\n", b"F" * 17 + b"\r\n", b"5\r\nabcdef"],
)
async def test_a_bad_chunk_is_noticed_at_once_and_what_came_before_is_kept(
    client: Client, bad: bytes
) -> None:
    async with RawServer([CHUNKED + chunk(b"good"), bad, SILENCE]) as server:
        body, error = await exchange(client, server.url)
    assert body.startswith(b"good")
    assert type(error) is BadFraming


@pytest.mark.parametrize(
    ("head", "value"),
    [(b"X: a\r\n b", "a b"), (b"X: a\x07b", "a\x07b"), (b"X: \xe9", "é"), (b"X:   a\t ", "a")],
)
async def test_a_head_that_harms_nobody_is_taken_as_it_is(
    client: Client, head: bytes, value: str
) -> None:
    async with RawServer([OK + head + b"\r\nContent-Length: 0\r\n\r\n"]) as server:
        response = await ask(client, server.url)
        assert response.headers["X"] == value
        assert await response.read() == b""
        response.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
        b"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc",
        CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"3;a=b\r\nabc\r\n000;c\r\nTrailer: x\r\n\r\n",
        CHUNKED + b"0000000000000000000003\r\nabc\r\n0\r\n\r\n",
    ],
)
async def test_framing_that_harms_nobody_is_taken_too(client: Client, answer: bytes) -> None:
    async with RawServer([answer]) as server:
        for _ in range(2):
            assert await exchange(client, server.url) == (b"abc", None)
        assert server.connections == 1


async def test_headers_are_found_in_any_case_and_may_have_several_values(client: Client) -> None:
    async with RawServer([whole(b"", b"Set-Thing: a", b"set-THING: b")]) as server:
        response = await ask(client, server.url)
        response.close()
    assert response.headers["SET-thing"] == "a"
    assert response.headers.get_all("Set-Thing") == ["a", "b"]
    assert response.headers.get_all("other") == []
    assert set(response.headers) == {"content-length", "set-thing"}


HUGE = {
    "one header": [OK + b"X: " + b"a" * MAX_HEADER_BYTES + b"\r\n\r\n"],
    "a header that does not end": [OK + b"X: ", *[b"a" * 65536] * 5],
    "many headers": [OK + b"X: a\r\n" * (MAX_HEADERS + 1) + b"\r\n"],
    "many large headers": [OK, *[b"X: " + b"a" * 32768 + b"\r\n"] * 9],
    "a status line": [b"HTTP/1.1 200 " + b"O" * (MAX_HEAD_BYTES + 1)],
    "interim answers": [b"HTTP/1.1 103 E\r\nX: a\r\n\r\n" * (MAX_HEAD_BYTES // 20)],
}


@pytest.mark.parametrize("name", HUGE)
async def test_a_head_has_a_limit(client: Client, name: str) -> None:
    async with RawServer([*HUGE[name], SILENCE]) as server:
        with pytest.raises(BadFraming, match=r"(more than|too many)"):
            await ask(client, server.url)


async def test_a_head_below_the_limits_is_taken(client: Client) -> None:
    large = b"X: " + b"a" * (MAX_HEADER_BYTES - 100)
    assert await play(client, whole(b"abc", *[large] * 3)) == (b"abc", None)


@pytest.mark.parametrize(
    "endless", [b"5;" + b"x" * 65534, b"0\r\nT: " + b"x" * 65530, b"0" * 65536]
)
async def test_what_is_between_the_bytes_of_a_body_has_a_limit(
    client: Client, endless: bytes
) -> None:
    rest = [endless[-1:] * MAX_BETWEEN_BYTES] * 16  # it is noticed after one more read, or two
    async with RawServer([CHUNKED + chunk(b"good"), endless, *rest, SILENCE]) as server:
        body, error = await exchange(client, server.url)
    assert (body, type(error)) == (b"good", BadFraming)


async def test_many_chunks_are_no_excess(client: Client) -> None:
    many = chunk(b"x") * (MAX_BETWEEN_BYTES // 4)
    body, error = await play(client, CHUNKED, many, many, LAST)
    assert (len(body), error) == (MAX_BETWEEN_BYTES // 2, None)


@pytest.mark.parametrize("status", [100, 102, 103])
async def test_interim_answers_are_passed_over(client: Client, status: int) -> None:
    interim = b"HTTP/1.1 %d Wait\r\nContent-Length: 5\r\n\r\n" % status
    assert await play(client, interim, interim + whole(b"abc")) == (b"abc", None)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", OK + b"Content-Length: 5\r\n\r\n"),
        ("HEAD", OK + b"Transfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n"),
        ("GET", OK + b"Content-Encoding: br\r\nContent-Length: 0\r\n\r\n"),
    ],
)
async def test_answers_without_a_body_end_with_their_head(
    client: Client, method: str, answer: bytes
) -> None:
    async with RawServer([answer]) as server:
        for _ in range(2):
            assert await exchange(client, server.url, method=method) == (b"", None)
        assert server.connections == 1


async def test_a_body_where_there_is_none_is_dropped_and_the_connection_too(
    client: Client,
) -> None:
    async with RawServer([whole(b"abc")]) as server:
        for _ in range(2):
            assert await exchange(client, server.url, method="HEAD") == (b"", None)
        assert server.connections == 2


UNFRAMED = [OK + b"\r\n", b"HTTP/1.0 200 OK\r\n\r\n", OK + b"Transfer-Encoding: identity\r\n\r\n"]


@pytest.mark.parametrize("head", UNFRAMED)
@pytest.mark.parametrize("end", [CUT, HALF])
async def test_a_body_that_ends_with_the_connection_says_so(
    client: Client, head: bytes, end: Any
) -> None:
    async with RawServer([head, b"abc", b"def", end]) as server:
        response = await ask(client, server.url)
        pushed = Pushed(response)
        assert await pushed.end() is None
        assert (pushed.body, response.is_framed) == (b"abcdef", False)
        response.release()
        await server.until(lambda: server.open == 0)


@pytest.mark.parametrize("script", [[OK + b"\r\nabc", RESET]])
async def test_a_body_without_framing_is_not_whole_after_a_reset(
    client: Client, script: Script
) -> None:
    body, error = await play(client, script[0], 0.05, script[1])
    assert (body, type(error)) == (b"abc", Broken)


FRAMED = [OK + b"Content-Length: 9\r\n\r\nabc", CHUNKED + chunk(b"abc"), CHUNKED + b"9\r\nabc"]


@pytest.mark.parametrize("start", FRAMED)
@pytest.mark.parametrize("end", [CUT, RESET, HALF])
async def test_a_framed_body_that_stops_early_is_broken(
    client: Client, start: bytes, end: Any
) -> None:
    async with RawServer([start, 0.02, end]) as server:
        response = await ask(client, server.url)
        pushed = Pushed(response)
        assert type(await pushed.end()) is Broken
        assert (pushed.body, response.is_framed) == (b"abc", True)
        await server.until(lambda: server.open == 0)


@pytest.mark.parametrize("end", [CUT, RESET, HALF])
@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 20", OK + b"X: a\r\n", EARLY])
async def test_a_connection_that_breaks_before_the_head_is_broken(
    client: Client, start: bytes, end: Any
) -> None:
    async with RawServer([start, 0.02, end]) as server:
        with pytest.raises(Broken):
            await ask(client, server.url)
        assert len(server.requests) == 1
        await server.until(lambda: server.open == 0)


KEPT = {
    "HTTP/1.1": (whole(b"abc"), True),
    "close": (whole(b"abc", b"Connection: close"), False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", False),
    "HTTP/1.0 that keeps": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
        True,
    ),
    "HTTP/1.0 with chunks": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n0\r\n\r\n",
        False,
    ),
    "junk after the answer": (whole(b"abc") + b"junk", False),
    "an answer after the answer": (whole(b"abc") + whole(b"def"), False),
    "junk after the end of chunks": (CHUNKED + chunk(b"abc") + LAST + b"junk", False),
}


@pytest.mark.parametrize("name", KEPT)
async def test_a_connection_is_kept_where_the_next_answer_cannot_be_mistaken(
    client: Client, name: str
) -> None:
    answer, is_kept = KEPT[name]
    async with RawServer([answer]) as server:
        for _ in range(3):
            assert await exchange(client, server.url) == (b"abc", None)
        assert server.connections == (1 if is_kept else 3)


async def test_what_comes_while_nobody_asks_closes_the_connection(client: Client) -> None:
    async with RawServer([whole(b"abc"), 0.05, whole(b"evil")], [whole(b"def")]) as server:
        assert await exchange(client, server.url) == (b"abc", None)
        await server.until(lambda: server.open == 0)
        assert await exchange(client, server.url) == (b"def", None)
        assert server.connections == 2


SECRET = [OK + b"sk-secret\r\n\r\n", OK + b"X: sk-secret\0\r\n\r\n", CHUNKED + b"sk-secret\r\n"]


@pytest.mark.parametrize("start", SECRET)
async def test_errors_hold_nothing_of_the_vendor(client: Client, start: bytes) -> None:
    try:
        _, error = await play(client, start, SILENCE)
    except TransportError as early:
        error = early
    assert isinstance(error, BadFraming)
    assert "secret" not in repr(error)
