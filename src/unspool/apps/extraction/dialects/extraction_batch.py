"""
S3.12: `POST /api/v1/events/extract/batch/llm-stream`, the events of many people at once.

`start (user_start | user_progress | user_done | user_failed | progress)* done`, or `error`. It
is a run of the flow `batch`: each person has a run of its own (`run_id`), with its own stream
and progress (`GET /v1/runs/{id}`), which recovers after a crash.
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
        self._items: Sequence[Mapping[str, Any]] = ()
        self._counts = {"completed": 0, "failed": 0, "event_count": 0}

    def encode(self, event: Event) -> Sequence[bytes]:
        data = event.data
        frames: Sequence[bytes] = ()
        match event.type:
            case "run.started":
                self._items = data["input"].get("items", ())
                message = f"开始为 {len(self._items)} 个用户抽象事件..."
                frames = (frame("start", message=message, total=len(self._items)),)
            case "item.found" if is_child(data):
                frames = self._child(data["kind"], data["item"])
            case "progress.made":
                frames = (self._progress(data),)
            case "warning.raised":
                frames = (frame("warning", message=data["message"]),)
            case "run.completed":
                counts = {"user_count": len(self._items), **self._counts}
                frames = (frame("done", message="批量抽象完成", **counts),)
            case _ if event.is_terminal:
                message = data.get("message") or event.type.partition(".")[2]
                frames = (frame("error", message=message),)
            case _:
                pass
        return frames

    def _child(self, kind: str, item: Mapping[str, Any]) -> Sequence[bytes]:
        number = item["number"]
        request = self._items[number - 1] if 0 < number <= len(self._items) else {}
        facts = {"user_id": request.get("user_id", ""), "run_id": item["run"]}
        if kind == "child":
            return (frame("user_start", **facts, index=number, total=len(self._items)),)
        if kind == "child_progress":
            return (frame("user_progress", **facts, chunk_count=item["pieces"]),)
        if item["status"] == "completed":
            self._counts["completed"] += 1
            self._counts["event_count"] += item.get("items", 0)
            return (frame("user_done", **facts, event_count=item.get("items", 0)),)
        self._counts["failed"] += 1
        message = (item.get("error") or {}).get("message", item["status"])
        return (frame("user_failed", **facts, message=message),)

    def _progress(self, data: Mapping[str, Any]) -> bytes:
        current, total = data.get("current"), data.get("total")
        if current is None or not total:
            return frame("progress", message=data["message"])
        percent = round(100 * current / total, 1)
        message = f"已完成 {current}/{total} 个用户"
        return frame("progress", message=message, current=current, total=total, percent=percent)


class ExtractionBatch:
    trailer = b""
    can_rewind = True  # it sends no text

    def routes(self, gateway: RunGateway) -> APIRouter:
        """Return no routes: `extraction` has the path, before that of a person named `batch`."""
        return APIRouter()

    def encoder(self) -> BatchEncoder:
        return BatchEncoder()


plug = ExtractionBatch()
