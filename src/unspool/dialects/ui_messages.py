"""
The UI message stream (v1) of the Vercel AI SDK, for `useChat` and `Chat`.

`start (start-step part* finish-step)* finish`, then `[DONE]`. A stream is one message; `reset-step`
takes back what the open steps have, which is then written again without the part that was wrong.
A run that waits for a person ends the stream with an approval or a question, and the next request
goes on. Its routes are `server/api/ui_chat.py`.

Source: `packages/ai/src/ui-message-stream` of ai 7.0.173 (Apache-2.0).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from fastapi import APIRouter

from ..runs.events import Event
from ..runs.run import cut
from ..runs.usage import Report, total
from . import RunGateway
from .kit.pauses import PausingEncoder

_json = msgspec.json.Encoder().encode

FINISHES: Final = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool-calls",
    "content_filter": "content-filter",
}
NOTES: Final = frozenset(
    {"attempt.queued", "attempt.started", "attempt.silent", "attempt.failed", "warning.raised"}
)
"""Told in data parts that no message keeps."""


@dataclass(slots=True)
class _Part:
    """A text or a thought of an open step."""

    step: str
    kind: str
    id: str
    pieces: list[str] = field(default_factory=list)
    is_open: bool = True


class UiEncoder(PausingEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.run_id = ""
        self._message_id = ""
        self._answered = 0
        """Questions that a message of the user has answered: what follows is another message."""
        self._steps: list[str] = []
        """Open ones."""
        self._parts: list[_Part | dict[str, Any]] = []
        """All that came since no step was open."""
        self._count = 0
        self._inputs: dict[tuple[str, int], str] = {}
        """Ids of calls whose input streams."""
        self._finish = "stop"
        self._reports: list[tuple[Report | None, Report | None]] = []
        self._asked_call: Mapping[str, Any] | None = None
        """The call that the last question is about; None: it is about none."""
        self._tellers: dict[str, Callable[[Event], Sequence[dict[str, Any]]]] = {
            "text": self._text,
            "reasoning": self._reasoning,
            "tool": self._tool,
            "step": self._step,
            "question": self._question,
            "run": self._run,
        }

    def tell(self, event: Event) -> Sequence[bytes]:
        """See `kit.pauses`."""
        return [_json(part) for part in self._told(event)]

    def go_on(self, event: Event) -> Sequence[bytes]:
        """See `kit.pauses`."""
        data = event.data
        is_message = event.type == "question.answered" and self._asked_call is None
        self._answered += is_message
        parts: list[dict[str, Any]] = [self._start()]
        if event.type == "question.answered" and not is_message:
            told = {"type": "tool-approval-response", "approvalId": self._place(data["step"])}
            reason = {"reason": data["reason"]} if data.get("reason") else {}
            parts.append({**told, "approved": data["outcome"] == "answered", **reason})
        if self._steps:
            parts.append({"type": "start-step"})
        return [_json(part) for part in parts]

    def _start(self) -> dict[str, Any]:
        number = f"-{self._answered}" if self._answered else ""
        about = {"runId": self.run_id}
        return {"type": "start", "messageId": self._message_id + number, "messageMetadata": about}

    def _told(self, event: Event) -> Sequence[dict[str, Any]]:
        tell = self._tellers.get(event.type.partition(".")[0], self._note)
        return tell(event)

    def _text(self, event: Event) -> list[dict[str, Any]]:
        return self._piece(event.data["step"], "text", event.data["text"])

    def _reasoning(self, event: Event) -> list[dict[str, Any]]:
        return self._piece(event.data["step"], "reasoning", event.data["text"])

    def _piece(self, step: str, kind: str, text: str) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        last = self._open_part(step)
        if last is None or last.kind != kind:
            told += self._close(step)
            self._count += 1
            last = _Part(step, kind, f"{kind}-{self._count}")
            self._parts.append(last)
            told.append({"type": f"{kind}-start", "id": last.id})
        last.pieces.append(text)
        told.append({"type": f"{kind}-delta", "id": last.id, "delta": text})
        return told

    def _open_part(self, step: str) -> _Part | None:
        for part in reversed(self._parts):
            if isinstance(part, _Part) and part.step == step:
                return part if part.is_open else None
        return None

    def _close(self, step: str) -> list[dict[str, Any]]:
        part = self._open_part(step)
        if part is None:
            return []
        part.is_open = False
        return [{"type": f"{part.kind}-end", "id": part.id}]

    def _step(self, event: Event) -> list[dict[str, Any]]:
        data, step = event.data, event.data["step"]
        if event.type == "step.rewound":
            return self._rewound(step, data.get("at", 0))
        if event.type == "step.started":
            if step in self._steps:  # begun again by a later owner of the run
                return []
            self._steps.append(step)
            return [{"type": "start-step"}] if len(self._steps) == 1 else []
        self._finish = data.get("finish_reason") or "stop"
        told = self._close(step)
        if step in self._steps:
            self._steps.remove(step)
        if not self._steps:
            self._parts.clear()
            told.append({"type": "finish-step"})
        return told

    def _rewound(self, step: str, at: int) -> list[dict[str, Any]]:
        """Take back all that the open steps have, and write again what stands."""
        texts = [p for p in self._parts if isinstance(p, _Part) and p.step == step]
        pieces = ["".join(part.pieces) for part in texts if part.kind == "text"]
        cut(pieces, at)
        kept: list[_Part | dict[str, Any]] = []
        for part in self._parts:
            if isinstance(part, dict):
                if part.get("step") != step:
                    kept.append(part)
            elif part.step != step or part.kind != "text":
                kept.append(part)
            elif pieces:
                part.pieces = [pieces.pop(0)]
                kept.append(part)
        self._inputs = {key: id for key, id in self._inputs.items() if key[0] != step}
        self._parts = kept
        return [{"type": "reset-step"}, *(told for part in kept for told in self._again(part))]

    def _again(self, part: _Part | dict[str, Any]) -> list[dict[str, Any]]:
        if isinstance(part, dict):
            return list(part["parts"])
        self._count += 1
        part.id = f"{part.kind}-{self._count}"
        told = {"type": f"{part.kind}-delta", "id": part.id, "delta": "".join(part.pieces)}
        end = [] if part.is_open else [{"type": f"{part.kind}-end", "id": part.id}]
        return [{"type": f"{part.kind}-start", "id": part.id}, told, *end]

    def _tool(self, event: Event) -> list[dict[str, Any]]:
        data = event.data
        key = data["step"], data["index"]
        if event.type == "tool.answered":
            return [self._keep(data["step"], _output(data))]
        if event.type == "tool.called":
            named = {"type": "tool-input-available", "toolCallId": data["id"]}
            whole = {**named, "toolName": data["name"], "input": data["arguments"]}
            return [*self._close(data["step"]), self._keep(data["step"], whole)]
        if key in self._inputs:
            delta = {"type": "tool-input-delta", "toolCallId": self._inputs[key]}
            return [{**delta, "inputTextDelta": data["arguments"]}]
        if not (data.get("id") and data.get("name")):
            return []  # the whole call names it
        id = self._inputs[key] = data["id"]
        told = self._close(data["step"])
        told.append({"type": "tool-input-start", "toolCallId": id, "toolName": data["name"]})
        if data["arguments"]:
            delta = {"type": "tool-input-delta", "toolCallId": id}
            told.append({**delta, "inputTextDelta": data["arguments"]})
        return told

    def _keep(self, step: str, part: dict[str, Any]) -> dict[str, Any]:
        """Remember a part that a rewind of another step must not lose."""
        if self._steps:
            self._parts.append({"step": step, "parts": [part]})
        return part

    def _place(self, step: str) -> str:
        """Return the id of a question in this contract."""
        return f"{self.run_id}/{step}"

    def _question(self, event: Event) -> list[dict[str, Any]]:
        data = event.data
        if event.type == "question.answered":
            return []
        self._asked_call = data.get("call")
        told = [end for step in self._steps for end in self._close(step)]
        if self._asked_call is not None:
            asked = {"type": "tool-approval-request", "approvalId": self._place(data["step"])}
            told.append({**asked, "toolCallId": self._asked_call["id"], "reason": data["text"]})
        else:
            names = ("text", "schema", "until_ms")
            about = {name: data[name] for name in names if name in data}
            told.append({"type": "data-question", "id": self._place(data["step"]), "data": about})
        if self._steps:
            told.append({"type": "finish-step"})
        self._parts.clear()
        return [*told, {"type": "finish", "finishReason": "tool-calls"}]

    def _run(self, event: Event) -> list[dict[str, Any]]:
        data = event.data
        if event.type == "run.started":
            wire = data["input"].get("wire") or {}
            self._message_id = wire.get("message") or f"msg_{self.run_id}"
            return [self._start()]
        if not event.is_terminal:
            return []
        told = [end for step in self._steps for end in self._close(step)]
        if self._steps:
            told.append({"type": "finish-step"})
        if event.type == "run.cancelled":
            return [*told, {"type": "abort", "reason": data.get("message", "cancelled")}]
        used = total(self._reports)
        names = ("prompt_tokens", "completion_tokens", "total_tokens")
        about = {"usage": {name: getattr(used, name) for name in names}} if used else {}
        finish: dict[str, Any] = {"type": "finish", "messageMetadata": about}
        if event.type == "run.completed":
            return [*told, {**finish, "finishReason": FINISHES.get(self._finish, "other")}]
        message = f"{data.get('code', 'failed')}: {data.get('message', 'the run failed')}"
        failed = {"type": "error", "errorText": message}
        return [*told, failed, {**finish, "finishReason": "error"}]

    def _note(self, event: Event) -> list[dict[str, Any]]:
        data = event.data
        match event.type:
            case "progress.made":
                return [{"type": "data-progress", "id": "progress", "data": data}]
            case "item.found":
                part = {"type": "data-item", "id": f"item-{event.seq}", "data": data}
                return [self._keep(data.get("step", ""), part)]
            case "result.set":
                return [{"type": "data-result", "id": "result", "data": data["value"]}]
            case "attempt.finished":
                self._reports.append((data.get("usage"), None))
            case _:
                pass
        if event.type == "attempt.failed":
            self._reports.append((data.get("usage"), None))
        if event.type not in NOTES:
            return []
        noun, _, verb = event.type.partition(".")
        about = {"event": verb, **data}
        return [{"type": f"data-{noun}", "data": about, "transient": True}]


def _output(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a tool's answer, which is JSON where it can be read as such."""
    named = {"toolCallId": data["id"]}
    if data.get("code") == "declined":
        return {"type": "tool-output-denied", **named}
    if data.get("code"):
        return {"type": "tool-output-error", **named, "errorText": data["content"]}
    try:
        output = json.loads(data["content"])
    except (ValueError, RecursionError):
        output = data["content"]
    return {"type": "tool-output-available", **named, "output": output}


class UiMessages:
    trailer = b"[DONE]"
    can_rewind = True

    def routes(self, gateway: RunGateway) -> APIRouter:
        """Return no routes: `server/api/ui_chat.py` has them, which knows chats and stops runs."""
        return APIRouter()

    def encoder(self) -> UiEncoder:
        return UiEncoder()


plug = UiMessages()
