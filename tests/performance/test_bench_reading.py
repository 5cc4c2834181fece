"""The benchmark believes no stream: what it counts as right has each token once and in order."""

from __future__ import annotations

import pytest

from bench.reading import Outcome, Recording

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
FIRST_NS = 1_000_000_000


def coded(text: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(text), text)


def token(number: int) -> bytes:
    """A token that says when it was written: a millisecond after the one before."""
    return coded(b"id: 7\nevent: x@y\ndata: @%019d \n\n" % (FIRST_NS + number * 1_000_000))


def recorded(*reads: bytes) -> Recording:
    """Reads that came two milliseconds apart, the first one when the first token was written."""
    recording = Recording(asked_ns=FIRST_NS - 5_000_000)
    for number, read in enumerate(reads):
        recording.reads.append(read)
        recording.times_ns.append(FIRST_NS + number * 2_000_000)
    return recording


def test_every_token_is_found_with_its_delay() -> None:
    outcome = Outcome.of(recorded(HEAD + token(0), token(1) + token(2), END), 3)
    assert outcome.error is None
    assert list(outcome.latencies_ns) == [0, 1_000_000, 0]
    assert outcome.first_token_ms == outcome.first_byte_ms == 5


def test_a_stream_is_read_the_same_wherever_it_is_cut() -> None:
    whole = HEAD + b"".join(map(token, range(3))) + END
    for cut in range(1, len(whole)):
        outcome = Outcome.of(recorded(whole[:cut], whole[cut:]), 3)
        assert (outcome.error, len(outcome.stamps_ns)) == (None, 3), cut
    assert Outcome.of(recorded(*(whole[at : at + 1] for at in range(len(whole)))), 3).error is None


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([0, 2], "2 tokens instead of 3"),
        ([0, 1, 2, 3], "4 tokens instead of 3"),
        ([0, 1, 1], "twice or out of order"),
        ([0, 2, 1], "twice or out of order"),
    ],
)
def test_a_token_lost_doubled_or_out_of_order_is_an_error(numbers: list[int], said: str) -> None:
    error = Outcome.of(recorded(HEAD, *map(token, numbers), END), 3).error
    assert said in (error or "")


def test_an_answer_that_stops_short_of_its_end_is_an_error() -> None:
    assert Outcome.of(recorded(HEAD, *map(token, range(3))), 3).error == "cut off before the end"


def test_an_answer_of_another_kind_is_an_error() -> None:
    refused = b"HTTP/1.1 422 No\r\nContent-Length: 2\r\n\r\n{}"
    assert "answered 422" in (Outcome.of(recorded(refused), 3).error or "")
    broken = Outcome.of(recorded(HEAD, b"no length\r\n"), 3).error
    assert "not HTTP" in (broken or "")


def test_a_stream_that_was_given_up_says_so() -> None:
    recording = recorded(HEAD, token(0))
    recording.error = "not finished in time"
    assert Outcome.of(recording, 3).error == "not finished in time"
