"""What a connection does at the wrong moment, and what a server does for too long."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc

import pytest

from faults.writing import DONE, EVENTS, STOP, event, head, meet, say, sent, stream
from support.patience import within
from support.upstream import CUT, END, RESET, SILENCE, Break, Upstream, answer, chunk
from unspool import Limits, Model, Prompt
from unspool.errors import ProviderInterrupted, ProviderUnavailable
from unspool.providers import Finish, Output, Text
from unspool.providers.upstream.answer import MAX_SKIPPED
from unspool.providers.upstream.http import open_http
from unspool.providers.upstream.http1 import Client
from unspool.providers.upstream.pulled import outputs_of
from unspool.providers.upstream.tool_calls import MAX_CALLS

MIB = 1024 * 1024


async def slowly(model: Model) -> tuple[str, bool, str]:
    """Text, whether it was whole, and the code of the error, for a reader that takes its time."""
    outputs: list[Output] = []
    code = ""
    async with open_http() as http:
        stream = outputs_of(model, Prompt.of("你好"), http)
        try:
            async for output in stream:
                outputs.append(output)
                await asyncio.sleep(0.05)
        except ProviderInterrupted as error:
            code = error.code
    text = "".join(output.text for output in outputs if isinstance(output, Text))
    return text, any(isinstance(output, Finish) for output in outputs), code


@pytest.mark.parametrize("way", [RESET, CUT])
async def test_what_came_before_a_break_is_told_also_to_a_reader_who_is_late(
    upstream: Upstream, way: Break
) -> None:
    upstream.play = [[chunk("今天"), 0.02, chunk("推荐"), 0.005, way]]
    assert await slowly(upstream.model()) == ("今天推荐", False, "connection")


@pytest.mark.parametrize("way", [RESET, CUT])
async def test_an_answer_whose_end_came_before_the_break_is_whole_for_a_late_reader(
    upstream: Upstream, way: Break
) -> None:
    upstream.play = [[chunk("今天"), 0.02, chunk("推荐"), *END[:2], 0.005, way]]
    assert await slowly(upstream.model()) == ("今天推荐", True, "")


async def test_bad_framing_is_noticed_at_once_and_not_when_a_limit_is_reached() -> None:
    parts = head(EVENTS, "Transfer-Encoding: chunked"), 0.02, b"5\r\ndata:\r\nzz\r\n"
    async with within(10):
        result = await meet([*sent(*parts), {"hold": True}], idle_s=15, first_event_s=15)
    assert result["outcome"] == "retryable_error"


async def test_connections_are_used_again_and_remember_nothing_of_their_answers(
    upstream: Upstream,
) -> None:
    async with open_http() as http:
        for _ in range(3):
            upstream.play = [answer("你", "好")]
            stream = outputs_of(upstream.model(), Prompt.of("x"), http)
            assert [o async for o in stream if isinstance(o, Text)] == [Text("你"), Text("好")]


async def test_an_error_answer_counts_by_its_status_where_its_words_do_not_come(
    upstream: Upstream,
) -> None:
    hurried = head("Content-Length: 99", status="401 No")
    async with within(3.5):
        result = await meet([*sent(hurried, b'{"error":'), {"hold": True}], first_event_s=0.5)
    assert result["error"]["kind"] == "auth"


async def test_a_reason_for_the_end_in_every_chunk_does_not_end_a_pause(upstream: Upstream) -> None:
    pieces = [chunk(piece, "stop") for piece in "今天推荐"]
    upstream.play = [[*pieces[:2], 0.02, pieces[2], 2.2, pieces[3], DONE]]
    assert await slowly(upstream.model(idle_s=5)) == ("今天推荐", True, "")


@pytest.mark.parametrize(("way", "is_whole"), [(RESET, False), (b"", True)])
async def test_a_reason_for_the_end_in_every_chunk_is_no_end_where_the_stream_breaks(
    upstream: Upstream, way: Break | bytes, is_whole: bool
) -> None:
    pieces = [chunk(piece, "stop") for piece in "今天推荐"]
    upstream.play = [[pieces[0], 0.02, pieces[1], 0.02, pieces[2], 0.02, way]]
    text, whole, _ = await slowly(upstream.model())
    assert (text, whole) == ("今天推", is_whole)


JUNK = {
    "chunks that cannot be read": b"data: {broken\n\n",
    "empty pieces": say("", role="assistant"),
    "comments": b": still here\n\n",
    "unknown documents": event({"object": "ping"}),
}


@pytest.mark.parametrize("name", JUNK)
async def test_a_stream_of_nothing_but_junk_ends_some_time(name: str) -> None:
    steps = [*stream(say("今天")), {"send_hex": (JUNK[name] * 40).hex()}]
    steps += [{"pause_ms": 100}, *stream(JUNK[name])[1:]] * 30
    result = await meet(steps, progress_s=0.4)
    assert (result["outcome"], result["error"]["kind"]) == ("truncated", "timeout")
    assert result["warnings"] <= MAX_SKIPPED


async def test_a_chunk_that_nobody_can_read_is_warned_of_a_bounded_number_of_times() -> None:
    result = await meet(stream(say("好"), JUNK["chunks that cannot be read"] * 500, STOP))
    assert (result["outcome"], result["text"], result["warnings"]) == ("ok", "好", MAX_SKIPPED)


async def test_more_tool_calls_than_anybody_makes_are_left_out_with_a_warning() -> None:
    calls = [
        {"index": n, "id": f"c{n}", "function": {"name": "f", "arguments": "{}"}}
        for n in range(MAX_CALLS + 9)
    ]
    result = await meet(stream(say(tool_calls=calls), STOP))
    assert (len(result["tool_calls"]), result["warnings"]) == (MAX_CALLS, 1)


ENDLESS = {
    "a line": b"data: " + b"A" * 4090,
    "lines of one event": b"data: " + b"A" * 4089 + b"\n",
    "a comment": b":" + b"A" * 4095,
    "a field": b"id" + b"A" * 4094,
    "a document": b'{"a":"' + b"A" * 4090,
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_what_never_ends_is_given_up_with_little_memory(name: str) -> None:
    start, rest = ENDLESS[name], ENDLESS[name] if "lines" in name else b"A" * 4096
    steps = [*stream(start), {"send_hex": rest.hex(), "repeat": 8192}]
    tracemalloc.start()
    try:
        result = await meet(steps, max_event_bytes=MIB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (result["outcome"], result["error"]["kind"]) == ("retryable_error", "protocol")
    assert peak < 6 * MIB


async def test_leaving_early_closes_the_connection(upstream: Upstream) -> None:
    upstream.play = [[chunk("今天"), SILENCE]]
    model = upstream.model()
    async with open_http() as http:
        stream = outputs_of(model, Prompt.of("x"), http)
        assert await anext(stream) == Text("今天")
        await stream.aclose()
        await upstream.until(lambda: upstream.left == 1, within_s=1)


async def test_a_pool_of_somebody_else_is_as_good(upstream: Upstream) -> None:
    upstream.play = [answer("好")]
    model = Model("m", "openai", "m", upstream.url, "", Limits())
    async with Client() as http:
        stream = outputs_of(model, Prompt.of("x"), http)
        assert Text("好") in [output async for output in stream]
    assert "authorization" not in upstream.requests[0].headers


async def test_a_kept_connection_that_the_server_has_given_up_costs_no_attempt() -> None:
    whole = b"".join([chunk("今天"), *END])
    head_of = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {len(whole)}"
    requests = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, keep the connection, and close it when the next one comes."""
        nonlocal requests
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            asked = (await reader.readuntil(b"\r\n\r\n")).decode()
            await reader.readexactly(int(asked.lower().partition("content-length: ")[2].split()[0]))
            requests += 1
            writer.write(f"{head_of}\r\n\r\n".encode() + whole)
            await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server, open_http() as http:
        for _ in range(3):
            stream = outputs_of(Model("m", "openai", base_url=url), Prompt.of("你好"), http)
            assert [o.text async for o in stream if isinstance(o, Text)] == ["今天"]
    assert requests == 3


async def test_a_new_connection_that_breaks_before_the_head_is_a_failure_at_once(
    upstream: Upstream,
) -> None:
    upstream.play = [[CUT]]
    async with open_http() as http:
        stream = outputs_of(upstream.model(), Prompt.of("你好"), http)
        with pytest.raises(ProviderUnavailable):
            _ = [output async for output in stream]
    assert len(upstream.requests) == 1
