"""What holds for every contract: resume, heartbeats, endings, and clients as they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import httpx
import pytest

from support.readers import (
    COPY,
    SHOE,
    by_chunks,
    by_eye,
    by_lines,
    copy_posts,
    look,
    post,
    with_cuts,
)
from support.servers import Serve, Served, ServeModel
from support.upstream import SILENCE, Upstream, answer, chunk, refusal
from unspool import Draft, RunSpec, plugs
from unspool.dialects import open_dialect
from unspool.runs.events import TERMINAL

DIALECTS = plugs.names("dialects")


def events_url(served: Served, run_id: str, dialect: str = "") -> str:
    tail = f"?dialect={dialect}" if dialect else ""
    return f"{served.url}/v1/runs/{run_id}/events{tail}"


async def written(served: Served, flow: str, drafts: Sequence[Draft], dialect: str) -> str:
    """Write a run by hand: a log that no flow of ours would write is still a log."""

    async def write() -> str:
        asked = {"count": 3, "style": "natural"}
        pen = await served.core.journal.create(RunSpec(flow, asked, dialect=dialect))
        pen.append(*drafts[:-1])
        await pen.end(drafts[-1])
        return pen.run_id

    return await served.call(write)


def tangled() -> list[Draft]:
    """Three posts all at once, so that one event makes many frames."""
    steps = ["post-1", "post-2", "post-3"]
    drafts = [Draft("step.started", {"step": step}) for step in steps]
    for number in range(3):
        text = f"第{number}段👟\n"
        drafts += [Draft("text.delta", {"step": step, "text": text}) for step in reversed(steps)]
    drafts += [Draft("step.finished", {"step": s, "model": "m"}) for s in ("post-3", "post-2")]
    drafts.append(Draft("warning.raised", {"message": "一行\r\n又一行"}))
    drafts.append(Draft("step.finished", {"step": "post-1", "model": "m"}))
    return [*drafts, Draft("run.completed")]


async def test_sx_1_every_frame_is_text_by_itself(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    body = chunk("今天👟👩‍👩‍👧推荐")
    middle = body.index("👟".encode()) + 2
    upstream.play = [[body[:middle], 0.02, body[middle:], *answer("。")]]
    view = await post(client, serve_model().url + COPY, SHOE)
    assert copy_posts(view.seen.documents) == ["今天👟👩‍👩‍👧推荐。"] * 3
    assert view.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "今天".encode() in view.seen.raw, "escaped text is three times as long"
    for frame in view.seen.raw.split(b"\n\n"):
        frame.decode("utf-8", "strict")


@pytest.mark.parametrize("flow", ["chat", "copywriting"])
async def test_sx_2_the_stream_opens_before_the_model_has_said_anything(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, flow: str
) -> None:
    upstream.play = [[SILENCE]]
    served = serve_model()
    asked = {"flow": flow, "input": {"prompt": "你好"} if flow == "chat" else SHOE}
    view = await post(
        client,
        f"{served.url}/v1/runs",
        asked,
        frames=1,
        headers={"accept": "text/event-stream"},
    )
    assert view.seen.documents[0]["type"] == "run.started"


async def test_sx_2_the_head_of_a_stream_of_text_does_not_wait_for_the_first_word(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[SILENCE]]
    url = serve_model().url + "/ai/stream"
    async with client.stream("POST", url, json={"prompt": "你好"}) as response:
        assert response.status_code == 200
        assert response.headers["x-run-id"]


ENDINGS = ["completed", "failed", "cancelled", "incomplete"]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("ending", ENDINGS)
async def test_sx_3_there_is_one_ending_and_it_is_last(
    shared_server: Served, client: httpx.AsyncClient, dialect: str, ending: str
) -> None:
    facts = {} if ending == "completed" else {"code": "c-1", "message": "沒有了"}
    drafts = [*tangled()[:-1], Draft(f"run.{ending}", facts)]  # type: ignore[arg-type]
    run_id = await written(shared_server, "copywriting", drafts, dialect)
    view = await look(client, events_url(shared_server, run_id, dialect))
    told = [data for _, data in without_trailer(dialect, view.seen.frames)]
    ends = [place for place, data in enumerate(told) if is_end(dialect, data)]
    if dialect == "plain" and ending == "completed":
        assert ends == []  # the contract has no frame for it: the answer just ends
    else:
        assert ends == [len(told) - 1]


VENDORS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "ollama": lambda line: bool(line.get("done") or line.get("error")),
    "openai_chat": lambda it: "error" in it or bool(it["choices"][0]["finish_reason"]),
    "openai_responses": lambda it: it["type"].partition(".")[2] in {"completed", "failed"},
    "anthropic_messages": lambda frame: frame["type"] in {"message_stop", "error"},
    "ui_messages": lambda frame: frame["type"] in {"finish", "abort"},
    "agui": lambda frame: frame["type"] in {"RUN_FINISHED", "RUN_ERROR"},
}
"""Whether a frame of a vendor's contract is the last one."""


def is_end(dialect: str, data: str) -> bool:
    if dialect == "plain":
        return data.startswith("[ERROR]")
    frame = json.loads(data)
    if dialect in VENDORS:
        return VENDORS[dialect](frame)
    if dialect.startswith("debug_"):
        return bool(frame["done"]) and "model_id" not in frame
    return frame["type"] in (TERMINAL if dialect == "native" else {"complete", "done", "error"})


def without_trailer(dialect: str, frames: list[Any]) -> list[Any]:
    """The frames that events made; what a dialect sends after them has no id of its own."""
    trailer = open_dialect(dialect).trailer.decode()
    if not trailer:
        return frames
    assert frames[-1][1] == trailer
    return frames[:-1]


FAILING: dict[str, tuple[str, Any]] = {
    "plain": ("/ai/stream", {"prompt": "你好"}),
    "native": ("/v1/runs", {"flow": "chat", "input": {"prompt": "你好"}}),
}


@pytest.mark.parametrize("dialect", FAILING)
@pytest.mark.parametrize("words", [(), ("今天",)], ids=["at once", "in the middle"])
async def test_sx_4_a_failure_after_the_head_is_told_in_the_stream(
    serve_model: ServeModel,
    upstream: Upstream,
    client: httpx.AsyncClient,
    dialect: str,
    words: tuple[str, ...],
) -> None:
    upstream.play = [[*map(chunk, words), 0.02] if words else refusal(401, "who are you")]
    path, body = FAILING[dialect]
    served = serve_model()
    view = await post(client, served.url + path, body, headers={"accept": "text/event-stream"})
    assert view.status == 200
    assert is_end(dialect, view.seen.data[-1])
    assert ("truncated" if words else "auth") in view.seen.data[-1]
    run = (await client.get(f"{served.url}/v1/runs/{view.run_id}")).json()
    assert run["status"] == ("incomplete" if words else "failed")
    assert run["text"] == "".join(words)


async def test_sx_4_a_cancelled_post_is_told_in_the_stream(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天"), SILENCE]]
    served = serve_model()
    watching = asyncio.create_task(post(client, served.url + COPY, SHOE))
    await upstream.until(lambda: upstream.open >= 1)
    (run,) = (await client.get(f"{served.url}/v1/runs")).json()["runs"]
    await client.post(f"{served.url}/v1/runs/{run['id']}/cancel")
    last = (await watching).seen.documents[-1]
    assert (last["type"], last["status"]) == ("error", "cancelled")


@pytest.mark.parametrize("dialect", [*FAILING, "copywriting"])
async def test_sx_5_everything_works_with_no_key_and_no_network(
    shared_server: Served, client: httpx.AsyncClient, dialect: str
) -> None:
    path, body = FAILING.get(dialect, (COPY, SHOE))
    view = await post(
        client, shared_server.url + path, body, headers={"accept": "text/event-stream"}
    )
    assert len(view.seen.data) > 5
    run = (await client.get(f"{shared_server.url}/v1/runs/{view.run_id}")).json()
    assert run["status"] == "completed"
    assert run["text"]


async def test_sx_6_a_silent_stream_beats_before_the_first_word_and_between_words(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[0.3, chunk("今天"), 0.3, *answer("推荐")]]
    served = serve_model(heartbeat_s=0.05)
    view = await post(client, served.url + "/ai/stream", {"prompt": "你好"})
    before, _, after = view.seen.raw.partition("data: 今天\n\n".encode())
    assert view.seen.data == ["今天", "推荐"]
    assert before.count(b": ping\n") >= 2
    assert after.count(b": ping\n") >= 2


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_sx_6_a_heartbeat_is_a_comment_without_a_blank_line(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, dialect: str
) -> None:
    upstream.play = [[chunk("今天"), 0.2, *answer("推荐")]]
    served = serve_model(heartbeat_s=0.05)
    asked = {"flow": "chat", "input": {"prompt": "你好"}, "dialect": dialect}
    view = await post(
        client, f"{served.url}/v1/runs", asked, headers={"accept": "text/event-stream"}
    )
    assert set(view.seen.comments) == {"ping"}
    # Some clients dispatch an empty event at a blank line that follows an id and a comment.
    assert b": ping\n\n" not in view.seen.raw


async def test_sx_6_a_stream_that_speaks_does_not_beat(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[*[step for _ in range(60) for step in (chunk("好"), 0.04)], *answer("。")]]
    served = serve_model(heartbeat_s=2.0)
    view = await post(client, served.url + "/ai/stream", {"prompt": "你好"})
    assert view.seen.comments == []


async def test_sx_7_clients_as_they_have_been_written_read_every_stream(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    pieces = ["今天推荐", "这款👟，", "很\n轻", "。"]
    upstream.play = [[*[s for p in pieces for s in (chunk(p), 0.01)], *answer()]]
    served = serve_model(heartbeat_s=0.02)
    url = served.url + COPY
    expected = ["".join(pieces)] * 3
    assert copy_posts(list(map(json.loads, await by_lines(client, url, json=SHOE)))) == expected
    assert copy_posts(await by_chunks(url, json=SHOE)) == expected
    printed = [line for line in await by_eye(client, url, json=SHOE) if line.startswith("data: ")]
    assert copy_posts([json.loads(line[6:]) for line in printed]) == expected


async def test_sx_7_every_line_is_one_that_those_clients_know_or_skip(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    for path, body in (*FAILING.values(), (COPY, SHOE)):
        headers = {"accept": "text/event-stream"}
        lines = await by_eye(client, shared_server.url + path, json=body, headers=headers)
        assert all(line.startswith(("data: ", "id: ", ":")) or not line for line in lines)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("log", ["copywriting", "chat", "tangled"])
async def test_sx_8_a_viewer_cut_after_any_frame_gets_exactly_the_rest(
    shared_server: Served, client: httpx.AsyncClient, dialect: str, log: str
) -> None:
    if log == "tangled":
        run_id = await written(shared_server, "copywriting", tangled(), dialect)
    else:
        asked = {"flow": log, "input": SHOE if log == "copywriting" else {"prompt": "你好"}}
        run_id = (await client.post(f"{shared_server.url}/v1/runs", json=asked)).json()["id"]
    url = events_url(shared_server, run_id, dialect)
    whole = await look(client, url)
    frames = without_trailer(dialect, whole.seen.frames)
    assert len({id_ for id_, _ in frames}) == len(frames)
    for cut, (id_, _) in enumerate(frames, start=1):
        rest = await look(client, url, after=id_)
        assert rest.status == (200 if cut < len(frames) else 204), id_
        assert rest.seen.frames == (whole.seen.frames[cut:] if cut < len(frames) else []), id_
        assert whole.seen.raw.endswith(rest.seen.raw)


@pytest.mark.parametrize("every", [1, 3])
async def test_sx_8_a_viewer_cut_while_the_run_goes_on_sees_everything_once(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, every: int
) -> None:
    upstream.play = [[*[s for n in range(12) for s in (chunk(f"{n}，"), 0.005)], *answer("完")]]
    served = serve_model()
    first = await post(client, served.url + COPY, SHOE, frames=1)
    url = events_url(served, first.run_id)
    seen = [frame async for frame in with_cuts(client, url, every=every)]
    whole = await look(client, events_url(served, first.run_id))
    assert seen == whole.seen.frames
    copy_posts([json.loads(data) for _, data in seen])


async def test_sx_8_the_place_may_be_in_the_address_and_the_header_is_newer(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    whole = await post(client, shared_server.url + COPY, SHOE)
    url = events_url(shared_server, whole.run_id)
    by_address = await look(client, url + "?after=4")
    assert by_address.seen.frames == (await look(client, url, after="4")).seen.frames
    both = await look(client, url + "?after=4", after="6")
    assert both.seen.frames == (await look(client, url, after="6")).seen.frames


async def test_sx_8_two_hundred_viewers_of_one_run_get_equal_bytes(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[*[s for n in range(20) for s in (chunk(f"{n}，"), 0.01)], *answer("完")]]
    served = serve_model(heartbeat_s=60)
    first = await post(client, served.url + "/ai/stream", {"prompt": "你好"}, frames=1)
    url = events_url(served, first.run_id)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def watch() -> bytes:
            async with session.get(url) as response:
                return await response.read()

        bodies = await asyncio.gather(*(watch() for _ in range(200)))
    assert len(set(bodies)) == 1
    assert bodies[0] == (await look(client, url)).seen.raw


GARBAGE = [
    *["-1", "abc", "0x10", "1e3", "1.5.2", "1.", ".1", "..", "+1", "1 2", "１", "NaN"],
    *["../../etc/passwd", "9" * 400, "'; drop table runs; --", "\x7f", "1,2", "null"],
]


@pytest.mark.parametrize("place", [*GARBAGE, "999999", "3.999999", "0.1", "0"])
@pytest.mark.parametrize("where", ["header", "address"])
async def test_sx_8_a_place_that_is_none_is_refused_and_never_a_fault(
    shared_server: Served, client: httpx.AsyncClient, place: str, where: str
) -> None:
    done = await post(client, shared_server.url + "/ai/stream", {"prompt": "你好"})
    for run_id in (done.run_id, "does-not-exist"):
        url = events_url(shared_server, run_id)
        if where == "header":
            raw = [(b"last-event-id", place.encode())]
            answered = await client.get(url, headers=raw)
        else:
            answered = await client.get(url, params={"after": place})
        assert answered.status_code < 500
        if place in GARBAGE:
            assert answered.status_code in {400, 404, 422}


async def test_sx_8_a_place_ahead_of_the_log_is_refused_not_waited_for(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    done = await post(client, served.url + "/ai/stream", {"prompt": "你好"})
    ahead = await look(client, events_url(served, done.run_id), after="999999")
    assert ahead.status == 400


async def test_sx_8_a_run_goes_on_in_its_own_contract_after_a_restart(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    whole = await post(client, served.url + COPY, SHOE)
    served.stop()
    again = serve_with()
    id_, _ = whole.seen.frames[9]
    rest = await look(client, events_url(again, whole.run_id), after=id_)
    assert rest.seen.frames == whole.seen.frames[10:]
