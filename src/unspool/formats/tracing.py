"""
W3C trace context (`traceparent`): the trace that a run is part of, and that its requests name.

The ids of our spans are made from the id of the run and the number of the attempt. So a provider
hears them while the run goes on, and the trace that is made of the log afterwards has the same.
"""

from __future__ import annotations

import hashlib
import re
from contextvars import ContextVar
from typing import Final

_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

given: ContextVar[str] = ContextVar("traceparent of the run", default="")
"""The `traceparent` that the present run was given; empty: none."""

to_send: ContextVar[str] = ContextVar("traceparent of the attempt", default="")
"""The `traceparent` of requests to a provider; empty: none."""


def read_traceparent(value: str) -> str:
    """Return a header as version 00 has it; empty if it is not valid, which is to be ignored."""
    found = _FORM.fullmatch(value)
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return ""
    if not int(found[2], 16) or not int(found[3], 16):
        return ""
    return f"00-{found[2]}-{found[3]}-{found[4]}"


def trace_of(run_id: str, traceparent: str) -> str:
    """Return the trace of a run, in hexadecimal: the given one, or one of its own."""
    return traceparent.split("-")[1] if traceparent else _digest(run_id)[:32]


def span_of(run_id: str, attempt: int = 0) -> str:
    """Return the span of a run, or of an attempt (they count from 1), in hexadecimal."""
    return _digest(f"{run_id} {attempt}")[:16]


def handed_on(run_id: str, attempt: int = 0) -> str:
    """Return the `traceparent` for what the present run starts or asks; empty: it has none."""
    traceparent = given.get()
    if not traceparent:
        return ""
    flags = traceparent.rpartition("-")[2]
    return f"00-{trace_of(run_id, traceparent)}-{span_of(run_id, attempt)}-{flags}"


def _digest(text: str) -> str:
    return hashlib.sha256(f"unspool {text}".encode()).hexdigest()
