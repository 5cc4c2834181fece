"""
S3.12: `POST /api/v1/events/extract/batch/llm-stream`, the events of many people at once.

`start (user_start | user_progress | user_done | user_failed | progress)* done`, or `error`. It
is a run of the flow `extraction_batch`: each person has a run of its own (`run_id`), with its own
stream and progress (`GET /v1/runs/{id}`), which recovers after a crash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter

from unspool.dialects import RunGateway
from unspool.runs.events import Event
from unspool.runs.run import is_child

from ..frames import frame


class BatchEncoder:
    def __init__(self) -> None:
        self._user_ids: Sequence[str] = ()
        self._begun_ms = 0
        self._counts = {"completed": 0, "failed": 0, "event_count": 0}

    def encode(self, event: Event) -> Sequence[bytes]:
        data = event.data
        frames: Sequence[bytes] = ()
        match event.type:
            case "run.started":
                self._user_ids = data["input"].get("user_ids", ())
                self._begun_ms = event.at_ms
                message = f"开始为 {len(self._user_ids)} 个用户抽象事件..."
                frames = (frame("start", message=message, total=len(self._user_ids)),)
            case "item.found" if is_child(data):
                frames = self._child(data["kind"], data["item"])
            case "progress.made":
                frames = (self._progress(data, event.at_ms),)
            case "warning.raised":
                frames = (frame("warning", message=data["message"]),)
            case "run.completed":
                counts = {"user_count": len(self._user_ids), **self._counts}
                frames = (frame("done", message="批量抽象完成", **counts),)
            case _ if event.is_terminal:
                message = data.get("message") or event.type.partition(".")[2]
                frames = (frame("error", message=message),)
            case _:
                pass
        return frames

    def _child(self, kind: str, item: Mapping[str, Any]) -> Sequence[bytes]:
        number = item["number"]
        user_id = self._user_ids[number - 1] if 0 < number <= len(self._user_ids) else ""
        facts = {"user_id": user_id, "run_id": item["run"]}
        if kind == "child":
            return (frame("user_start", **facts, index=number, total=len(self._user_ids)),)
        if kind == "child_progress":
            return (frame("user_progress", **facts, chunk_count=item["pieces"]),)
        if item["status"] == "completed":
            self._counts["completed"] += 1
            self._counts["event_count"] += item.get("items", 0)
            return (frame("user_done", **facts, event_count=item.get("items", 0)),)
        self._counts["failed"] += 1
        message = (item.get("error") or {}).get("message", item["status"])
        return (frame("user_failed", **facts, message=message),)

    def _progress(self, data: Mapping[str, Any], at_ms: int) -> bytes:
        current, total = data.get("current"), data.get("total")
        if current is None or not total:
            return frame("progress", message=data["message"])
        percent = round(100 * current / total, 1)
        message = f"已完成 {current}/{total} 个用户"
        counts = {"current": current, "total": total, "percent": percent}
        left_s = round((at_ms - self._begun_ms) / 1000 / current * (total - current), 1)
        return frame("progress", message=message, **counts, left_s=left_s)


class ExtractionBatch:
    trailer = b""
    can_rewind = True  # it sends no text

    def routes(self, gateway: RunGateway) -> APIRouter:
        """Return no routes: `extraction` has the path, before that of a person named `batch`."""
        return APIRouter()

    def encoder(self) -> BatchEncoder:
        return BatchEncoder()


plug = ExtractionBatch()
