"""The JSON of a ticket, and the header that asks for one with a new run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from unspool.core import Core
from unspool.core.access import MAX_TICKET_S
from unspool.errors import MissingRight, SpecError
from unspool.runs.principal import Scope, present


def ticket_json(core: Core, opens: str, scopes: Sequence[Scope], ttl_s: float) -> dict[str, Any]:
    """
    Return a ticket for a run, or for `conversation 7`, with some of the scopes of the present key.

    Raises:
        MissingRight: The key has not all of them.
    """
    text = core.access.ticket(present.get(), opens, scopes, ttl_s)
    until = datetime.now(UTC) + timedelta(seconds=ttl_s)
    _, space, number = opens.partition(" ")
    of = {"conversation": int(number)} if space else {"run": opens}
    return {"ticket": text, **of, "expires_at": until.isoformat()}


def ticket_of(core: Core, run_id: str, ttl_s: float | None) -> dict[str, str]:
    """Return the `ticket` of a new run, if one was asked for."""
    if ttl_s is None:
        return {}
    return {"ticket": ticket_json(core, run_id, ["runs:read"], ttl_s)["ticket"]}


def wanted_s(header: str) -> float | None:
    """
    Return for how many seconds `Unspool-Ticket` asks for a ticket; None: for none.

    Raises:
        SpecError: It is no such number.
        MissingRight: The key may not read the run that it starts.
    """
    if not header:
        return None
    seconds = float(header) if re.fullmatch(r"\d{1,3}(\.\d{1,3})?", header) else 0.0
    if not 0 < seconds <= MAX_TICKET_S:
        raise SpecError(f"Unspool-Ticket must be a number of seconds, up to {MAX_TICKET_S:g}")
    if not present.get().may("runs:read"):
        raise MissingRight("this needs the scope runs:read, which the key lacks")
    return seconds
