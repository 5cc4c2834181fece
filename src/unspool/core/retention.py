"""
Deletes old runs.

The oldest ended runs go first, a few per step with a pause after it; live runs and watched runs
stay. New runs may use the room of a deleted one at once, and the disk gets it back piece by piece.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Final

from ..errors import JournalError, RecordsError, SetupError, UnknownRun
from ..formats.tenancy import DEFAULT, working_for
from ..journals import EndedRun, Journal
from ..records.images import forget_images
from ..records.keys import list_tenants
from ..records.tenant_records import TenantRecords
from ..settings import Settings
from ..viewing.viewers import Viewing

log = logging.getLogger(__name__)

LOOK_S: Final = 60.0
"""Seconds between two checks of age and size."""

LOOKS_PER_IMAGES: Final = 60
"""Images go in one of so many checks: that opens the records of each tenant, 25 ms of work."""

STEP_RUNS: Final = 50
STEP_BYTES: Final = 1024 * 1024
"""Bytes to delete in one step: other commits wait 1.2 ms for it."""

ROW_BYTES: Final = 512
"""Bytes of a run beside its events, in its row and the indexes: we measured 450."""

PAUSE_S: Final = 0.05
"""Pause after each step; so a server spends at most a fiftieth of its time on this."""

DAY_S: Final = 86_400.0

LONG_S: Final = 1e9
"""Later than any moment that matters."""


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """Limits of age and size; None: no limit."""

    max_age_s: float | None = None
    max_bytes: int | None = None

    @classmethod
    def of(cls, settings: Settings) -> RetentionRules:
        days = settings.keep_days
        return cls(None if days is None else days * DAY_S, settings.max_journal_bytes)


@dataclass(slots=True)
class Pruned:
    """The runs deleted, or to be deleted."""

    runs: int = 0
    bytes: int = 0
    """Bytes of their events."""


class Pruning:
    """
    One round of deleting.

    Args:
        spare: Whether a run must stay this time.
        pause_s: Seconds between steps, for other writers.
        is_dry: Only count.
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
        Delete the runs that `rules` do not allow to stay.

        Raises:
            JournalError: The journal cannot write now; runs deleted so far stay deleted.
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
        """Return the bytes above the limit."""
        gone = self.done.bytes + self.done.runs * ROW_BYTES if self._is_dry else 0
        return await self._journal.used_bytes() - gone - max_bytes

    async def _step(self, *, before_ms: int | None = None, at_most: int = STEP_BYTES) -> bool:
        """Delete the next few; False when there are none left."""
        while found := await self._journal.oldest(
            after=self._after, before_ms=before_ms, limit=STEP_RUNS
        ):
            some = self._some_of(found, min(at_most, STEP_BYTES))
            if some:
                ids = [ended.run_id for ended in some]
                count = len(ids) if self._is_dry else await self._journal.forget(ids)
                self.done.runs += count
                self.done.bytes += sum(ended.bytes for ended in some)
                await asyncio.sleep(self._pause_s)
                return True
        return False

    def _some_of(self, found: list[EndedRun], at_most: int) -> list[EndedRun]:
        """Return runs with enough bytes, and remember where to continue."""
        some: list[EndedRun] = []
        size = 0
        for ended in found:
            self._after = ended.run_id
            if not self._spare(ended.run_id):
                some.append(ended)
                size += ended.bytes + ROW_BYTES
            if size >= at_most:
                break
        return some


class Retention:
    """
    Keeps the journal of a server within its settings.

    Args:
        on_deleted: Called after runs were deleted.
    """

    def __init__(
        self,
        journal: Journal,
        viewing: Viewing,
        settings: Settings,
        records: TenantRecords,
        *,
        on_deleted: Callable[[], object] = lambda: None,
    ) -> None:
        self._on_deleted = on_deleted
        self._journal = journal
        self._records = records
        self._viewing = viewing
        self._rules = RetentionRules.of(settings)
        self._looking: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    def watch(self) -> None:
        """Check now and then, if there is a rule to keep."""
        if self._rules != RetentionRules():
            self._looking = asyncio.create_task(self._look(), name="retention")

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def prune(
        self, rules: RetentionRules, *, is_dry: bool = False, with_images: bool = True
    ) -> Pruned:
        """
        Delete the runs that `rules` do not allow to stay, and give their room back; see
        `Pruning.apply`. Then delete the images that no run has used for as long.
        """
        async with self._one_at_a_time:
            watched = {viewer.run_id for viewer in self._viewing.viewers}
            pruning = Pruning(
                self._journal, spare=watched.__contains__, pause_s=PAUSE_S, is_dry=is_dry
            )
            now_s = time.time()
            done = await pruning.apply(rules, now_s=now_s)
            if rules.max_age_s is not None and with_images and not is_dry:
                # A run is kept from its end on, and it used its images a while before that.
                before_s = min(now_s - rules.max_age_s, await self._oldest_live_s(now_s)) - DAY_S
                await self._forget_images(int(before_s * 1000))
            if done.runs and not is_dry:
                self._on_deleted()
                while await self._journal.give_back():  # noqa: ASYNC110 - a pause, not a wait
                    await asyncio.sleep(PAUSE_S)
        return done

    async def forget(self, run_id: str) -> bool:
        """
        Delete a run that has ended; False: it has not, or it is the newest one.

        Raises:
            JournalError: The journal cannot write now.
        """
        async with self._one_at_a_time:
            is_gone = bool(await self._journal.forget([run_id]))
        if is_gone:
            self._on_deleted()
        return is_gone

    async def _oldest_live_s(self, now_s: float) -> float:
        """Return when the oldest live run began: one that waits for a person may be weeks old."""
        for run_id in list(await self._journal.unended())[:1]:
            with suppress(UnknownRun):
                return (await self._journal.head(run_id)).created_ms / 1000
        return now_s + LONG_S

    async def _forget_images(self, before_ms: int) -> None:
        tenants = await list_tenants(self._records.operator)
        for tenant in (DEFAULT, *(row.id for row in tenants)):
            try:
                with working_for(tenant):
                    await forget_images(self._records, before_ms=before_ms)
            except (RecordsError, SetupError) as error:  # others need not wait for this one
                log.warning("Old images of tenant %s are not deleted yet: %s", tenant, error)

    async def _look(self) -> None:
        for look in count():
            try:
                done = await self.prune(self._rules, with_images=look % LOOKS_PER_IMAGES == 0)
            except (JournalError, RecordsError) as error:
                log.warning("Old runs are not deleted yet: %s", error)
            else:
                if done.runs:
                    log.info("Deleted %d old runs (%d bytes)", done.runs, done.bytes)
            await asyncio.sleep(LOOK_S)
