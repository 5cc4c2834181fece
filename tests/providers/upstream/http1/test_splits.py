"""One answer, cut everywhere: the same for every split, and never whole where it stops."""

from __future__ import annotations

import asyncio
import zlib

import pytest

from support.raw_http import CHUNKED, LAST, OK, Pushed, RawServer, chunk, exchange
from unspool.providers.upstream.http1 import Broken, Client
from unspool.providers.upstream.http1.connection import Connection


class Silent(asyncio.Transport):
    """A transport that sends nothing: what comes is said by the test."""

    def write(self, data: bytes) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def is_closing(self) -> bool:
        return False


class Nobody:
    def opened(self, connection: Connection) -> None: ...
    def freed(self, connection: Connection) -> None: ...
    def lost(self, connection: Connection) -> None: ...


async def fed(*pieces: bytes) -> tuple[int, dict[str, str], bytes, Exception | None]:
    """What a connection makes of bytes that come in these pieces."""
    connection = Connection("here", Nobody())
    connection.connection_made(Silent())
    asking = asyncio.ensure_future(connection.ask("GET", b""))
    await asyncio.sleep(0)
    pushed: Pushed | None = None
    for piece in pieces:
        connection.data_received(piece)
        if pushed is None and connection._head is not None and connection._head.done():
            pushed = Pushed(await asking)
    assert pushed is not None
    (end,) = pushed.ends
    return pushed.response.status, dict(pushed.response.headers), pushed.body, end


def packed(wbits: int, *pieces: bytes) -> list[bytes]:
    """Pieces of a body as a server packs them that sends each at once."""
    deflate = zlib.compressobj(wbits=wbits)
    parts = [deflate.compress(piece) + deflate.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
    return [*parts, deflate.flush()]


EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
PIECES = [b'data: {"x":"' + "今天推荐".encode() + b'"}\n\n', b"data: [DONE]\n\n"]
GZIPPED = packed(31, *PIECES)
DEFLATED = packed(15, *PIECES)
ANSWERS = {
    "chunked and gzip": EARLY
    + OK
    + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"".join(map(chunk, GZIPPED))
    + b"0;x=y\r\nTrailer: yes\r\n\r\n",
    "length and deflate": OK
    + b"Content-Encoding: deflate\r\nContent-Length: %d\r\n\r\n"
    % sum(map(len, packed(15, *PIECES)))
    + b"".join(packed(15, *PIECES)),
    "chunked": CHUNKED + b"".join(chunk(piece) for piece in PIECES) + LAST,
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_is_the_same_wherever_it_is_cut(name: str) -> None:
    answer = ANSWERS[name]
    want = await fed(answer)
    assert (want[0], want[2], want[3]) == (200, b"".join(PIECES), None)
    assert "link" not in want[1]
    for at in range(1, len(answer)):
        assert await fed(answer[:at], answer[at:]) == want
    assert await fed(*(answer[at : at + 1] for at in range(len(answer)))) == want


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_that_stops_anywhere_is_never_taken_for_whole(name: str) -> None:
    answer = ANSWERS[name]
    start = answer.index(OK)
    for at in range(answer.index(b"\r\n\r\n", start) + 4, len(answer) - 1, 7):
        connection = Connection("here", Nobody())
        connection.connection_made(Silent())
        asking = asyncio.ensure_future(connection.ask("GET", b""))
        await asyncio.sleep(0)
        connection.data_received(answer[:at])
        pushed = Pushed(await asking)
        connection.eof_received()
        connection.connection_lost(None)
        assert b"".join(PIECES).startswith(pushed.body)
        assert [type(end) for end in pushed.ends] == [Broken]


async def test_bytes_that_come_one_by_one_over_a_socket_make_the_same_answer(
    client: Client,
) -> None:
    answer = ANSWERS["chunked and gzip"]
    bytes_of_it = [answer[at : at + 1] for at in range(len(answer))]
    async with RawServer(bytes_of_it) as server:
        assert await exchange(client, server.url) == (b"".join(PIECES), None)
