"""What providers want back with turns that clients send back as plain items, from the log."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from unspool.errors import UnknownRun
from unspool.runs.run import fold

from .. import RunGateway
from .talks import answer_of, sealed

Item = dict[str, Any]

MOST: Final = 64
"""Turns since the user spoke that are looked up: more than agents take, each a read of the log."""


async def with_states(gateway: RunGateway, items: Sequence[Item]) -> list[Item]:
    """
    Return the items with what the log has for the turns that called tools since the user spoke.

    OpenAI finds it by the ids of the items. Several vendors refuse the round after a call without
    it. Turns whose client has sent it by itself (`encrypted_content`) are left alone.
    """
    since = max((n for n, item in enumerate(items) if item.get("role") == "user"), default=-1) + 1
    ends: dict[str, int] = {}
    for place, item in enumerate(items[since:], since):
        if item.get("type") == "function_call" and (run_id := run_of(item)):
            ends[run_id] = place
    sent = {run_of(item) for item in items[since:] if item.get("encrypted_content")}
    wanted = [(place, run_id) for run_id, place in ends.items() if run_id not in sent]
    found = list(items)
    for place, run_id in sorted(wanted, reverse=True)[:MOST]:
        with suppress(UnknownRun):
            said = answer_of(fold(await gateway.events(run_id)))
            if said and (state := said[0].get("turn_state")):
                found.insert(place + 1, {"type": "reasoning", "encrypted_content": sealed(state)})
    return found


def run_of(item: Item) -> str:
    """Return the run that an item's id names; empty where it names none."""
    return str(item.get("id") or "").partition("_")[2].rpartition("_")[0]
