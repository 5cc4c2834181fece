"""The cost of runs on their budgets: estimates, sums, and the words of a refusal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from ..errors import BudgetExceeded, PriceUnknown, RateLimited
from ..formats.moments import zone_of
from ..formats.nesting import texts_in
from ..formats.tokens import estimate_tokens
from ..generation.usage import estimated_usage
from ..models.prices import cost_of
from ..providers import Model, Prompt, Usage
from ..records.budgets import EACH, NANOS, BudgetRow
from ..records.reservations import MINUTE_MS, Charge, Refusal
from ..runs.run import Run, RunSpec
from ..runs.usage import Report

Reports = list[tuple[Report | None, Report | None]]
"""Usage and cost of each attempt, as their events have them."""

ASSUMED_TOKENS: Final = 1000
"""Tokens of an answer whose request sets no limit; a page of text has 700."""


def window_start_ms(window: str, time_zone: str, at_ms: int) -> int:
    """Return when the present day, week (from Monday) or month began; 0 for the whole time."""
    if window == "total":
        return 0
    now = datetime.fromtimestamp(at_ms / 1000, zone_of(time_zone))
    start = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if window == "week":
        start -= timedelta(days=start.weekday())
    elif window == "month":
        start = start.replace(day=1)
    return round(start.timestamp() * 1000)


def is_of(row: BudgetRow, spec: RunSpec) -> bool:
    match row.kind:
        case "tenant":
            return True
        case "key":
            return bool(spec.key) and row.subject == spec.key
        case _:
            return bool(spec.user) and row.subject in {spec.user, EACH}


def asked_usage(spec: RunSpec) -> Usage:
    """Estimate the tokens of a run by its input; each request is estimated again by its prompt."""
    words = "\n".join(texts_in(spec.input))
    params = spec.input.get("params")
    most = _most(params if isinstance(params, dict) else spec.input)
    return Usage(estimate_tokens(words), most, measured=False)


def request_usage(prompt: Prompt) -> Usage:
    asked = estimated_usage(prompt, "")
    return Usage(asked.prompt_tokens, _most(prompt.params), measured=False)


def _most(params: Mapping[str, Any]) -> int:
    """Return the most tokens that an answer may have, as vendors' parameters say it."""
    limits = [params.get(f"max_{kind}tokens") for kind in ("", "completion_", "output_")]
    return max((limit for limit in limits if isinstance(limit, int)), default=ASSUMED_TOKENS)


def estimate(row: BudgetRow, model: Model, usage: Usage) -> int | None:
    """Return what a request may cost on a budget; None: nobody knows."""
    cost = cost_of(model, usage)
    if cost is not None and (cost.currency == row.currency or not cost.amount):
        return round(cost.amount * NANOS)
    if row.max_nanos is None:
        return 0
    if row.ceiling_nanos is None:
        return None
    return (
        ((usage.prompt_tokens or 0) + (usage.completion_tokens or 0)) * row.ceiling_nanos // 10**6
    )


def first_estimate(row: BudgetRow, models: Sequence[Model], usage: Usage) -> int:
    known = [need for model in models if (need := estimate(row, model, usage)) is not None]
    if not known:
        raise PriceUnknown(no_price(row, models[0].name if models else "(none)"))
    return max(known)


def actual(row: BudgetRow, reports: Reports) -> int:
    """Return what attempts have cost on a budget."""
    nanos = 0
    for usage, cost in reports:
        if cost is not None and (cost["currency"] == row.currency or not cost["amount"]):
            nanos += round(cost["amount"] * NANOS)
        elif usage is not None and row.ceiling_nanos is not None:
            tokens = (usage["prompt_tokens"] or 0) + (usage["completion_tokens"] or 0)
            nanos += tokens * row.ceiling_nanos // 10**6
    return nanos


def tokens_of(reports: Reports) -> int:
    used = [usage for usage, _ in reports if usage]
    return sum((u["prompt_tokens"] or 0) + (u["completion_tokens"] or 0) for u in used)


def reports_of(run: Run) -> Reports:
    return [(each.facts.get("usage"), each.facts.get("cost")) for each in run.attempts]


def rows_of(charges: Iterable[Charge], rows: Iterable[BudgetRow]) -> list[BudgetRow]:
    """Return the budgets of charges, each with something in the place of a deleted one."""
    by_id = {row.id: row for row in rows}
    nothing = {"kind": "tenant", "subject": "", "currency": "", "window": "total"}
    return [
        by_id.get(charge.budget)
        or BudgetRow(id=charge.budget, max_nanos=None, ceiling_nanos=None, **nothing)
        for charge in charges
    ]


def named(row: BudgetRow) -> str:
    """Return the name of a budget in messages; not of another tenant's."""
    if row.kind == "tenant":
        return "the budget of the tenant"
    if row.kind == "key":
        return "the budget of this key"
    return "the budget of this end user"


def spent(row: BudgetRow) -> str:
    most = (row.max_nanos or 0) / NANOS
    return (
        f"{named(row)} has no room: {most:g} {row.currency} a {row.window} are spent or reserved; "
        "wait for the next window, or raise it"
    ).replace("a total", "in total")


def no_price(row: BudgetRow, model: str) -> str:
    return (
        f"{named(row)} cannot cover {model}, which has no known price in {row.currency}: give the "
        "model a price, or the budget a ceiling"
    )


def refused(refusal: Refusal, at_ms: int) -> BudgetExceeded | RateLimited:
    row, measure = refusal.budget, refusal.measure
    if measure == "spend":
        return BudgetExceeded(spent(row))
    most = getattr(row, measure)
    words = measure.replace("_", " ").replace("live runs", "runs at once")
    wait_s = 1 if measure == "live_runs" else max(1, 60 - at_ms % MINUTE_MS // 1000)
    return RateLimited(f"{named(row)} allows {most} {words}; try again in {wait_s} s", wait_s, most)
