"""The JSON of a run, as PROTOCOL.md describes it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from unspool.journals import Head
from unspool.records.feedback import FeedbackRow
from unspool.runs.questions import Question
from unspool.runs.run import Attempt, Run, Step
from unspool.runs.usage import UsageTotal, total


def head_json(head: Head) -> dict[str, Any]:
    """Return the facts of a run for lists, without reading its events."""
    return {
        "id": head.run_id,
        "flow": head.flow,
        "model": head.model,
        "dialect": head.dialect,
        "status": head.status,
        "last_seq": head.seq,
        "created_at": iso(head.created_ms),
        "ended_at": None if head.ended_ms is None else iso(head.ended_ms),
        "total_ms": _since(head, head.ended_ms),
    }


def feedback_json(row: FeedbackRow | None) -> dict[str, Any] | None:
    """Return what somebody thinks of a run; None if nobody has said."""
    if row is None:
        return None
    return {"verdict": row.verdict, "note": row.note, "updated_at": iso(row.updated_ms)}


def run_json(head: Head, run: Run) -> dict[str, Any]:
    """Return all facts of a run after its events so far."""
    usage = total((a.facts.get("usage"), a.facts.get("cost")) for a in run.attempts)
    facts = {
        "status": run.status,
        "last_seq": run.seq,
        "ended_at": None if run.ended_ms is None else iso(run.ended_ms),
        "total_ms": _since(head, run.ended_ms),
        "first_token_ms": _since(head, run.first_token_ms),
        "text": run.text,
        "result": run.result,
        "steps": [
            {
                "name": step.name,
                "status": "finished" if step.finished else "open",
                "text": step.text,
                "tool_calls": [_call_json(call, step) for call in step.calls],
                "model": step.model,
                "finish_reason": step.finish_reason,
                "is_unseen": step.is_unseen,
            }
            for step in run.steps.values()
        ],
        "attempts": [_attempt_json(attempt) for attempt in run.attempts],
        "usage": usage and _usage_json(usage),
        "cost": usage and usage.cost,
        "questions": [_question_json(question) for question in run.questions.values()],
        "warnings": run.warnings,
        "error": run.error,
        "parent": run.parent,
        "forked_from": run.forked_from,
    }
    return head_json(head) | facts


def _since(head: Head, at_ms: int | None) -> int | None:
    # A clock that was set back must not make a time negative.
    return None if at_ms is None else max(0, at_ms - head.created_ms)


def _usage_json(usage: UsageTotal) -> dict[str, Any]:
    names = "prompt_tokens", "completion_tokens", "total_tokens", "basis"
    return {name: getattr(usage, name) for name in names}


def _call_json(call: Mapping[str, Any], step: Step) -> dict[str, Any]:
    named = {name: call[name] for name in ("id", "name", "arguments")}
    return {**named, "answer": step.answers.get(call["index"])}


def _question_json(question: Question) -> dict[str, Any]:
    """Return a question; `answer` is None while it is open."""
    answer = question.answer
    return {
        "step": question.step,
        "text": question.text,
        "schema": question.schema,
        "call": question.call,
        "until": iso(question.until_ms),
        "answer": None
        if answer is None
        else {"outcome": answer.outcome, "value": answer.value, "reason": answer.reason},
    }


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    facts = attempt.facts
    error = None
    if attempt.status == "failed":
        error = {name: facts[name] for name in ("code", "message", "status") if name in facts}
    return {
        "step": attempt.step,
        "number": attempt.number,
        "model": attempt.model,
        "strategy": attempt.strategy,
        "reason": attempt.reason,
        "at": attempt.at,
        "status": attempt.status,
        "finish_reason": facts.get("finish_reason"),
        "usage": facts.get("usage"),
        "cost": facts.get("cost"),
        "seam": facts.get("seam"),
        "error": error,
    }


def iso(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
