"""
S2: `POST /api/debug/chat`, one question to one model, streamed or whole, with metrics.

`(content | tool_call | tool_result)* done`, then `[DONE]`, whatever happened. What is not
streamed is the last frame of what would have been.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from unspool.dialects import Options, RunGateway
from unspool.flows.kit.images import Images
from unspool.providers import Model
from unspool.runs.events import Event
from unspool.runs.run import RunSpec, cut

from ..metrics import Metrics

log = logging.getLogger(__name__)


class DebugChatRequest(BaseModel):
    model_id: int = Field(ge=1, lt=2**63)
    prompt: str = Field(min_length=1, max_length=200_000)
    system_prompt: str | None = Field(None, max_length=50_000)
    params: dict[str, Any] | None = None
    """Parameters of the vendor's API; they override the model's own."""
    tool_ids: list[int] | None = Field(None, max_length=128)
    """Numbers of stored tools; we carry out the model's calls of these."""
    images: Images | None = None
    """Ours."""
    conversation_id: int | None = Field(None, ge=1, lt=2**63)
    """The answer becomes its next turn, and the model gets the turns before. Ours."""
    after_turn: int | None = Field(None, ge=0, lt=2**31)
    """The turn of the conversation that it follows, 0 for none; left out: the current one. Ours."""
    stream: bool = False


class ChatEncoder:
    def __init__(self) -> None:
        self._parts: list[tuple[str, str]] = []  # step and text, as they came
        self._calls: dict[str, list[dict[str, Any]]] = {}  # whole ones, by step
        self._whole: set[str] = set()
        self._indexes: dict[tuple[str, int], int] = {}
        self._taken = 0
        self._names: dict[int, tuple[str | None, str | None]] = {}
        self._metrics = Metrics()
        self._finish: str | None = None

    def encode(self, event: Event) -> Sequence[bytes]:
        frame = self.frame(event)
        return () if frame is None else (json.dumps(frame, ensure_ascii=False).encode(),)

    def frame(self, event: Event) -> dict[str, Any] | None:
        """Return the frame of `event`, if it makes one."""
        self._metrics.see(event)
        return self._frame(event)

    def _frame(self, event: Event) -> dict[str, Any] | None:
        data = event.data
        match event.type:
            case "text.delta":
                self._parts.append((data["step"], data["text"]))
                return {"content": data["text"], "done": False}
            case "reasoning.delta":
                return {"reasoning_content": data["text"], "done": False}
            case "tool.delta" | "tool.called" | "tool.answered":
                return self._tool(event)
            case _ if event.is_terminal:
                return self._final(event)
            case _:
                return self._step(event)

    def _step(self, event: Event) -> dict[str, Any] | None:
        step = event.data.get("step", "")
        match event.type:
            case "step.started":
                # Another step repeats a call that broke off.
                self._calls = {name: it for name, it in self._calls.items() if name in self._whole}
            case "step.finished":
                self._whole.add(step)
                self._finish = event.data.get("finish_reason")
            case "step.rewound":  # only in a run that was asked in another dialect
                self._take_back(step, at := event.data.get("at", 0))
                return {"rewound": True, **({"at": at} if at else {}), "done": False}
            case _:
                pass
        return None

    def _take_back(self, step: str, at: int) -> None:
        of_it = [text for name, text in self._parts if name == step]
        cut(of_it, at)
        self._parts = [part for part in self._parts if part[0] != step]
        self._parts += [(step, text) for text in of_it]
        if not at:
            self._calls.pop(step, None)
            self._indexes = {place: it for place, it in self._indexes.items() if place[0] != step}

    def _tool(self, event: Event) -> dict[str, Any] | None:
        data = event.data
        step, index = data["step"], self._index(data)
        if event.type == "tool.delta":
            # The log names a call in its first fragment; here every fragment does.
            id_, name = self._names.setdefault(index, (data.get("id"), data.get("name")))
            call = {"index": index, "id": id_, "name": name, "arguments": data["arguments"]}
            return {"tool_call": call, "done": False}
        named = {"index": index, "id": data["id"], "name": data["name"]}
        if event.type == "tool.called":
            arguments = json.dumps(data["arguments"], ensure_ascii=False)
            self._calls.setdefault(step, []).append({**named, "arguments": arguments})
            return None
        code = {"code": data["code"]} if "code" in data else {}
        for call in self._calls.get(step, ()):
            if call["index"] == index:
                call["result"] = data["content"]
        status = "error" if code else "success"
        result = {**named, "content": data["content"], "status": status, **code}
        return {"tool_result": result, "done": False}

    def _index(self, data: Mapping[str, Any]) -> int:
        """Return an index that is unique in the run: each step counts from 0."""
        call = data["step"], data["index"]
        if call not in self._indexes:
            self._indexes[call] = self._taken
            self._taken += 1
        return self._indexes[call]

    def _final(self, event: Event) -> dict[str, Any]:
        output = "".join(text for _, text in self._parts)
        metrics = self._metrics.at_end(event, len(output))
        is_whole = event.type == "run.completed"
        status = "success" if is_whole else "error"
        answer: dict[str, Any] = {"output": output, "metrics": metrics, "status": status}
        if is_whole and self._finish:
            answer["finish_reason"] = self._finish
        if calls := [call for calls in self._calls.values() for call in calls]:
            answer["tool_calls"] = calls
        frame = {"done": True, "final_response": answer, "metrics": metrics}
        if is_whole:
            return frame
        reason = event.data.get("message") or event.type.partition(".")[2]
        return {**frame, "error": reason, "status": status}


def answer_of(final: dict[str, Any]) -> dict[str, Any]:
    """Return the answer without streaming, from the last frame."""
    answer: dict[str, Any] = final["final_response"]
    return {**answer, "error": final["error"]} if "error" in final else answer


_APIS: Final = {"openai": "OpenAI", "anthropic": "Anthropic", "gemini": "Gemini"}


def log_begin(model: Model, *, is_streamed: bool) -> None:
    """Log the beginning of a request, in the words of the seed (S2.13)."""
    log.info("================")
    log.info("🚀 开始调用大模型")
    log.info("模型配置: %s", model.name)
    log.info("流式模式: %s", is_streamed)
    log.info("📡 调用 %s API", _APIS.get(model.provider, model.provider))
    if is_streamed:
        log.info("🔄 开始流式输出")


def log_end(final: Mapping[str, Any], event: Event) -> None:
    """Log how it ended, from the last event and its frame."""
    metrics = final["metrics"]
    if event.type == "run.cancelled":  # a tab that is closed is no failure
        log.info("⏹ 流式输出已取消")
    elif "error" in final:
        log.error("❌ 流式输出失败: %s", final["error"])
    else:
        log.info("✅ 流式输出完成")
    log.info(f"📊 响应时间: {metrics['response_time']:.2f}s")
    counts = [metrics[f"{name}_tokens"] for name in ("prompt", "completion", "total")]
    prompt, completion, total = ("?" if count is None else count for count in counts)
    log.info(f"📊 Tokens: {prompt} + {completion} = {total}")
    log.info(f"📝 完整输出长度: {metrics['output_length']} 字符")


class DebugChat:
    trailer = b"[DONE]"
    can_rewind = False

    def routes(self, gateway: RunGateway) -> APIRouter:
        router = APIRouter(tags=["debug chat (S2)"])

        @router.post("/api/debug/chat")
        async def debug_chat(request: DebugChatRequest, options: Options) -> Response:
            """Ask a model; `stream` chooses frames or one JSON answer. Unknown model: 404."""
            body: dict[str, Any] = {"prompt": request.prompt, "system": request.system_prompt or ""}
            if request.params:
                body["params"] = request.params
            if request.images:
                body["images"] = [
                    image if isinstance(image, str) else image.model_dump()
                    for image in request.images
                ]
            if request.tool_ids:
                body["tool_ids"] = request.tool_ids
            model = gateway.model(request.model_id)
            spec = RunSpec("chat", body, model=model.name, dialect="debug_chat")
            options = replace(
                options, conversation=request.conversation_id, after_turn=request.after_turn
            )
            log_begin(model, is_streamed=request.stream)
            if request.stream:
                return await gateway.stream(spec, options)
            whole = await gateway.whole(spec, options)
            answer = answer_of(json.loads(whole.frames[-1]))
            return JSONResponse(answer, headers={"X-Run-Id": whole.run_id})

        return router

    def encoder(self) -> ChatEncoder:
        return ChatEncoder()


plug = DebugChat()
