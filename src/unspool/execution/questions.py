"""
Lets a run wait for a person.

The question and its answer are events, so a run that waits survives its server: the next one runs
the flow again up to the question, and waits for the rest of its time. The process that carries the
run takes the first answer that reaches it; later ones change nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..errors import SpecError, Unanswered
from ..formats.json_schema import InvalidSchema, check_schema
from ..journals import Pen
from ..runs.questions import GivenAnswer, Question
from ..runs.run import Run

WITHIN_S: Final = 86_400.0
"""A question that names no limit waits for a day."""

MAX_WITHIN_S: Final = 30 * 86_400.0


class Questions:
    """
    The questions of one live run.

    Args:
        on_waiting: Called with True when the run begins to wait, with False when it goes on.
    """

    def __init__(self, pen: Pen, past: Run, on_waiting: Callable[[bool], object]) -> None:
        self._pen = pen
        self._asked = past.questions
        self._given: dict[str, GivenAnswer] = {}
        """Answers that came before their question was asked again."""
        self._open: dict[str, asyncio.Future[GivenAnswer]] = {}
        self._on_waiting = on_waiting

    async def ask(
        self,
        text: str,
        *,
        step: str,
        schema: Mapping[str, Any] | None = None,
        within_s: float = WITHIN_S,
        call: Mapping[str, Any] | None = None,
    ) -> GivenAnswer:
        """See `flows.Context.ask`."""
        question = self._asked.get(step) or self._ask(text, step, schema, within_s, call)
        if question.answer is None:
            await self._pen.commit()
            question.answer = await self._wait(question)
            self._pen.append(question.answer.event(step))
            await self._pen.commit()
        if question.answer.outcome == "expired":
            raise Unanswered(step)
        return question.answer

    def _ask(
        self,
        text: str,
        step: str,
        schema: Mapping[str, Any] | None,
        within_s: float,
        call: Mapping[str, Any] | None,
    ) -> Question:
        if schema is not None:
            try:
                check_schema(schema)
            except InvalidSchema as error:
                raise SpecError(f"the schema of the question {step!r} {error}") from None
        until_ms = int((time.time() + min(max(within_s, 0.0), MAX_WITHIN_S)) * 1000)
        question = self._asked[step] = Question(step, text, until_ms, schema, call)
        self._pen.append(question.event())
        return question

    async def _wait(self, question: Question) -> GivenAnswer:
        if (given := self._given.pop(question.step, None)) is not None:
            return given
        waiting = self._open[question.step] = asyncio.get_running_loop().create_future()
        if len(self._open) == 1:
            self._on_waiting(True)
        try:
            async with asyncio.timeout(max(0.0, question.until_ms / 1000 - time.time())):
                answer: GivenAnswer = await waiting
                return answer
        except TimeoutError:
            return GivenAnswer("expired")
        finally:
            del self._open[question.step]
            if not self._open:
                self._on_waiting(False)

    def give(self, step: str, answer: GivenAnswer) -> None:
        """Answer a question, unless it has an answer; one that is not asked yet keeps it."""
        waiting = self._open.get(step)
        if waiting is None:
            self._given.setdefault(step, answer)
        elif not waiting.done():
            waiting.set_result(answer)
