"""
The journal as clients see it: the runs of the present tenant, and no others.

This is the one place that keeps tenants apart in the log. A run of another tenant does not exist
here, for every question. The server's own work uses the journal beneath.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Unpack

from ...errors import UnknownRun
from ...formats.tenancy import DEFAULT, present_tenant
from ...journals import Ask, BeforeRun, Claim, EndedRun, Head, Heard, Journal, RunPen, Wanted
from ...runs.events import Draft, Event
from ...runs.run import RunSpec, Status

MAX_KNOWN: Final = 100_000
"""Runs whose tenant we remember; some 15 MB."""


class TenantJournal:
    """See `journals.Journal`."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._tenants: dict[str, str] = {}
        """By run, as far as we have asked: a run keeps its tenant."""

    async def create(
        self,
        spec: RunSpec,
        claim: Claim | None = None,
        history: Sequence[Draft] = (),
        before: BeforeRun | None = None,
    ) -> RunPen:
        pen = await self._journal.create(spec, claim, history, before)
        self._note(pen.run_id, spec.tenant)
        return pen

    async def claim(self, run_id: str) -> RunPen:
        await self._check(run_id)
        return await self._journal.claim(run_id)

    async def adopt(self, limit: int) -> list[RunPen]:
        return await self._journal.adopt(limit)

    async def ask(self, ask: Ask) -> None:
        await self._check(ask.run_id)
        await self._journal.ask(ask)

    async def asked(self, timeout_s: float) -> list[Ask]:
        return await self._journal.asked(timeout_s)

    def exclusive(self, name: str) -> AbstractAsyncContextManager[None]:
        return self._journal.exclusive(f"{present_tenant() or DEFAULT} {name}")

    async def note_viewers(self, run_ids: Sequence[str]) -> None:
        await self._journal.note_viewers(run_ids)

    @property
    def on_viewers(self) -> Callable[[str], object]:
        return self._journal.on_viewers

    @on_viewers.setter
    def on_viewers(self, told: Callable[[str], object]) -> None:
        self._journal.on_viewers = told

    async def read(self, run_id: str, *, after: int, limit: int = 500) -> Sequence[Event]:
        await self._check(run_id)
        return await self._journal.read(run_id, after=after, limit=limit)

    def wait(self, run_id: str, *, after: int, timeout_s: float) -> Awaitable[object]:
        return self._journal.wait(run_id, after=after, timeout_s=timeout_s)

    def listen(self, run_id: str, *, after: int, heard: Heard) -> Callable[[], None] | None:
        tenant = present_tenant()
        if tenant is not None and self._tenants.get(run_id) != tenant:
            return None  # a read says why
        return self._journal.listen(run_id, after=after, heard=heard)

    async def head(self, run_id: str) -> Head:
        head = await self._journal.head(run_id)
        self._note(run_id, head.tenant)
        if present_tenant() not in (None, head.tenant):
            raise UnknownRun(run_id)
        return head

    async def heads(
        self, *, before: str = "", limit: int = 50, **wanted: Unpack[Wanted]
    ) -> list[Head]:
        if (tenant := present_tenant()) is not None:
            wanted["tenant"] = tenant
        return await self._journal.heads(before=before, limit=limit, **wanted)

    async def unended(self) -> dict[str, Status]:
        return await self._journal.unended()

    async def oldest(
        self, *, after: str = "", before_ms: int | None = None, limit: int = 50
    ) -> list[EndedRun]:
        return await self._journal.oldest(after=after, before_ms=before_ms, limit=limit)

    async def forget(self, run_ids: Sequence[str]) -> int:
        return await self._journal.forget(run_ids)

    def check(self) -> None:
        self._journal.check()

    def commits(self) -> tuple[float, int]:
        return self._journal.commits()

    async def used_bytes(self) -> int:
        return await self._journal.used_bytes()

    async def give_back(self, *, at_rest: bool = False) -> bool:
        return await self._journal.give_back(at_rest=at_rest)

    async def aclose(self) -> None:
        await self._journal.aclose()

    def _note(self, run_id: str, tenant: str) -> None:
        if len(self._tenants) >= MAX_KNOWN:
            self._tenants.clear()
        self._tenants[run_id] = tenant

    async def _check(self, run_id: str) -> None:
        tenant = present_tenant()
        if tenant is not None and self._tenants.get(run_id) != tenant:
            await self.head(run_id)
