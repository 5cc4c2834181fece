"""
The line before a model that gives only so many answers at once (`Model.max_parallel`).

`ModelLine` is the pure part: who is being answered, who waits, and in which order. A text joins
with its turn, a number that it keeps for life, so its retries and its continuation come before
texts that began later: a model that fails often does not send those who have waited longest to the
end. `ModelLines` lets coroutines wait in the lines of all models.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ..errors import UnspoolError
from ..providers import Model

log = logging.getLogger(__name__)

MAX_TOLD: Final = 20
"""How often one that waits is told its place: always if it is near, at two thirds if it is far."""

NEAR: Final = 5
"""Places that are told one by one."""


@dataclass(slots=True)
class ModelLine:
    """The line before one model. Turns are numbers; the smallest is the next."""

    room: int = 1
    """Answers at once; it may change at any time."""
    inside: set[int] = field(default_factory=set)
    """Turns that are being answered."""
    waiting: list[int] = field(default_factory=list)

    @property
    def is_free(self) -> bool:
        """Whether one that joins now need not wait."""
        return not self.waiting and len(self.inside) < self.room

    def join(self, turn: int) -> None:
        """Come into the line; `admit` says who is answered."""
        insort(self.waiting, turn)

    def leave(self, turn: int) -> None:
        """Give the place up, inside or in the line."""
        if turn in self.inside:
            self.inside.discard(turn)
        else:
            self.waiting.remove(turn)

    def admit(self) -> list[int]:
        """Let in as many as there is room for, and return them."""
        count = max(0, self.room - len(self.inside))
        admitted, self.waiting = self.waiting[:count], self.waiting[count:]
        self.inside.update(admitted)
        return admitted


@dataclass(slots=True)
class _Waiting:
    tell: Callable[[int], None]
    admitted: asyncio.Future[None]
    last: int = 0
    told: int = 0

    def place(self, place: int) -> None:
        """Tell the place, if it has changed by enough."""
        is_news = place != self.last and (
            place <= NEAR or not self.last or place * 3 <= self.last * 2
        )
        if not is_news or self.told >= MAX_TOLD:
            return
        self.last = place
        self.told += 1
        try:
            self.tell(place)
        except UnspoolError:
            log.debug("A place was not told; who writes next hears why", exc_info=True)


class ModelLines:
    """The lines of all models of this process."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], ModelLine] = {}
        self._waiting: dict[tuple[tuple[str, str], int], _Waiting] = {}
        self._turns = itertools.count(1)

    def turn(self) -> int:
        """Return the turn of a text that begins."""
        return next(self._turns)

    def is_free(self, model: Model) -> bool:
        """Whether a request to `model` need not wait."""
        line = self._lines.get(_deployment(model))
        return model.max_parallel is None or line is None or line.is_free

    async def enter(self, model: Model, turn: int, tell: Callable[[int], None]) -> None:
        """
        Return when it is this turn's turn; then call `leave`. Cancelling gives the place up.

        `tell` hears the place in the line, 1 for the next, if there is a wait.
        """
        if model.max_parallel is None:
            return
        name = _deployment(model)
        line = self._lines.setdefault(name, ModelLine())
        line.room = model.max_parallel
        waiting = _Waiting(tell, asyncio.get_running_loop().create_future())
        self._waiting[name, turn] = waiting
        line.join(turn)
        self._move(name, line)
        try:
            await waiting.admitted
        except asyncio.CancelledError:
            self.leave(model, turn)
            raise

    def leave(self, model: Model, turn: int) -> None:
        """End a request that `enter` let in."""
        name = _deployment(model)
        if (line := self._lines.get(name)) is None or model.max_parallel is None:
            return
        self._waiting.pop((name, turn), None)
        line.leave(turn)
        self._move(name, line)
        if not line.inside and not line.waiting:
            del self._lines[name]

    def _move(self, name: tuple[str, str], line: ModelLine) -> None:
        for turn in line.admit():
            admitted = self._waiting.pop((name, turn)).admitted
            if not admitted.done():  # else it is cancelled, and leaves as soon as it wakes
                admitted.set_result(None)
        for place, turn in enumerate(line.waiting, 1):
            self._waiting[name, turn].place(place)


def _deployment(model: Model) -> tuple[str, str]:
    """Two names of one deployment share its line."""
    return (model.base_url, model.upstream_name) if model.base_url else ("", model.name)
