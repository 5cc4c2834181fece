"""
S3: `POST /api/v1/events/extract/{user_id}/llm-stream`, the events of one person as lines.

`start progress llm_chunk* progress progress done`, or `error` in the end. A `llm_chunk` is a
whole line with its end: the encoder holds half a line back, so it can be taken back unseen. It
shows lines that are not events too, each with a `warning` after it, which existing clients skip.
`event_count` is the number of events among the shown lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field, StringConstraints
from starlette.responses import Response

from unspool.dialects import Options, RunGateway
from unspool.formats.lines import LineBuffer
from unspool.runs.events import Event
from unspool.runs.run import RunSpec

from ..frames import frame

EVENT = "event"

UserId = Annotated[str, Path(min_length=1, max_length=128)]


class ExtractionRequest(BaseModel):
    model: str = Field("", max_length=128)
    """Model or route; empty: the default."""
    limit: int = Field(200, ge=1, le=500)
    """Number of behaviours to use, the latest ones."""
    force: bool = False
    """Start a new run even if an equal one exists (`Unspool-Cache: refresh`)."""


class BatchRequest(BaseModel):
    user_ids: list[Annotated[str, StringConstraints(min_length=1, max_length=128)]] = Field(
        min_length=1, max_length=1000
    )
    limit: int = Field(200, ge=1, le=500)
    """Number of behaviours to use of each person, the latest ones."""
    concurrency: int = Field(4, ge=1, le=32)
    """People at once."""
    model: str = Field("", max_length=128)


class ExtractionEncoder:
    def __init__(self) -> None:
        self._lines: dict[str, LineBuffer] = {}  # by step
        self._has_shown = False
        self._count = 0

    def encode(self, event: Event) -> Sequence[bytes]:
        data = event.data
        frames: Sequence[bytes] = ()
        match event.type:
            case "run.started":
                user_id = data["input"].get("user_id", "")
                frames = (frame("start", message=f"开始为用户 {user_id} 抽象事件..."),)
            case "text.delta":
                frames = self._text(data["step"], data["text"])
            case "step.finished":
                frames = self._rest(data["step"])
            case "step.rewound":
                frames = self._rewound(data)
            case "item.found":
                self._count += data["kind"] == EVENT
            case "progress.made":
                frames = (frame("progress", message=data["message"]),)
            case "warning.raised":
                frames = (frame("warning", message=data["message"]),)
            case _ if event.is_terminal:
                frames = self._ending(event)
            case _:
                pass
        return frames

    def _text(self, step: str, text: str) -> list[bytes]:
        lines = self._lines.setdefault(step, LineBuffer()).feed(text)
        self._has_shown |= bool(lines)
        return [frame("llm_chunk", content=line) for line in lines]

    def _rest(self, step: str) -> list[bytes]:
        lines = self._lines.pop(step, None)
        rest = lines.take() if lines else ""
        return [frame("llm_chunk", content=rest)] if rest else []

    def _rewound(self, data: Mapping[str, Any]) -> list[bytes]:
        self._lines.pop(data["step"], None)
        if data.get("at") or not self._has_shown:
            return []
        self._count = 0  # only in a run of another dialect
        return [frame("warning", message="以上内容已作废，重新生成")]

    def _ending(self, event: Event) -> list[bytes]:
        if event.type != "run.completed":
            # Nothing can take the held back text back any more.
            rest = [one for step in list(self._lines) for one in self._rest(step)]
            message = event.data.get("message") or event.type.partition(".")[2]
            return [*rest, frame("error", message=message)]
        saved = frame("progress", message=f"成功保存 {self._count} 个事件")
        return [saved, frame("done", message="抽象完成", event_count=self._count)]


class ExtractionDialect:
    trailer = b""
    can_rewind: Literal["line"] = "line"

    def routes(self, gateway: RunGateway) -> APIRouter:
        router = APIRouter(tags=["events (S3)"])

        @router.post("/api/v1/events/extract/batch/llm-stream")
        async def extract_batch(request: BatchRequest, options: Options) -> Response:
            """Extract the events of many people; an unknown one fails without the others."""
            ids = dict.fromkeys(request.user_ids)
            items = [{"user_id": user_id, "limit": request.limit} for user_id in ids]
            body = {"flow": "extraction", "items": items, "concurrency": request.concurrency}
            spec = RunSpec("batch", body, request.model, "extraction_batch")
            return await gateway.stream(spec, options)

        @router.post("/api/v1/events/extract/{user_id}/llm-stream")
        async def extract_events(
            user_id: UserId,
            options: Options,
            request: ExtractionRequest | None = None,
            model: Annotated[str, Query(max_length=128)] = "",
            force: Annotated[bool, Query()] = False,
        ) -> Response:
            """
            Extract the events of a person, streamed line by line; unknown person: 404.

            The body is optional: it may hold `model`, `limit` and `force`. `model` and `force`
            also work as query parameters.
            """
            request = request or ExtractionRequest()
            if request.force or force:
                options = replace(options, cache="refresh")
            body = {"user_id": user_id, "limit": request.limit}
            name = request.model or model
            spec = RunSpec("extraction", body, name, dialect="extraction")
            return await gateway.stream(spec, options)

        return router

    def encoder(self) -> ExtractionEncoder:
        return ExtractionEncoder()


plug = ExtractionDialect()
