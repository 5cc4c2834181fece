"""
Sums the usage of attempts. Pure.

An unknown count makes its sum unknown, and one estimate makes it an estimate. Attempts without a
report do not count: they may not have reached a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Report = Mapping[str, Any]
"""`usage` or `cost` of an attempt, as its event has it."""


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """
    Attributes:
        prompt_tokens, completion_tokens: None where an attempt did not say.
        basis: `measured` where every attempt was counted by its provider, else `estimated`.
        cost: `amount`, `currency` and `basis`; None where an attempt has no price, or where
            attempts have prices in two currencies.
    """

    prompt_tokens: int | None
    completion_tokens: int | None
    basis: str
    cost: dict[str, Any] | None

    @property
    def total_tokens(self) -> int | None:
        if self.prompt_tokens is None or self.completion_tokens is None:
            return None
        return self.prompt_tokens + self.completion_tokens


def total(attempts: Iterable[tuple[Report | None, Report | None]]) -> UsageTotal | None:
    """Sum `(usage, cost)` of attempts; None where none has reported any usage."""
    used = [(usage, cost) for usage, cost in attempts if usage]
    if not used:
        return None
    reports = [usage for usage, _ in used]
    return UsageTotal(
        _sum(report["prompt_tokens"] for report in reports),
        _sum(report["completion_tokens"] for report in reports),
        _basis(reports),
        _cost([cost for _, cost in used]),
    )


def _sum(counts: Iterable[int | None]) -> int | None:
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total


def _cost(costs: list[Report | None]) -> dict[str, Any] | None:
    known = [cost for cost in costs if cost]
    if len(known) < len(costs) or len({cost["currency"] for cost in known}) > 1:
        return None
    amount = sum(cost["amount"] for cost in known)
    return {"amount": amount, "currency": known[0]["currency"], "basis": _basis(known)}


def _basis(reports: Iterable[Report]) -> str:
    is_measured = all(report["basis"] == "measured" for report in reports)
    return "measured" if is_measured else "estimated"
