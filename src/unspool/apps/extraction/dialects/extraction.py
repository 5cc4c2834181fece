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
from pydantic import BaseModel, Field
from starlette.responses import Response

from unspool.dialects import Options, RunGateway
from unspool.formats.lines import LineBuffer
from unspool.runs.events import Event
from unspool.runs.run import RunSpec

from ..flows.extraction import MAX_BEHAVIORS, USUAL_BEHAVIORS
from ..flows.extraction_batch import PeopleBatch
from ..frames import frame
from ..privacy import with_true_id

EVENT = "event"

UserId = Annotated[str, Path(min_length=1, max_length=128)]


class ExtractionRequest(BaseModel):
    model: str = Field("", max_length=128)
    """Model or route; empty: the default."""
    limit: int = Field(USUAL_BEHAVIORS, ge=1, le=MAX_BEHAVIORS)
    """Number of behaviours to use, the latest ones."""
    whole_profile: bool = False
    """Send the person's whole profile to the model, the name too."""
    force: bool = False
    """Start a new run even if an equal one exists (`Unspool-Cache: refresh`)."""


class BatchRequest(PeopleBatch):
    model: str = Field("", max_length=128)
    """Model or route; empty: the default."""


class ExtractionEncoder:
    def __init__(self) -> None:
        self._lines: dict[str, LineBuffer] = {}  # by step
        self._has_shown = False
        self._is_in_line = False
        """The last shown line has no end yet; only a step's last one can."""
        self._count = 0
        self._user_id = self._alias = ""

    def encode(self, event: Event) -> Sequence[bytes]:
        data = event.data
        frames: Sequence[bytes] = ()
        match event.type:
            case "run.started":
                self._user_id = data["input"].get("user_id", "")
                self._alias = data["input"].get("alias") or self._user_id
                frames = (frame("start", message=f"开始为用户 {self._user_id} 抽象事件..."),)
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
        return [self._shown(line) for line in lines]

    def _shown(self, line: str) -> bytes:
        line = with_true_id(line, self._alias, self._user_id)
        if self._is_in_line:  # the last line of the step before had no end
            line = f"\n{line}"
        self._has_shown, self._is_in_line = True, not line.endswith("\n")
        return frame("llm_chunk", content=line)

    def _rest(self, step: str) -> list[bytes]:
        lines = self._lines.pop(step, None)
        rest = lines.take() if lines else ""
        return [self._shown(rest)] if rest else []

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
            body = request.model_dump(exclude={"model"})
            spec = RunSpec("extraction_batch", body, request.model, "extraction_batch")
            return await gateway.stream(spec, options)

        @router.post("/api/v1/events/extract/{user_id:path}/llm-stream")
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
            if request.whole_profile:
                body["whole_profile"] = True
            name = request.model or model
            spec = RunSpec("extraction", body, name, dialect="extraction")
            return await gateway.stream(spec, options)

        return router

    def encoder(self) -> ExtractionEncoder:
        return ExtractionEncoder()


plug = ExtractionDialect()
