"""
S2, ours: `POST /api/debug/compare`, one question to several models, side by side.

The frames of `debug_chat`, each with the `model_id` of its column. A column ends with a frame
of its own, whole or not; the last frame has all of them, and `[DONE]` follows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from unspool.dialects import Options, RunGateway
from unspool.runs.events import Event
from unspool.runs.run import RunSpec, cut

from ..metrics import Metrics

MAX_COLUMNS: Final = 32
"""As the flow `compare` has them."""


class DebugCompareRequest(BaseModel):
    model_ids: list[int] = Field(min_length=1, max_length=MAX_COLUMNS)
    """Numbers of models, each once."""
    prompt: str = Field(min_length=1, max_length=200_000)
    system_prompt: str | None = Field(None, max_length=50_000)
    params: dict[str, Any] | None = None
    """Of the vendor's API; they go before the model's own."""
    stream: bool = False


class _ColumnFrames:
    """One model's answer; it reads its own events, and those that begin and end the run."""

    def __init__(self, model_id: int | None, model: str) -> None:
        self.named = {"model_id": model_id, "model": model}
        self.error: dict[str, Any] | None = None
        self.answer: dict[str, Any] | None = None
        self._parts: list[str] = []
        self._metrics = Metrics()

    def see(self, event: Event) -> dict[str, Any] | None:
        """Read an event; return its frame."""
        self._metrics.see(event)
        match event.type:
            case "text.delta":
                self._parts.append(event.data["text"])
                return self._frame(content=event.data["text"], done=False)
            case "reasoning.delta":
                return self._frame(reasoning_content=event.data["text"], done=False)
            case "step.rewound":  # only in a run that was asked in another dialect
                cut(self._parts, at := event.data.get("at", 0))
                return self._frame(rewound=True, **({"at": at} if at else {}), done=False)
            case "step.finished":
                return self.end(event)
            case _:
                return None

    def fail(self, event: Event, error: dict[str, Any]) -> dict[str, Any]:
        self.error = error
        return self.end(event)

    def end(self, event: Event) -> dict[str, Any]:
        output = "".join(self._parts)
        metrics = self._metrics.at_end(event, len(output))
        status = "success" if self.error is None else "error"
        self.answer = {"output": output, "metrics": metrics, "status": status}
        if self.error is None and (reason := event.data.get("finish_reason")):
            self.answer["finish_reason"] = reason
        facts = {} if self.error is None else {"error": self.error["message"], "status": status}
        return self._frame(done=True, final_response=self.answer, metrics=metrics, **facts)

    def _frame(self, **facts: Any) -> dict[str, Any]:
        return {"model_id": self.named["model_id"], **facts}

    def whole(self) -> dict[str, Any]:
        """Return the column as the last frame has it."""
        error = {} if self.error is None else {"error": self.error["message"]}
        return {**self.named, **(self.answer or {}), **error}


class CompareEncoder:
    def __init__(self) -> None:
        self._columns: dict[str, _ColumnFrames] = {}  # by step
        self._metrics = Metrics()
        self._begun: Event

    def encode(self, event: Event) -> Sequence[bytes]:
        self._metrics.see(event)
        return [json.dumps(frame, ensure_ascii=False).encode() for frame in self._frames(event)]

    def _frames(self, event: Event) -> list[dict[str, Any]]:
        data = event.data
        if event.is_terminal:
            return self._end(event)
        if event.type == "run.started":
            self._begun = event
            for number, said in enumerate(data["input"].get("columns", []), start=1):
                self._open(f"model-{number}", said.get("model_id"), said["model"])
            return []
        if event.type == "item.found" and data["kind"] == "column_failed":
            return [self._columns[data["step"]].fail(event, data["item"])]
        if "step" not in data:
            return []
        step = data["step"]
        # In a run that is no comparison each step is a column.
        column = self._columns.get(step) or self._open(step, None, step)
        frame = column.see(event)
        return [] if frame is None else [frame]

    def _open(self, step: str, model_id: int | None, model: str) -> _ColumnFrames:
        column = self._columns[step] = _ColumnFrames(model_id, model)
        column.see(self._begun)
        return column

    def _end(self, event: Event) -> list[dict[str, Any]]:
        """End all open columns, and then the whole."""
        reason = event.data.get("message") or event.type.partition(".")[2]
        frames = [
            column.fail(event, {"message": reason})
            for column in self._columns.values()
            if column.answer is None
        ]
        columns = [column.whole() for column in self._columns.values()]
        status = "success" if event.type == "run.completed" else "error"
        metrics = self._metrics.at_end(event, sum(len(it["output"]) for it in columns))
        answer = {"columns": columns, "metrics": metrics, "status": status}
        last: dict[str, Any] = {"done": True, "final_response": answer, "metrics": metrics}
        if status == "error":
            last |= {"error": reason, "status": status}
        return [*frames, last]


class DebugCompare:
    trailer = b"[DONE]"
    can_rewind = False

    def routes(self, gateway: RunGateway) -> APIRouter:
        router = APIRouter(tags=["debug chat (S2)"])

        @router.post("/api/debug/compare")
        async def debug_compare(request: DebugCompareRequest, options: Options) -> Response:
            """Ask several models at once; `stream` chooses frames or one JSON answer."""
            columns = [
                {"model": gateway.model(number).name, "model_id": number}
                for number in request.model_ids
            ]
            body: dict[str, Any] = {"prompt": request.prompt, "columns": columns}
            if request.system_prompt:
                body["system"] = request.system_prompt
            if request.params:
                body["params"] = request.params
            spec = RunSpec("compare", body, dialect="debug_compare")
            if request.stream:
                return await gateway.stream(spec, options)
            whole = await gateway.whole(spec, options)
            final = json.loads(whole.frames[-1])
            answer = final["final_response"]
            if "error" in final:
                answer["error"] = final["error"]
            return JSONResponse(answer, headers={"X-Run-Id": whole.run_id})

        return router

    def encoder(self) -> CompareEncoder:
        return CompareEncoder()


plug = DebugCompare()
