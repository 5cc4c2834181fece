"""
S4: `POST /api/v1/projects/{id}/rewrite-stream/` and its sisters.

`stage_update info (token | scene | camera | warning)* done | error`, also for a single scene. In
a run of several stages each begins with a `stage_update`, and all but the last end with
`stage_done`. The encoder builds `full_text` for each token and never stores it; clients that do
not need it send `?full_text=0` and read the same run in the dialect `story_lean`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from unspool.dialects import Options, RunGateway
from unspool.runs.events import Event
from unspool.runs.options import RunOptions
from unspool.runs.run import RunSpec, cut

_json = msgspec.json.Encoder().encode

LABELS = {"rewrite": "文案改写", "storyboard": "分镜生成", "camera": "运镜生成"}

MAX_TEXT_CHARS = 200_000

ProjectId = Annotated[int, Path(alias="id", ge=1, lt=2**63)]
SceneNumber = Annotated[int, Path(alias="n", ge=1, le=1000)]
FullText = Annotated[Literal["0", "1"], Query()]


class InputData(BaseModel):
    model_config = ConfigDict(extra="ignore")

    original_text: str | None = Field(None, max_length=MAX_TEXT_CHARS)
    wish: str = Field("", max_length=4000)


class StageRequest(InputData):
    """Empty, the fields themselves, or the fields inside `input_data`: clients send all three."""

    input_data: InputData | None = None
    model: str = Field("", max_length=128)
    """Model or route; empty: the default. An addition to the seed's contract, like `wish`."""

    def facts(self) -> dict[str, Any]:
        request = self.input_data or self
        return {"original_text": request.original_text, "wish": request.wish or self.wish}


class PipelineRequest(StageRequest):
    only_stale: bool = False
    """Write only stale stages: those whose source has changed."""


class StoryEncoder:
    def __init__(self, *, has_full_text: bool) -> None:
        self._has_full_text = has_full_text
        self._project = 0
        self._stages: list[str] = []
        self._parts: list[str] = []
        self._texts: dict[str, str] = {}
        self._items: dict[str, list[Any]] = {}
        self._characters: list[Any] = []
        self._board: dict[str, Any] | None = None
        self._now = ""

    def encode(self, event: Event) -> Sequence[bytes]:
        if event.type == "step.started":
            return [_json(frame) for frame in self._begun(event.data["step"])]
        frame = self._frame(event)
        return () if frame is None else (_json(frame),)

    def _begun(self, step: str) -> Iterator[dict[str, Any]]:
        """Announce a stage; the first stage's update is at the head of the stream already."""
        if step != self._now:
            self._now, self._parts = step, []
            yield {"type": "stage_update", "stage": self._stage("running")}
        yield {"type": "info", "message": f"开始{LABELS.get(step, step)}..."}

    def _frame(self, event: Event) -> dict[str, Any] | None:
        data = event.data
        match event.type:
            case "text.delta":
                return self._token(data["text"])
            case "item.found" if data["kind"] == "character":
                self._characters.append(data["item"])
            case "item.found" if "step" in data:
                self._items.setdefault(data["step"], []).append(data["item"])
                return {"type": data["kind"], data["kind"]: data["item"]}
            case "warning.raised":
                return {"type": "warning", "message": data["message"]}
            case _:
                return self._turn(event)
        return None

    def _turn(self, event: Event) -> dict[str, Any] | None:
        """Return the frame for the beginning or the end of a run or a stage."""
        data = event.data
        frame: dict[str, Any] | None = None
        match event.type:
            case "run.started":
                self._project = data["input"].get("project_id", 0)
                self._stages = data["input"].get("stages", [])
                self._board = data["input"].get("board")
                self._now = self._stages[0] if self._stages else ""
                frame = {"type": "stage_update", "stage": self._stage("running")}
            case "step.finished":
                self._texts[self._now] = "".join(self._parts)
                if self._stages and self._now != self._stages[-1] and self._is_whole():
                    frame = self._ended("stage_done")
            case "step.rewound":  # only in a run of another dialect
                cut(self._parts, at := data.get("at", 0))
                if not at:
                    self._items.pop(data["step"], None)
                    self._characters.clear()
                frame = {"type": "rewound", "stage": self._stage("running")}
            case "run.completed":
                frame = self._ended("done")
            case _ if event.is_terminal:
                frame = self._error(event)
        return frame

    def _token(self, text: str) -> dict[str, Any]:
        self._parts.append(text)
        frame = {"type": "token", "content": text}
        if self._has_full_text:
            full = "".join(self._parts)
            self._parts = [full]
            frame["full_text"] = full
        return frame

    def _stage(self, status: str) -> dict[str, Any]:
        return {"project_id": self._project, "stage_type": self._now, "status": status}

    def _is_whole(self) -> bool:
        """Whether the stage has a result: an answer without one of its items is none."""
        return bool(self._texts[self._now].strip() if self._now == "rewrite" else self._found())

    def _found(self) -> list[Any]:
        items = self._items.get(self._now, [])
        if self._board is None or not items:
            return items
        new = items[-1]
        return [new if old["number"] == new["number"] else old for old in self._board["scenes"]]

    def _ended(self, kind: str) -> dict[str, Any]:
        stage = self._stage("completed")
        if items := self._found():
            stage["items"] = items
        if self._now == "storyboard" and self._characters:
            stage["characters"] = self._characters
        return {"type": kind, "full_text": self._texts.get(self._now, ""), "stage": stage}

    def _error(self, event: Event) -> dict[str, Any]:
        status = event.type.partition(".")[2]
        stage = self._stage("paused" if status == "cancelled" else "failed")
        return {
            "type": "error",
            "error": event.data.get("message", status),
            "code": event.data.get("code"),
            "status": status,
            "full_text": "".join(self._parts),
            "stage": stage,
        }


class StoryContract:
    trailer = b""
    can_rewind = False

    def __init__(self, *, has_full_text: bool) -> None:
        self._has_full_text = has_full_text

    def encoder(self) -> StoryEncoder:
        return StoryEncoder(has_full_text=self._has_full_text)

    def routes(self, gateway: RunGateway) -> APIRouter:
        router = APIRouter(prefix="/api/v1/projects", tags=["story (S4)"])

        async def begin(
            project: int, request: StageRequest, full_text: str, options: RunOptions, **facts: Any
        ) -> Response:
            body = {"project_id": project, **request.facts(), **facts}
            dialect = "story" if full_text == "1" else "story_lean"
            spec = RunSpec("story", body, model=request.model, dialect=dialect)
            return await gateway.stream(spec, options)

        def add(kind: str) -> None:
            async def stage_stream(
                project: ProjectId,
                options: Options,
                request: StageRequest | None = None,
                full_text: FullText = "1",
            ) -> Response:
                request = request or StageRequest()
                return await begin(project, request, full_text, options, stages=[kind])

            stage_stream.__doc__ = f"Write the stage {kind}; unknown project: 404."
            for path in (f"/{{id}}/{kind}-stream/", f"/{{id}}/{kind}-stream"):
                shown = path.endswith("/")
                name = f"{kind}_stream"
                router.post(path, include_in_schema=shown, name=name)(stage_stream)

        for kind in ("rewrite", "storyboard", "camera"):
            add(kind)

        async def pipeline_stream(
            project: ProjectId,
            options: Options,
            request: PipelineRequest | None = None,
            full_text: FullText = "1",
        ) -> Response:
            """Write all stages in one stream; `only_stale`: only those whose source has changed."""
            request = request or PipelineRequest()
            return await begin(project, request, full_text, options, only_stale=request.only_stale)

        async def scene_stream(
            project: ProjectId,
            scene: SceneNumber,
            options: Options,
            request: StageRequest | None = None,
            full_text: FullText = "1",
        ) -> Response:
            """Write one scene of the storyboard again; the others stay as they are."""
            request = request or StageRequest()
            facts = {"stages": ["storyboard"], "scene": scene, "original_text": None}
            return await begin(project, request, full_text, options, **facts)

        router.post("/{id}/scenes/{n}/rewrite-stream/")(scene_stream)
        router.post("/{id}/scenes/{n}/rewrite-stream", include_in_schema=False)(scene_stream)
        router.post("/{id}/pipeline-stream/")(pipeline_stream)
        router.post("/{id}/pipeline-stream", include_in_schema=False)(pipeline_stream)
        return router


plug = StoryContract(has_full_text=True)
