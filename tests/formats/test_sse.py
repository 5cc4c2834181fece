"""The codec, both ways: whatever is written is read again, however it is cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.readers import Strict
from unspool.formats.sse import HEARTBEAT, Decoder, EventTooLong, Frame

EOL = re.compile(rb"\r\n|\r|\n")

BYTES = st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8", "replace")))
NAMES = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), min_size=1)
FRAMES = st.lists(st.builds(Frame, BYTES, st.none() | NAMES, st.none() | NAMES), max_size=5)


def decoded(wire: bytes, size: int = 0, limit: int = 1024 * 1024) -> list[Frame]:
    """Read in pieces of `size` bytes; 0 is all at once."""
    decoder = Decoder(max_event_bytes=limit)
    step = size or len(wire) or 1
    return [f for at in range(0, len(wire), step) for f in decoder.feed(wire[at : at + step])]


def lines_of(data: bytes) -> bytes:
    """What a client makes of line ends, whichever they were."""
    return b"\n".join(EOL.split(data))


@given(FRAMES, st.integers(0, 7))
def test_what_is_encoded_is_decoded_again_in_pieces_of_any_size(
    frames: list[Frame], size: int
) -> None:
    found = decoded(b"".join(frame.encode() for frame in frames), size)
    assert [frame.data for frame in found] == [lines_of(frame.data) for frame in frames]
    assert [frame.event for frame in found] == [frame.event for frame in frames]
    # An id stays until there is another one: that is how the standard has it.
    last = None
    for frame, sent in zip(found, frames, strict=True):
        last = sent.id if sent.id is not None else last
        assert frame.id == last


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_a_reader_that_knows_nothing_of_our_codec_reads_the_same(texts: list[str]) -> None:
    seen = Strict()
    for number, text in enumerate(texts, start=1):
        seen.feed(Frame(text.encode(), id=str(number)).encode())
    expected = [lines_of(text.encode()).decode() for text in texts]
    assert seen.frames == [(str(n), text) for n, text in enumerate(expected, start=1)]


@given(st.binary())
def test_nothing_in_the_data_can_end_a_frame_or_begin_a_field(data: bytes) -> None:
    wire = Frame(data).encode()
    assert b"\r" not in wire
    *lines, last, rest = wire.split(b"\n")
    assert (last, rest) == (b"", b"")
    assert all(line.startswith(b"data: ") for line in lines)
    assert len(decoded(wire)) == 1


STREAM = (
    "\ufeffid: 1\ndata: 今天👟\n\n"
    ": keep-alive\n\n"
    "id: 2\r\ndata:no space\r\n\r\n"
    ": ping\r\n\r\n"
    "data: one\rdata:  two\r\r"
    "event: note\ndata\ndata:\n\n"
    "event: forgotten\n\n"
    "retry: abc\nnocolon\nid\ndata: a\u2028b\u2029c\u0085d\n\n"
    "data: [DONE]\n\n"
)
EXPECTED = [
    Frame("今天👟".encode(), "1"),
    Frame(b"no space", "2"),
    Frame(b"one\n two", "2"),
    Frame(b"\n", "2", "note"),
    Frame("a\u2028b\u2029c\u0085d".encode(), ""),
    Frame(b"[DONE]", ""),
]


def test_the_standard_is_read_to_the_letter() -> None:
    assert decoded(STREAM.encode()) == EXPECTED


def test_a_stream_cut_in_two_at_any_byte_is_the_same_stream() -> None:
    wire = STREAM.encode()
    for cut in range(len(wire) + 1):
        decoder = Decoder()
        assert decoder.feed(wire[:cut]) + decoder.feed(wire[cut:]) == EXPECTED, cut


def test_a_stream_cut_in_three_around_line_ends_is_the_same_stream() -> None:
    wire = b"id: 1\r\ndata: x\r\n\r\ndata: y\r\r\ndata: z\n\r\n"
    expected = decoded(wire)
    for first in range(len(wire) + 1):
        for second in range(first, len(wire) + 1):
            decoder = Decoder()
            parts = wire[:first], wire[first:second], wire[second:]
            assert [f for part in parts for f in decoder.feed(part)] == expected, parts


@pytest.mark.parametrize("size", range(1, 12))
def test_a_stream_in_small_pieces_is_the_same_stream(size: int) -> None:
    assert decoded(STREAM.encode(), size) == EXPECTED


@pytest.mark.parametrize("eol", ["\n", "\r\n", "\r"])
def test_all_three_line_ends_end_lines(eol: str) -> None:
    wire = "id: 7|data: a|data: b||data: c||".replace("|", eol).encode()
    for size in range(6):
        assert decoded(wire, size) == [Frame(b"a\nb", "7"), Frame(b"c", "7")]


def test_comments_and_heartbeats_make_no_event_even_after_an_id() -> None:
    wire = Frame(b"x", id="4").encode() + HEARTBEAT + Frame(b"y", id="5").encode() + b": a\n\n:\n\n"
    assert decoded(wire) == [Frame(b"x", "4"), Frame(b"y", "5")]
    assert decoded(b"id: 9\n\n: ping\n\n") == []


def test_an_id_with_a_nul_is_not_taken() -> None:
    assert decoded(b"id: 1\ndata: x\n\nid: 2\0\ndata: y\n\n") == [
        Frame(b"x", "1"),
        Frame(b"y", "1"),
    ]


@pytest.mark.parametrize(
    "tail", ["data: last", "data: last\n", "data: last\r", "data: la\ndata: st"]
)
def test_what_a_sender_forgot_to_end_is_there_at_the_end(tail: str) -> None:
    decoder = Decoder()
    assert decoder.feed(b"data: first\n\n" + tail.encode()) == [Frame(b"first")]
    (last,) = decoder.flush()
    assert last.data.replace(b"\n", b"") == b"last"
    assert decoder.flush() == []


@pytest.mark.parametrize(
    "wire",
    [b"data: " + b"x" * 40, b"data: " + b"x" * 40 + b"\n\n", b"data: 12345678\n" * 5, b"y" * 40],
)
@pytest.mark.parametrize("size", [0, 1, 7])
def test_an_event_longer_than_the_limit_is_refused_while_it_comes(wire: bytes, size: int) -> None:
    with pytest.raises(EventTooLong):
        decoded(wire, size, limit=32)


@pytest.mark.parametrize("size", [0, 1, 7])
def test_an_event_within_the_limit_is_taken_however_many_there_are(size: int) -> None:
    exactly = b"data: " + b"x" * 20 + b"\ndata: " + b"y" * 11 + b"\n\n"
    assert len(decoded(exactly * 100, size, limit=32)) == 100
    with pytest.raises(EventTooLong):
        decoded(exactly, size, limit=31)


@pytest.mark.parametrize("line", [b"data\n", b"data:\n", b"data: \n"])
def test_an_endless_event_of_empty_lines_is_refused_too(line: bytes) -> None:
    with pytest.raises(EventTooLong):
        decoded(line * 1000, 100, limit=32)


@pytest.mark.parametrize(
    "line",
    [
        b"Internal Server Error",
        b"upstream connect error: reset",
        b'{"error": "x"}',
        b"<html>",
        "错误".encode(),
    ],
)
def test_a_line_that_is_no_part_of_an_event_is_kept_for_whoever_wonders(line: bytes) -> None:
    decoder = Decoder()
    assert decoder.feed(b"data: a\n\n" + line + b"\ndata: b\n\n")[1].data == b"b"
    assert decoder.stray == line


@pytest.mark.parametrize("line", [b": comment", b"retry: 3000", b"id", b"x-own: 1", b"event: a"])
def test_fields_that_are_known_or_might_be_are_no_strays(line: bytes) -> None:
    decoder = Decoder()
    decoder.feed(line + b"\n\n")
    assert decoder.stray == b""


def test_of_a_stray_line_only_the_beginning_is_kept() -> None:
    decoder = Decoder()
    decoder.feed(b"A" * 100_000 + b"\nB\n")
    assert decoder.stray == b"A" * 1000


def test_a_stream_put_together_from_several_is_read_as_one() -> None:
    mark = b"\xef\xbb\xbf"
    wire = mark + b"data: a\n\n" + mark * 2 + b"data: b\n\n" + mark + b"\n" + b"data: c\n\n"
    for size in range(len(wire)):
        assert [frame.data for frame in decoded(wire, size)] == [b"a", b"b", b"c"]
