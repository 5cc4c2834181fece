"""`/api/cases`: save runs as test cases, and read the verdicts on them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Path, Query
from pydantic import Field, ValidationError
from starlette.responses import JSONResponse, Response

from unspool.core import Core
from unspool.errors import SpecError
from unspool.flows.chat import Chat
from unspool.formats.written import StrictInput, validated
from unspool.journals import read_all
from unspool.runs.run import Run
from unspool.server.api.json.places import place
from unspool.server.api.json.run import iso
from unspool.server.api.models import MAX_NUMBER

from ..expectations import CallRule, Expectation, TextRule
from ..records.cases import (
    MAX_NAME_CHARS,
    MAX_RUN_ID_CHARS,
    CaseRow,
    VerdictRow,
    add_case,
    change_case,
    count_cases,
    find_cases,
    latest_verdicts,
    list_cases,
    remove_case,
    verdicts_of,
)

MAX_CASES: Final = 2000
"""In one database; an evaluation takes 200."""

Number = Annotated[int, Path(alias="id", ge=1, le=MAX_NUMBER)]

_INPUT: Final = ("prompt", "system", "params", "tools", "tool_ids", "talk")
"""Fields of a chat that belong to a case."""


class CaseInput(StrictInput):
    name: str = Field("", max_length=MAX_NAME_CHARS)
    """Empty: the beginning of the prompt."""
    run: str = Field("", max_length=MAX_RUN_ID_CHARS)
    """A run of `chat` or `compare` whose input the case takes; `input` goes first."""
    input: dict[str, Any] | None = None
    """Of the flow `chat`: `prompt`, `system`, `params`, `tools`, `tool_ids`, `talk`."""
    expectation: Expectation | None = None
    """None: the calls that the run made, or else its whole text."""


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/cases", tags=["test cases (S2)"])
    records = core.records

    @router.get("")
    async def all_cases(
        after: Annotated[int, Query(ge=0, le=MAX_NUMBER)] = 0,
        limit: Annotated[int, Query(ge=1, le=500)] = 200,
    ) -> dict[str, Any]:
        """List cases by number, each with the latest verdict of each model and the one before."""
        rows = await list_cases(records, after=after, limit=limit)
        latest: dict[int, list[dict[str, Any]]] = {}
        for verdict, before in await latest_verdicts(records, [row.id for row in rows]):
            facts = {**_verdict_json(verdict), "before": before}
            latest.setdefault(verdict.case_id, []).append(facts)
        return {
            "cases": [{**_case_json(row), "latest": latest.get(row.id, [])} for row in rows],
            "total": await count_cases(records),
            "next": rows[-1].id if len(rows) == limit else None,
        }

    @router.post("", status_code=201)
    async def save_case(case: CaseInput) -> JSONResponse:
        """Save a case: from a run, or from an input."""
        row = await _saved(core, case)
        headers = {"Location": place("/api/cases", row.id)}
        return JSONResponse(_case_json(row), 201, headers=headers)

    @router.get("/{id}")
    async def read_case(number: Number) -> dict[str, Any]:
        """Read one case, with its newest verdicts."""
        (row,) = await find_cases(records, [number])
        verdicts = await verdicts_of(records, number)
        return {**_case_json(row), "verdicts": [_verdict_json(each) for each in verdicts]}

    @router.patch("/{id}")
    async def alter_case(
        number: Number, values: Annotated[dict[str, Any], Body()]
    ) -> dict[str, Any]:
        """Change `name`, `input` or `expectation`; what is left out stays."""
        (row,) = await find_cases(records, [number])
        if changes := _changes(row, values):
            await change_case(records, number, changes)
        (row,) = await find_cases(records, [number])
        return _case_json(row)

    @router.delete("/{id}", status_code=204)
    async def delete_case(number: Number) -> Response:
        """Remove a case and its verdicts."""
        await remove_case(records, number)
        return Response(status_code=204)

    return router


async def _saved(core: Core, case: CaseInput) -> CaseRow:
    if await count_cases(core.records) >= MAX_CASES:
        raise SpecError(f"there are {MAX_CASES} cases already; remove one first")
    run = await _run_of(core, case.run) if case.run else None
    input = _checked(case.input if case.input is not None else _input_of(run))
    expectation = case.expectation or _expectation_of(run)
    values = {
        "name": case.name.strip() or input["prompt"].strip()[:60],
        "input": input,
        "expectation": expectation.model_dump(),
        "run_id": case.run,
    }
    return await add_case(core.records, values)


def _changes(row: CaseRow, values: dict[str, Any]) -> dict[str, Any]:
    before = {"name": row.name, "input": row.input, "expectation": row.expectation}
    case = validated(CaseInput, {**before, **values})
    changes: dict[str, Any] = {}
    if "name" in values:
        changes["name"] = case.name.strip() or row.name
    if "input" in values:
        changes["input"] = _checked(case.input)
    if "expectation" in values and case.expectation is not None:
        changes["expectation"] = case.expectation.model_dump()
    return changes


async def _run_of(core: Core, run_id: str) -> tuple[dict[str, Any], Run]:
    """Return the input and the fold of a run."""
    run, input = Run(), dict[str, Any]()
    async for events in read_all(core.journal, run_id):
        for event in events:
            if event.type == "run.started":
                input = dict(event.data["input"])
            run.apply(event)
    return input, run


def _input_of(run: tuple[dict[str, Any], Run] | None) -> dict[str, Any]:
    if run is None:
        raise SpecError("a case needs `input`, or a `run` to take it from")
    input, _ = run
    if not isinstance(input.get("prompt"), str):
        raise SpecError("this run asked no question; save a run of `chat` or `compare`")
    return {name: input[name] for name in _INPUT if name in input}


def _checked(input: dict[str, Any] | None) -> dict[str, Any]:
    """Return the input as the flow takes it."""
    try:
        chat = Chat.model_validate(input or {})
    except ValidationError as error:
        (first, *_) = error.errors(include_input=False, include_url=False)
        raise SpecError(f"input.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return chat.model_dump(include=set(_INPUT), exclude_defaults=True) | {"prompt": chat.prompt}


def _expectation_of(run: tuple[dict[str, Any], Run] | None) -> Expectation:
    if run is None:
        raise SpecError("a case needs `expectation`, or a `run` whose answer is expected")
    _, fold = run
    calls = [call for step in fold.steps.values() for call in step.calls]
    if calls:
        rules = [CallRule(name=call["name"], arguments=dict(call["arguments"])) for call in calls]
        return Expectation(calls=rules)
    if not fold.text.strip():
        raise SpecError("this run has no answer to expect; send `expectation`")
    return Expectation(text=[TextRule(kind="equals", value=fold.text)])


def _case_json(row: CaseRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "input": row.input,
        "expectation": row.expectation,
        "run": row.run_id or None,
        "created_at": iso(row.created_ms),
        "updated_at": iso(row.updated_ms),
    }


def _verdict_json(row: VerdictRow) -> dict[str, Any]:
    return {
        "evaluation": row.evaluation,
        "number": row.number,
        "model": row.model,
        "run": row.run_id or None,
        "verdict": row.verdict,
        "misses": row.misses,
        "at": iso(row.at_ms),
    }
