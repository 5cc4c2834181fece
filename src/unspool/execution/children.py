"""
Starts child runs once, waits for them, and stops them with their parent.

The key of a child is its parent and its number, so a recovered parent finds its children instead of
starting them twice. The server recovers children like any run, and ends those whose parent
has ended.
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
"""Pieces of a child's text between two reports: a fast model gives one report a second."""

ROOM_S: Final = 0.1
"""Seconds between two checks for room: a child waits for a run to end, which takes seconds."""

RELOOK_S: Final = 0.4
"""Seconds between two reads of a child's log: people do not notice the delay."""

MAX_STOPPED: Final = 1000
"""Most children to cancel at once; no sane flow runs as many."""


class ChildRuns:
    """See `context.Children`."""

    def __init__(self, journal: Journal, runner: Runner, admission: Admission) -> None:
        self._journal = journal
        self._runner = runner
        self._admission = admission
        self._squeezing: set[str] = set()
        """Parents that are starting a child although there is no room."""

    async def start(self, spec: RunSpec, number: int) -> str:
        while True:
            try:
                return await self._begin(spec, number)
            except TooBusy:
                if await self._is_stuck(spec.parent):
                    return await self._squeeze_in(spec, number)
            await asyncio.sleep(ROOM_S)

    async def _is_stuck(self, parent: str) -> bool:
        # If parents take all the room, each waits for children that can never start. So each parent
        # may always have one child.
        # Those that wait for a person take no room, and may wait for weeks.
        going = await self._journal.heads(parent=parent, status="running", limit=1)
        return not going and parent not in self._squeezing

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
            # Stopped half-way, the start would leave a child in the journal that no parent knows.
            # Its parent finds a started child again, and stops or continues it.
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
        calls = [call for step in run.steps.values() for call in step.calls]
        return Outcome(run_id, run.status, run.text, run.result, run.error, items, calls)

    async def stop(self, parent: str) -> None:
        heads = await self._journal.heads(parent=parent, is_live=True, limit=MAX_STOPPED)
        reason = f"run {parent}, which has started it, has ended"
        await asyncio.gather(*(self._runner.cancel(h.run_id, reason=reason) for h in heads))
