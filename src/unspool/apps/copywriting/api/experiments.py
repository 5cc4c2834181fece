"""`/api/experiments`: which arm of an experiment is adopted more often, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from unspool.core import Core
from unspool.errors import SpecError
from unspool.server.api.json.places import place
from unspool.server.api.json.run import iso

from ..confidence import Z_95, needed, wilson, z_of
from ..records.copies import ArmCount, count_arms, count_parts
from ..records.experiments import (
    Experiment,
    begin_experiment,
    change_experiment,
    find_experiment,
    list_experiments,
    remove_experiment,
)

LEAST_DIFFERENCE: Final = 0.10
"""Difference of two rates that an experiment should show: ten of a hundred posts more."""

FEW: Final = 30
"""Judged runs of an arm below which its rate is an anecdote."""

JUDGED_SHARE: Final = 0.5
"""If fewer of the shown runs were judged, the judges may differ between the arms."""

Name = Annotated[str, Path(max_length=64)]


class ArmInput(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[\w.-]{1,64}$")
    weight: float = Field(1.0, gt=0, le=1000)
    writer: Literal["model", "template"] = "model"
    model: str = Field("", max_length=128)
    prompt: str = Field("", max_length=4000)


class ExperimentInput(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[\w.-]{1,64}$", examples=["model-or-template"])
    arms: list[ArmInput] = Field(min_length=2, max_length=8)
    learns: bool = False
    """The better an arm does, the more often it writes (Thompson sampling)."""


class ExperimentChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    is_active: bool | None = None
    """False ends it, true resumes it."""
    winner: str | None = Field(None, max_length=64)
    """The arm that has won: it ends the experiment and writes from now on. Empty takes it back."""


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/experiments", tags=["experiments"])
    records = core.records

    @router.get("")
    async def list_all() -> dict[str, Any]:
        """Every experiment, newest first."""
        return {"experiments": [_json(each) for each in await list_experiments(records)]}

    @router.post("", status_code=201)
    async def begin(definition: ExperimentInput) -> JSONResponse:
        """Begin an experiment: from now on each request for copy belongs to one of its arms."""
        if len({arm.name for arm in definition.arms}) < len(definition.arms):
            raise SpecError("two arms have one name; give each its own")
        for arm in definition.arms:
            if arm.model:
                core.catalog.check(arm.model)
        arms = [arm.model_dump() for arm in definition.arms]
        made = await begin_experiment(records, definition.name, arms, learns=definition.learns)
        headers = {"Location": place("/api/experiments", made.name)}
        return JSONResponse(_json(made), 201, headers=headers)

    @router.get("/{name}")
    async def read(name: Name) -> dict[str, Any]:
        """One experiment with its report."""
        found = await find_experiment(records, name)
        report = _report(found, await count_arms(records, name))
        report["by_style"] = _parts_json(await count_parts(records, name, "style"))
        report["by_category"] = _parts_json(await count_parts(records, name, "category"))
        return {**_json(found), "report": report}

    @router.patch("/{name}")
    async def change(name: Name, said: ExperimentChange) -> dict[str, Any]:
        """End it, resume it, or declare an arm its winner."""
        return _json(await change_experiment(records, name, **said.model_dump()))

    @router.delete("/{name}", status_code=204)
    async def remove(name: Name) -> Response:
        await remove_experiment(records, name)
        return Response(status_code=204)

    return router


def _json(each: Experiment) -> dict[str, Any]:
    names = ("name", "arms", "is_active", "learns", "winner")
    facts = {name: getattr(each, name) for name in names}
    ended = None if each.ended_ms is None else iso(each.ended_ms)
    return {**facts, "created_at": iso(each.created_ms), "ended_at": ended}


def _report(experiment: Experiment, counts: Any) -> dict[str, Any]:
    by_name = {count.arm: count for count in counts}
    names = [arm["name"] for arm in experiment.arms]
    arms = [by_name.get(name) or ArmCount(name, 0, 0, 0, None) for name in names]
    judged, adopted = sum(a.judged for a in arms), sum(a.adopted for a in arms)
    wanted = needed(adopted / judged if judged else 0.5, LEAST_DIFFERENCE)
    differs = _differing(arms)
    is_early = any(arm.judged < wanted for arm in arms)
    verdict = "too_early" if is_early else "differs" if differs else "no_difference"
    return {
        "arms": [_arm_json(arm) for arm in arms],
        "needed": wanted,
        "verdict": verdict,
        "differs": differs,
        "warnings": list(_warnings(arms, wanted, differs)),
    }


def _parts_json(parts: Mapping[str, Sequence[ArmCount]]) -> list[dict[str, Any]]:
    return [
        {"name": name, "arms": [_arm_json(arm) for arm in arms]} for name, arms in parts.items()
    ]


def _differing(arms: list[ArmCount]) -> list[list[str]]:
    """
    Pairs of arms whose rates differ by more than chance explains (95 %).

    The limit grows with the number of pairs (Bonferroni): of ten equal pairs one would seem to
    differ.
    """
    pairs = list(combinations(arms, 2))
    limit = Z_95 + 0.5 * (len(pairs) > 1) + 0.3 * (len(pairs) > 3)
    return [
        [one.arm, other.arm]
        for one, other in pairs
        if z_of((one.adopted, other.adopted), (one.judged, other.judged)) > limit
    ]


def _arm_json(arm: ArmCount) -> dict[str, Any]:
    interval = wilson(arm.adopted, arm.judged)
    low, high = interval if interval else (None, None)
    return {
        "name": arm.arm,
        "shown": arm.shown,
        "judged": arm.judged,
        "adopted": arm.adopted,
        "rate": None if not arm.judged else round(arm.adopted / arm.judged, 4),
        "low": None if low is None else round(low, 4),
        "high": None if high is None else round(high, 4),
        "total_ms": None if arm.total_ms is None else round(arm.total_ms),
    }


def _warnings(arms: list[ArmCount], wanted: int, differs: list[list[str]]) -> Any:
    if any(arm.judged < FEW for arm in arms):
        yield {"code": "few", "message": f"an arm has fewer than {FEW} judged runs"}
    if differs and any(arm.judged < wanted for arm in arms):
        yield {
            "code": "stop_early",
            "message": f"the arms differ now; who stops at the first such moment is often wrong: "
            f"go on until each has {wanted} judged runs",
        }
    if any(arm.shown and arm.judged < arm.shown * JUDGED_SHARE for arm in arms):
        yield {
            "code": "unjudged",
            "message": "of many runs nobody said what became of them: "
            "POST /v1/runs/{id}/outcome says it, also where nothing was adopted",
        }
