"""S2.9: the figures of an answer, from the log's own times; unknown values are null."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unspool.runs.events import Event

PLACES: Final = 3
"""Of seconds and rates: the log's clock has milliseconds."""


class Metrics:
    """A fold of the events of one answer, from `run.started` to its end."""

    def __init__(self) -> None:
        self._began_ms = 0
        self._first_ms: int | None = None
        self._usage: list[Mapping[str, Any]] = []
        self._costs: list[Mapping[str, Any] | None] = []

    def see(self, event: Event) -> None:
        match event.type:
            case "text.delta" | "tool.delta" if self._first_ms is None:
                self._first_ms = event.at_ms
            case "attempt.finished" | "attempt.failed" if event.data.get("usage"):
                self._usage.append(event.data["usage"])
                self._costs.append(event.data.get("cost"))
            case "run.started":
                self._began_ms = event.at_ms
            case _:
                pass

    def at_end(self, event: Event, length: int) -> dict[str, Any]:
        response_s = (event.at_ms - self._began_ms) / 1000
        first_s = None if self._first_ms is None else (self._first_ms - self._began_ms) / 1000
        prompt, completion = self._sum("prompt_tokens"), self._sum("completion_tokens")
        is_known = prompt is not None and completion is not None
        return {
            "response_time": round(response_s, PLACES),
            "first_token_time": None if first_s is None else round(first_s, PLACES),
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": (prompt or 0) + (completion or 0) if is_known else None,
            "tokens_per_second": _rate(completion, response_s - (first_s or 0.0)),
            "estimated_cost": self._cost(),
            "output_length": length,
            "usage_basis": self._basis(),
        }

    def _sum(self, name: str) -> int | None:
        counts = [usage[name] for usage in self._usage]
        return None if not counts or None in counts else sum(counts)

    def _basis(self) -> str | None:
        if not self._usage:
            return None
        is_measured = all(usage["basis"] == "measured" for usage in self._usage)
        return "measured" if is_measured else "estimated"

    def _cost(self) -> dict[str, Any] | None:
        known = [cost for cost in self._costs if cost]
        currencies = {cost["currency"] for cost in known}
        if len(known) < len(self._costs) or len(currencies) != 1:
            return None
        return {"amount": sum(cost["amount"] for cost in known), "currency": currencies.pop()}


def _rate(tokens: int | None, seconds: float) -> float | None:
    return None if tokens is None or seconds <= 0 else round(tokens / seconds, PLACES)
