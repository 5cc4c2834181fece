"""All turns of a conversation as one stream, which resumes exactly."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from contextlib import suppress
from typing import Any

import httpx
import pytest

from support.debug_chat import CHAT
from support.readers import Strict
from support.servers import Desk, Serve, Served, ServeModel
from support.talks import Talk, events_in, queues_in
from support.upstream import SILENCE, Script, Upstream, UpstreamRequest, answer, chunk
from unspool.runs.events import EVENT_TYPES

Events = list[tuple[str, dict[str, Any]]]


@pytest.fixture
async def talk(client: httpx.AsyncClient, desk: Desk) -> Talk:
    return await Talk.begin(client, desk.url)


async def ended(talk: Talk, desk: Desk, upstream: Upstream, turns: int = 3) -> Events:
    """A talk of so many turns that have ended; return its events."""
    upstream.play = lambda asked: answer("好", f"（{asked.question}）")
    for number in range(1, turns + 1):
        await talk.send(f"第{number}", model=desk.model)
    await talk.rest(turns)
    return events_in(await talk.whole())


async def sibling(talk: Talk, desk: Desk, prompt: str, after: int) -> asyncio.Task[httpx.Response]:
    body: dict[str, Any] = {"model_id": desk.model_id, "prompt": prompt, "stream": True}
    body |= {"conversation_id": talk.number, "after_turn": after}
    return asyncio.create_task(talk.client.post(talk.server + CHAT, json=body))


def by_turn(events: Events) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for _, event in events:
        found[event["turn"]].append(event["seq"])
    return dict(found)


def facts(events: Events) -> list[tuple[int, int]]:
    return [(event["turn"], event["seq"]) for _, event in events]


async def test_each_event_of_each_turn_is_there_once_in_the_native_shape(
    talk: Talk, desk: Desk, upstream: Upstream
) -> None:
    found = await ended(talk, desk, upstream)
    turns = await talk.turns()
    for turn in turns:
        url = f"{talk.server}/v1/runs/{turn['run']}/export?format=jsonl"
        lines = [json.loads(line) for line in (await talk.client.get(url)).text.splitlines()]
        mine = [(id_, dict(event)) for id_, event in found if event["turn"] == turn["number"]]
        assert mine[0][1].pop("parent") == turn["parent"]
        for id_, event in mine:
            assert id_ == f"{event.pop('turn')}.{event['seq']}"
            assert event.pop("run") == turn["run"]
        assert [event for _, event in mine] == lines
    assert facts(found) == sorted(facts(found))


async def test_a_viewer_cut_after_any_frame_gets_exactly_the_rest(
    talk: Talk, desk: Desk, upstream: Upstream
) -> None:
    found = await ended(talk, desk, upstream)
    for cut, (id_, _) in enumerate(found, 1):
        for how in ({"after": id_}, {"query": f"after={id_}"}, {"query": f"lastEventId={id_}"}):
            view = await talk.whole(**how)
            rest = events_in(view) if view.status == 200 else []
            assert found[:cut] + rest == found
            assert view.status == (204 if cut == len(found) else 200)
    for turn in (1, 2, 3):  # all of a turn, as one knows it from elsewhere
        rest = [it for it in found if it[1]["turn"] > turn]
        view = await talk.whole(f"after={turn}")
        assert (events_in(view) if view.status == 200 else []) == rest


async def test_siblings_interleave_and_a_place_names_each_that_is_not_whole(
    talk: Talk, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = lambda asked: [
        *(piece for n in range(6) for piece in (chunk(f"{asked.question}{n} "), 0.005)),
        *answer("."),
    ]
    await talk.send("root", model=desk.model)
    await talk.rest(1)
    asking = [await sibling(talk, desk, name, 1) for name in "abc"]
    live = events_in(await talk.look("types=run.completed", frames=5))
    await asyncio.gather(*asking)
    assert len(live) == 4
    view = await talk.whole()
    found = events_in(view)
    counts = {turn: len(seqs) for turn, seqs in by_turn(found).items()}
    assert by_turn(found) == {t: list(range(1, n + 1)) for t, n in counts.items()}
    assert {e["parent"] for _, e in found if e["turn"] > 1 and e["seq"] == 1} == {1}


async def test_while_siblings_are_live_every_place_resumes_exactly(
    talk: Talk, desk: Desk, upstream: Upstream
) -> None:
    def play(asked: UpstreamRequest) -> Script:
        words = [step for n in range(5) for step in (chunk(f"{asked.question}{n} "), 0.01)]
        return answer("!") if asked.question == "root" else [*words, SILENCE]

    upstream.play = play
    await talk.send("root", model=desk.model)
    await talk.rest(1)
    asking = [await sibling(talk, desk, name, 1) for name in "abc"]
    await upstream.until(lambda: upstream.open == 3)
    view = await talk.look(frames=1 + 7 + 3 * (3 + 5))  # all that there is while they are silent
    runs = {event["run"] for _, event in events_in(view) if event["turn"] > 1}
    seen = events_in(view)
    assert any("," in id_ for id_, _ in seen), "two were live at once"
    for run in runs:
        await talk.cancel(run)
    await asyncio.gather(*asking)
    whole = sorted(facts(events_in(await talk.whole())))
    for cut in range(len(seen)):
        rest = events_in(await talk.whole(after=seen[cut][0]))
        got = facts(seen[: cut + 1]) + facts(rest)
        assert sorted(got) == whole, seen[cut][0]
        joined = by_turn(seen[: cut + 1] + rest)
        assert joined == {turn: sorted(seqs) for turn, seqs in joined.items()}


async def test_a_viewer_follows_turns_that_begin_later_and_sees_what_waits(
    talk: Talk, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [[chunk("一"), SILENCE], answer("二"), answer("三")]
    watching = asyncio.create_task(talk.look("types=run.started,run.cancelled,run.completed"))
    await asyncio.sleep(0)
    first = await talk.send("第一", model=desk.model)
    await upstream.until(lambda: upstream.open == 1)
    waits = await talk.send("第二", model=desk.model)
    await talk.send("第三", model=desk.model)
    await talk.change(waits["id"], prompt="第二改")
    await talk.cancel(first["run"])
    await talk.rest(3)
    url = f"{talk.server}/api/conversations/{talk.number}"
    whole = events_in(await talk.whole("types=run.started,run.cancelled,run.completed"))
    await talk.client.delete(url)
    view = await watching  # it ends with the conversation
    found = events_in(view)
    assert found == whole
    assert [event["type"] for _, event in found] == [
        *("run.started", "run.cancelled"),
        *("run.started", "run.completed") * 2,
    ]
    queues = queues_in(view)
    assert queues[-1] == []
    assert ["第二", "第三"] in queues or ["第二改", "第三"] in queues
    plain = [frame for frame in view.seen.raw.split(b"\n\n") if b'"type":"queue"' in frame]
    assert all(frame.startswith(b"data: ") for frame in plain), "no ids: they are no history"
    assert (await talk.look()).status == 404


async def test_filters_choose_turns_and_types_and_places_cover_what_they_leave_out(
    talk: Talk, desk: Desk, upstream: Upstream
) -> None:
    found = await ended(talk, desk, upstream)
    await (await sibling(talk, desk, "other", 1))
    whole = events_in(await talk.whole())
    assert whole[: len(found)] == found

    async def turns(query: str) -> list[int]:
        return sorted(by_turn(events_in(await talk.whole(query))))

    assert await turns("turn=2") == [2]
    assert await turns("path=current") == [1, 4]
    assert await turns("path=3") == [1, 2, 3]
    assert await turns("path=2") == [1, 2]
    deltas = events_in(await talk.whole("types=text.delta,run.completed"))
    kept = {"text.delta", "run.completed"}
    assert deltas == [(id_, event) for id_, event in whole if event["type"] in kept]
    for cut, (id_, _) in enumerate(deltas, 1):
        view = await talk.whole("types=text.delta,run.completed", after=id_)
        assert deltas[:cut] + (events_in(view) if view.status == 200 else []) == deltas
    # Nothing has matched for long: the next frame that does covers all that did not.
    (last,) = events_in(await talk.whole("turn=4&types=run.completed"))
    assert last[0] == whole[-1][0]


@pytest.mark.parametrize("query", ["turn=1", "path=1"])
async def test_a_stream_to_which_no_turn_can_come_ends(
    talk: Talk, desk: Desk, upstream: Upstream, query: str
) -> None:
    await ended(talk, desk, upstream, turns=2)
    view = await talk.look(query)
    found = events_in(view)
    assert sorted(by_turn(found)) == [1]
    assert (await talk.look(query, after=found[-1][0])).status == 204


async def test_from_now_on_a_viewer_sees_what_comes_and_can_come_back(
    talk: Talk, desk: Desk, upstream: Upstream
) -> None:
    found = await ended(talk, desk, upstream, turns=1)
    upstream.play = lambda asked: [chunk("一"), SILENCE] if asked.question == "a" else answer("好")
    assert (await talk.whole("after=now")).status == 204
    first = await talk.send("a", model=desk.model)
    await upstream.until(lambda: upstream.open == 1)
    view = await talk.look("after=now", frames=1)
    ((id_, _),) = view.seen.frames
    assert view.seen.documents[0]["type"] == "queue"
    assert id_.startswith("2."), "it can come back, though it has seen no event"
    await talk.cancel(first["run"])
    rest = events_in(await talk.whole(after=id_))
    assert {event["turn"] for _, event in rest} == {2}
    assert rest[-1][1]["type"] == "run.cancelled"
    assert found


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("after=x", 400, "bad_cursor"),
        ("after=9999999.1", 400, "bad_cursor"),
        ("after=2.1", 400, "bad_cursor"),
        ("after=1.999", 400, "bad_cursor"),
        ("after=%00", 400, "bad_cursor"),
        ("after=1.1%0Aid:%207", 400, "bad_cursor"),
        (f"after={'1.1,' * 100}", 400, "bad_cursor"),
        (f"after={'1' * 5000}", 422, "invalid_request"),
        ("types=text.delta,nothing", 422, "invalid_request"),
        ("types=%00", 422, "invalid_request"),
        ("path=x", 422, "invalid_request"),
        ("path=0", 422, "invalid_request"),
        ("path=99", 404, "unknown_record"),
        ("turn=99", 404, "unknown_record"),
        ("turn=0", 422, "invalid_request"),
        (f"turn={2**70}", 422, "invalid_request"),
        ("turn=1&path=1", 422, "invalid_request"),
        ("follow=perhaps", 422, "invalid_request"),
    ],
)
async def test_what_is_no_place_and_no_filter_is_refused(
    client: httpx.AsyncClient, shared_server: Served, query: str, status: int, code: str
) -> None:
    talk = await Talk.begin(client, shared_server.url)
    await talk.send("你好")
    await talk.rest(1)
    reply = await client.get(f"{talk.url}/events?{query}")
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


async def test_unknown_conversations_are_not_found_and_an_empty_one_waits(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    talk = await Talk.begin(client, shared_server.url)
    assert (await client.get(f"{shared_server.url}/v1/conversations/99999/events")).status_code == (
        404
    )
    assert (await talk.whole()).status == 204
    view = await talk.look(frames=1)
    assert view.seen.documents == [{"type": "queue", "messages": []}]
    assert view.headers["content-type"].startswith("text/event-stream")
    assert "x-run-id" not in view.headers


async def test_a_turn_whose_run_was_deleted_is_told_and_passed_over(
    talk: Talk, desk: Desk, upstream: Upstream
) -> None:
    found = await ended(talk, desk, upstream)
    gone = (await talk.turns())[1]
    served = desk.served
    assert await served.call(lambda: served.core.journal.forget([gone["run"]])) == 1
    whole = events_in(await talk.whole())
    told = ("2", {"type": "turn.deleted", "turn": 2, "run": gone["run"], "parent": 1})
    assert whole == [
        *(it for it in found if it[1]["turn"] == 1),
        told,
        *(it for it in found if it[1]["turn"] == 3),
    ]
    for cut, (id_, _) in enumerate(whole[:-1], 1):
        assert whole[:cut] + events_in(await talk.whole(after=id_)) == whole
    # Who has seen a part of it before is told, too.
    middle = next(id_ for id_, event in found if event["turn"] == 2)
    assert events_in(await talk.whole(after=middle))[0] == told


async def test_every_type_of_event_can_be_asked_for(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    talk = await Talk.begin(client, shared_server.url)
    await talk.send("你好")
    await talk.rest(1)
    assert events_in(await talk.whole(f"types={','.join(EVENT_TYPES)}")) == events_in(
        await talk.whole()
    )


async def test_a_quiet_conversation_gets_heartbeats_and_a_stop_of_the_server_says_come_back(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with(heartbeat_s=0.2)
    talk = await Talk.begin(client, served.url)
    seen = Strict()

    async def stop() -> None:
        served.core.viewing.close()  # as a server that stops does first

    async with client.stream("GET", f"{talk.url}/events") as response:
        with suppress(httpx.RemoteProtocolError):
            async for piece in response.aiter_raw():
                seen.feed(piece)
                if len(seen.comments) == 2:
                    await served.call(stop)
    assert set(seen.comments) == {"ping"}
    assert seen.raw.endswith(b"retry: 1000\n")


async def test_a_viewer_of_a_conversation_watches_its_live_turn(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    served = serve_model()
    upstream.play = [[chunk("一"), SILENCE]]
    talk = await Talk.begin(client, served.url)
    sent = await talk.send("一", headers={"Unspool-When-Left": "cancel"})
    await upstream.until(lambda: upstream.open == 1)
    async with client.stream("GET", f"{talk.url}/events") as response:
        async for _ in response.aiter_raw():
            url = f"{served.url}/v1/runs/{sent['run']}"
            if (await client.get(url)).json()["viewers"] == 1:
                break
    (turn,) = await talk.rest(1)
    assert (turn["status"], turn["text"]) == ("cancelled", "一")
