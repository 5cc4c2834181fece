"""
Runs that belong to another one: started once, waited for, and stopped with it.

A child is asked for under a key made of its parent and its number, so a parent that is carried
on after a crash finds its children instead of starting them twice. They go on by themselves;
whoever finds one whose parent has ended ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from ..errors import TooBusy
from ..flows import Outcome
from ..journals import Journal, read_all
from ..runs.run import Run, RunSpec, is_child
from .admission import Admission
from .runner import Runner

PIECES: Final = 50
"""Of a child's text between two words about it: one a second at the pace of a good model."""

ROOM_S: Final = 0.1
"""Between two looks for room: a child waits for a run to end, which takes seconds."""

RELOOK_S: Final = 0.4
"""Between two looks at how far a child is: people see no difference from at once."""

MAX_STOPPED: Final = 1000
"""Children cancelled in one go; a flow that has more of them at once has no cap at all."""


class ChildRuns:
    """See `context.Children`."""

    def __init__(self, journal: Journal, runner: Runner, admission: Admission) -> None:
        self._journal = journal
        self._runner = runner
        self._admission = admission
        self._squeezing: set[str] = set()
        """Parents for which a child is being started although there is no room."""

    async def start(self, spec: RunSpec, number: int) -> str:
        while True:
            try:
                return await self._begin(spec, number)
            except TooBusy:
                if await self._is_stuck(spec.parent):
                    return await self._squeeze_in(spec, number)
            await asyncio.sleep(ROOM_S)

    async def _is_stuck(self, parent: str) -> bool:
        # Where all the room is taken by parents, each waits for children that none is left
        # for. One child of each may always go on, so that all of them get through.
        going_on = await self._journal.heads(parent=parent, status="running", limit=1)
        return not going_on and parent not in self._squeezing

    async def _squeeze_in(self, spec: RunSpec, number: int) -> str:
        self._squeezing.add(spec.parent)
        try:
            return await self._begin(spec, number, must_fit=False)
        finally:
            self._squeezing.discard(spec.parent)

    async def _begin(self, spec: RunSpec, number: int, *, must_fit: bool = True) -> str:
        admitting = self._admission.admit_child(spec, number, must_fit=must_fit)
        starting = asyncio.ensure_future(admitting)
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # Half started, it would be in the journal and in nobody's hands. Whole, it is
            # found and stopped when its parent has ended, or carried on with it.
            await asyncio.wait([starting])
            if not starting.cancelled():
                starting.exception()
            raise

    async def outcome(self, run_id: str, on_progress: Callable[[int], object]) -> Outcome:
        run, pieces = Run(), 0
        while not run.is_ended:
            await self._runner.ended(run_id, patience_s=RELOOK_S)
            async for events in read_all(self._journal, run_id, after=run.seq):
                for event in events:
                    run.apply(event)
                    pieces += event.type == "text.delta"
                    if event.type == "text.delta" and pieces % PIECES == 0:
                        on_progress(pieces)
        items = sum(not is_child(item) for item in run.items)
        return Outcome(run_id, run.status, run.text, run.result, run.error, items)

    async def stop(self, parent: str) -> None:
        heads = await self._journal.heads(parent=parent, status="running", limit=MAX_STOPPED)
        reason = f"run {parent}, which has started it, has ended"
        await asyncio.gather(*(self._runner.cancel(h.run_id, reason=reason) for h in heads))
