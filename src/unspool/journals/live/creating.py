"""Creates runs: of any number of requests with one key, one creates a run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from unspool.errors import JournalError, KeyTaken, StaleEpoch
from unspool.runs.beginning import started
from unspool.runs.events import Draft
from unspool.runs.run import RunSpec

from .. import BeforeRun, Claim, Head
from .group_commit import GroupCommit, GroupPen
from .live_run import LiveRun
from .run_ids import new_run_id

PenT = TypeVar("PenT", bound=GroupPen)

Keyed = Callable[[str], Awaitable[tuple[str, str] | None]]
"""Returns the run under a key, and the digest of its request."""


class Creating(Generic[PenT]):
    """
    Creates the runs of one journal.

    Args:
        live: The runs that the journal writes, by id.
        new_no: Returns the number of the next run.
        pen_of: Returns the pen of a live run.
    """

    def __init__(
        self,
        group_commit: GroupCommit,
        live: dict[str, LiveRun],
        *,
        keyed: Keyed,
        new_no: Callable[[], Awaitable[int]],
        pen_of: Callable[[LiveRun], PenT],
    ) -> None:
        self._group_commit = group_commit
        self._live = live
        self._keyed = keyed
        self._new_no = new_no
        self._pen_of = pen_of
        self._making: dict[str, asyncio.Future[PenT]] = {}
        """Runs that we are creating, by the key of their request."""

    async def create(
        self,
        spec: RunSpec,
        claim: Claim | None,
        history: Sequence[Draft],
        before: BeforeRun | None,
    ) -> PenT:
        """See `Journal.create`."""
        if claim is None:
            return await self._create(spec, None, history, before)
        while (making := self._making.get(claim.key)) is not None:
            await asyncio.wait([making])  # the same request, a moment ago
        making = self._making[claim.key] = asyncio.ensure_future(
            self._create_keyed(spec, claim, history, before)
        )
        making.add_done_callback(lambda _: self._making.pop(claim.key))
        return await asyncio.shield(making)

    async def _create_keyed(
        self, spec: RunSpec, claim: Claim, history: Sequence[Draft], before: BeforeRun | None
    ) -> PenT:
        await self._check_key(claim)
        try:
            return await self._create(spec, claim, history, before)
        except StaleEpoch:  # another process was faster
            await self._check_key(claim)
            raise JournalError(
                "the run under this key was deleted; send the request again"
            ) from None

    async def _check_key(self, claim: Claim) -> None:
        taken = await self._keyed(claim.key)
        if taken is not None:
            raise KeyTaken(*taken)

    async def _create(
        self,
        spec: RunSpec,
        claim: Claim | None,
        history: Sequence[Draft],
        before: BeforeRun | None,
    ) -> PenT:
        no = await self._new_no()
        now_ms = int(self._group_commit.clock() * 1000)
        run_id = new_run_id(now_ms)
        if before is not None:
            await before(run_id)
        request = (spec.flow, spec.model, spec.dialect, spec.digest)
        head = Head(
            *(run_id, *request, "running", 0),
            epoch=1,
            created_ms=now_ms,
            ended_ms=None,
            parent=spec.parent or None,
            forked_from=spec.forked_from["run"] if spec.forked_from else None,
            tenant=spec.tenant,
        )
        live_run = LiveRun(no, head, is_new=True, claim=claim)
        pen = self._pen_of(live_run)
        pen.append(started(spec), *history)
        self._live[run_id] = live_run
        try:
            await pen.commit()
        except BaseException:
            if live_run.is_new:
                self._group_commit.drop(live_run)
                self._live.pop(run_id, None)
            raise
        return pen
