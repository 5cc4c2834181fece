"""
Carrying a run from claimed to ended.

A run goes on when its viewers leave: nothing here knows of viewers. It ends in
exactly one of four ways, and the ending is the last thing its pen writes.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from .catalog import Catalog
from .context import RunContext
from .errors import JournalError, StaleEpoch, UnspoolError
from .events import Draft
from .flows import open_flow
from .generation import Means
from .journals import Journal, Pen
from .runs import Run, RunSpec
from .settings import Settings

log = logging.getLogger(__name__)


STOP_S = 2.0
"""For all runs to end when the server stops: less than process managers wait before they kill."""


@dataclass(slots=True)
class _Live:
    """A run that this process carries."""

    pen: Pen
    task: asyncio.Task[None] | None = None
    is_in_flow: bool = False
    """Only a flow is interrupted: not a task that has yet to begin, nor one that is ending."""
    stop: Draft | None = None
    """The ending that somebody asked for; set before the task is interrupted."""


class Runner:
    """All runs that this process carries."""

    def __init__(
        self, journal: Journal, catalog: Catalog, means: Means, settings: Settings
    ) -> None:
        self._journal = journal
        self._catalog = catalog
        self._means = means
        self._settings = settings
        self._live: dict[str, _Live] = {}

    @property
    def live_count(self) -> int:
        return len(self._live)

    async def start(self, spec: RunSpec) -> str:
        """Write a run down, begin it, and return its id. `spec` has been admitted."""
        pen = await self._journal.create(spec)
        live = self._live[pen.run_id] = _Live(pen)
        live.task = asyncio.create_task(self._carry(live, spec), name=f"run {pen.run_id}")
        return pen.run_id

    async def cancel(self, run_id: str, *, reason: str = "asked by a client") -> None:
        """
        Ask a run to stop. Idempotent; an ended run stays as it is.

        Returns when the ending is in the log; the provider's connection is closed by then.
        """
        live = self._live.get(run_id)
        if live is not None:
            await self._stop(live, Draft("run.cancelled", {"code": "cancelled", "message": reason}))

    async def close(self) -> None:
        """
        Stop carrying: what goes on now ends incomplete, which is the truth.

        Where the journal cannot write, the ending is left to the next start after `STOP_S`.
        """
        ending = _incomplete("interrupted", "the server was stopped before the run had ended")
        stops = [asyncio.create_task(self._stop(live, ending)) for live in self._live.values()]
        if stops:
            await asyncio.wait(stops, timeout=STOP_S)

    async def end_abandoned(self) -> None:
        """End the runs that an earlier process left without an ending."""
        for run_id in await self._journal.unended():
            pen = await self._journal.claim(run_id)
            message = "the server died before the run had ended; the text so far is kept"
            await pen.end(_incomplete("interrupted", message))

    async def _stop(self, live: _Live, ending: Draft) -> None:
        if live.stop is None:
            live.stop = ending
            # A task that is cancelled before its first step never runs, and would leave the
            # run without an ending; it looks at `stop` by itself. One that waits for the
            # commit of its ending has one already.
            if live.task is not None and live.is_in_flow:
                live.task.cancel()
        if live.task is not None:
            await asyncio.wait([live.task])

    async def _carry(self, live: _Live, spec: RunSpec) -> None:
        pen = live.pen
        live.is_in_flow = True
        try:
            ending = await self._perform(live, spec)
            live.is_in_flow = False
            await pen.end(ending)
            log.info("Run %s: %s", pen.run_id, ending.type)
        except StaleEpoch:
            log.warning("Run %s has another owner now; it goes on there", pen.run_id)
        except JournalError as error:
            log.error("Run %s has no ending in the log: %s", pen.run_id, error)  # noqa: TRY400
        finally:
            self._live.pop(pen.run_id, None)

    async def _perform(self, live: _Live, spec: RunSpec) -> Draft:
        """Run the flow and return the ending it deserves."""
        if live.stop is not None:  # cancelled before the first step of this task
            return live.stop
        ctx = RunContext(live.pen, spec, Run(), self._catalog, self._means, self._settings)
        try:
            flow = open_flow(spec.flow)
            await flow.run(ctx, flow.asked.model_validate(spec.input))
        except asyncio.CancelledError:
            return live.stop or _incomplete("interrupted", "the run was interrupted")
        except StaleEpoch:
            raise
        except Exception as error:  # noqa: BLE001 - a flow is other people's code
            return _ending_of(error, spec.flow, wrote=ctx.has_written)
        return Draft("run.completed")


def _ending_of(error: Exception, flow: str, *, wrote: bool) -> Draft:
    """Failed with nothing to show is `failed`; with a part that stays it is `incomplete`."""
    if isinstance(error, UnspoolError):
        code, message = error.code, str(error)
    else:
        log.error("Flow %s failed", flow, exc_info=error)
        code = "internal"
        message = f"the flow {flow} has a fault ({type(error).__name__}); see the server's log"
    facts = {"code": code, "message": message}
    return Draft("run.incomplete" if wrote else "run.failed", facts)


def _incomplete(code: str, message: str) -> Draft:
    return Draft("run.incomplete", {"code": code, "message": message})
