"""The index of runs: what it finds, how it follows the journal, and what it says it left out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from support.journals import opened
from unspool import Draft, Journal, Pen, RunSpec
from unspool.core.indexing import Indexing
from unspool.formats.moments import zone_of
from unspool.viewing.index import Criteria, RunIndex, listing, tables
from unspool.viewing.index.usage import midnight_ms

USED = {"prompt_tokens": 10, "completion_tokens": 4, "basis": "measured"}
COST = {"amount": 0.5, "currency": "CNY", "basis": "measured"}


@asynccontextmanager
async def index_of(journal: Journal, path: Path) -> AsyncIterator[tuple[RunIndex, Indexing]]:
    index = RunIndex(path / "index.db")
    try:
        yield index, Indexing(journal, index)
    finally:
        await index.aclose()


async def begin(journal: Journal, prompt: str = "你好", **facts: Any) -> Pen:
    return await journal.create(RunSpec(**{"flow": "chat", "input": {"prompt": prompt}, **facts}))


def asked(number: int, model: str = "m", strategy: str = "first") -> Draft:
    facts = {"step": "s", "number": number, "model": model, "strategy": strategy}
    return Draft("attempt.started", facts)


def answered(number: int, **facts: Any) -> Draft:
    usual = {"step": "s", "number": number, "finish_reason": "stop", "usage": USED, "cost": COST}
    return Draft("attempt.finished", {**usual, **facts})


def failed(number: int, code: str = "truncated") -> Draft:
    facts = {"step": "s", "number": number, "code": code, "message": "it broke"}
    return Draft("attempt.failed", {**facts, "usage": None, "cost": None})


def said(text: str) -> Draft:
    return Draft("text.delta", {"step": "s", "text": text})


async def write(
    journal: Journal, text: str = "今天推荐", *, ending: str = "run.completed", **facts: Any
) -> str:
    pen = await begin(journal, **facts)
    pen.append(Draft("step.started", {"step": "s"}), asked(1), said(text), answered(1))
    await pen.end(Draft(ending, {"code": "auth"} if ending == "run.failed" else {}))  # type: ignore[arg-type]
    return pen.run_id


async def found(index: RunIndex, q: str = "", **wanted: Any) -> list[str]:
    return [row["id"] for row in (await index.listed(Criteria(q=q, **wanted))).runs]


async def test_a_run_that_waits_or_goes_on_while_its_row_is_written_is_found_so(
    journal: Journal, tmp_path: Path
) -> None:
    question = {"step": "q", "text": "?", "until_ms": 1}
    later = [Draft("question.asked", question), Draft("question.answered", question)]

    class Slow(RunIndex):
        """Lets a run change between the reading of its row and the writing."""

        async def put(self, rows: Any, **more: Any) -> None:
            if later:
                pen.append(later.pop(0))
                await pen.commit()
            await super().put(rows, **more)

    pen = await begin(journal)
    index = Slow(tmp_path / "index.db")
    indexing = Indexing(journal, index)
    await indexing.catch_up()
    assert await found(index, statuses=["waiting"]) == [pen.run_id]
    await indexing.catch_up()
    assert await found(index, statuses=["running"]) == [pen.run_id]
    change = (await index.listed(Criteria())).change
    await indexing.catch_up()
    assert (await index.listed(Criteria())).change == change, "nothing is written twice"
    await index.aclose()


# What a row says


async def test_a_row_has_the_facts_of_the_log(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as journal, index_of(journal, tmp_path) as (index, follow):
        pen = await begin(journal, "三段短文")
        pen.append(Draft("step.started", {"step": "s"}), asked(1), said("老周"), failed(1))
        pen.append(asked(2, "n", "prefill"), said("提着灯"), answered(2))
        pen.append(Draft("warning.raised", {"message": "left out"}))
        await pen.end(Draft("run.completed"))
        await follow.catch_up()
        (row,) = (await index.listed(Criteria(q="老周"))).runs
    assert (row["status"], row["seams"], row["recoveries"], row["warnings"]) == (
        *("completed", 1, 0),
        1,
    )
    assert row["writers"] == '["m","n"]'
    assert (row["prompt_tokens"], row["completion_tokens"], row["amount"]) == (10, 4, 0.5)
    assert row["hit"] == {"before": "三段短文 ", "match": "老周", "after": "提着灯"}
    assert row["unpriced"] == 0
    assert row["first_ms"] is not None


async def test_a_run_without_a_price_says_so_and_costs_nothing_known(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as journal, index_of(journal, tmp_path) as (index, follow):
        pen = await begin(journal)
        pen.append(asked(1), said("好"), answered(1, cost=None))
        await pen.end(Draft("run.completed"))
        priced = await write(journal)
        await follow.catch_up()
        (row,) = (await index.listed(Criteria(unpriced=True))).runs
        assert (row["id"], row["amount"], row["unpriced"]) == (pen.run_id, None, 1)
        assert await found(index, sort="dearest") == [priced, pen.run_id]


async def test_text_that_was_taken_back_and_unseen_text_are_not_found(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as journal, index_of(journal, tmp_path) as (index, follow):
        pen = await begin(journal)
        pen.append(said("taken back"), Draft("step.rewound", {"step": "s"}), said("it stays"))
        pen.append(Draft("step.started", {"step": "t", "unseen": True}))
        pen.append(Draft("text.delta", {"step": "t", "text": "secret thought"}))
        await pen.end(Draft("run.completed"))
        await follow.catch_up()
        assert await found(index, "it stays") == [pen.run_id]
        assert await found(index, "taken") == []
        assert await found(index, "secret") == []


# Search


@pytest.mark.parametrize(
    ("q", "hits"),
    [
        ("推荐这双", 1),
        ("推荐", 1),
        ("鞋", 2),
        ("RUNNING", 1),
        ("云感 shoe", 1),
        ("云感 hat", 0),
        ('"', 0),
        ("100%", 1),
        ("0%", 1),
        ("_", 0),
        ("没有这样的字", 0),
        ("AND OR", 0),
    ],
)
async def test_words_are_found_in_any_language(tmp_path: Path, q: str, hits: int) -> None:
    async with opened(tmp_path / "j.db") as journal, index_of(journal, tmp_path) as (index, follow):
        await write(journal, "今天推荐这双云感跑鞋, a running shoe")
        await write(journal, "拖鞋，纯棉 100%")
        await write(journal, "nothing of the kind")
        await follow.catch_up()
        assert len(await found(index, q)) == hits
        assert sum((await index.totals(Criteria(q=q))).statuses.values()) == hits


async def test_the_end_of_an_id_finds_its_run(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as journal, index_of(journal, tmp_path) as (index, follow):
        run = await write(journal)
        await write(journal)
        await follow.catch_up()
        assert await found(index, run[-6:]) == [run]
        assert await found(index, run) == [run]


async def test_a_short_word_is_looked_for_in_the_newest_texts_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SHORT_RUNS", 2)
    async with opened(tmp_path / "j.db") as journal, index_of(journal, tmp_path) as (index, follow):
        runs = [await write(journal, "一只鞋") for _ in range(3)]
        await follow.catch_up()
        assert await found(index, "鞋") == [runs[2], runs[1]]
        search = (await index.totals(Criteria(q="鞋"))).search
        assert (search.is_whole, search.runs) == (False, 2)
        assert (await index.totals(Criteria(q="一只鞋"))).search.is_whole


# Filters, order, places


async def test_every_filter_leaves_what_fits(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as journal, index_of(journal, tmp_path) as (index, follow):
        done = await write(journal)
        broken = await write(journal, ending="run.failed", flow="copywriting")
        parent = await begin(journal, flow="batch")
        child = await write(journal, parent=parent.run_id)
        await follow.catch_up()
        assert await found(index, statuses=["failed", "running"]) == [parent.run_id, broken]
        assert await found(index, flow="copywriting") == [broken]
        assert await found(index, code="auth") == [broken]
        assert await found(index, model="m") == [child, broken, done]
        assert await found(index, model="other") == []
        assert await found(index, top=True) == [parent.run_id, broken, done]
        assert await found(index, parent=parent.run_id) == [child]
        rows = {row["id"]: row for row in (await index.listed(Criteria())).runs}
        assert rows[parent.run_id]["children"] == {"completed": 1}
        assert rows[done]["children"] is None
        at = rows[broken]["created_ms"]
        assert done not in await found(index, since_ms=at + 100_000)
        assert len(await found(index, until_ms=at + 100_000)) == 4
        totals = await index.totals(Criteria(top=True, statuses=["failed"]))
        assert totals.statuses == {"completed": 1, "failed": 1, "running": 1}
        assert totals.flows == ["batch", "chat", "copywriting"]


@pytest.mark.parametrize("sort", ["newest", *listing.SORTS])
@pytest.mark.parametrize("q", ["", "今天推荐"])
async def test_pages_of_any_order_hold_every_run_once(tmp_path: Path, sort: Any, q: str) -> None:
    async with opened(tmp_path / "j.db") as journal, index_of(journal, tmp_path) as (index, follow):
        runs = [await write(journal) for _ in range(7)]
        await follow.catch_up()
        seen: list[str] = []
        while page := await found(index, q, sort=sort, limit=3, before=seen[-1] if seen else ""):
            seen += page
    assert sorted(seen) == sorted(runs)


# Following the journal


async def test_a_live_run_is_listed_and_its_end_is_a_change(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as journal, index_of(journal, tmp_path) as (index, follow):
        pen = await begin(journal)
        other = await write(journal)
        await follow.catch_up()
        first = await index.listed(Criteria())
        assert {row["id"]: row["status"] for row in first.runs}[pen.run_id] == "running"
        nothing = await index.listed(Criteria(changed=first.change))
        assert (nothing.runs, nothing.others) == ([], [])
        await pen.end(Draft("run.cancelled"))
        await follow.catch_up()
        then = await index.listed(Criteria(changed=first.change))
        assert [row["id"] for row in then.runs] == [pen.run_id]
        assert not then.is_stale
        elsewhere = await index.listed(Criteria(changed=first.change, flow="copywriting"))
        assert (elsewhere.runs, elsewhere.others) == ([], [pen.run_id])
        assert other in await found(index)


async def test_a_new_index_is_filled_from_the_journal_in_its_order(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as journal:
        runs = [await write(journal) for _ in range(450)]
        async with index_of(journal, tmp_path) as (index, follow):
            await follow.catch_up(most=50)
            await follow.reconcile()
            await follow.catch_up(most=100_000)
            assert follow.is_whole
            assert await found(index, limit=500) == runs[::-1]
            assert await found(index, "今天推荐", limit=500) == runs[::-1]


async def test_what_began_and_ended_without_a_server_is_found_by_the_next(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as journal:
        old = await write(journal)
        pen = await begin(journal)
        async with index_of(journal, tmp_path) as (_, follow):
            await follow.catch_up()
        await pen.end(Draft("run.failed", {"code": "stopped"}))
        runs = [await write(journal) for _ in range(60)]
        async with index_of(journal, tmp_path) as (index, follow):
            await follow.catch_up(most=100_000)
            await follow.reconcile()
            assert await found(index, limit=100) == [*runs[::-1], pen.run_id, old]
            assert await found(index, statuses=["failed"]) == [pen.run_id]


async def test_deleted_runs_leave_the_index_with_their_children(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as journal, index_of(journal, tmp_path) as (index, follow):
        gone = await write(journal)
        child = await write(journal, parent=gone)
        stays = await write(journal)
        await follow.catch_up()
        change = (await index.listed(Criteria())).change
        await journal.forget([gone])
        follow.note_deleted()
        await follow.catch_up()
        assert await found(index) == [stays]
        assert (await index.listed(Criteria(changed=change))).is_stale
        assert child not in await found(index, "今天推荐")


async def test_deletions_that_nobody_told_are_found_by_reconciling(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as journal, index_of(journal, tmp_path) as (index, follow):
        gone, stays = await write(journal), await write(journal)
        await follow.catch_up()
        await journal.forget([gone])
        await follow.reconcile()
        assert await found(index) == [stays]


@pytest.mark.parametrize("damage", [b"not a database at all" * 50, b""])
async def test_a_damaged_index_is_built_again(tmp_path: Path, damage: bytes) -> None:
    async with opened(tmp_path / "j.db") as journal:
        run = await write(journal)
        async with index_of(journal, tmp_path) as (_, follow):
            await follow.catch_up()
        (tmp_path / "index.db").write_bytes(damage)
        async with index_of(journal, tmp_path) as (index, follow):
            await follow.catch_up()
            assert await found(index) == [run]


async def test_an_index_of_another_version_is_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "j.db") as journal:
        run = await write(journal)
        async with index_of(journal, tmp_path) as (_, follow):
            await follow.catch_up()
        monkeypatch.setattr(tables, "VERSION", tables.VERSION + 1)
        async with index_of(journal, tmp_path) as (index, follow):
            assert await found(index) == []
            await follow.catch_up()
            assert await found(index) == [run]


# Counting


async def test_usage_counts_attempts_by_local_day_and_says_what_has_no_price(
    tmp_path: Path,
) -> None:
    # In Berlin 23:30 and 0:30, and after the change to summer time 0:30 again.
    first = datetime(2026, 3, 28, 22, 30, tzinfo=UTC).timestamp()
    moments = [first, first + 3600, first + 24 * 3600]
    for moment in moments:
        async with opened(tmp_path / "j.db", clock=lambda moment=moment: moment) as journal:
            await write(journal)
    async with opened(tmp_path / "j.db", clock=lambda: moments[-1]) as journal:
        pen = await begin(journal)
        pen.append(asked(1, "free"), said("好"), answered(1, cost=None))
        await pen.end(Draft("run.failed", {"code": "auth"}))
        async with index_of(journal, tmp_path) as (index, follow):
            await follow.catch_up()
            zone = zone_of("Europe/Berlin")
            until = round(moments[-1] * 1000) + 1000
            since = midnight_ms(zone, until, 5)
            usage = await index.usage(zone, since, until)
    days = [(row["day"], row["model"], row["runs"], row["unpriced"]) for row in usage["rows"]]
    assert days == [
        ("2026-03-30", "m", 1, 0),
        ("2026-03-30", "free", 1, 1),
        ("2026-03-29", "m", 1, 0),
        ("2026-03-28", "m", 1, 0),
    ]
    assert usage["flows"][0] | {"runs": 4, "failed": 1} == usage["flows"][0]
    times = {(row["by"], row["of"], row["name"]): row for row in usage["times"]}
    assert times["model", "first", "m"]["total"] == 3
    assert times["flow", "total", "chat"]["p95_ms"] >= 0


async def test_minutes_count_failures_apart_from_the_rest(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db", clock=lambda: 1774737000.0) as journal:
        for ending in ("run.completed", "run.completed", "run.failed"):
            await write(journal, ending=ending)
        async with index_of(journal, tmp_path) as (index, follow):
            await follow.catch_up()
            minutes = await index.minutes(1774737000000 - 60_000)
    assert minutes == [{"at_ms": 1774737000000, "runs": 3, "failed": 1, "seams": 0}]


async def test_an_index_that_was_filled_once_is_whole_at_once_after_a_restart(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "j.db") as journal:
        await write(journal)
        for is_filled in (False, True):
            async with index_of(journal, tmp_path) as (index, follow):
                assert await index.is_filled() is is_filled
                assert not follow.is_whole
                await follow.reconcile()
                assert follow.is_whole
