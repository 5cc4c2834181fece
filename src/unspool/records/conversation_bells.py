"""
Tells viewers of a conversation that its turns or its messages may have changed.

A change at this server rings at once. Where other servers share the database, one question a second
finds the changes of theirs, for all conversations that somebody views here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from ..errors import RecordsError
from ..formats.tenancy import DEFAULT, present_tenant, working_for
from . import Records
from .conversations import changes_of

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""Seconds between two looks for the changes of other servers."""

Ring = Callable[[], object]


class ConversationBells:
    """The bells of all conversations that are viewed at this server."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._rings: dict[tuple[str, int], set[Ring]] = {}
        self._looking: asyncio.Task[None] | None = None

    def ring(self, number: int) -> None:
        """Tell the viewers of a conversation of the present tenant to look again."""
        for ring in tuple(self._rings.get((present_tenant() or DEFAULT, number), ())):
            ring()

    @contextmanager
    def listening(self, number: int, ring: Ring) -> Iterator[None]:
        """Have `ring` called when a conversation of the present tenant may have changed."""
        place = (present_tenant() or DEFAULT, number)
        rings = self._rings.setdefault(place, set())
        rings.add(ring)
        if self._looking is None and self._records.is_shared:
            self._looking = asyncio.create_task(self._look(), name="changes of conversations")
        try:
            yield
        finally:
            rings.discard(ring)
            if not rings and self._rings.get(place) is rings:
                del self._rings[place]

    async def aclose(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def _look(self) -> None:
        known: dict[tuple[str, int], int] = {}
        while self._rings:
            try:
                now = await self._changes()
            except RecordsError as error:
                log.warning("Changes of conversations cannot be seen: %s", error)
            except Exception:
                log.exception("Changes of conversations cannot be read")
            else:
                for place, rings in list(self._rings.items()):
                    if known.get(place) != now.get(place):
                        for ring in tuple(rings):
                            ring()
                known = now
            await asyncio.sleep(LOOK_S)
        self._looking = None

    async def _changes(self) -> dict[tuple[str, int], int]:
        numbers: dict[str, list[int]] = {}
        for tenant, number in self._rings:
            numbers.setdefault(tenant, []).append(number)
        found: dict[tuple[str, int], int] = {}
        for tenant, mine in numbers.items():
            with working_for(tenant):
                changed = await changes_of(self._records, mine)
            found |= {(tenant, number): changes for number, changes in changed.items()}
        return found
