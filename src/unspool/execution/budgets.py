"""
Holds runs to the budgets of their tenant, key and end user.

A run reserves its estimated cost before it begins, more before each request that may need it, and
is settled at its ending: once, by its id. A reservation that a dead server left is settled from
the log. All budgets must have room, so there is one answer to which of them refuses.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..errors import (
    BudgetSpent,
    JournalError,
    RateLimited,
    RecordsError,
    UnknownRun,
)
from ..journals import Journal
from ..models.catalog import Catalog
from ..providers import Model, Prompt, Sink
from ..providers.upstream.http1 import Client
from ..records import Records, now_ms
from ..records.budgets import EACH, KINDS, BudgetRow, budgets_of
from ..records.reservations import (
    MINUTE_MS,
    Charge,
    Settlement,
    drop_old,
    grow,
    open_reservations,
    reservation,
    reserve,
    settle,
)
from ..runs.run import Run, RunSpec
from ..runs.usage import Report
from . import pricing
from .adoption import past_of
from .pricing import Reports

log = logging.getLogger(__name__)

Ask = Callable[[Model, Prompt, Client, Sink], Awaitable[None]]

KNOWN_S: Final = 1.0
"""Seconds for which the budgets of a tenant hold without another look."""

SWEEP_S: Final = 30.0
"""Seconds between two looks for reservations that nobody settled."""

FRESH_MS: Final = 60_000
"""A reservation so young has a server that will settle it."""

LOST_MS: Final = 600_000
"""A reservation so old without a run in the log never got one."""


@dataclass(slots=True)
class _TenantBudgets:
    rows: list[BudgetRow]
    at: float


class Allowance:
    """What one run may spend: its charges, and what its attempts have cost so far."""

    def __init__(
        self, budgets: Budgets, run_id: str, rows: Sequence[BudgetRow], charges: Sequence[Charge]
    ) -> None:
        self._budgets = budgets
        self._run_id = run_id
        self.rows = rows
        self._held = [charge.nanos for charge in charges]
        self._open = [0] * len(rows)
        """Estimates of the requests under way: steps of a run may ask side by side."""
        self.reports: Reports = []

    def note(self, usage: Report | None, cost: Report | None) -> None:
        """Note what an attempt has used, as its event has it."""
        self.reports.append((usage, cost))

    def around(self, ask: Ask) -> Ask:
        """Return `ask`, which reserves the estimated cost of each request first."""

        async def asking(model: Model, prompt: Prompt, http: Client, sink: Sink) -> None:
            needs = [
                pricing.estimate(row, model, pricing.request_usage(prompt)) for row in self.rows
            ]
            if None in needs:
                row = self.rows[needs.index(None)]
                raise BudgetSpent(pricing.no_price(row, model.name))
            estimates = [need or 0 for need in needs]
            await self._reserve(estimates)
            try:
                await ask(model, prompt, http, sink)
            finally:
                self._free(estimates)

        return asking

    def _free(self, estimates: Sequence[int]) -> None:
        self._open = [o - e for o, e in zip(self._open, estimates, strict=True)]

    async def _reserve(self, estimates: Sequence[int]) -> None:
        self._open = [o + e for o, e in zip(self._open, estimates, strict=True)]
        spent = [pricing.actual(row, self.reports) for row in self.rows]
        needs = [s + o for s, o in zip(spent, self._open, strict=True)]
        if all(need <= held for need, held in zip(needs, self._held, strict=True)):
            return
        try:
            refusal = await grow(self._budgets.records, self._run_id, self.rows, needs)
        except RecordsError as error:
            self._free(estimates)
            raise BudgetSpent(f"the budget cannot be looked at: {error}") from None
        if refusal is not None:
            self._free(estimates)
            raise BudgetSpent(pricing.spent(refusal.budget))
        self._held = [max(need, held) for need, held in zip(needs, self._held, strict=True)]


class Budgets:
    """
    Args:
        records: Those of the operator.
        journal: That of the server itself, with the runs of all tenants.

    Attributes:
        on_warned: Called with an account that has passed its share for a warning.
    """

    def __init__(self, records: Records, journal: Journal, catalog: Catalog) -> None:
        self.records = records
        self._journal = journal
        self._catalog = catalog
        self._known: dict[str, _TenantBudgets] = {}
        self._allowances: dict[str, Allowance] = {}
        """Of runs that were admitted here."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_warned: list[Callable[[Settlement], object]] = []

    def watch(self) -> None:
        """Settle, until `aclose`, what dead servers left."""
        self._begin(self._sweep_on())

    async def aclose(self) -> None:
        """Stop, and settle what is on its way."""
        for task in self._tasks:
            if task.get_name() == "sweep":
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def forget(self, tenant: str) -> None:
        """Look at the budgets of a tenant again before their next use."""
        self._known.pop(tenant, None)

    async def chain(self, spec: RunSpec) -> list[BudgetRow]:
        """Return the budgets that a run is charged to, the tenant's first."""
        rows = await self._rows(spec.tenant)
        mine = [row for row in rows if pricing.is_of(row, spec)]
        named = {row.subject for row in mine if row.kind == "user"} - {EACH}
        mine = [row for row in mine if not (named and row.subject == EACH)]
        return sorted(mine, key=lambda row: KINDS.index(row.kind))

    async def reserve(self, run_id: str, spec: RunSpec) -> None:
        """
        Reserve for a run that is about to begin.

        Raises:
            BudgetExceeded, RateLimited: A budget has no room.
            PriceUnknown: No model that the run may ask has a price, and a budget has no ceiling.
            RecordsError: The budgets cannot be looked at.
        """
        rows = await self.chain(spec)
        if not rows:
            return
        at_ms = now_ms()
        usage = pricing.asked_usage(spec)
        models = self._catalog.members(spec.model, spec.flow)
        charges = [
            Charge(
                budget=row.id,
                account=spec.user if row.subject == EACH else "",
                start_ms=pricing.window_start_ms(row.window, row.time_zone, at_ms),
                minute_ms=at_ms // MINUTE_MS * MINUTE_MS,
                nanos=pricing.first_estimate(row, models, usage),
                runs=0 if spec.parent else 1,
            )
            for row in rows
        ]
        tokens = (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
        elapsed = at_ms % MINUTE_MS / MINUTE_MS
        taken = list(zip(rows, charges, strict=True))
        refusal = await reserve(self.records, run_id, taken, tokens, elapsed)
        if refusal is not None:
            raise pricing.refused(refusal, at_ms)
        self._allowances[run_id] = Allowance(self, run_id, rows, charges)

    async def check_viewers(self, key_id: str, tenant: str, count: int) -> None:
        """
        Check that a key may open one more stream.

        Raises:
            RateLimited: It has `count` open here, which is all that its budget allows.
        """
        rows = await self._rows(tenant) if key_id else []
        for row in rows:
            is_own = row.kind == "key" and row.subject == key_id
            if is_own and row.viewers is not None and count >= row.viewers:
                message = f"{pricing.named(row)} allows {row.viewers} open streams; close one"
                raise RateLimited(message, 1, row.viewers)

    async def allowance(self, run_id: str, spec: RunSpec, past: Run) -> Allowance | None:
        """
        Return what a run may spend, also one that another server began; None: it has no budget.

        Without records it has none for now, and what it spends is settled from the log.
        """
        if (known := self._allowances.get(run_id)) is not None:
            return known
        try:
            found = await self._rows(spec.tenant)
            charges = await reservation(self.records, run_id) if found else []
        except RecordsError as error:
            log.warning("Run %s goes on without its budgets: %s", run_id, error)
            return None
        if not charges:
            return None
        allowance = Allowance(self, run_id, pricing.rows_of(charges, found), charges)
        allowance.reports += pricing.reports_of(past)
        self._allowances[run_id] = allowance
        return allowance

    def left(self, run_id: str) -> None:
        """Leave a run to the server that carries it on."""
        self._allowances.pop(run_id, None)

    def ended(self, run_id: str) -> None:
        """Settle a run whose ending is in the log, or that was never written; return at once."""
        if (allowance := self._allowances.pop(run_id, None)) is not None:
            self._begin(self._settle_safely(run_id, allowance.rows, allowance.reports))

    async def _settle_safely(
        self, run_id: str, rows: Sequence[BudgetRow], reports: Reports
    ) -> None:
        try:
            await self._settle(run_id, rows, reports)
        except RecordsError as error:
            log.warning("Run %s is settled later: %s", run_id, error)

    async def _settle(self, run_id: str, rows: Sequence[BudgetRow], reports: Reports) -> None:
        actual = [pricing.actual(row, reports) for row in rows]
        for settled in await settle(self.records, run_id, actual, pricing.tokens_of(reports)):
            for warned in self.on_warned:
                warned(settled)

    def _begin(self, work: Any) -> None:
        name = "sweep" if work.__name__ == "_sweep_on" else "settling"
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _sweep_on(self) -> None:
        while True:
            try:
                await self.sweep()
            except (RecordsError, JournalError) as error:
                log.warning("Reservations without a server wait: %s", error)
            await asyncio.sleep(SWEEP_S)

    async def sweep(self, *, fresh_ms: int = FRESH_MS, lost_ms: int = LOST_MS) -> None:
        """Settle the reservations of runs that have ended, and free those without a run."""
        last, at_ms = "", now_ms()
        while True:
            found = await open_reservations(self.records, before_ms=at_ms - fresh_ms, after=last)
            for run_id, reserved_ms in found:
                await self._sweep_one(run_id, is_lost=at_ms - reserved_ms > lost_ms)
            if not found:
                break
            last = found[-1][0]
        await drop_old(self.records, at_ms - 10 * MINUTE_MS)

    async def _sweep_one(self, run_id: str, *, is_lost: bool) -> None:
        if run_id in self._allowances:
            return
        reports: Reports = []
        try:
            if (await self._journal.head(run_id)).ended_ms is None:
                return
            run, _ = await past_of(self._journal, run_id)
            reports = pricing.reports_of(run)
        except UnknownRun:
            if not is_lost:
                return
        charges = await reservation(self.records, run_id)
        await self._settle(
            run_id, pricing.rows_of(charges, await budgets_of(self.records)), reports
        )

    async def _rows(self, tenant: str) -> list[BudgetRow]:
        known, now = self._known.get(tenant), time.monotonic()
        if known is None or now - known.at > KNOWN_S:
            known = self._known[tenant] = _TenantBudgets(
                await budgets_of(self.records, tenant), now
            )
        return known.rows
