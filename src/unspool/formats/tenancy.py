"""
The tenant that the present task works for: the owner of runs and records.

A request works for the tenant of its key, and a run for that of its request. Work of the server
itself (deleting, indexing, taking over runs) is for nobody, and sees everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

DEFAULT: Final = "default"
"""The tenant of a server without keys, and of the people who run it."""

_tenant: ContextVar[str | None] = ContextVar("tenant", default=None)


def present_tenant() -> str | None:
    """Return the tenant; None: the server itself."""
    return _tenant.get()


def work_for(tenant: str | None) -> None:
    """Work for a tenant for the rest of this task, and of tasks that it begins."""
    _tenant.set(tenant)


@contextmanager
def working_for(tenant: str | None) -> Iterator[None]:
    """Work for a tenant, and begin tasks that do; afterwards as before."""
    token = _tenant.set(tenant)
    try:
        yield
    finally:
        _tenant.reset(token)
