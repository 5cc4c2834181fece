"""The numbers of a run, in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

MARKS = {"completed": "✓", "failed": "✗", "incomplete": "✗", "cancelled": "–"}
STYLES = {"completed": "green", "failed": "red", "incomplete": "yellow", "cancelled": "yellow"}


def seconds(ms: float | None) -> str:
    """Return a time in words: `0.23 s`, `5.3 s`, `2 min 05 s`; empty if unknown."""
    if ms is None:
        return ""
    if ms < 1000:
        return f"{ms / 1000:.2f} s"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, rest = divmod(round(ms / 1000), 60)
    return f"{minutes} min {rest:02d} s"


def first_token(run: Mapping[str, Any]) -> str:
    """Return the time to the first token, `143 ms`: people compare models by it."""
    ms = run.get("first_token_ms")
    return "" if ms is None else f"{ms} ms"


def moment(iso: str) -> str:
    """Return a time of the server in this machine's time zone, without the current year."""
    when = datetime.fromisoformat(iso).astimezone()
    this_year = when.year == datetime.now(when.tzinfo).year
    return when.strftime("%m-%d %H:%M:%S" if this_year else "%Y-%m-%d %H:%M")


def tokens(run: Mapping[str, Any], seen: int | None = None) -> str:
    """Return the number of tokens written; `seen` is an estimate, for a run without a count."""
    usage = run.get("usage") or {}
    count = usage.get("completion_tokens")
    if count is not None:
        about = "" if usage.get("basis") == "measured" else "about "
        return f"{about}{count} tokens"
    return f"about {seen} tokens" if seen else ""


def cost(run: Mapping[str, Any]) -> str:
    price = run.get("cost")
    if not price:
        return ""
    about = "" if price["basis"] == "measured" or not price["amount"] else "about "
    return f"cost {about}{price['amount']:.4g} {price['currency']}"


def summary(run: Mapping[str, Any], seen: int | None = None) -> str:
    """Return one line with the run's status, tokens, times and cost."""
    first = first_token(run)
    status = run["status"]
    parts = [
        f"{MARKS.get(status, '…')} {status}",
        tokens(run, seen),
        first and f"first token {first}",
        seconds(run.get("total_ms")),
        cost(run),
    ]
    return " · ".join(part for part in parts if part)


def problem(run: Mapping[str, Any]) -> str:
    """Return why the run did not complete; empty if it did."""
    error = run.get("error") or {}
    return ": ".join(str(error[name]) for name in ("code", "message") if error.get(name))


def size_of(size: int) -> str:
    """Return bytes in words: `812 bytes`, `3.4 MB`."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"
