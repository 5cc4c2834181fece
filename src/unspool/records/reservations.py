"""
What is spent, reserved and counted on budgets, and the reservations of runs that are not settled.

An account is a budget in one period: its window of days for money, its minute for rates, and one
without end for runs at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from sqlalchemy import String, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from . import Base, Records, hold, insert_into, now_ms
from .budgets import EACH, NANOS, BudgetRow

AT_ONCE: Final = -1
"""The start of the account that counts runs at once."""

MINUTE_MS: Final = 60_000

MAX_ACCOUNTS: Final = 200
"""Accounts of one budget in an answer, the newest windows first."""

Measure = Literal["spend", "live_runs", "requests_per_minute", "tokens_per_minute"]


class AccountRow(Base):
    __tablename__ = "budget_accounts"

    budget: Mapped[str] = mapped_column(String(12), primary_key=True)
    account: Mapped[str] = mapped_column(String(128), primary_key=True)
    """The end user, of a budget for `EACH`; else empty."""
    start_ms: Mapped[int] = mapped_column(primary_key=True)
    """When the period began; 0: one without end; `AT_ONCE`."""
    spent_nanos: Mapped[int]
    reserved_nanos: Mapped[int]
    runs: Mapped[int]
    """Begun in this minute, or live now."""
    tokens: Mapped[int]
    warned_ms: Mapped[int | None]
    """When it passed the share at which somebody wants to know."""


class ReservationRow(Base):
    __tablename__ = "reservations"

    run_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    at_ms: Mapped[int] = mapped_column(index=True)
    tokens: Mapped[int]
    """Estimated, and counted in the minute of its beginning."""
    charges: Mapped[dict[str, Any]]
    """`{"charges": [Charge, …]}`."""


@dataclass(slots=True)
class Charge:
    """One budget that a run is charged to."""

    budget: str
    account: str
    start_ms: int
    """Of the window of money."""
    minute_ms: int
    nanos: int
    """Reserved."""
    runs: int = 1
    """0: a child, which counts as a part of its parent for all but money and tokens."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The budget that had no room, and for which of its limits."""

    budget: BudgetRow
    measure: Measure


@dataclass(frozen=True, slots=True)
class Settlement:
    """An account that a settled run has brought past its share for a warning."""

    budget: BudgetRow
    account: AccountRow


async def accounts_of(records: Records, budget_ids: Iterable[str]) -> list[AccountRow]:
    """Return the accounts of budgets, the newest periods first."""
    query = select(AccountRow).where(AccountRow.budget.in_(list(budget_ids)))
    async with records.session() as session:
        return list(await session.scalars(query.order_by(AccountRow.start_ms.desc())))


async def reserve(
    records: Records,
    run_id: str,
    charges: Sequence[tuple[BudgetRow, Charge]],
    tokens: int,
    elapsed: float,
) -> Refusal | None:
    """
    Reserve money, rates and room for a run on all of its budgets, or on none.

    The minute before counts for the part of the present one that is not `elapsed` yet.

    Returns:
        The budget without room; None: the run may begin.
    """
    async with records.session() as session:
        for budget, charge in charges:
            if (measure := await _take(session, budget, charge, tokens, elapsed)) is not None:
                await session.rollback()
                return Refusal(budget, measure)
        facts = {"charges": [asdict(charge) for _, charge in charges]}
        session.add(ReservationRow(run_id=run_id, at_ms=now_ms(), tokens=tokens, charges=facts))
        await session.commit()
    return None


async def _take(
    session: AsyncSession, budget: BudgetRow, charge: Charge, tokens: int, elapsed: float
) -> Measure | None:
    """Take what a run needs from the accounts of one budget; return the limit in its way."""
    a = AccountRow
    spend = {"reserved_nanos": a.reserved_nanos + charge.nanos}
    room = a.spent_nanos + a.reserved_nanos + charge.nanos
    if not await _add(session, charge, charge.start_ms, spend, (room, budget.max_nanos)):
        return "spend"
    is_whole = charge.runs > 0
    more = a.runs + charge.runs
    at_once = (more, budget.live_runs if is_whole else None)
    if not await _add(session, charge, AT_ONCE, {"runs": more}, at_once):
        return "live_runs"
    minute = charge.minute_ms
    before = await session.get(a, (charge.budget, charge.account, minute - MINUTE_MS))
    weight = 1 - elapsed
    earlier_runs = int(before.runs * weight) if before else 0
    earlier_tokens = int(before.tokens * weight) if before else 0
    requests = (more + earlier_runs, budget.requests_per_minute if is_whole else None)
    if not await _add(session, charge, minute, {"runs": more}, requests):
        return "requests_per_minute"
    most = budget.tokens_per_minute if is_whole else None
    amount = (a.tokens + tokens + earlier_tokens, most)
    if not await _add(session, charge, minute, {"tokens": a.tokens + tokens}, amount):
        return "tokens_per_minute"
    return None


async def _add(
    session: AsyncSession,
    charge: Charge,
    start_ms: int,
    change: dict[str, Any],
    bound: tuple[Any, int | None],
) -> bool:
    """Change an account, if `bound[0]` is then at most `bound[1]`; return whether it is."""
    a = AccountRow
    place = {"budget": charge.budget, "account": charge.account, "start_ms": start_ms}
    nothing = {"spent_nanos": 0, "reserved_nanos": 0, "runs": 0, "tokens": 0, "warned_ms": None}
    insert = insert_into(session, a).values(place | nothing)
    await session.execute(insert.on_conflict_do_nothing())
    changed = update(a).filter_by(**place).values(**change).returning(a.budget)
    amount, most = bound
    if most is not None:
        changed = changed.where(amount <= most)
    return await session.scalar(changed) is not None


async def grow(
    records: Records, run_id: str, budgets: Sequence[BudgetRow], needs: Sequence[int]
) -> Refusal | None:
    """
    Reserve more money for a run, so that it has `needs` (nanos) on its budgets, or change nothing.

    Returns:
        The budget without room; None: it is reserved.
    """
    a = AccountRow
    async with records.session() as session:
        await hold(session, f"reservation {run_id}")
        row = await session.get(ReservationRow, run_id)
        if row is None:  # its budgets are deleted
            return None
        charges = [Charge(**facts) for facts in row.charges["charges"]]
        for charge, budget, need in zip(charges, budgets, needs, strict=True):
            more = need - charge.nanos
            if more <= 0:
                continue
            change = {"reserved_nanos": a.reserved_nanos + more}
            room = a.spent_nanos + a.reserved_nanos + more
            if not await _add(session, charge, charge.start_ms, change, (room, budget.max_nanos)):
                await session.rollback()
                return Refusal(budget, "spend")
            charge.nanos = need
        row.charges = {"charges": [asdict(charge) for charge in charges]}
        await session.commit()
    return None


async def reservation(records: Records, run_id: str) -> list[Charge]:
    """Return the charges of a run that is not settled."""
    async with records.session() as session:
        row = await session.get(ReservationRow, run_id)
        return [Charge(**facts) for facts in row.charges["charges"]] if row else []


async def open_reservations(
    records: Records, *, before_ms: int, after: str = "", limit: int = 200
) -> list[tuple[str, int]]:
    """Return runs that are not settled, and when they reserved, by their ids."""
    query = (
        select(ReservationRow.run_id, ReservationRow.at_ms)
        .where(ReservationRow.at_ms < before_ms, ReservationRow.run_id > after)
        .order_by(ReservationRow.run_id)
        .limit(limit)
    )
    async with records.session() as session:
        return [(run_id, at_ms) for run_id, at_ms in await session.execute(query)]


async def settle(
    records: Records, run_id: str, actual: Sequence[int], tokens: int
) -> list[Settlement]:
    """
    Spend what a run has cost, in the order of its charges, and free what it had reserved.

    Once for each run: the second time there is nothing to settle.

    Returns:
        The accounts that it brought past their share for a warning.
    """
    a = AccountRow
    passed: list[Settlement] = []
    async with records.session() as session:
        gone = delete(ReservationRow).where(ReservationRow.run_id == run_id)
        found = (
            await session.execute(gone.returning(ReservationRow.charges, ReservationRow.tokens))
        ).first()
        if found is None:
            return []
        for facts, nanos in zip(found.charges["charges"], actual, strict=True):
            charge = Charge(**facts)
            place = {"budget": charge.budget, "account": charge.account}
            of_money = update(a).filter_by(**place, start_ms=charge.start_ms)
            await session.execute(
                of_money.values(
                    spent_nanos=a.spent_nanos + nanos,
                    reserved_nanos=a.reserved_nanos - charge.nanos,
                )
            )
            at_once = update(a).filter_by(**place, start_ms=AT_ONCE)
            await session.execute(at_once.values(runs=a.runs - charge.runs))
            in_minute = update(a).filter_by(**place, start_ms=charge.minute_ms)
            await session.execute(in_minute.values(tokens=a.tokens + tokens - found.tokens))
            passed += await _passed(session, charge)
        await session.commit()
    return passed


async def _passed(session: AsyncSession, charge: Charge) -> list[Settlement]:
    """Note that an account has passed its share for a warning, if it just has."""
    a = AccountRow
    budget = await session.get(BudgetRow, charge.budget)
    if budget is None or not budget.max_nanos:
        return []
    share = budget.max_nanos * budget.warn_percent // 100
    place = {"budget": charge.budget, "account": charge.account, "start_ms": charge.start_ms}
    warned = update(a).filter_by(**place).where(a.warned_ms.is_(None), a.spent_nanos >= share)
    row = await session.scalar(warned.values(warned_ms=now_ms()).returning(a))
    return [] if row is None else [Settlement(budget, row)]


async def drop_old(records: Records, before_ms: int) -> None:
    """Delete the accounts of minutes that are over, and of deleted budgets."""
    a = AccountRow
    is_bare = (a.spent_nanos == 0) & (a.reserved_nanos == 0)
    async with records.session() as session:
        await session.execute(delete(a).where(a.start_ms > 0, a.start_ms < before_ms, is_bare))
        await session.execute(delete(a).where(a.budget.not_in(select(BudgetRow.id))))
        await session.commit()


def budget_json(row: BudgetRow, accounts: Iterable[AccountRow]) -> dict[str, Any]:
    """Return a budget as people read it, with its own accounts among these."""
    own = [each for each in accounts if each.budget == row.id]
    same = (
        *("id", "tenant", "kind", "subject", "currency", "window", "time_zone", "warn_percent"),
        *("requests_per_minute", "tokens_per_minute", "live_runs", "viewers"),
    )
    money = {
        name: None if nanos is None else nanos / NANOS
        for name, nanos in (("max", row.max_nanos), ("ceiling", row.ceiling_nanos))
    }
    live = {each.account: each.runs for each in own if each.start_ms == AT_ONCE}
    return (
        {name: getattr(row, name) for name in same}
        | money
        | {
            "accounts": [
                {
                    "user": each.account if row.subject == EACH else None,
                    "since": _iso(each.start_ms) if each.start_ms else None,
                    "spent": each.spent_nanos / NANOS,
                    "reserved": each.reserved_nanos / NANOS,
                }
                for each in own
                if each.start_ms != AT_ONCE and (each.spent_nanos or each.reserved_nanos)
            ][:MAX_ACCOUNTS],
            "live": sum(live.values()),
        }
    )


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat().replace("+00:00", "Z")
