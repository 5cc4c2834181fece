"""What is wrong with a run, by what a field report expects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Played:
    """A run that has ended, as its JSON tells it."""

    run: Mapping[str, Any]
    reasoning: str
    requests: int
    took_s: float

    @property
    def calls(self) -> list[list[Any]]:
        return [[call["name"], call["arguments"]] for call in self._raw_calls()]

    @property
    def has_own_ids(self) -> bool:
        ids = [call["id"] for call in self._raw_calls()]
        return len(set(ids)) == len(ids)

    def _raw_calls(self) -> list[Mapping[str, Any]]:
        return [call for step in self.run["steps"] for call in step["tool_calls"]]

    @property
    def code(self) -> str:
        return str((self.run["error"] or {}).get("code", ""))

    @property
    def usage(self) -> list[int | None]:
        usage = self.run["usage"] or {}
        return [usage.get("prompt_tokens"), usage.get("completion_tokens")]

    @property
    def strategies(self) -> set[str]:
        return {attempt["strategy"] for attempt in self.run["attempts"]}


CHECKS: Mapping[str, Callable[[Played, Any], bool]] = {
    "status": lambda it, want: it.run["status"] == want,
    "status_not": lambda it, bad: it.run["status"] != bad,
    "code_not": lambda it, bad: it.code != bad,
    "text": lambda it, want: it.run["text"] == want,
    "text_stripped": lambda it, want: it.run["text"].strip() == want,
    "text_has": lambda it, part: part in it.run["text"],
    "calls": lambda it, want: it.calls == want and it.has_own_ids,
    "result": lambda it, want: (it.run["result"] or {}).items() >= want.items(),
    "reasoning_has": lambda it, part: part in it.reasoning,
    "reasoning_once": lambda it, part: it.reasoning.count(part) == 1,
    "usage": lambda it, want: it.usage == want,
    "requests": lambda it, want: it.requests == want,
    "requests_min": lambda it, least: it.requests >= least,
    "strategy_not": lambda it, bad: bad not in it.strategies,
    "max_s": lambda it, most: it.took_s < most,
    "any_of": lambda it, several: any(not wrong(it, each) for each in several),
}


def wrong(played: Played, expect: Mapping[str, Any]) -> list[str]:
    """Return what does not hold; empty: the run is right."""
    return [f"{name}: {want}" for name, want in expect.items() if not CHECKS[name](played, want)]
