"""Answers to runs that wait, as requests of chats and agents hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unspool.core import Core
from unspool.errors import NotWaiting
from unspool.journals import read_all
from unspool.runs.run import Run


@dataclass(frozen=True, slots=True)
class Decision:
    """
    Attributes:
        place: The id of the question: `<run>/<step>`.
        id: One for each answer, so that a repeated request finds its own; empty: the same decision
            is the same answer.
    """

    place: str
    is_approved: bool
    reason: str = ""
    value: Any = None
    id: str = ""


@dataclass(slots=True)
class _DecisionAnswer:
    step: str
    value: Any
    declined: bool
    reason: str


async def answered(core: Core, decisions: Sequence[Decision]) -> tuple[str, int] | None:
    """
    Give answers; return the run and the number of the event of the first one.

    Where somebody was faster, his answer stands. None: no run asks these questions.

    Raises:
        SpecError: A value does not fit its question.
    """
    found: list[tuple[str, int]] = []
    for decision in decisions:
        run_id, _, step = decision.place.partition("/")
        given = _DecisionAnswer(step, decision.value, not decision.is_approved, decision.reason)
        verdict = "approved" if decision.is_approved else "declined"
        try:
            await core.answers.give(run_id, given, decision.id or verdict)
        except NotWaiting:
            pass  # its answer is in the log, or it has ended
        _, places = await fold_of(core, run_id)
        if step in places:
            found.append((run_id, places[step][0]))
    return min(found, key=lambda it: it[1]) if found else None


async def fold_of(core: Core, run_id: str) -> tuple[Run, dict[str, tuple[int, bool]]]:
    """Return a run, and by step where each answer is in its log and whether it is about a call."""
    run, places = Run(), dict[str, tuple[int, bool]]()
    async for events in read_all(core.journal, run_id):
        for event in events:
            run.apply(event)
            if event.type == "question.answered":
                step = event.data["step"]
                places[step] = event.seq, run.questions[step].call is not None
    return run, places
