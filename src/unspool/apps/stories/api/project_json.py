"""Projects, stages and results as JSON."""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from unspool.core import Core
from unspool.errors import UnknownRun
from unspool.server.api.json.run import iso

from ..flow import FED_BY, made_of, plain
from ..grounding import total_s
from ..records import (
    Project,
    Stage,
    StageResult,
    current_results,
    results_by_project,
    stages_by_project,
    stages_of,
)

MAX_DIFF_PARTS: Final = 1500
"""Clauses of each text to compare; a longer diff helps nobody and takes seconds."""

_PART: Final = re.compile(r"[^。！？!?；;，,\n]*[。！？!?；;，,\n]+|[^。！？!?；;，,\n]+")
"""A clause with its punctuation: the unit that people edit."""


def project_json(project: Project) -> dict[str, Any]:
    return {
        "id": project.id,
        "name": project.name,
        "original_topic": project.original_topic,
        "created_at": iso(project.created_ms),
        "updated_at": iso(project.updated_ms),
    }


async def stage_json(core: Core, project: Project) -> list[dict[str, Any]]:
    """Return the current stages of a project as JSON."""
    results: Any = await current_results(core.records, project.id)
    stages = await stages_of(core.records, project.id)
    stale = _stale(project, stages, results)
    return [
        await _stage_json(core, stage, results.get(stage.kind), is_stale=stage.kind in stale)
        for stage in stages
    ]


async def brief_json(core: Core, projects: Sequence[Project]) -> list[dict[str, Any]]:
    """Return projects for a list, each with the states of its stages and no text of them."""
    stages = await stages_by_project(core.records, [project.id for project in projects])
    results: Any = await results_by_project(core.records, [project.id for project in projects])
    listed = []
    for project in projects:
        mine = stages[project.id]
        stale = _stale(project, mine, results.get(project.id, {}))
        briefs = [
            {
                "stage_type": stage.kind,
                "status": await _status(core, stage),
                "is_stale": stage.kind in stale,
            }
            for stage in mine
        ]
        listed.append(project_json(project) | {"stages": briefs})
    return listed


def _stale(
    project: Project, stages: Sequence[Stage], results: Mapping[str, StageResult]
) -> set[str]:
    """Return the stages whose result no longer fits: its source has changed, or is stale too."""
    source: Any = stages[0].input_text or project.original_topic
    stale: set[str] = set()
    for stage in stages:
        result = results.get(stage.kind)
        if result is None:
            continue
        wish = result.details.get("wish", "")
        if stale or result.made_of != made_of(wish, stage.kind, source):  # type: ignore[arg-type]
            stale.add(stage.kind)
        source = result.text if stage.kind == "rewrite" else result.items
    return stale


async def _stage_json(
    core: Core, stage: Stage, result: StageResult | None, *, is_stale: bool
) -> dict[str, Any]:
    return {
        "project_id": stage.project_id,
        "stage_type": stage.kind,
        "fed_by": FED_BY[stage.kind],  # type: ignore[index]
        "status": await _status(core, stage),
        "run": stage.run_id or None,
        "model": stage.model,
        "input_text": stage.input_text,
        "result": None if result is None else result_json(result),
        "is_stale": is_stale,
        "error": stage.error,
        "updated_at": iso(stage.updated_ms),
    }


async def _status(core: Core, stage: Stage) -> str:
    """Return the status; a `running` stage whose run has ended or is gone has failed."""
    if stage.status not in {"running", "queued"}:
        return stage.status
    try:
        has_ended = (await core.journal.head(stage.run_id)).ended_ms is not None
    except UnknownRun:
        has_ended = True
    return "failed" if has_ended else stage.status


def result_json(result: StageResult, *, whole: bool = False) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "id": result.id,
        "stage_type": result.kind,
        "run": result.run_id,
        "original_text": result.original_text,
        "text": result.text,
        "items": result.items,
        "model": result.model,
        "created_at": iso(result.created_ms),
    }
    if result.kind == "rewrite":
        facts["rewritten_text"] = result.text
    else:
        facts["findings"] = result.details.get("findings", [])
    if result.kind == "storyboard":
        facts["characters"] = result.details.get("characters", [])
        facts["total_s"] = total_s(result.items)
    if whole:
        facts |= {"prompt": result.prompt, "metadata": result.details}
    return facts


def words_of(result: StageResult) -> str:
    """Return a result as people read it: scenes and movements as lines."""
    return plain(result.items) if result.items else result.text


async def diff_json(old: str, new: str) -> dict[str, Any]:
    """Return the parts of two texts in order: `equal`, `delete`, `insert`."""
    return {"parts": await asyncio.to_thread(_diff, old, new)}


def _diff(old: str, new: str) -> list[dict[str, str]]:
    before, after = _PART.findall(old)[:MAX_DIFF_PARTS], _PART.findall(new)[:MAX_DIFF_PARTS]
    parts: list[dict[str, str]] = []
    # Without the heuristic that treats frequent parts as noise: commas are frequent.
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for _, a, b, c, d in matcher.get_opcodes():
        deleted, inserted = "".join(before[a:b]), "".join(after[c:d])
        if deleted == inserted:
            parts.append({"op": "equal", "text": deleted})
            continue
        parts += [{"op": "delete", "text": deleted}] if deleted else []
        parts += [{"op": "insert", "text": inserted}] if inserted else []
    return parts
