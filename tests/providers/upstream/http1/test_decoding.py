"""Compressed bodies: whole at every split, cut, corrupt, and made to explode."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from support.raw_http import CHUNKED, LAST, OK, Pushed, RawServer, ask, chunk, exchange, whole
from unspool.providers.upstream.http1 import BadEncoding, Client
from unspool.providers.upstream.http1.decoding import (
    FREE_BYTES,
    MAX_PIECE_BYTES,
    MAX_RATIO,
    Inflater,
)

BODY = b"".join(b'data: {"n": %d, "text": "%x"}\n\n' % (n, n**7) for n in range(60))

WAYS = {"gzip": ("gzip", 31), "x-gzip": ("x-gzip", 31), "zlib": ("deflate", 15)}
WAYS["bare deflate"] = ("deflate", -15)


def packed(wbits: int, body: bytes, level: int = 6) -> bytes:
    deflate = zlib.compressobj(level=level, wbits=wbits)
    return deflate.compress(body) + deflate.flush()


def unpacked(coding: str, *pieces: bytes) -> tuple[bytes, bool]:
    inflater, out = Inflater([coding]), bytearray()
    for piece in pieces:
        rest: bytes | None = piece
        while rest is not None:
            made, rest = inflater.decode(rest)
            assert len(made) <= MAX_PIECE_BYTES
            out += made
    return bytes(out), inflater.is_whole


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("level", [0, 6])
def test_a_compressed_body_is_the_same_wherever_it_is_cut(way: str, level: int) -> None:
    coding, wbits = WAYS[way]
    raw = packed(wbits, BODY, level)
    for at in range(len(raw) + 1):
        assert unpacked(coding, raw[:at], raw[at:]) == (BODY, True)
    assert unpacked(coding, *(raw[at : at + 1] for at in range(len(raw)))) == (BODY, True)


@pytest.mark.parametrize("way", WAYS)
def test_a_compressed_body_that_stops_is_not_whole(way: str) -> None:
    coding, wbits = WAYS[way]
    raw = packed(wbits, BODY)
    for at in range(1, len(raw)):
        out, is_whole = unpacked(coding, raw[:at])
        assert BODY.startswith(out)
        assert not is_whole


def test_gzip_may_have_several_members() -> None:
    raw = gzip.compress(b"one") + gzip.compress(b"two")
    for at in range(len(raw) + 1):
        assert unpacked("gzip", raw[:at], raw[at:]) == (b"onetwo", True)


@pytest.mark.parametrize("size", [MAX_PIECE_BYTES - 1, MAX_PIECE_BYTES, 5 * MAX_PIECE_BYTES])
def test_a_large_body_comes_in_pieces(size: int) -> None:
    assert unpacked("gzip", gzip.compress(b"x" * size)) == (b"x" * size, True)


@pytest.mark.parametrize("way", WAYS)
def test_what_follows_the_end_is_no_part_of_it(way: str) -> None:
    coding, wbits = WAYS[way]
    with pytest.raises(BadEncoding):
        unpacked(coding, packed(wbits, BODY), b"junk")


@pytest.mark.parametrize("codings", [["br"], ["zstd"], ["gzip", "gzip"], ["compress"]])
def test_what_was_not_asked_for_is_refused(codings: list[str]) -> None:
    with pytest.raises(BadEncoding):
        Inflater(codings)


async def test_only_what_can_be_decoded_is_asked_for(client: Client) -> None:
    async with RawServer([whole(b"")]) as server:
        await exchange(client, server.url)
        assert b"\r\nAccept-Encoding: gzip, deflate\r\n" in server.requests[0]


@pytest.mark.parametrize("way", WAYS)
async def test_compressed_chunks_are_pushed_as_they_come(client: Client, way: str) -> None:
    coding, wbits = WAYS[way]
    deflate = zlib.compressobj(wbits=wbits)
    frames = [b"data: %d\n\n" % number for number in range(4)]
    raw = [deflate.compress(frame) + deflate.flush(zlib.Z_SYNC_FLUSH) for frame in frames]
    head = OK + b"Content-Encoding: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % coding.encode()
    steps = [step for piece in raw for step in (chunk(piece), 0.02)]
    async with RawServer([head, *steps, chunk(deflate.flush()) + LAST]) as server:
        for _ in range(2):
            response = await ask(client, server.url)
            pushed = Pushed(response)
            assert await pushed.end() is None
            assert pushed.pieces == frames
            response.release()
        assert server.connections == 1


BROKEN = {
    "text that says it is gzip": b"data: hello\n\n",
    "gzip that is cut": gzip.compress(BODY)[:-9],
    "gzip with a wrong sum": gzip.compress(BODY)[:-8] + b"\0" * 8,
    "gzip with junk inside": gzip.compress(BODY)[:200] + b"\xff" * 50,
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_body_that_is_not_compressed_as_it_says_is_told_of(
    client: Client, name: str
) -> None:
    async with RawServer([whole(BROKEN[name], b"Content-Encoding: gzip")]) as server:
        body, error = await exchange(client, server.url)
    assert type(error) is BadEncoding
    assert BODY.startswith(body)


@pytest.mark.parametrize("value", [b"br", b"gzip, br", b"gzip, gzip"])
async def test_an_encoding_that_was_not_asked_for_shows_no_byte(
    client: Client, value: bytes
) -> None:
    async with RawServer([whole(b"abc", b"Content-Encoding: " + value)]) as server:
        response = await ask(client, server.url)
        assert response.status == 200  # and its headers: an error is still an error
        pushed = Pushed(response)
        assert type(await pushed.end()) is BadEncoding
        assert pushed.pieces == []


@pytest.mark.parametrize("value", [b"identity", b"x-own", b"utf-8"])
async def test_a_word_that_is_no_encoding_changes_nothing(client: Client, value: bytes) -> None:
    async with RawServer([whole(b"abc", b"Content-Encoding: " + value)]) as server:
        assert await exchange(client, server.url) == (b"abc", None)


async def test_a_bomb_is_cut_with_little_memory(client: Client) -> None:
    bomb = gzip.compress(b"\0" * (64 * FREE_BYTES))
    got = 0

    def feed(data: bytes) -> None:
        nonlocal got
        got += len(data)

    async with RawServer([whole(bomb, b"Content-Encoding: gzip")]) as server:
        response = await ask(client, server.url)
        ends: list[Exception | None] = []
        tracemalloc.start()
        try:
            response.read_to(feed, ends.append)
            await server.until(lambda: server.open == 0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert [type(end) for end in ends] == [BadEncoding]
    assert got <= FREE_BYTES + MAX_RATIO * len(bomb)
    assert peak < 2 * FREE_BYTES


async def test_a_bomb_does_not_go_off_while_the_reader_pauses(client: Client) -> None:
    body = b"\0" * FREE_BYTES
    async with RawServer([whole(gzip.compress(body), b"Content-Encoding: gzip")]) as server:
        response = await ask(client, server.url)
        got: list[int] = []
        ends: list[Exception | None] = []

        def feed(data: bytes) -> None:
            got.append(len(data))
            response.pause()

        response.read_to(feed, ends.append)
        while not ends:
            assert response._held_bytes < 4096
            response.resume()
        assert (sum(got), max(got), ends) == (FREE_BYTES, MAX_PIECE_BYTES, [None])
        response.release()


async def test_a_compressed_error_can_be_pulled(client: Client) -> None:
    raw = gzip.compress(BODY)
    async with RawServer([whole(raw, b"Content-Encoding: GZIP"), b""]) as server:
        response = await ask(client, server.url)
        got = bytearray()
        while piece := await response.read():
            got += piece
        response.release()
    assert got == BODY


async def test_a_body_that_says_identity_is_taken_as_it_is(client: Client) -> None:
    answer = CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: identity\r\n\r\n")
    async with RawServer([answer + chunk(b"abc") + LAST]) as server:
        assert await exchange(client, server.url) == (b"abc", None)
