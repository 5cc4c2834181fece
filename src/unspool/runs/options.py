"""
Options of a request, in headers that are the same in every dialect.

* `Idempotency-Key`: the same request with the same key gets the same run.
* `Unspool-Cache`: `off`, `read` (reuse an equal run, completed or live) or `refresh`
  (start a new one, for later requests to reuse).
* `Unspool-When-Left`: `continue`, `cancel`, or `cancel; after=30` (seconds without a viewer).
* `Unspool-Pace`: `1` replays at the original speed, `4` four times as fast.
* `traceparent`: the trace that the run is part of (W3C); one that is not valid is ignored.
* `Unspool-User`: the client's own user for whom the request is; budgets and usage know him.
* `Last-Event-ID`: beside a key, the last frame that the client has of that run. Clients that
  repeat their POST after a break send it (fetch-event-source).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, cast

from ..errors import SpecError
from ..formats.tracing import read_traceparent

Cache = Literal["", "off", "read", "refresh"]

MAX_KEY_CHARS: Final = 255
"""Characters of a key, as other APIs allow; a UUID has 36."""

MAX_USER_CHARS: Final = 128

MAX_AFTER_S: Final = 86_400.0
"""Longest wait for a viewer: a day."""

MIN_PACE: Final = 0.1
MAX_PACE: Final = 100.0
"""At more speed people see no replay."""

_NUMBER: Final = re.compile(r"\d{1,3}(\.\d{1,3})?")
_ID: Final = re.compile(r"\d{1,15}(\.\d{1,15})?", re.ASCII)
_WHEN_LEFT: Final = re.compile(r"(continue|cancel)(?:\s*;\s*after=(\d{1,5}(?:\.\d{1,3})?))?")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The headers, parsed. Empty: the server's own setting."""

    key: str = ""
    cache: Cache = ""
    cancel_after_s: float | None = None
    """Seconds without a viewer after which the run is cancelled; None: never."""
    continues: bool = False
    """Continue without a viewer, however much it writes."""
    pace: float | None = None
    """Speed of the replay; None: everything at once."""
    traceparent: str = ""
    """The trace that the run is part of, and the span that asked for it."""
    user: str = ""
    after: str = ""
    """The id of the last frame that the client has of the run under its key; empty: of none."""
    conversation: int | None = None
    """The conversation whose next turn this run is; None: no conversation. Not a header."""
    after_turn: int | None = None
    """The turn of it that this one follows; 0: none; None: the current one. Not a header."""


NO_OPTIONS: Final = RunOptions()


def read_options(headers: Iterable[tuple[bytes, bytes]]) -> RunOptions:
    """
    Return the options in a request's headers.

    Raises:
        SpecError: A header has an impossible value; the message names it.
    """
    options = NO_OPTIONS
    for name, value in headers:
        if name in _READ:
            field, read = _READ[name]
            options = replace(options, **{field: read(value.decode("latin-1").strip())})
            if name == b"unspool-when-left":
                options = replace(options, continues=options.cancel_after_s is None)
    return options


def _key(value: str) -> str:
    if not (0 < len(value) <= MAX_KEY_CHARS and value.isprintable()):
        raise SpecError(f"Idempotency-Key must have 1 to {MAX_KEY_CHARS} visible characters")
    return value


def checked_user(value: str) -> str:
    """
    Return the name of a client's own user.

    Raises:
        SpecError: It is no such name.
    """
    if not (0 < len(value) <= MAX_USER_CHARS and value.isprintable()) or value == "*":
        raise SpecError(f"Unspool-User must have 1 to {MAX_USER_CHARS} visible characters, not *")
    return value


def _cache(value: str) -> Cache:
    if value not in {"off", "read", "refresh"}:
        raise SpecError("Unspool-Cache must be off, read or refresh")
    return cast("Cache", value)


def _cancel_after_s(value: str) -> float | None:
    found = _WHEN_LEFT.fullmatch(value)
    after_s = float(found[2] or 0) if found else 0.0
    if found is None or after_s > MAX_AFTER_S or (found[1] == "continue" and found[2]):
        raise SpecError(
            "Unspool-When-Left must be continue, cancel, or `cancel; after=30` with up to "
            f"{MAX_AFTER_S:.0f} seconds"
        )
    return after_s if found[1] == "cancel" else None


def _after(value: str) -> str:
    """Return an id of ours; of any other, which belongs to another stream, nothing."""
    return value if _ID.fullmatch(value) else ""


def _pace(value: str) -> float:
    if not _NUMBER.fullmatch(value) or not MIN_PACE <= float(value) <= MAX_PACE:
        raise SpecError(f"Unspool-Pace must be a number from {MIN_PACE:g} to {MAX_PACE:g}")
    return float(value)


_READ: Final[dict[bytes, tuple[str, Callable[[str], Any]]]] = {
    b"idempotency-key": ("key", _key),
    b"unspool-cache": ("cache", _cache),
    b"unspool-when-left": ("cancel_after_s", _cancel_after_s),
    b"unspool-pace": ("pace", _pace),
    b"traceparent": ("traceparent", read_traceparent),
    b"unspool-user": ("user", checked_user),
    b"last-event-id": ("after", _after),
}
