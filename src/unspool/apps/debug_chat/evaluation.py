"""
Asks models with test cases, and judges each answer.

Each answer is a run of `chat` of its own. A model that fails has the verdict `error` for that
case; it fails nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from unspool.flows import Context, KeepingFlow, Outcome
from unspool.flows.kit.gather import together
from unspool.runs.run import Run

from .expectations import Expectation, misses_of
from .records.cases import find_cases, keep_verdicts

if TYPE_CHECKING:
    from unspool.records import Records

MAX_CASES: Final = 200
MAX_MODELS: Final = 16

VERDICT: Final = "verdict"


class StoredCase(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: int
    name: str
    input: dict[str, Any]
    expectation: Expectation


class Evaluation(BaseModel):
    model_config = ConfigDict(extra="forbid")

    case_ids: list[int] = Field(min_length=1, max_length=MAX_CASES)
    """Numbers of the cases."""
    models: list[str] = Field(default_factory=lambda: [""], min_length=1, max_length=MAX_MODELS)
    """Models or routes; an empty name is the default of chats."""
    concurrency: int = Field(4, ge=1, le=32)
    """Answers at once."""
    cases: list[StoredCase] = Field(default_factory=list)
    """The cases as they were at the request. The server replaces whatever a client sends."""


class EvaluationFlow(KeepingFlow[Evaluation]):
    input_model = Evaluation

    async def prepare(self, request: Evaluation, records: Records) -> Evaluation:
        """
        Fill in the cases.

        Raises:
            UnknownRecord: One of them does not exist.
        """
        rows = await find_cases(records, list(dict.fromkeys(request.case_ids)))
        cases = [
            StoredCase(
                id=row.id,
                name=row.name,
                input=row.input,
                expectation=Expectation.model_validate(row.expectation),
            )
            for row in rows
        ]
        models = list(dict.fromkeys(request.models))
        return request.model_copy(update={"cases": cases, "models": models})

    async def run(self, ctx: Context, request: Evaluation) -> None:
        pairs = [(case, model) for case in request.cases for model in request.models]
        waiting = iter(enumerate(pairs, start=1))
        verdicts: dict[int, dict[str, Any]] = {}
        workers = range(min(request.concurrency, len(pairs)))
        await together(_work(ctx, waiting, verdicts, len(pairs)) for _ in workers)
        results = [verdicts[number] for number in sorted(verdicts)]
        counts = {name: sum(r["verdict"] == name for r in results) for name in VERDICTS}
        ctx.result({**counts, "verdicts": results})

    async def keep(self, run_id: str, request: Evaluation, run: Run, records: Records) -> None:
        items = [item["item"] for item in run.items if item["kind"] == VERDICT]
        at_ms = run.ended_ms or run.started_ms or 0
        rows = [
            {
                "evaluation": run_id,
                "number": item["number"],
                "case_id": item["case"],
                "model": item["model"],
                "run_id": item["run"] or "",
                "verdict": item["verdict"],
                "misses": item["misses"],
                "at_ms": at_ms,
            }
            for item in items
        ]
        await keep_verdicts(records, rows)


VERDICTS: Final = ("passed", "failed", "error")


async def _work(
    ctx: Context,
    waiting: Iterator[tuple[int, tuple[StoredCase, str]]],
    verdicts: dict[int, dict[str, Any]],
    total: int,
) -> None:
    for number, (case, model) in waiting:
        outcome = await ctx.child(number, "chat", case.input, model=model)
        verdict = {"number": number, "case": case.id, "model": model, **_judged(case, outcome)}
        ctx.found(VERDICT, verdict)
        verdicts[number] = verdict
        done = len(verdicts)
        ctx.progress(f"{done} of {total} answers are judged", current=done, total=total)


def _judged(case: StoredCase, outcome: Outcome) -> dict[str, Any]:
    facts: dict[str, Any] = {"run": outcome.run, "misses": []}
    if outcome.status != "completed":
        return {**facts, "verdict": "error", "error": dict(outcome.error or {})}
    misses = misses_of(case.expectation, outcome.text, outcome.calls)
    verdict = "failed" if misses else "passed"
    return {**facts, "verdict": verdict, "misses": [asdict(miss) for miss in misses]}


plug = EvaluationFlow()
