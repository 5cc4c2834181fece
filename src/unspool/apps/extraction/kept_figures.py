"""
Keeps figures over people's events until the database changes, for pages that ask again.

They take seconds for many people, and a page asks once for each move of a slider. A database that
several servers share does not tell cheaply whether it has changed; there they are kept for
`KEPT_S`.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final

from unspool.formats.tenancy import present_tenant
from unspool.records import Records

from .evidence import EventHistory
from .records.histories import read_histories

MAX_ANSWERS: Final = 64
"""Answers kept, some tens of kilobytes each."""

KEPT_S: Final = 5.0
"""Where nobody tells of changes: a page may show what was true so long ago."""


class KeptFigures:
    """
    Answers by question, and the events of the last people that were asked about.

    One question at a time, so two of the same are computed once.
    """

    def __init__(self, records: Records, *, kept_s: float = KEPT_S) -> None:
        self._records = records
        self._kept_s = kept_s
        self._tenant: str | None = None
        self._version: int | None = None
        self._since = 0.0
        self._answers: OrderedDict[Hashable, dict[str, Any]] = OrderedDict()
        self._histories: tuple[str, list[EventHistory]] | None = None
        self._turn = asyncio.Lock()

    async def of(
        self, question: Hashable, answer: Callable[[], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any]:
        """Return the kept answer, or the one that `answer` computes now."""
        async with self._turn:
            version, now = await self._records.version(), time.monotonic()
            is_old = version is None and now - self._since > self._kept_s
            tenant = present_tenant()  # the figures of one are nobody else's
            if (tenant, version) != (self._tenant, self._version) or is_old:
                self._answers.clear()
                self._histories = None
                self._tenant, self._version, self._since = tenant, version, now
            if question not in self._answers:
                self._answers[question] = await answer()
                if len(self._answers) > MAX_ANSWERS:
                    self._answers.popitem(last=False)
            self._answers.move_to_end(question)
            return self._answers[question]

    async def histories(self, query: str) -> list[EventHistory]:
        """Return the events of the people that match. Ask for them within an answer only."""
        if self._histories is None or self._histories[0] != query:
            self._histories = None
            self._histories = query, await read_histories(self._records, query=query)
        return self._histories[1]
