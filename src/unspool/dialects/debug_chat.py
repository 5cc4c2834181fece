"""
S2: `POST /api/debug/chat`, one question to one model, streamed or whole, with metrics.

`content* (tool_call | content)* done`, then `[DONE]`, whatever happened. What is not
streamed is the last frame of what would have been.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from ..errors import UnknownRecord
from ..events import Event
from ..runs import RunSpec, cut
from . import Door

PLACES = 3
"""Of seconds and rates: the log's clock has milliseconds."""


class DebugChatRequest(BaseModel):
    model_id: int = Field(ge=1, lt=2**63)
    prompt: str = Field(min_length=1, max_length=200_000)
    system_prompt: str | None = Field(None, max_length=50_000)
    params: dict[str, Any] | None = None
    """Of the vendor's API; they go before the model's own."""
    tool_ids: list[int] | None = Field(None, max_length=128)
    """Numbers of tools that are kept. There are none to keep yet, so any number is unknown."""
    stream: bool = False


class Encoder:
    def __init__(self) -> None:
        self._parts: list[tuple[str, str]] = []  # step and text, as they came
        self._calls: list[dict[str, Any]] = []
        self._names: dict[int, tuple[str | None, str | None]] = {}
        self._metrics = _Metrics()

    def encode(self, event: Event) -> Sequence[bytes]:
        self._metrics.see(event)
        frame = self._frame(event)
        return () if frame is None else (json.dumps(frame, ensure_ascii=False).encode(),)

    def _frame(self, event: Event) -> dict[str, Any] | None:
        data = event.data
        frame: dict[str, Any] | None = None
        match event.type:
            case "text.delta":
                self._parts.append((data["step"], data["text"]))
                frame = {"content": data["text"], "done": False}
            case "reasoning.delta":
                frame = {"reasoning_content": data["text"], "done": False}
            case "tool.delta":
                frame = {"tool_call": self._fragment(data), "done": False}
            case "tool.called":
                arguments = json.dumps(data["arguments"], ensure_ascii=False)
                call = {"index": data["index"], "id": data["id"], "name": data["name"]}
                self._calls.append({**call, "arguments": arguments})
            case "step.rewound":  # only in a run that was asked in another dialect
                self._take_back(data["step"], at := data.get("at", 0))
                frame = {"rewound": True, **({"at": at} if at else {}), "done": False}
            case _ if event.is_terminal:
                frame = self._final(event)
        return frame

    def _take_back(self, step: str, at: int) -> None:
        of_it = [text for name, text in self._parts if name == step]
        cut(of_it, at)
        self._parts = [part for part in self._parts if part[0] != step]
        self._parts += [(step, text) for text in of_it]
        if not at:
            self._calls = []

    def _fragment(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Name the call in every fragment; the log names it in the first one."""
        index = data["index"]
        name = self._names.setdefault(index, (data.get("id"), data.get("name")))
        return {"index": index, "id": name[0], "name": name[1], "arguments": data["arguments"]}

    def _final(self, event: Event) -> dict[str, Any]:
        output = "".join(text for _, text in self._parts)
        metrics = self._metrics.at_end(event, len(output))
        is_whole = event.type == "run.completed"
        status = "success" if is_whole else "error"
        answer: dict[str, Any] = {"output": output, "metrics": metrics, "status": status}
        if self._calls:
            answer["tool_calls"] = self._calls
        frame = {"done": True, "final_response": answer, "metrics": metrics}
        if is_whole:
            return frame
        reason = event.data.get("message") or event.type.partition(".")[2]
        return {**frame, "error": reason, "status": status}


class _Metrics:
    """S2.9, from the log's own times and accounts; what is not known is null."""

    def __init__(self) -> None:
        self._began_ms = 0
        self._first_ms: int | None = None
        self._usage: list[Mapping[str, Any]] = []
        self._costs: list[Mapping[str, Any] | None] = []

    def see(self, event: Event) -> None:
        match event.type:
            case "text.delta" | "tool.delta" if self._first_ms is None:
                self._first_ms = event.at_ms
            case "attempt.finished" | "attempt.failed" if event.data.get("usage"):
                self._usage.append(event.data["usage"])
                self._costs.append(event.data.get("cost"))
            case "run.started":
                self._began_ms = event.at_ms
            case _:
                pass

    def at_end(self, event: Event, length: int) -> dict[str, Any]:
        response_s = (event.at_ms - self._began_ms) / 1000
        first_s = None if self._first_ms is None else (self._first_ms - self._began_ms) / 1000
        prompt, completion = self._sum("prompt_tokens"), self._sum("completion_tokens")
        is_known = prompt is not None and completion is not None
        return {
            "response_time": round(response_s, PLACES),
            "first_token_time": None if first_s is None else round(first_s, PLACES),
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": (prompt or 0) + (completion or 0) if is_known else None,
            "tokens_per_second": _rate(completion, response_s - (first_s or 0.0)),
            "estimated_cost": self._cost(),
            "output_length": length,
            "usage_basis": self._basis(),
        }

    def _sum(self, name: str) -> int | None:
        counts = [usage[name] for usage in self._usage]
        return None if not counts or None in counts else sum(counts)

    def _basis(self) -> str | None:
        if not self._usage:
            return None
        is_measured = all(usage["basis"] == "measured" for usage in self._usage)
        return "measured" if is_measured else "estimated"

    def _cost(self) -> dict[str, Any] | None:
        known = [cost for cost in self._costs if cost]
        currencies = {cost["currency"] for cost in known}
        if len(known) < len(self._costs) or len(currencies) != 1:
            return None
        return {"amount": sum(cost["amount"] for cost in known), "currency": currencies.pop()}


def _rate(tokens: int | None, seconds: float) -> float | None:
    return None if tokens is None or seconds <= 0 else round(tokens / seconds, PLACES)


class DebugChat:
    trailer = b"[DONE]"
    can_rewind = False

    def routes(self, door: Door) -> APIRouter:
        router = APIRouter(tags=["debug chat (S2)"])

        @router.post("/api/debug/chat")
        async def debug_chat(asked: DebugChatRequest) -> Response:
            """Ask a model; `stream` chooses frames or one JSON answer. Unknown model: 404."""
            if asked.tool_ids:
                raise UnknownRecord(f"no tool with the number {asked.tool_ids[0]}")
            body: dict[str, Any] = {"prompt": asked.prompt, "system": asked.system_prompt or ""}
            if asked.params:
                body["params"] = asked.params
            name = door.model_name(asked.model_id)
            spec = RunSpec("chat", body, model=name, dialect="debug_chat")
            if asked.stream:
                return await door.stream(spec)
            whole = await door.whole(spec)
            final = json.loads(whole.frames[-1])
            answer = final["final_response"]
            if "error" in final:
                answer["error"] = final["error"]
            return JSONResponse(answer, headers={"X-Run-Id": whole.run_id})

        return router

    def encoder(self) -> Encoder:
        return Encoder()


plug = DebugChat()
