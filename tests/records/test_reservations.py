"""What runs reserve and spend on budgets, exactly, however many ask at one time."""

from __future__ import annotations

import asyncio

from unspool.records import Records
from unspool.records.budgets import BudgetInput, BudgetRow, Kind, put_budget
from unspool.records.reservations import (
    MINUTE_MS,
    AccountRow,
    Charge,
    Refusal,
    accounts_of,
    grow,
    open_reservations,
    reserve,
    settle,
)

START = 20 * MINUTE_MS


async def budget(
    records: Records, kind: Kind = "tenant", subject: str = "", **facts: object
) -> BudgetRow:
    wanted = BudgetInput.model_validate({"kind": kind, "subject": subject, **facts})
    return await put_budget(records, "default", kind, subject, wanted.facts("UTC"))


def charge(row: BudgetRow, nanos: int, **facts: int) -> tuple[BudgetRow, Charge]:
    return row, Charge(row.id, "", START, 21 * MINUTE_MS, nanos, **facts)


async def money(records: Records, row: BudgetRow) -> AccountRow:
    found = await accounts_of(records, [row.id])
    return next(each for each in found if each.start_ms == START)


async def test_of_many_that_reserve_at_once_as_many_as_fit_do_and_no_more(records: Records) -> None:
    row = await budget(records, max=0.000_000_1)
    found = await asyncio.gather(
        *(reserve(records, f"run-{n}", [charge(row, 9)], 10, 0.0) for n in range(40))
    )
    assert [refusal for refusal in found if refusal is None] == [None] * 11
    assert all(refusal == Refusal(row, "spend") for refusal in found if refusal)
    account = await money(records, row)
    assert (account.spent_nanos, account.reserved_nanos) == (0, 99)


async def test_of_many_who_settle_a_run_one_does(records: Records) -> None:
    row = await budget(records, max=1)
    assert await reserve(records, "run", [charge(row, 50)], 10, 0.0) is None
    await asyncio.gather(*(settle(records, "run", [33], 12) for _ in range(10)))
    account = await money(records, row)
    assert (account.spent_nanos, account.reserved_nanos) == (33, 0)
    assert await open_reservations(records, before_ms=1 << 60) == []
    rest = {a.start_ms: (a.runs, a.tokens) for a in await accounts_of(records, [row.id])}
    assert rest[-1] == (0, 0)
    assert rest[21 * MINUTE_MS] == (1, 12), "the estimate of tokens is corrected"


async def test_a_run_that_one_budget_refuses_takes_nothing_from_the_others(
    records: Records,
) -> None:
    wide, narrow = await budget(records, max=1), await budget(records, "key", "k", max=0.000_000_01)
    charges = [charge(wide, 20), charge(narrow, 20)]
    refusal = await reserve(records, "run", charges, 10, 0.0)
    assert refusal is not None
    assert refusal.budget.id == narrow.id
    assert await accounts_of(records, [wide.id, narrow.id]) == []


async def test_a_reservation_grows_within_its_budget_or_not_at_all(records: Records) -> None:
    row = await budget(records, max=0.000_000_1)
    assert await reserve(records, "run", [charge(row, 40)], 10, 0.0) is None
    assert await grow(records, "run", [row], [90]) is None
    assert await grow(records, "run", [row], [70]) is None, "it has that already"
    assert await grow(records, "run", [row], [101]) == Refusal(row, "spend")
    assert (await money(records, row)).reserved_nanos == 90
    await settle(records, "run", [95], 10)
    account = await money(records, row)
    assert (account.spent_nanos, account.reserved_nanos) == (95, 0)


async def test_runs_at_once_and_rates_have_limits_of_their_own(records: Records) -> None:
    row = await budget(records, live_runs=2, requests_per_minute=3, tokens_per_minute=100)
    assert await reserve(records, "a", [charge(row, 0)], 10, 0.0) is None
    assert await reserve(records, "b", [charge(row, 0)], 10, 0.0) is None
    assert await reserve(records, "c", [charge(row, 0)], 10, 0.0) == Refusal(row, "live_runs")
    assert await reserve(records, "child", [charge(row, 0, runs=0)], 10, 0.0) is None
    await settle(records, "a", [0], 10)
    refusal = await reserve(records, "c", [charge(row, 0)], 100, 0.0)
    assert refusal == Refusal(row, "tokens_per_minute")
    assert await reserve(records, "c", [charge(row, 0)], 10, 0.0) is None
    await settle(records, "b", [0], 10)
    refusal = await reserve(records, "d", [charge(row, 0)], 10, 0.0)
    assert refusal == Refusal(row, "requests_per_minute")


async def test_the_minute_before_counts_for_the_rest_of_the_present_one(records: Records) -> None:
    row = await budget(records, requests_per_minute=4)
    before, now = Charge(row.id, "", 0, START, 0), Charge(row.id, "", 0, START + MINUTE_MS, 0)
    for n in range(4):
        assert await reserve(records, f"before-{n}", [(row, before)], 0, 0.9) is None
    assert await reserve(records, "at the turn", [(row, now)], 0, 0.0) is not None
    assert await reserve(records, "half over", [(row, now)], 0, 0.5) is None
    assert await reserve(records, "half over 2", [(row, now)], 0, 0.5) is None
    assert await reserve(records, "half over 3", [(row, now)], 0, 0.5) is not None


async def test_an_account_that_passes_its_share_is_named_once(records: Records) -> None:
    row = await budget(records, max=0.000_000_1, warn_percent=50)
    for n, warned in enumerate((0, 1, 0)):
        assert await reserve(records, f"run-{n}", [charge(row, 30)], 0, 0.0) is None
        assert len(await settle(records, f"run-{n}", [30], 0)) == warned
