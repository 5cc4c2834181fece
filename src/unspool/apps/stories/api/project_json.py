"""Projects, stages and results as JSON."""

from __future__ import annotations

import asyncio
import difflib
import re
from typing import Any, Final

from unspool.core import Core
from unspool.errors import UnknownRun
from unspool.server.api.json.run import iso

from ..flow import FED_BY, made_of, plain
from ..grounding import total_s
from ..records import Project, Stage, StageResult, current_results, stages_of

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
    results = await current_results(core.records, project.id)
    stages = await stages_of(core.records, project.id)
    source: Any = stages[0].input_text or project.original_topic
    shown: list[dict[str, Any]] = []
    is_stale = False
    for stage in stages:
        result = results.get(stage.kind)  # type: ignore[call-overload]
        if result is not None:
            wish = result.details.get("wish", "")
            is_stale = is_stale or result.made_of != made_of(wish, stage.kind, source)  # type: ignore[arg-type]
            source = result.text if stage.kind == "rewrite" else result.items
        shown.append(await _stage_json(core, stage, result, is_stale=is_stale and bool(result)))
    return shown


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
