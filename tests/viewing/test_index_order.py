"""The index lists runs in the order in which they began, whenever it finds them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from support.journals import opened
from unspool.core.indexing import Indexing
from unspool.journals import Journal
from unspool.runs.events import Draft
from unspool.runs.run import RunSpec
from unspool.viewing.index import Criteria, RunIndex


async def ended(journal: Journal) -> str:
    pen = await journal.create(RunSpec("chat", {"prompt": "你好"}))
    await pen.end(Draft("run.completed"))
    return pen.run_id


async def listed(index: RunIndex) -> list[str]:
    return [row["id"] for row in (await index.listed(Criteria(limit=100))).runs]


async def test_a_run_that_begins_before_the_journal_is_gone_through_is_the_newest(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "j.db") as journal:
        index = RunIndex(tmp_path / "index.db")
        follow = Indexing(journal, index)
        runs = [await ended(journal)]
        await follow.catch_up()
        runs += [await ended(journal), await ended(journal)]
        await follow.reconcile()
        runs.append(await ended(journal))
        await follow.catch_up()
        assert await listed(index) == runs[::-1]
        await index.aclose()


class LookedAt(RunIndex):
    """An index that is asked for its runs while its journal is gone through."""

    follow: Indexing
    looking: asyncio.Task[None] | None = None

    async def unknown(self, run_ids: Sequence[str]) -> list[str]:
        found = await super().unknown(run_ids)
        if self.looking is None:
            self.looking = asyncio.create_task(self.follow.catch_up(most=1))
        return found


async def test_a_look_while_the_journal_is_gone_through_keeps_the_order(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as journal:
        index = LookedAt(tmp_path / "index.db")
        follow = index.follow = Indexing(journal, index)
        runs = [await ended(journal) for _ in range(5)]
        await follow.reconcile()
        assert index.looking is not None
        await index.looking
        await follow.catch_up()
        assert await listed(index) == runs[::-1]
        await index.aclose()
