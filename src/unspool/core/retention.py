"""
How long runs are kept.

The oldest ended ones go first, a few in each step with a pause after it; a run that goes on
or is being watched stays. What a deleted run took is free for new ones at once, and is given
back to the disk piece by piece.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..errors import JournalError
from ..journals import EndedRun, Journal
from ..settings import Settings
from ..viewing.viewers import Viewing

log = logging.getLogger(__name__)

LOOK_S: Final = 60.0
"""Between two looks for what is too old or too much."""

STEP_RUNS: Final = 50
STEP_BYTES: Final = 1024 * 1024
"""Deleted in one step: 1.2 ms for which other commits wait."""

ROW_BYTES: Final = 512
"""What a run takes beside its events, in its row and the indexes: 450 were measured."""

PAUSE_S: Final = 0.05
"""After each step of a server; it spends a fiftieth of its time on this at the most."""

DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """What may stay; None: no matter how old, no matter how much."""

    max_age_s: float | None = None
    max_bytes: int | None = None

    @classmethod
    def of(cls, settings: Settings) -> RetentionRules:
        days = settings.keep_days
        return cls(None if days is None else days * DAY_S, settings.max_journal_bytes)


@dataclass(slots=True)
class Pruned:
    """What was deleted, or would be."""

    runs: int = 0
    bytes: int = 0
    """Of their events."""


class Pruning:
    """
    One round of deleting.

    Args:
        spare: Whether a run is to stay this time.
        pause_s: Between steps, for whoever else writes.
        is_dry: Count only.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        spare: Callable[[str], object] = lambda _: False,
        pause_s: float = 0.0,
        is_dry: bool = False,
    ) -> None:
        self._journal = journal
        self._spare = spare
        self._pause_s = pause_s
        self._is_dry = is_dry
        self._after = ""
        self.done = Pruned()

    async def apply(self, rules: RetentionRules, *, now_s: float) -> Pruned:
        """
        Delete what `rules` do not let stay.

        Raises:
            JournalError: It cannot be written now; what is deleted so far stays deleted.
        """
        if rules.max_age_s is not None:
            before_ms = int((now_s - rules.max_age_s) * 1000)
            while await self._step(before_ms=before_ms):
                pass
        if rules.max_bytes is not None:
            self._after = "" if not self._is_dry else self._after
            while (over := await self._over(rules.max_bytes)) > 0:
                if not await self._step(at_most=over):
                    break
        return self.done

    async def _over(self, max_bytes: int) -> int:
        """Return how many bytes too many there are."""
        gone = self.done.bytes + self.done.runs * ROW_BYTES if self._is_dry else 0
        return await self._journal.used_bytes() - gone - max_bytes

    async def _step(self, *, before_ms: int | None = None, at_most: int = STEP_BYTES) -> bool:
        """Delete the next few; False when there are none left."""
        while found := await self._journal.oldest(
            after=self._after, before_ms=before_ms, limit=STEP_RUNS
        ):
            some = self._some_of(found, min(at_most, STEP_BYTES))
            if some:
                ids = [kept.run_id for kept in some]
                count = len(ids) if self._is_dry else await self._journal.forget(ids)
                self.done.runs += count
                self.done.bytes += sum(kept.bytes for kept in some)
                await asyncio.sleep(self._pause_s)
                return True
        return False

    def _some_of(self, found: list[EndedRun], at_most: int) -> list[EndedRun]:
        """Take so many that their bytes are enough, and go on behind them the next time."""
        some: list[EndedRun] = []
        size = 0
        for kept in found:
            self._after = kept.run_id
            if not self._spare(kept.run_id):
                some.append(kept)
                size += kept.bytes + ROW_BYTES
            if size >= at_most:
                break
        return some


class Retention:
    """Keeps the journal of a server within its settings."""

    def __init__(self, journal: Journal, viewing: Viewing, settings: Settings) -> None:
        self._journal = journal
        self._viewing = viewing
        self._rules = RetentionRules.of(settings)
        self._looking: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    def watch(self) -> None:
        """Look now and then, where there is a rule to keep."""
        if self._rules != RetentionRules():
            self._looking = asyncio.create_task(self._look(), name="retention")

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def prune(self, rules: RetentionRules, *, is_dry: bool = False) -> Pruned:
        """Delete what `rules` do not let stay, and give the room back; see `Pruning.apply`."""
        async with self._one_at_a_time:
            watched = {viewer.run_id for viewer in self._viewing.viewers}
            pruning = Pruning(
                self._journal, spare=watched.__contains__, pause_s=PAUSE_S, is_dry=is_dry
            )
            done = await pruning.apply(rules, now_s=time.time())
            if done.runs and not is_dry:
                while await self._journal.give_back():  # noqa: ASYNC110 - a pause, not a wait
                    await asyncio.sleep(PAUSE_S)
        return done

    async def _look(self) -> None:
        while True:
            try:
                done = await self.prune(self._rules)
            except JournalError as error:
                log.warning("Old runs are not deleted yet: %s", error)
            else:
                if done.runs:
                    log.info("Deleted %d old runs (%d bytes)", done.runs, done.bytes)
            await asyncio.sleep(LOOK_S)
