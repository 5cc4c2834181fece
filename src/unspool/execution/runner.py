"""
Carries a run from its claim to its end.

A run continues when its viewers leave: this module does not know viewers. It ends in exactly one
of four ways, and its pen writes the ending last.

A run also outlives its server: another process adopts it from the journal and runs its flow again.
The log answers for finished steps, the cut step continues, and viewers see nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ..errors import JournalError, StaleEpoch, UnspoolError
from ..failpoints import point
from ..flows import KeepingFlow, open_flow
from ..formats import tracing
from ..formats.tenancy import working_for
from ..generation.generate import GenerationDeps
from ..journals import Ask, BeforeRun, Claim, Journal, RunPen
from ..models.catalog import Catalog
from ..records import Records
from ..runs.beginning import started
from ..runs.events import Draft, Event
from ..runs.principal import OPEN, Principal
from ..runs.questions import GivenAnswer
from ..runs.run import Run, RunSpec, fold
from ..settings import Settings
from .adoption import Adoption, past_of
from .budgets import Budgets
from .context import Children, RunContext, ToolRunner
from .exchanges import Exchanges
from .questions import Questions

log = logging.getLogger(__name__)

_created = point("runner.created")
_keeping = point("runner.keeping")
_kept = point("runner.kept")
_ending = point("runner.ending")
_ended = point("runner.ended")
_cancelling = point("runner.cancelling")
_interrupted = point("runner.interrupted")
_letting_go = point("runner.letting_go")

STOP_S = 2.0
"""Seconds to release all runs when the server stops: process managers wait longer."""


@dataclass(slots=True)
class _CarriedRun:
    """A run that this process carries."""

    pen: RunPen
    continues: bool = False
    """A client asked for it to continue without viewers, however much it writes."""
    task: asyncio.Task[None] | None = None
    is_in_flow: bool = False
    """We interrupt a task only in its flow: not before it begins, nor while it ends."""
    questions: Questions | None = None
    """Once it is in its flow."""
    stop: Draft | None = None
    """The ending that a client wants; set before we interrupt the task."""
    is_let_go: bool = False
    """The server stops and leaves the run, without an ending, to the next process."""


class Runner:
    """Carries all runs of this process."""

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
        """Without `records`, flows store no results; without `tools`, they call no tools."""
        self._journal = journal
        self._catalog = catalog
        self._deps = deps
        self._settings = settings
        self._live: dict[str, _CarriedRun] = {}
        self._adoption = Adoption(journal, self)
        self._records = records
        self._tools = tools
        self._children: Children | None = None
        self.exchanges: Exchanges | None = None
        """Keeps what attempts send and get."""
        self.budgets: Budgets | None = None
        """What runs may spend."""
        self.on_waiting: list[Callable[[str], object]] = []
        """Called with the id of a run that begins to wait for people, or goes on."""
        self.waiting: set[str] = set()
        """Runs that wait for people: they take no room."""
        self.on_begun: list[Callable[[str, float], object]] = []
        """Called with the id of a run that must end unwatched, and after how many seconds."""
        self.principal_of: Callable[[RunSpec], Awaitable[Principal]] = _anybody
        """Finds out with whose rights a run is carried on that another process began."""
        self._parents: set[str] = set()
        """Runs that may have live children here."""
        self.on_ended: list[Callable[[str, RunSpec], object]] = []
        """Called with the id and the request of a run when its ending is in the log."""

    @property
    def live_count(self) -> int:
        return len(self._live) - len(self.waiting)

    def is_live(self, run_id: str) -> bool:
        """Whether this process carries the run."""
        return run_id in self._live

    def unasked_bytes(self, run_id: str) -> int | None:
        """Return the size of a live run that nobody asked to continue; None for any other."""
        live = self._live.get(run_id)
        return None if live is None or live.continues else live.pen.size

    async def start(
        self,
        spec: RunSpec,
        claim: Claim | None = None,
        history: Sequence[Draft] = (),
        before: BeforeRun | None = None,
    ) -> str:
        """
        Write a run to the journal, begin it, and return its id. `spec` must be admitted.

        The run continues after `history`, as if it had written that itself.

        Raises:
            KeyTaken: Another run has the claim's key.
        """
        pen = await self._journal.create(spec, claim, history, before)
        _created()
        taken = enumerate([started(spec), *history], 1) if history else ()
        past = fold(Event(seq, draft.type, 0, draft.data) for seq, draft in taken)
        self.begin(pen, spec, past)
        return pen.run_id

    def begin(self, pen: RunPen, spec: RunSpec, past: Run, *, is_adopted: bool = False) -> None:
        """Carry a run to its end, as a task; `past` is all that its log holds."""
        if is_adopted:
            self._parents.add(pen.run_id)  # its children may be anywhere
        live = self._live[pen.run_id] = _CarriedRun(pen, spec.continues)
        carrying = self._carry(live, spec, past)
        with working_for(spec.tenant):
            live.task = asyncio.create_task(carrying, name=f"run {pen.run_id}")
        if spec.parent:
            self._parents.add(spec.parent)
        if spec.cancel_after_s is not None:
            for begun in self.on_begun:
                begun(pen.run_id, spec.cancel_after_s)

    async def cancel(self, run_id: str, *, reason: str = "asked by a client") -> None:
        """
        Stop a run, of whatever process. Idempotent; an ended run does not change.

        Returns when the connection to the provider is closed and the ending is in the log.

        Raises:
            JournalError: The process that writes the run did not end it in `CANCEL_S`. It will, or
                the next one that adopts the run.
        """
        if not await self.cancel_here(run_id, reason):
            await self._adoption.ask(Ask(run_id, "cancel", reason))

    async def cancel_here(self, run_id: str, reason: str) -> bool:
        """Stop a run if this process carries it, or has adopted it; return whether it does."""
        ending = Draft("run.cancelled", {"code": "cancelled", "message": reason})
        live = self._live.get(run_id)
        if live is not None:
            _cancelling()
            await self._stop(live, ending)
        return live is not None or self._adoption.note_ending(run_id, ending)

    def answer_here(self, run_id: str, step: str, answer: GivenAnswer) -> bool:
        """Answer a question of a run if this process carries it; return whether it does."""
        live = self._live.get(run_id)
        if live is None or live.questions is None:
            return False
        live.questions.give(step, answer)
        return True

    async def ended(self, run_id: str, *, patience_s: float) -> None:
        """Return when a run may have ended, or after `patience_s`."""
        live = self._live.get(run_id)
        if live is not None and live.task is not None:
            await asyncio.wait([live.task], timeout=patience_s)
        else:
            await asyncio.sleep(patience_s)

    def watch(self, children: Children | None = None) -> None:
        """
        Adopt runs without an owner, now and whenever one appears, and do as clients ask.

        `children` starts child runs; it needs the runner, so it comes later.
        """
        self._children = children
        self._adoption.watch()

    async def close(self) -> None:
        """
        Release all runs for the next process; their text is in the log.

        Returns after `STOP_S` at the latest, even if the journal cannot write.
        """
        _letting_go()
        await self._adoption.close()
        for live in self._live.values():
            live.is_let_go = True
            if live.task is not None and live.is_in_flow:
                live.task.cancel()
        tasks = [live.task for live in self._live.values() if live.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S)

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
        tracing.given.set(spec.traceparent)
        try:
            ending = await self._perform(live, spec, past)
            live.is_in_flow = False
            if ending is None:
                await pen.release(Draft("run.released", {"epoch": pen.epoch}))
            else:
                await self.end(pen, spec, ending)
                await self._stop_children(pen.run_id)
        except StaleEpoch:
            log.warning("Run %s has another owner now and continues there", pen.run_id)
        except JournalError as error:
            log.error("Run %s has no ending in the log: %s", pen.run_id, error)  # noqa: TRY400
            pen.drop()
        finally:
            self._live.pop(pen.run_id, None)
            if self.budgets is not None:
                self.budgets.left(pen.run_id)

    def _waits(self, run_id: str, is_waiting: bool) -> None:
        (self.waiting.add if is_waiting else self.waiting.discard)(run_id)
        for noted in self.on_waiting:
            noted(run_id)

    async def _stop_children(self, run_id: str) -> None:
        # Nearly all runs have none, and need not ask the journal.
        if self._children is not None and run_id in self._parents:
            self._parents.discard(run_id)
            await self._children.stop(run_id)

    async def end(self, pen: RunPen, spec: RunSpec, ending: Draft) -> None:
        """Let the flow store its results, then write the last event."""
        if self._records is not None:
            ending = await self._store_result(pen, spec, self._records, ending)
        _ending()
        await pen.end(ending)
        _ended()
        is_usual = ending.type == "run.completed"
        log.log(logging.DEBUG if is_usual else logging.INFO, "Run %s: %s", pen.run_id, ending.type)
        if self.budgets is not None:
            self.budgets.ended(pen.run_id)
        for told in self.on_ended:
            told(pen.run_id, spec)

    async def _store_result(
        self, pen: RunPen, spec: RunSpec, records: Records, ending: Draft
    ) -> Draft:
        """Let the flow store the result; a run whose result is lost did not complete."""
        try:
            flow = open_flow(spec.flow)
            if not isinstance(flow, KeepingFlow):
                return ending
            await pen.commit()
            _keeping()
            run, _ = await past_of(self._journal, pen.run_id)
            run.apply(Event(run.seq + 1, ending.type, int(time.time() * 1000), ending.data))
            await flow.keep(pen.run_id, flow.input_model.model_validate(spec.input), run, records)
            _kept()
        except StaleEpoch:
            raise
        except Exception as error:  # noqa: BLE001 - others write flows
            log.warning("Run %s: the flow could not store its result: %s", pen.run_id, error)
            if ending.type == "run.completed":
                return ending_of(error, spec.flow, wrote=True)
        return ending

    async def _perform(self, live: _CarriedRun, spec: RunSpec, past: Run) -> Draft | None:
        """Run the flow and return its ending; None if another process will continue it."""
        if live.stop is not None or live.is_let_go:  # before the first step of this task
            return live.stop
        ctx = RunContext(live.pen, spec, past, self._catalog, self._deps, self._settings)
        ctx.children, ctx.tools, ctx.exchanges = self._children, self._tools, self.exchanges
        ctx.records = self._records
        waits = partial(self._waits, live.pen.run_id)
        ctx.questions = live.questions = Questions(live.pen, past, waits)
        try:
            if self.budgets is not None:
                ctx.allowance = await self.budgets.allowance(live.pen.run_id, spec, past)
            flow = open_flow(spec.flow)
            request = flow.input_model.model_validate(spec.input)
            if isinstance(flow, KeepingFlow) and self._records is not None:
                await flow.begin(live.pen.run_id, request, self._records)
            await flow.run(ctx, request)
        except asyncio.CancelledError:
            if live.stop is None and not live.is_let_go:
                facts = {"code": "interrupted", "message": "the run was interrupted"}
                return Draft("run.incomplete", facts)
            return live.stop
        except StaleEpoch:
            raise
        except Exception as error:  # noqa: BLE001 - others write flows
            return ending_of(error, spec.flow, wrote=ctx.has_written)
        return Draft("run.completed")


async def _anybody(_: RunSpec) -> Principal:
    return OPEN


def ending_of(error: Exception, flow: str, *, wrote: bool) -> Draft:
    """Return `run.incomplete` if the run wrote any text, else `run.failed`."""
    if isinstance(error, UnspoolError):
        code, message = error.code, str(error)
    else:
        log.error("Flow %s failed", flow, exc_info=error)
        code = "internal"
        message = f"the flow {flow} failed ({type(error).__name__}); see the server's log"
    facts = {"code": code, "message": message}
    return Draft("run.incomplete" if wrote else "run.failed", facts)
