"""Gives people's answers to runs that wait for them, whichever server carries the run."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any, Final, Protocol

import msgspec

from ..errors import JournalError, NotWaiting, SpecError
from ..formats.json_schema import misfits
from ..journals import Ask, Journal, read_all
from ..runs.principal import present
from ..runs.questions import GivenAnswer, Question
from ..runs.run import Run
from .runner import Runner

OBEY_S: Final = 10.0
"""Seconds for the run's process to write the answer; a dead one is replaced in six."""

MAX_TEXT: Final = 100_000


class Given(Protocol):
    """An answer as somebody sends it; an empty `step` is that of the only open question."""

    step: str
    value: Any
    declined: bool
    reason: str


class Answers:
    def __init__(self, journal: Journal, runner: Runner) -> None:
        self._journal = journal
        self._runner = runner

    async def give(self, run_id: str, given: Given, answer_id: str = "") -> Run:
        """
        Answer a question of a run, and return the run when the answer is in its log.

        The same `answer_id` is the same answer, so it may be sent again.

        Raises:
            UnknownRun: There is no such run.
            NotWaiting: It asks no such question, or somebody was faster.
            SpecError: The value does not fit the question.
            JournalError: The answer is not in the log in `OBEY_S`.
        """
        run = await self._read(Run(), run_id)
        answer_id = answer_id or secrets.token_hex(8)
        question = _named(run, given.step, answer_id)
        if question.answer is not None:
            return _taken(run, question, answer_id)
        if not given.declined:
            _check(question, given.value)
        answer = GivenAnswer(
            "declined" if given.declined else "answered",
            None if given.declined else given.value,
            given.reason,
            present.get().key,
            answer_id,
        )
        if not self._runner.answer_here(run_id, question.step, answer):
            message = msgspec.json.encode((question.step, answer)).decode()
            await self._journal.ask(Ask(run_id, "answer", message))
        try:
            async with asyncio.timeout(OBEY_S):
                while run.questions[question.step].answer is None and not run.is_ended:
                    await self._journal.wait(run_id, after=run.seq, timeout_s=1.0)
                    await self._read(run, run_id)
        except TimeoutError:
            raise JournalError(
                f"the answer is not in the log of run {run_id} yet; send it again with the same "
                "Idempotency-Key"
            ) from None
        return _taken(run, run.questions[question.step], answer_id)

    async def _read(self, run: Run, run_id: str) -> Run:
        async for events in read_all(self._journal, run_id, after=run.seq):
            for event in events:
                run.apply(event)
        return run


def _named(run: Run, step: str, answer_id: str) -> Question:
    """Return the question that is meant; without a step, the one that had this answer already."""
    waiting = run.open_questions
    answered = (it for it in run.questions.values() if it.answer and it.answer.id == answer_id)
    if not step and (same := next(answered, None)) is not None:
        return same
    if step and step in run.questions:
        return run.questions[step]
    if step or len(waiting) != 1 or run.is_ended:
        have = ", ".join(question.step for question in waiting) or "none"
        if not step and len(waiting) > 1 and not run.is_ended:
            raise NotWaiting(f"several questions are open: {have}; name one of them as `step`")
        raise NotWaiting(f"the run has no open question {step!r}; open ones: {have}")
    return waiting[0]


def _taken(run: Run, question: Question, answer_id: str) -> Run:
    if question.answer is None:
        raise NotWaiting(f"the run ended before the question {question.step!r} was answered")
    if question.answer.id != answer_id:
        how = question.answer.outcome
        raise NotWaiting(f"the question {question.step!r} is {how} already; the run has gone on")
    return run


def _check(question: Question, value: Any) -> None:
    if question.call is not None:
        if value is not None and value is not True:
            raise SpecError("an approval needs no value; to refuse it, decline")
    elif question.schema is not None:
        problems = misfits(question.schema, value) if isinstance(value, dict) else ["is no object"]
        if problems:
            raise SpecError(f"the answer does not fit the question: {'; '.join(problems)}")
    elif not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise SpecError(f"the answer must be a text of 1 to {MAX_TEXT} characters")
