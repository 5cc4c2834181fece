"""
Adopts runs without an owner, and does what clients of other processes ask.

An adopted run continues from its log: the process that wrote it has died, or has released it. A
run that this process does not carry is cancelled by a request to the one that does.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from ..errors import JournalError, RecordsError, StaleEpoch, UnknownRun
from ..failpoints import point
from ..formats.tenancy import working_for
from ..journals import Ask, Journal, RunPen, read_all
from ..runs.beginning import spec_of
from ..runs.events import Draft
from ..runs.principal import acting_as
from ..runs.questions import GivenAnswer
from ..runs.run import Run, RunSpec

if TYPE_CHECKING:
    from .runner import Runner

log = logging.getLogger(__name__)

_claimed = point("runner.claimed")
_recovered = point("runner.recovered")

ADOPT_S = 0.5
"""Seconds between two looks for runs without an owner; see `Journal.adopt`."""

ADOPTED = 20
"""Runs to adopt in one look: the other processes of a journal take their share of the rest."""

ASKED_S = 5.0
"""Seconds to wait for requests in one call of `Journal.asked`."""

OBEY_S = 10.0
"""
Seconds for another process to do as it was asked. A dead one is noticed and replaced in six.
"""

MAX_RECOVERIES = 5
"""
Takeovers from dead servers in a row without progress; a run that kills servers must end.
"""


class Adoption:
    """The part of a `Runner` that takes over runs of others."""

    def __init__(self, journal: Journal, runner: Runner) -> None:
        self._journal = journal
        self._runner = runner
        self._pending: dict[str, Draft | None] = {}
        """Runs that we have adopted and not begun, and the ending that a client wants."""
        self._tasks: set[asyncio.Task[None]] = set()

    def watch(self) -> None:
        """Work until `close`."""
        self._tasks.add(asyncio.create_task(self._adopt(), name="adopting"))
        self._tasks.add(asyncio.create_task(self._obey(), name="requests of clients"))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def note_ending(self, run_id: str, ending: Draft) -> bool:
        """End a run that we have adopted and not begun; return whether there is one."""
        if run_id not in self._pending:
            return False
        self._pending[run_id] = ending
        return True

    async def ask(self, ask: Ask) -> None:
        """
        Ask the process that carries a run to end it, and return when it has.

        Raises:
            JournalError: It did not in `OBEY_S`. It will, or the next one that adopts the run.
        """
        with suppress(UnknownRun):
            head = await self._journal.head(ask.run_id)
            if head.ended_ms is None:
                await self._journal.ask(ask)
            try:
                async with asyncio.timeout(OBEY_S):
                    while head.ended_ms is None:
                        await self._journal.wait(ask.run_id, after=head.seq, timeout_s=1.0)
                        head = await self._journal.head(ask.run_id)
            except TimeoutError:
                raise JournalError(
                    f"the server that carries run {ask.run_id} has not ended it in {OBEY_S:g} s; "
                    "the request stays, and the run ends as soon as a server sees it"
                ) from None

    async def _adopt(self) -> None:
        while True:
            pens: list[RunPen] = []
            try:
                pens = await self._journal.adopt(ADOPTED)
                self._pending |= dict.fromkeys(pen.run_id for pen in pens)
                for pen in pens:
                    await self._recover(pen)
            except JournalError as error:
                log.warning("Runs without an owner wait: %s", error)
            if len(pens) < ADOPTED:
                await asyncio.sleep(ADOPT_S)

    async def _obey(self) -> None:
        while True:
            try:
                asks = await self._journal.asked(ASKED_S)
            except JournalError:
                await asyncio.sleep(ADOPT_S)
                continue
            for ask in asks:
                obeying = self._cancel if ask.kind == "cancel" else self._answer
                task = asyncio.create_task(obeying(ask))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _cancel(self, ask: Ask) -> None:
        if not await self._runner.cancel_here(ask.run_id, ask.message):
            # It has ended, or we are about to adopt it.
            await asyncio.sleep(ADOPT_S)
            with suppress(JournalError):
                await self._journal.ask(ask)

    async def _answer(self, ask: Ask) -> None:
        step, answer = msgspec.json.decode(ask.message, type=tuple[str, GivenAnswer])
        if not self._runner.answer_here(ask.run_id, step, answer):
            await asyncio.sleep(ADOPT_S)
            with suppress(JournalError):
                await self._journal.ask(ask)

    async def _recover(self, pen: RunPen) -> None:
        """Continue a run from its log, with the pen of a new owner."""
        try:
            await self._continue(pen)
        except StaleEpoch:
            log.info("Run %s has another owner by now", pen.run_id)
        except (JournalError, RecordsError) as error:
            pen.drop()
            log.warning("Run %s is not taken over yet: %s", pen.run_id, error)
        finally:
            self._pending.pop(pen.run_id, None)

    async def _continue(self, pen: RunPen) -> None:
        run_id = pen.run_id
        _claimed()
        past, spec = await past_of(self._journal, run_id)
        principal = await self._runner.principal_of(spec)
        died = past.is_carried
        # Even if the run ends at once, the log must account for an open attempt.
        pen.append(*taking_over(past, pen.epoch, died=died))
        _recovered()
        ending = await self._ending(run_id, spec, past, died=died)
        if ending is not None:
            with working_for(spec.tenant):
                await self._runner.end(pen, spec, ending)
            return
        log.info("Run %s continues after event %d", run_id, past.seq)
        with acting_as(principal):
            self._runner.begin(pen, spec, past, is_adopted=True)

    async def _ending(self, run_id: str, spec: RunSpec, past: Run, *, died: bool) -> Draft | None:
        """Return the ending of an adopted run; None if it continues."""
        if spec.parent and await self._is_over(spec.parent):
            message = f"run {spec.parent}, which has started it, has ended"
            return Draft("run.cancelled", {"code": "cancelled", "message": message})
        if died and past.recoveries >= MAX_RECOVERIES:
            message = f"{MAX_RECOVERIES} servers died one after another while they carried it"
            facts = {"code": "interrupted", "message": f"{message}; the text so far is saved"}
            return Draft("run.incomplete", facts)
        return self._pending.get(run_id)

    async def _is_over(self, run_id: str) -> bool:
        try:
            return (await self._journal.head(run_id)).ended_ms is not None
        except UnknownRun:
            return True


async def past_of(journal: Journal, run_id: str) -> tuple[Run, RunSpec]:
    """Return a run, read from its log, and its request."""
    run, spec = Run(), None
    async for events in read_all(journal, run_id):
        spec = spec or spec_of(events[0])
        for event in events:
            run.apply(event)
    assert spec is not None
    return run, spec


def taking_over(past: Run, epoch: int, *, died: bool) -> list[Draft]:
    """Return the events of a takeover: the new owner, its reason, and the end of open attempts."""
    reason = "died" if died else "stopped"
    events = [Draft("run.recovered", {"epoch": epoch, "reason": reason})]
    for attempt in past.attempts:
        if attempt.status == "running":
            message = "the server ended before the answer did"
            facts = {"step": attempt.step, "number": attempt.number, "code": "interrupted"}
            wrote = len(past.steps[attempt.step].text) > attempt.at
            account = {"wrote": wrote, "usage": None, "cost": None}
            events.append(Draft("attempt.failed", {**facts, "message": message, **account}))
    return events
