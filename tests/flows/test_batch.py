"""A batch: children that are started once, waited for, stopped with their parent, found again."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import httpx
import pytest

from support.readers import look
from support.runs import batch, children, read, start, until_ended
from support.servers import Serve, Served, ServeModel
from support.upstream import SILENCE, Script, Upstream, UpstreamRequest, answer, chunk
from unspool import RunSpec, open_journal, plugs
from unspool.journals import Claim, sqlite_url


async def events(client: httpx.AsyncClient, served: Served, run_id: str) -> list[Any]:
    return (
        await look(client, f"{served.url}/v1/runs/{run_id}/events?dialect=native")
    ).seen.documents


def echo(asked: UpstreamRequest) -> Script:
    return answer("答：", asked.question)


async def test_each_item_is_a_run_and_the_parent_tells_how_far_it_is(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = echo
    served = serve_model()
    parent = await start(client, served, batch("一", "二", "三", concurrency=2))
    told = await events(client, served, parent)
    run = await read(client, served, parent)
    result = run["result"]
    assert (run["status"], result["completed"], result["failed"]) == ("completed", 3, 0)
    assert [item["text"] for item in result["items"]] == ["答：一", "答：二", "答：三"]
    progress = [e["data"] for e in told if e["type"] == "progress.made"]
    assert [(p["current"], p["total"]) for p in progress] == [(1, 3), (2, 3), (3, 3)]
    found = [e["data"] for e in told if e["type"] == "item.found"]
    for kind in ("child", "child_ended"):
        runs = {f["item"]["number"]: f["item"]["run"] for f in found if f["kind"] == kind}
        assert runs == {item["number"]: item["run"] for item in result["items"]}
    heads = await children(client, served, parent)
    assert {head["id"] for head in heads} == {item["run"] for item in result["items"]}
    child = await read(client, served, heads[0]["id"])
    assert (child["parent"], child["text"]) == (parent, "答：三")


@pytest.mark.parametrize("dialect", plugs.names("dialects"))
async def test_a_batch_can_be_watched_in_every_dialect(
    client: httpx.AsyncClient, shared_server: Served, dialect: str
) -> None:
    parent = await start(client, shared_server, batch("一", "二"))
    seen = await look(client, f"{shared_server.url}/v1/runs/{parent}/events?dialect={dialect}")
    assert seen.status == 200
    assert (await until_ended(client, shared_server, parent))["status"] == "completed"


async def test_no_more_items_go_on_at_once_than_the_batch_says(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("好"), 0.02, *answer("的")]]
    served = serve_model()
    parent = await start(client, served, batch(*"一二三四五六七八九", concurrency=3))
    told = await events(client, served, parent)
    kinds = [event["data"]["kind"] for event in told if event["type"] == "item.found"]
    at_once = list(accumulate(1 if kind == "child" else -1 for kind in kinds))
    assert (max(at_once), at_once[-1], len(at_once)) == (3, 0, 18)


async def test_an_item_that_fails_does_not_fail_the_batch(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = lambda asked: [chunk("半")] if asked.question == "坏" else answer("好")
    served = serve_model()
    run = await until_ended(client, served, await start(client, served, batch("一", "坏", "三")))
    assert run["status"] == "completed"
    items = run["result"]["items"]
    assert [item["status"] for item in items] == ["completed", "incomplete", "completed"]
    assert items[1]["text"] == "半"
    assert items[1]["error"]["code"] == "truncated"
    assert run["result"]["failed"] == 1


async def test_an_item_that_is_refused_is_told_with_its_reason(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    asked = {"flow": "copywriting", "items": [{"sku": "NOPE"}, {"sku": "8WZ01CM1", "count": 1}]}
    parent = await start(client, shared_server, {"flow": "batch", "input": asked})
    run = await until_ended(client, shared_server, parent)
    refused, whole = run["result"]["items"]
    assert (refused["run"], refused["status"]) == (None, "failed")
    assert refused["error"]["code"] == "unknown_record"
    assert whole["status"] == "completed"
    assert len(whole["result"]["posts"]) == 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"flow": "chat", "items": []}, "items"),
        ({"flow": "nope", "items": [{}]}, "no flow named"),
        ({"flow": "batch", "items": [{}]}, "batch of batches"),
        ({"flow": "chat", "items": [{"prompt": "好"}, {"sku": "x"}]}, "item 2"),
        ({"flow": "chat", "items": [{"prompt": "好"}], "concurrency": 33}, "concurrency"),
        ({"flow": "chat", "items": [{"prompt": "好"}] * 1001}, "items"),
    ],
)
async def test_a_batch_that_can_never_be_right_is_refused_whole(
    client: httpx.AsyncClient, shared_server: Served, asked: dict[str, Any], said: str
) -> None:
    body = {"flow": "batch", "input": asked}
    refused = await client.post(f"{shared_server.url}/v1/runs", json=body)
    assert refused.status_code == 422
    assert said in refused.json()["error"]["message"]


async def test_cancelling_the_parent_cancels_its_children(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("好"), SILENCE]]
    served = serve_model()
    parent = await start(client, served, batch("一", "二", "三", concurrency=2))
    await upstream.until(lambda: upstream.open == 2)
    await client.post(f"{served.url}/v1/runs/{parent}/cancel")
    heads = await children(client, served, parent)
    assert [head["status"] for head in heads] == ["cancelled", "cancelled"]
    await upstream.until(lambda: upstream.left == 2, within_s=1)
    assert (await read(client, served, parent))["status"] == "cancelled"


async def test_a_batch_that_is_cancelled_while_it_begins_leaves_no_child_going_on(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("好"), SILENCE]]
    served = serve_model()
    for _ in range(10):
        parent = await start(client, served, batch(*"一二三四五六七八九", concurrency=9))
        await client.post(f"{served.url}/v1/runs/{parent}/cancel")
        statuses = {head["status"] for head in await children(client, served, parent)}
        assert statuses <= {"cancelled"}
    assert served.core.runner.live_count == 0


async def test_cancelling_a_child_is_one_item_that_did_not_complete(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = lambda asked: [chunk("好"), SILENCE] if asked.question == "二" else answer("好")
    served = serve_model()
    parent = await start(client, served, batch("一", "二", "三", concurrency=1))
    await upstream.until(lambda: len(upstream.requests) == 2)
    (going_on,) = [h for h in await children(client, served, parent) if h["status"] == "running"]
    await client.post(f"{served.url}/v1/runs/{going_on['id']}/cancel")
    run = await until_ended(client, served, parent)
    statuses = [item["status"] for item in run["result"]["items"]]
    assert (run["status"], statuses) == ("completed", ["completed", "cancelled", "completed"])


async def test_where_parents_take_all_the_room_their_children_still_get_through(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with()
    served.stop()
    journal = await open_journal(sqlite_url(served.settings.data_dir / "journal.db"))
    asked = batch("一", "二", "三")["input"]
    parents = [(await journal.create(RunSpec("batch", asked))).run_id for _ in range(2)]
    await journal.aclose()
    again = serve_with(max_live_runs=2)
    for parent in parents:
        run = await until_ended(client, again, parent)
        assert (run["status"], run["result"]["completed"]) == ("completed", 3)


async def test_a_batch_goes_on_at_the_next_server_with_the_children_it_had(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    is_slow = True

    def play(asked: UpstreamRequest) -> Script:
        slow = is_slow and asked.question != "一"
        return [chunk("好"), SILENCE] if slow else answer("好的")

    upstream.play = play
    served = serve_model()
    parent = await start(client, served, batch("一", "二", "三", "四", concurrency=2))
    await upstream.until(lambda: len(upstream.requests) == 3)
    before = {head["id"] for head in await children(client, served, parent)}
    assert len(before) == 3
    served.stop()
    is_slow = False
    again = serve_model()
    run = await until_ended(client, again, parent)
    runs = [item["run"] for item in run["result"]["items"]]
    assert run["result"]["completed"] == 4
    assert set(runs[:3]) == before
    assert len(await children(client, again, parent)) == 4
    told = await events(client, again, parent)
    found = [str(e["data"]) for e in told if e["type"] in {"item.found", "progress.made"}]
    assert len(found) == len(set(found)) == 4 + 4 + 4, "nothing twice"


async def test_a_child_that_its_parent_has_not_told_of_yet_is_found_all_the_same(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    """The server died after the child's first commit and before the parent's next one."""
    served = serve_with()
    served.stop()
    journal = await open_journal(sqlite_url(served.settings.data_dir / "journal.db"))
    body = batch("一")
    parent = await journal.create(RunSpec("batch", body["input"]))
    spec = RunSpec("chat", {"prompt": "一"}, parent=parent.run_id)
    child = await journal.create(spec, Claim(f"\x1f{parent.run_id} 1", ""))
    await journal.aclose()
    again = serve_with()
    run = await until_ended(client, again, parent.run_id)
    assert [item["run"] for item in run["result"]["items"]] == [child.run_id]
    assert [head["id"] for head in await children(client, again, parent.run_id)] == [child.run_id]


async def test_a_child_whose_parent_has_ended_is_not_carried_on(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with()
    over = await start(client, served, {"flow": "chat", "input": {"prompt": "一"}})
    await until_ended(client, served, over)
    served.stop()
    journal = await open_journal(sqlite_url(served.settings.data_dir / "journal.db"))
    child = await journal.create(RunSpec("chat", {"prompt": "一"}, parent=over))
    await journal.aclose()
    run = await until_ended(client, serve_with(), child.run_id)
    assert (run["status"], run["error"]["code"]) == ("cancelled", "cancelled")
    assert over in run["error"]["message"]
