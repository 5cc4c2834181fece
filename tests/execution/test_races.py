"""A run ends once, whoever wins."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from support.runs import events_of
from unspool import Core, RunSpec, fold

TURNS = 120
"""The quick model ends a run within so many turns of the event loop."""


@pytest.mark.usefixtures("breathing_model")
async def test_a_cancel_that_races_with_the_end_leaves_exactly_one_ending(core: Core) -> None:
    endings: Counter[str] = Counter()

    async def race(turns: int) -> None:
        run_id = await core.admission.admit(RunSpec("chat", {"prompt": "你好"}))
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.gather(core.runner.cancel(run_id), core.runner.cancel(run_id))
        # When `cancel` returns the ending is in the log, and nothing comes after it.
        events = await events_of(core, run_id)
        assert [event.is_terminal for event in events].index(True) == len(events) - 1
        head = await core.journal.head(run_id)
        assert (head.status, head.seq) == (fold(events).status, len(events))
        endings[head.status] += 1

    for turns in range(TURNS):
        await race(turns)
    await asyncio.gather(*(race(turns % 7) for turns in range(TURNS)))
    assert set(endings) == {"cancelled", "completed"}  # both have won at times
