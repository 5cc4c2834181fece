"""
Carrying a run from claimed to ended.

A run continues when its viewers leave: nothing here knows viewers. It ends in exactly one of four
ways, and its pen writes the ending last.

A run also outlives its server: the next process that opens the journal claims runs without an
ending and runs their flows again. Finished steps come from the log, the cut step is continued, and
viewers see nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import JournalError, StaleEpoch, UnknownRun, UnspoolError
from ..failpoints import point
from ..flows import KeepingFlow, open_flow
from ..generation.generate import GenerationDeps
from ..journals import Claim, Journal, Pen, read_all, spec_of, started
from ..models.catalog import Catalog
from ..records import Records
from ..runs.events import Draft, Event
from ..runs.run import Run, RunSpec, fold
from ..settings import Settings
from .context import Children, RunContext, ToolRunner

log = logging.getLogger(__name__)

_created = point("runner.created")
_claimed = point("runner.claimed")
_recovered = point("runner.recovered")
_keeping = point("runner.keeping")
_kept = point("runner.kept")
_ending = point("runner.ending")
_ended = point("runner.ended")
_cancelling = point("runner.cancelling")
_interrupted = point("runner.interrupted")
_letting_go = point("runner.letting_go")

STOP_S = 2.0
"""Seconds to let all runs go when the server stops: process managers wait longer."""

WATCH_S = 2.0
"""Seconds between two looks for orphaned runs."""

MAX_RECOVERIES = 5
"""
How often in a row a run may be taken over from a dead server without getting further; a run that
kills servers must end.
"""


@dataclass(slots=True)
class _CarriedRun:
    """A run that this process carries."""

    pen: Pen
    task: asyncio.Task[None] | None = None
    is_in_flow: bool = False
    """We interrupt only a flow: not a task that has yet to begin, nor one that is ending."""
    stop: Draft | None = None
    """The ending that a client asked for; set before the task is interrupted."""
    is_let_go: bool = False
    """The server stops: it leaves the run to the next one, without an ending."""


class Runner:
    """All runs that this process carries."""

    def __init__(
        self,
        journal: Journal,
        catalog: Catalog,
        deps: GenerationDeps,
        settings: Settings,
        *,
        records: Records | None = None,
        tools: ToolRunner | None = None,
    ) -> None:
        """Without `records` flows keep nothing; without `tools` they call nothing."""
        self._journal = journal
        self._catalog = catalog
        self._deps = deps
        self._settings = settings
        self._live: dict[str, _CarriedRun] = {}
        self._orphans: set[str] = set()
        """
        Runs without an ending or an owner: an earlier process carried them, or the journal failed
        us. It holds no run that is only about to begin, although the journal knows those too.
        """
        self._watching: asyncio.Task[None] | None = None
        self._records = records
        self._tools = tools
        self._children: Children | None = None
        self.on_begun: list[Callable[[str, float], object]] = []
        """Each called with a run that must not go on alone, and the seconds that it may."""
        self.on_ended: list[Callable[[str], object]] = []
        """Each called with the id of a run when its ending is in the log."""

    @property
    def live_count(self) -> int:
        return len(self._live)

    def is_live(self, run_id: str) -> bool:
        """Whether this process carries the run."""
        return run_id in self._live

    async def start(
        self, spec: RunSpec, claim: Claim | None = None, history: Sequence[Draft] = ()
    ) -> str:
        """
        Write a run down, begin it, and return its id. `spec` has been admitted.

        With a `history` the run continues as if that were its own.

        Raises:
            KeyTaken: A run has the claim's key.
        """
        pen = await self._journal.create(spec, claim, history)
        _created()
        before = enumerate([started(spec), *history], 1) if history else ()
        past = fold(Event(seq, draft.type, 0, draft.data) for seq, draft in before)
        self._begin(pen, spec, past)
        return pen.run_id

    def _begin(self, pen: Pen, spec: RunSpec, past: Run) -> None:
        live = self._live[pen.run_id] = _CarriedRun(pen)
        carrying = self._carry(live, spec, past)
        live.task = asyncio.create_task(carrying, name=f"run {pen.run_id}")
        if spec.cancel_after_s is not None:
            for begun in self.on_begun:
                begun(pen.run_id, spec.cancel_after_s)

    async def cancel(self, run_id: str, *, reason: str = "asked by a client") -> None:
        """
        Stop a run. Idempotent; an ended run does not change.

        Returns when the ending is in the log; the provider's connection is closed by then.
        """
        live = self._live.get(run_id)
        ending = Draft("run.cancelled", {"code": "cancelled", "message": reason})
        if live is not None:
            _cancelling()
            await self._stop(live, ending)
        elif run_id in self._orphans:
            # A pending recovery finds that the run has another owner now.
            self._orphans.discard(run_id)
            pen = await self._journal.claim(run_id)
            past, spec = await self._past(run_id)
            pen.append(*taking_over(past, pen.epoch, died=past.is_carried))
            await self._end(pen, spec, ending)

    async def ended(self, run_id: str, *, patience_s: float) -> None:
        """Return when a run may have ended, or after `patience_s`."""
        live = self._live.get(run_id)
        if live is not None and live.task is not None:
            await asyncio.wait([live.task], timeout=patience_s)
        else:
            await asyncio.sleep(patience_s)

    async def watch(self, children: Children | None = None) -> None:
        """
        Take over runs without an owner, now and whenever one turns up.

        Call it before you start anything: every run without an ending is an orphan then. `children`
        starts the runs that flows ask for; it stands on the runner, so it comes after it.
        """
        self._children = children
        self._orphans.update(await self._journal.unended())
        self._watching = asyncio.create_task(self._watch(), name="recovery")

    async def close(self) -> None:
        """
        Let all runs go, for the next process to carry on; their text is in the log.

        If the journal cannot write, they are let go after `STOP_S` all the same.
        """
        _letting_go()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        for live in self._live.values():
            live.is_let_go = True
            if live.task is not None and live.is_in_flow:
                live.task.cancel()
        tasks = [live.task for live in self._live.values() if live.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S)

    async def _watch(self) -> None:
        while True:
            for run_id in sorted(self._orphans):  # the oldest first
                try:
                    await self._recover(run_id)
                    self._orphans.discard(run_id)
                except (StaleEpoch, UnknownRun):
                    self._orphans.discard(run_id)  # it has an ending, or an owner
                except JournalError as error:
                    log.warning("Run %s is not taken over yet: %s", run_id, error)
            await asyncio.sleep(WATCH_S)

    async def _recover(self, run_id: str) -> None:
        """Claim a run and continue it from its log."""
        pen = await self._journal.claim(run_id)
        _claimed()
        past, spec = await self._past(run_id)
        died = past.is_carried
        # Even if it ends at once: a request that was under way is accounted for.
        pen.append(*taking_over(past, pen.epoch, died=died))
        _recovered()
        if spec.parent and await self._is_over(spec.parent):
            message = f"run {spec.parent}, which has started it, has ended"
            ending = Draft("run.cancelled", {"code": "cancelled", "message": message})
            await self._end(pen, spec, ending)
            return
        if died and past.recoveries >= MAX_RECOVERIES:
            message = f"{MAX_RECOVERIES} servers in turn died while they carried it"
            ending = _incomplete("interrupted", f"{message}; the text so far is kept")
            await self._end(pen, spec, ending)
            return
        log.info("Run %s goes on from event %d", run_id, past.seq)
        self._begin(pen, spec, past)

    async def _is_over(self, run_id: str) -> bool:
        try:
            return (await self._journal.head(run_id)).ended_ms is not None
        except UnknownRun:
            return True

    async def _past(self, run_id: str) -> tuple[Run, RunSpec]:
        run, spec = Run(), None
        async for events in read_all(self._journal, run_id):
            spec = spec or spec_of(events[0])
            for event in events:
                run.apply(event)
        assert spec is not None
        return run, spec

    async def _stop(self, live: _CarriedRun, ending: Draft) -> None:
        if live.stop is None:
            live.stop = ending
            # A task that is cancelled before its first step never runs, and would leave the
            # run without an ending; it checks `stop` by itself. A task that waits for the
            # commit of its ending has one already.
            if live.task is not None and live.is_in_flow:
                live.task.cancel()
                _interrupted()
        if live.task is not None:
            await asyncio.wait([live.task])

    async def _carry(self, live: _CarriedRun, spec: RunSpec, past: Run) -> None:
        pen = live.pen
        live.is_in_flow = True
        try:
            ending = await self._perform(live, spec, past)
            live.is_in_flow = False
            if ending is None:
                pen.append(Draft("run.released", {"epoch": pen.epoch}))
                await pen.commit()
            else:
                await self._end(pen, spec, ending)
                for ended in self.on_ended:
                    ended(pen.run_id)
                if self._children is not None:
                    await self._children.stop(pen.run_id)
        except StaleEpoch:
            log.warning("Run %s has another owner now; it goes on there", pen.run_id)
        except JournalError as error:
            log.error("Run %s has no ending in the log: %s", pen.run_id, error)  # noqa: TRY400
            self._orphans.add(pen.run_id)
        finally:
            self._live.pop(pen.run_id, None)

    async def _end(self, pen: Pen, spec: RunSpec, ending: Draft) -> None:
        """Let the flow keep its results, then write the last event."""
        if self._records is not None:
            ending = await self._kept(pen, spec, self._records, ending)
        _ending()
        await pen.end(ending)
        _ended()
        log.info("Run %s: %s", pen.run_id, ending.type)

    async def _kept(self, pen: Pen, spec: RunSpec, records: Records, ending: Draft) -> Draft:
        """Return the final ending: a run whose result could not be kept is not whole."""
        try:
            flow = open_flow(spec.flow)
            if not isinstance(flow, KeepingFlow):
                return ending
            await pen.commit()
            _keeping()
            run, _ = await self._past(pen.run_id)
            run.apply(Event(run.seq + 1, ending.type, int(time.time() * 1000), ending.data))
            await flow.keep(pen.run_id, flow.input_model.model_validate(spec.input), run, records)
            _kept()
        except StaleEpoch:
            raise
        except Exception as error:  # noqa: BLE001 - a flow is other people's code
            log.warning("Run %s: what became of it is not kept: %s", pen.run_id, error)
            if ending.type == "run.completed":
                return ending_of(error, spec.flow, wrote=True)
        return ending

    async def _perform(self, live: _CarriedRun, spec: RunSpec, past: Run) -> Draft | None:
        """Run the flow and return its ending; None if another process will continue it."""
        if live.stop is not None or live.is_let_go:  # before the first step of this task
            return live.stop
        ctx = RunContext(live.pen, spec, past, self._catalog, self._deps, self._settings)
        ctx.children, ctx.tools = self._children, self._tools
        try:
            flow = open_flow(spec.flow)
            request = flow.input_model.model_validate(spec.input)
            if isinstance(flow, KeepingFlow) and self._records is not None:
                await flow.begin(live.pen.run_id, request, self._records)
            await flow.run(ctx, request)
        except asyncio.CancelledError:
            if live.stop is None and not live.is_let_go:
                return _incomplete("interrupted", "the run was interrupted")
            return live.stop
        except StaleEpoch:
            raise
        except Exception as error:  # noqa: BLE001 - a flow is other people's code
            return ending_of(error, spec.flow, wrote=ctx.has_written)
        return Draft("run.completed")


def ending_of(error: Exception, flow: str, *, wrote: bool) -> Draft:
    """A run with nothing to show has `failed`; one with a part of its text is `incomplete`."""
    if isinstance(error, UnspoolError):
        code, message = error.code, str(error)
    else:
        log.error("Flow %s failed", flow, exc_info=error)
        code = "internal"
        message = f"the flow {flow} has a fault ({type(error).__name__}); see the server's log"
    facts = {"code": code, "message": message}
    return Draft("run.incomplete" if wrote else "run.failed", facts)


def taking_over(past: Run, epoch: int, *, died: bool) -> list[Draft]:
    """Return the events of a takeover: new owner, reason, and the fate of a pending request."""
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


def _incomplete(code: str, message: str) -> Draft:
    return Draft("run.incomplete", {"code": code, "message": message})
