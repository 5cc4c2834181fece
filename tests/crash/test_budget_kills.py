"""
Servers that share budgets die while runs have reserved: afterwards what is spent is the log's sum.

`CRASHES=long` kills fifty times.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from support.harness.cluster import Cluster, cluster_in
from support.harness.figures import note
from support.harness.sandbox import IS_LONG
from support.postgres import shared_server
from unspool.execution import pricing
from unspool.execution.adoption import past_of
from unspool.execution.budgets import Budgets
from unspool.journals import open_journal
from unspool.models.catalog import Catalog
from unspool.records import Records
from unspool.records.budgets import NANOS, budgets_of
from unspool.records.reservations import AT_ONCE, accounts_of, open_reservations

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400 if IS_LONG else 90)]

SERVERS = 3 if IS_LONG else 2
KILLS = 50 if IS_LONG else 3
RUNS_AT_A_TIME = 6 if IS_LONG else 2
PATIENCE_S = 90.0 if IS_LONG else 40.0
CEILING = 1000.0


async def put(cluster: Cluster, **facts: Any) -> None:
    url = f"{cluster.programs[0].url}/api/budgets"
    status, budget = await cluster.call("PUT", url, json={"ceiling": CEILING, "max": 1e6, **facts})
    assert status == 200, budget


async def kill_again_and_again(cluster: Cluster) -> None:
    for number in range(KILLS):
        for _ in range(RUNS_AT_A_TIME if number % 2 == 0 else 0):
            cluster.begin(2, cuts=False)
        await asyncio.sleep(cluster.dice.uniform(0.0, 0.6))
        cluster.kill(cluster.programs[number % SERVERS])
        await cluster.start()


async def test_after_kills_with_reservations_open_the_sum_is_that_of_the_log(
    tmp_path: Path,
) -> None:
    url = shared_server().new_database()
    async with cluster_in(tmp_path, [url] * SERVERS, pieces=20) as cluster:
        await put(cluster, kind="tenant")
        await kill_again_and_again(cluster)
        assert await cluster.finish(PATIENCE_S) == []
    async with AsyncExitStack() as opened:
        journal = await open_journal(url)
        opened.push_async_callback(journal.aclose)
        records = await Records.open(url)
        opened.push_async_callback(records.aclose)
        (row,) = await budgets_of(records)
        left = await open_reservations(records, before_ms=1 << 60)
        budgets = Budgets(records, journal, Catalog())
        await budgets.sweep(fresh_ms=-1, lost_ms=-1)
        expected = 0
        heads = await journal.heads(limit=500)
        for head in heads:
            run, _ = await past_of(journal, head.run_id)
            assert run.is_ended
            expected += pricing.actual(row, pricing.reports_of(run))
        accounts = await accounts_of(records, [row.id])
        assert await open_reservations(records, before_ms=1 << 60) == []
        assert sum(account.reserved_nanos for account in accounts) == 0
        assert [account.runs for account in accounts if account.start_ms == AT_ONCE] == [0]
        assert sum(account.spent_nanos for account in accounts) == expected > 0
        note("budget kills", kills=KILLS, runs=len(heads), swept=len(left), spent=expected / NANOS)
