"""
A store whose n-th call fails, once or for a while.

Let the 1st, 2nd, 3rd … call fail until a whole life passes without, and every place at which the
disk can fail has been tried.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from unspool import Journal

Kind = Literal["broken", "busy"]

CALLS = ("write", "claim", "read", "heads", "keyed")


def fault(kind: Kind) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(f"the test says so: {kind}")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY if kind == "busy" else sqlite3.SQLITE_IOERR
    return error


@dataclass
class Failing:
    """Counts the calls of all stores it is put before."""

    nth: int
    kind: Kind
    times: int = 1
    calls: int = 0

    @property
    def has_failed(self) -> bool:
        return self.calls >= self.nth

    def before(self, journal: Journal) -> None:
        store: Any = journal._store  # type: ignore[attr-defined]
        for name in CALLS:
            setattr(store, name, self._counted(getattr(store, name)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if not self.nth <= self.calls < self.nth + self.times:
                return call(*args, **kwargs)
            raise fault(self.kind)

        return counted
