"""S0.14: for whom it is, on which side of an experiment, checked before it is shown; its log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from support.copywriting import LONG
from support.readers import COPY, SHOE, copy_posts, post
from support.servers import Serve, Served, ServeModel
from support.upstream import SILENCE, Upstream, answer, chunk, refusal
from unspool.apps.copywriting.audience import CLOSINGS, leaning_of, reader_lines
from unspool.apps.copywriting.checks import CopyRules
from unspool.apps.copywriting.records.interests import interest_in, summary
from unspool.apps.copywriting.templates import MAX_CHARS, MIN_HAN, SUPERLATIVES, template_post
from unspool.records import Records
from unspool.records.behaviors import save_behaviors


async def run_of(client: httpx.AsyncClient, served: Served, run_id: str) -> dict[str, Any]:
    return dict((await client.get(f"{served.url}/v1/runs/{run_id}")).json())


# Personal


def test_a_summary_tells_visits_stays_and_what_was_done() -> None:
    rows = [
        ("visit", 10.0),
        ("pv", 50.5),
        ("浏览", None),
        ("收藏", None),
        ("Share", 3.0),
        ("?", 9.0),
    ]
    assert summary(rows) == {
        "visits": 3,
        "longest_s": 50.5,
        "average_s": 30.2,
        "total_s": 60.5,
        "has_favorited": True,
        "has_shared": True,
        "has_seen_sizes": False,
        "has_opened_buy_page": False,
        "has_bought": False,
    }


@pytest.mark.parametrize(
    ("rows", "leaning"),
    [
        ([], ""),
        ([("?", None)], ""),
        ([("visit", 3.0)], "browsing"),
        ([("visit", 90.0)], "lingering"),
        ([("visit", 1.0)] * 3, "lingering"),
        ([("visit", 1.0), ("分享", None)], "keen"),
        ([("收藏", None), ("size_chart", None)], "sizing"),
        ([("size_chart", None), ("cart", None)], "deciding"),
        ([("cart", None), ("buy", None)], "bought"),
    ],
)
def test_who_is_nearer_to_buying_is_spoken_to_accordingly(
    rows: list[tuple[str, float | None]], leaning: str
) -> None:
    interest = summary(rows) if rows else {}
    assert leaning_of(interest) == leaning
    assert bool(reader_lines(interest)) == bool(leaning)


@pytest.mark.parametrize("leaning", CLOSINGS)
def test_a_template_for_a_reader_keeps_length_and_law(leaning: Any) -> None:
    product = {"sku": "A", "name": "手工皮带"}
    for style in ("natural", "professional", "funny"):
        text = template_post(product, style, 1, leaning)
        assert text.endswith(CLOSINGS[leaning])
        assert len(text) <= MAX_CHARS
        assert sum("\u3400" <= c <= "\u9fff" for c in text) >= MIN_HAN
        assert not SUPERLATIVES.search(text)
        assert template_post(product, style, 2, leaning) == template_post(product, style, 2)


async def test_s0_14_the_model_is_told_what_the_reader_did_and_never_who_it_was(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    served = serve_model()
    found = await served.call(lambda: _viewed(served))
    upstream.play = [answer(LONG)] * 3
    await post(client, served.url + COPY, {**SHOE, "user_id": "fan-1"})
    (asked, *_) = [heard.body["messages"][-1]["content"] for heard in upstream.requests]
    assert "读者情况" in asked
    assert "看过 2 次；最长停留 40 秒，平均 25 秒，合计 50 秒；收藏过" in asked
    assert "fan-1" not in asked
    assert found == 3


async def _viewed(served: Served) -> int:
    at = datetime(2025, 11, 24, 9, 50, tzinfo=UTC)
    did = [("visit", 10.0), ("visit", 40.0), ("favorite", None)]
    rows = [
        {"user_id": "fan-1", "sku": SHOE["sku"], "action": action, "stay_s": stay_s}
        | {"at": at + timedelta(minutes=number)}
        for number, (action, stay_s) in enumerate(did)
    ]
    async with served.core.records.session() as session:
        added, _ = await save_behaviors(session, rows)
        await session.commit()
    return added


async def test_s0_14_without_a_model_the_first_post_ends_for_its_reader(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    await served.call(lambda: _viewed(served))
    told = (await post(client, served.url + COPY, {**SHOE, "user_id": "fan-1"})).seen.documents
    plain = (await post(client, served.url + COPY, SHOE)).seen.documents
    mine, theirs = copy_posts(told), copy_posts(plain)
    assert mine[0] != theirs[0]
    assert mine[0].endswith(CLOSINGS["keen"][0])
    assert mine[1:] == theirs[1:]


async def test_who_has_done_nothing_gets_the_copy_for_everybody(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    done = await post(client, served.url + COPY, {**SHOE, "user_id": "nobody-knows"})
    run = await run_of(client, served, done.run_id)
    assert run["status"] == "completed"


async def test_interest_is_of_one_product_alone(tmp_path: Any) -> None:
    records = await Records.open(tmp_path / "records.db")
    at = datetime(2025, 11, 24, tzinfo=UTC)
    async with records.session() as session:
        rows = [{"user_id": "u", "sku": sku, "action": "visit", "at": at} for sku in ("A", "B", "")]
        await save_behaviors(session, rows)
        await session.commit()
    assert (await interest_in(records, "u", "A"))["visits"] == 1
    assert await interest_in(records, "u", "C") == {}
    await records.aclose()


# All at once


async def test_s0_7_posts_are_written_at_once_and_told_in_order(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    # Every answer waits until all three requests are there: one after the other they never are.
    upstream.play = [[chunk("一"), SILENCE], [chunk("二"), SILENCE], [chunk("三"), SILENCE]]
    served = serve_model()
    asked = {"flow": "copywriting", "input": SHOE, "dialect": "copywriting"}
    run_id = (await client.post(f"{served.url}/v1/runs", json=asked)).json()["id"]
    await upstream.until(lambda: upstream.open == 3)
    await client.post(f"{served.url}/v1/runs/{run_id}/cancel")
    seen = await client.get(f"{served.url}/v1/runs/{run_id}/events")
    kinds = [line for line in seen.text.splitlines() if '"post_start"' in line]
    assert len(kinds) == 1, "a later post waits for the end of the one before"


# Checked


async def test_s0_14_a_post_that_fails_is_rewritten_before_anything_of_it_is_shown(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer("这是全国最好的鞋，买它没错，谁穿谁知道，真的。"), answer(LONG)]
    served = serve_model()
    body = {**SHOE, "count": 1, "reveal": "checked"}
    done = await post(client, served.url + COPY, body)
    assert copy_posts(done.seen.documents, total=1) == [LONG]
    assert "最好" not in done.seen.raw.decode()
    again = upstream.requests[1].body["messages"][-1]["content"]
    assert "上一稿没有通过检查" in again
    assert "最" in again.partition("问题：")[2]
    run = await run_of(client, served, done.run_id)
    steps = {step["name"]: step for step in run["steps"]}
    assert (steps["post-1"]["model"], run["text"]) == ("tested", LONG)
    assert [name for name, step in steps.items() if step["is_unseen"]] == ["draft-1-1", "draft-1-2"]


@pytest.mark.parametrize("script", [answer("短。"), refusal(500, "down")])
async def test_s0_14_where_no_draft_passes_the_template_is_shown(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, script: Any
) -> None:
    upstream.play = [script] * 3
    served = serve_model()
    body = {**SHOE, "count": 1, "reveal": "checked"}
    done = await post(client, served.url + COPY, body)
    run = await run_of(client, served, done.run_id)
    assert (run["status"], run["steps"][-1]["model"]) == ("completed", "template")
    assert run["warnings"]


async def test_s0_14_a_checked_post_whose_server_dies_goes_on_where_it_was(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer(LONG)]
    served = serve_model(say_chars_per_s=40)
    body = {**SHOE, "count": 1, "reveal": "checked"}
    first = await post(client, served.url + COPY, body, frames=4)
    served.stop()
    again = serve_model()
    rest = await client.get(f"{again.url}/v1/runs/{first.run_id}/events?after=0")
    posts = copy_posts(_documents(rest.text), total=1)
    assert posts == [LONG]
    assert len(upstream.requests) == 1, "a draft that has passed is not asked for again"


def _documents(text: str) -> list[Any]:
    import json

    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


@pytest.mark.parametrize(
    "rules",
    [
        {"min_chars": 0},
        {"min_chars": 50, "max_chars": 10},
        {"forbidden": [""]},
        {"forbidden": ["x" * 65]},
        {"unknown": 1},
    ],
)
async def test_rules_that_nothing_can_meet_are_refused(
    shared_server: Served, client: httpx.AsyncClient, rules: dict[str, Any]
) -> None:
    body = {**SHOE, "reveal": "checked", "rules": rules}
    answered = await client.post(shared_server.url + COPY, json=body)
    assert answered.status_code == 422


def test_rules_say_what_is_wrong_in_words() -> None:
    rules = CopyRules(min_chars=3, max_chars=8, forbidden=["Boss"])
    assert rules.problems("合适的长度") == []
    (short,) = rules.problems("短")
    assert "至少要 3 个字" in short
    problems = rules.problems("老BOSS说这是第一名的鞋")
    assert "最多 8 个字" in problems[0]
    assert "Boss、第一" in problems[1]
