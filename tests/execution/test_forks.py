"""Forks: what they take over, what they do again, and that the old run is left alone."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.readers import look
from support.runs import batch, children, read, start, until_ended
from support.servers import Serve, Served, ServeModel
from support.upstream import SILENCE, Upstream, answer, chunk, refusal
from unspool import Draft, RunSpec, open_journal
from unspool.journals import sqlite_url
from unspool.journals.sqlite_file import schema as _schema
from unspool.runs.beginning import started
from unspool.runs.events import Event
from unspool.runs.fork import PIECE_CHARS, EditedText, History
from unspool.runs.run import fold

CHAT = {"flow": "chat", "input": {"prompt": "请介绍运动鞋"}}
COPY = {"flow": "copywriting", "input": {"sku": "8WZ01CM1", "count": 3}}


async def fork(
    client: httpx.AsyncClient, served: Served, run_id: str, status: int = 201, **asked: Any
) -> dict[str, Any]:
    url, typed = f"{served.url}/v1/runs/{run_id}/fork", {"Content-Type": "application/json"}
    answered = await client.post(url, content=json.dumps(asked), headers=typed)
    assert answered.status_code == status, answered.text
    return dict(answered.json())


async def events(client: httpx.AsyncClient, served: Served, run_id: str) -> list[Any]:
    url = f"{served.url}/v1/runs/{run_id}/events?dialect=native"
    return (await look(client, url)).seen.documents


def seq_of(told: list[Any], kind: str, number: int = 0) -> int:
    return int([event["seq"] for event in told if event["type"] == kind][number])


async def test_the_open_step_goes_on_from_the_place_of_the_fork_with_the_new_prompt(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [answer("今天推荐", "这双鞋"), answer("今天推荐那顶帽子")]
    served = serve_model()
    old = await start(client, served, CHAT)
    told = await events(client, served, old)
    before = (await read(client, served, old))["last_seq"]
    place = seq_of(told, "text.delta", 0)
    made = await fork(client, served, old, after=place, input={"prompt": "请介绍帽子"})
    run = await until_ended(client, served, made["id"])
    assert (run["status"], run["text"]) == ("completed", "今天推荐那顶帽子")
    assert run["forked_from"] == {"run": old, "seq": place}
    assert [(a["strategy"], a["at"]) for a in run["attempts"]] == [("instruct", 4)]
    assert "请介绍帽子" in str(upstream.requests[1].body)
    kept = await read(client, served, old)
    assert (kept["text"], kept["last_seq"]) == ("今天推荐这双鞋", before)
    assert kept["forks"] == [made["id"]]
    assert (kept["forked_from"], run["forks"]) == (None, [])


async def test_finished_steps_stay_and_later_ones_are_done_again(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with()
    old = await start(client, served, COPY)
    told = await events(client, served, old)
    posts = (await read(client, served, old))["result"]["posts"]
    made = await fork(client, served, old, after=seq_of(told, "step.finished", 1))
    run = await until_ended(client, served, made["id"])
    assert run["result"]["posts"][:2] == posts[:2]
    own = await events(client, served, made["id"])
    text_of_first = [e for e in own if e["type"] == "text.delta" and e["data"]["step"] == "post-1"]
    assert len(text_of_first) == 1, "what is taken over is not told in tokens"
    assert [e["seq"] for e in own] == list(range(1, len(own) + 1))
    assert own[0]["data"]["forked_from"]["run"] == old


async def test_an_edited_text_is_gone_on_with_or_stands_as_it_is(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [answer("今天推荐这双鞋"), answer("明天推荐那双鞋")]
    served = serve_model()
    old = await start(client, served, CHAT)
    await until_ended(client, served, old)
    open_one = await fork(client, served, old, texts={"answer": "明天推荐"})
    run = await until_ended(client, served, open_one["id"])
    assert (run["status"], run["text"]) == ("completed", "明天推荐那双鞋")
    whole = {"answer": {"text": "我自己写", "finished": True}}
    run = await until_ended(client, served, (await fork(client, served, old, texts=whole))["id"])
    assert (run["text"], run["steps"][0]["model"]) == ("我自己写", "edited")
    assert len(upstream.requests) == 2


async def test_a_live_run_is_steered_in_one_request_and_loses_nothing_that_was_shown(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("今天推荐"), SILENCE], answer("今天推荐那顶帽子")]
    served = serve_model()
    old = await start(client, served, CHAT)
    await look(client, f"{served.url}/v1/runs/{old}/events?dialect=plain", frames=1)
    made = await fork(client, served, old, input={"prompt": "请介绍帽子"}, cancel=True)
    run = await until_ended(client, served, made["id"])
    assert run["text"] == "今天推荐那顶帽子"
    assert (await read(client, served, old))["status"] == "cancelled"
    await upstream.until(lambda: upstream.left == 1, within_s=1)


async def test_a_fork_of_a_live_run_leaves_it_going_on(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("今天推荐"), SILENCE], answer("今天推荐那顶帽子")]
    served = serve_model()
    old = await start(client, served, CHAT)
    await look(client, f"{served.url}/v1/runs/{old}/events?dialect=plain", frames=1)
    made = await fork(client, served, old)
    assert (await until_ended(client, served, made["id"]))["text"] == "今天推荐那顶帽子"
    assert (await read(client, served, old))["status"] == "running"


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"after": 10_000}, 400, "bad_cursor"),
        ({"after": -1}, 400, "bad_cursor"),
        ({"texts": {"answr": "x"}}, 422, "invalid_request"),
        ({"after": 1, "texts": {"answer": "x"}}, 422, "invalid_request"),
        ({"input": {"prompt": ""}}, 422, "invalid_request"),
        ({"input": {"promt": "x"}}, 422, "invalid_request"),
        ({"model": "nobody"}, 404, "unknown_record"),
        ({"dialect": "nope"}, 422, "unknown_plug"),
        ({"afterwards": 1}, 422, "invalid_request"),
        ({"texts": {"answer": "\ud800"}}, 422, "invalid_request"),
    ],
)
async def test_a_fork_that_cannot_be_is_refused_and_stops_nothing(
    client: httpx.AsyncClient,
    serve_model: ServeModel,
    upstream: Upstream,
    asked: dict[str, Any],
    status: int,
    code: str,
) -> None:
    upstream.play = [[chunk("今天推荐"), SILENCE]]
    served = serve_model()
    old = await start(client, served, CHAT)
    await look(client, f"{served.url}/v1/runs/{old}/events?dialect=plain", frames=1)
    refused = await fork(client, served, old, status, cancel=True, **asked)
    assert refused["error"]["code"] == code
    assert (await read(client, served, old))["status"] == "running"
    assert (await read(client, served, old))["forks"] == []


async def test_there_is_nothing_to_go_on_from_in_a_run_that_is_not_there(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    refused = await fork(client, shared_server, "nobody", 404)
    assert refused["error"]["code"] == "unknown_run"


async def test_a_fork_under_a_key_is_made_once(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    old = await start(client, shared_server, CHAT)
    await until_ended(client, shared_server, old)
    url, key = f"{shared_server.url}/v1/runs/{old}/fork", {"Idempotency-Key": f"fork {old}"}
    body = {"after": 1}
    answers = await asyncio.gather(*(client.post(url, json=body, headers=key) for _ in range(20)))
    assert {a.status_code for a in answers} == {201}
    assert len({a.json()["id"] for a in answers}) == 1
    other = await client.post(url, json={"after": 0}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "key_reused")


async def test_a_fork_is_no_answer_to_an_equal_request(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with(cache="read")
    old = await start(client, served, CHAT)
    await until_ended(client, served, old)
    whole = {"answer": {"text": "我自己写", "finished": True}}
    await until_ended(client, served, (await fork(client, served, old, texts=whole))["id"])
    assert await start(client, served, CHAT) == old


async def test_a_fork_goes_on_at_the_next_server_with_what_it_began_with(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [answer("今天推荐这双鞋"), [SILENCE], answer("明天推荐那双鞋")]
    served = serve_model()
    old = await start(client, served, CHAT)
    await until_ended(client, served, old)
    made = await fork(client, served, old, texts={"answer": "明天推荐"})
    await upstream.until(lambda: upstream.open == 1)
    served.stop()
    again = serve_model()
    run = await until_ended(client, again, made["id"])
    assert (run["status"], run["text"]) == ("completed", "明天推荐那双鞋")


async def test_a_fork_of_a_batch_has_children_of_its_own(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with()
    old = await start(client, served, batch("一", "二"))
    await until_ended(client, served, old)
    made = await fork(client, served, old)
    run = await until_ended(client, served, made["id"])
    assert run["result"]["completed"] == 2
    theirs = {head["id"] for head in await children(client, served, made["id"])}
    assert len(theirs) == 2
    assert not theirs & {head["id"] for head in await children(client, served, old)}


async def test_a_fork_of_a_child_is_nobodys_child(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with()
    parent = await start(client, served, batch("一"))
    await until_ended(client, served, parent)
    (child,) = await children(client, served, parent)
    made = await fork(client, served, child["id"], after=1)
    assert made["parent"] is None
    assert (await until_ended(client, served, made["id"]))["status"] == "completed"


async def test_a_fork_of_a_run_that_failed_begins_anew(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [refusal(401), answer("好")]
    served = serve_model()
    old = await start(client, served, CHAT)
    assert (await until_ended(client, served, old))["status"] == "failed"
    run = await until_ended(client, served, (await fork(client, served, old))["id"])
    assert (run["status"], run["text"]) == ("completed", "好")


# What is handed on


def drafts(*told: Draft, **texts: EditedText) -> list[Draft]:
    history = History(texts)
    for seq, draft in enumerate([started(RunSpec("chat")), *told], start=1):
        history.take(Event(seq, draft.type, 0, draft.data))
    return history.drafts()


def step(name: str, *texts: str, finished: bool = True) -> list[Draft]:
    written = [Draft("text.delta", {"step": name, "text": text}) for text in texts]
    end = [Draft("step.finished", {"step": name, "model": "m", "finish_reason": "stop"})]
    return [Draft("step.started", {"step": name}), *written, *(end if finished else [])]


NOTE = Draft("note.taken", {"name": "lucky", "value": 7})
ITEM = Draft("item.found", {"kind": "child", "item": {"name": "鞋底"}})
"""A flow's own kind, which is no child of the run."""
LATE = Draft("item.found", {"kind": "node", "item": {"name": "鞋面"}})


def test_what_is_handed_on_folds_to_what_there_was() -> None:
    long = "长" * (2 * PIECE_CHARS + 1)
    told = [NOTE, *step("a", "甲", "乙"), ITEM, *step("b", long, finished=False)]
    before = fold(Event(n, d.type, 0, d.data) for n, d in enumerate(told, start=1))
    after = fold(Event(n, d.type, 0, d.data) for n, d in enumerate(drafts(*told), start=1))
    assert [(s.name, s.text, s.finished, s.model) for s in after.steps.values()] == [
        (s.name, s.text, s.finished, s.model) for s in before.steps.values()
    ]
    assert (after.notes, after.items) == (before.notes, before.items)


def test_what_was_taken_back_paid_or_only_said_is_not_handed_on() -> None:
    facts = {"step": "a", "number": 1, "model": "m", "strategy": "first"}
    told = [
        Draft("step.started", {"step": "a"}),
        Draft("attempt.started", facts),
        Draft("text.delta", {"step": "a", "text": "错"}),
        Draft("step.rewound", {"step": "a"}),
        Draft("text.delta", {"step": "a", "text": "对"}),
        Draft("progress.made", {"message": "一半"}),
        Draft("result.set", {"value": 1}),
    ]
    assert drafts(*told) == [told[0], told[4]]


def test_what_was_said_of_a_text_that_is_edited_is_not_handed_on() -> None:
    told = [*step("a", "甲"), ITEM, *step("b", "乙"), LATE, NOTE]
    kept = drafts(*told, b=EditedText("丙"))
    assert ITEM in kept
    assert LATE not in kept
    assert NOTE not in kept
    assert kept[-1].data == {"step": "b", "text": "丙"}


def test_half_a_tool_call_is_not_handed_on_and_a_whole_one_is() -> None:
    call = {"step": "a", "index": 0, "id": "c1", "name": "find", "arguments": {}}
    half = Draft("tool.delta", {"step": "a", "index": 0, "arguments": "{"})
    begun = [*step("a", "甲", finished=False), half]
    assert drafts(*begun) == []
    whole = [*begun, Draft("tool.called", call), step("a")[-1]]
    assert Draft("tool.called", call) in drafts(*whole)


async def test_a_run_and_what_it_begins_with_are_written_down_together(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    """A server that dies at once leaves a fork with all its history, or none at all."""
    served = serve_with()
    served.stop()
    journal = await open_journal(sqlite_url(served.settings.data_dir / "journal.db"))
    spec = RunSpec("chat", CHAT["input"], forked_from={"run": "x", "seq": 9})  # type: ignore[arg-type]
    pen = await journal.create(spec, history=step("answer", "我自己写"))
    assert (await journal.head(pen.run_id)).seq == 4
    assert [h.run_id for h in await journal.heads(forked_from="x")] == [pen.run_id]
    await journal.aclose()
    run = await until_ended(client, serve_with(), pen.run_id)
    assert (run["status"], run["text"]) == ("completed", "我自己写")


async def test_a_journal_from_before_there_were_forks_is_brought_up_to_date(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "journal.db")
    for version in (1, 2):
        db.executescript(_schema._STEPS[version])
    facts = "'old', 'chat', '', 'native', 'd', 1, 'completed', 0, 1, 1"
    columns = "no, id, flow, model, dialect, digest, epoch, status, seq, created_ms, ended_ms"
    db.execute(f"insert into runs ({columns}) values (1, {facts})")
    db.execute("pragma user_version=2")
    db.commit()
    db.close()
    journal = await open_journal(sqlite_url(tmp_path / "journal.db"))
    (old,) = await journal.heads()
    assert (old.run_id, old.parent, old.forked_from) == ("old", None, None)
    pen = await journal.create(RunSpec("chat", parent="old"))
    assert [head.run_id for head in await journal.heads(parent="old")] == [pen.run_id]
    await journal.aclose()
