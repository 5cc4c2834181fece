"""
AG-UI 1.0, the agent-user interaction protocol.

`RUN_STARTED event* RUN_FINISHED`, or `RUN_ERROR`. A run that waits for a person finishes with an
interrupt, and the request that resumes it goes on under its own run id. The contract cannot take
back a message. Its routes are `server/api/agui.py`.

Source: the models of ag-ui-protocol 1.0.0 (MIT).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from fastapi import APIRouter

from ..runs.events import Event
from ..runs.run import taken_back
from ..runs.usage import Report, total
from . import RunGateway
from .kit.pauses import PausingEncoder

_json = msgspec.json.Encoder().encode

VERSION: Final = "1.0"

NOTES: Final = {
    "progress.made": "progress",
    "item.found": "item",
    "warning.raised": "warning",
    "attempt.queued": "attempt",
    "attempt.started": "attempt",
    "attempt.silent": "attempt",
    "attempt.failed": "attempt",
}
"""Told as `CUSTOM` events, by their names there."""


class AguiEncoder(PausingEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.run_id = ""
        self._thread = self._run = ""
        """As the client names them."""
        self._resumed = 0
        self._steps: list[str] = []
        self._open: dict[str, tuple[str, str]] = {}
        """By step: kind and id of the open message."""
        self._calls: dict[tuple[str, int], str] = {}
        """Ids of calls whose arguments stream."""
        self._argued: set[tuple[str, int]] = set()
        """Calls that have arguments."""
        self._parents: dict[str, str] = {}
        """By step: the message that its calls belong to."""
        self._unanswered: list[str] = []
        self._count = 0
        self._reports: list[tuple[Report | None, Report | None]] = []
        self._result: Any = None
        self._has_failed = False
        self._tellers: dict[str, Callable[[Event], Sequence[dict[str, Any]]]] = {
            "text": self._text,
            "reasoning": self._reasoning,
            "tool": self._tool,
            "step": self._step,
            "question": self._question,
            "run": self._of_run,
        }

    def tell(self, event: Event) -> Sequence[bytes]:
        """See `kit.pauses`."""
        if self._has_failed:
            return ()
        return [_json({**told, "timestamp": event.at_ms}) for told in self._told(event)]

    def go_on(self, event: Event) -> Sequence[bytes]:
        """See `kit.pauses`."""
        self._resumed += 1
        # The answer has the id of the request that gave it, if that is one of this contract.
        own = f"{self._run}-{self._resumed}"
        self._run = str(event.data.get("id") or own) if not event.is_terminal else own
        steps = [{"type": "STEP_STARTED", "stepName": step} for step in self._steps]
        told = [self._started(), *steps]
        return [_json({**it, "timestamp": event.at_ms}) for it in told]

    def _named(self, kind: str) -> dict[str, Any]:
        return {"type": kind, "threadId": self._thread, "runId": self._run}

    def _started(self) -> dict[str, Any]:
        return {**self._named("RUN_STARTED"), "protocolVersion": VERSION}

    def _told(self, event: Event) -> Sequence[dict[str, Any]]:
        tell = self._tellers.get(event.type.partition(".")[0], self._note)
        return tell(event)

    def _text(self, event: Event) -> list[dict[str, Any]]:
        return self._piece(event.data["step"], "TEXT", event.data["text"])

    def _reasoning(self, event: Event) -> list[dict[str, Any]]:
        return self._piece(event.data["step"], "REASONING", event.data["text"])

    def _piece(self, step: str, kind: str, text: str) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        open_kind, id = self._open.get(step, ("", ""))
        message = "TEXT_MESSAGE" if kind == "TEXT" else "REASONING_MESSAGE"
        if open_kind != kind:
            told += self._close(step)
            self._count += 1
            id = f"{self.run_id}-{self._count}"
            self._open[step] = kind, id
            if kind == "TEXT":
                self._parents[step] = id
            if kind == "REASONING":
                told.append({"type": "REASONING_START", "messageId": id})
            role = "assistant" if kind == "TEXT" else "reasoning"
            told.append({"type": f"{message}_START", "messageId": id, "role": role})
        told.append({"type": f"{message}_CONTENT", "messageId": id, "delta": text})
        return told

    def _close(self, step: str) -> list[dict[str, Any]]:
        kind, id = self._open.pop(step, ("", ""))
        if not kind:
            return []
        if kind == "TEXT":
            return [{"type": "TEXT_MESSAGE_END", "messageId": id}]
        names = ("REASONING_MESSAGE_END", "REASONING_END")
        return [{"type": name, "messageId": id} for name in names]

    def _close_all(self) -> list[dict[str, Any]]:
        """End all that is open, as a run must before it ends."""
        told = [end for step in tuple(self._open) for end in self._close(step)]
        told += [{"type": "TOOL_CALL_END", "toolCallId": id} for id in self._calls.values()]
        self._calls.clear()
        return told + [{"type": "STEP_FINISHED", "stepName": step} for step in self._steps]

    def _tool(self, event: Event) -> list[dict[str, Any]]:
        data = event.data
        key = data["step"], data["index"]
        if event.type == "tool.answered":
            if data["id"] in self._unanswered:
                self._unanswered.remove(data["id"])
            result = {"type": "TOOL_CALL_RESULT", "messageId": f"{self.run_id}-{event.seq}"}
            named = {"toolCallId": data["id"], "content": data["content"], "role": "tool"}
            return [{**result, **named}]
        told: list[dict[str, Any]] = []
        is_new = key not in self._calls
        if is_new:
            if not (data.get("id") and data.get("name")):
                return []  # the whole call names it
            told += self._close(data["step"])
            self._calls[key] = data["id"]
            named = {"toolCallId": data["id"], "toolCallName": data["name"]}
            parent = {"parentMessageId": self._parent(data["step"])}
            told.append({"type": "TOOL_CALL_START", **named, **parent})
        id, arguments = self._calls[key], data["arguments"]
        if event.type == "tool.called":
            # A model may call without arguments; clients read them as JSON all the same.
            is_bare = key not in self._argued
            arguments = json.dumps(arguments, ensure_ascii=False) if is_bare else ""
        if arguments:
            self._argued.add(key)
            told.append({"type": "TOOL_CALL_ARGS", "toolCallId": id, "delta": arguments})
        if event.type == "tool.called":
            del self._calls[key]
            self._unanswered.append(id)
            told.append({"type": "TOOL_CALL_END", "toolCallId": id})
        return told

    def _parent(self, step: str) -> str:
        """Return the message of a step's calls: one, because they are one answer."""
        if step not in self._parents:
            self._count += 1
            self._parents[step] = f"{self.run_id}-{self._count}"
        return self._parents[step]

    def _step(self, event: Event) -> list[dict[str, Any]]:
        step = event.data["step"]
        if event.type == "step.rewound":  # only in a run that began in another dialect
            return self._failed("rewound", taken_back(event.data.get("at", 0)))
        if event.type == "step.started":
            if step in self._steps:  # begun again by a later owner of the run
                return []
            self._steps.append(step)
            return [{"type": "STEP_STARTED", "stepName": step}]
        told = self._close(step)
        if step in self._steps:
            self._steps.remove(step)
            told.append({"type": "STEP_FINISHED", "stepName": step})
        return told

    def _question(self, event: Event) -> list[dict[str, Any]]:
        data = event.data
        if event.type == "question.answered":
            return []
        expires = datetime.fromtimestamp(data["until_ms"] / 1000, UTC)
        interrupt: dict[str, Any] = {
            "id": f"{self.run_id}/{data['step']}",
            "reason": "tool_call" if data.get("call") else "input_required",
            "message": data["text"],
            "expiresAt": expires.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        if call := data.get("call"):
            interrupt["toolCallId"] = call["id"]
        if schema := data.get("schema"):
            interrupt["responseSchema"] = schema
        outcome = {"type": "interrupt", "interrupts": [interrupt]}
        return [*self._close_all(), {**self._named("RUN_FINISHED"), "outcome": outcome}]

    def _of_run(self, event: Event) -> list[dict[str, Any]]:
        data = event.data
        if event.type == "run.started":
            wire = data["input"].get("wire") or {}
            self._thread = wire.get("thread") or self.run_id
            self._run = wire.get("run") or self.run_id
            return [self._started()]
        match event.type:
            case "run.completed":
                outcome: dict[str, Any] = {"type": "success"}
                if self._unanswered:
                    outcome["pendingToolCallIds"] = list(self._unanswered)
            case "run.cancelled":
                outcome = {"type": "cancelled"}
            case "run.failed" | "run.incomplete":
                return self._failed(data.get("code", "failed"), data.get("message", event.type))
            case _:
                return []
        ended = {**self._named("RUN_FINISHED"), "outcome": outcome, **self._usage()}
        if self._result is not None:
            ended["result"] = self._result
        return [*self._close_all(), ended]

    def _failed(self, code: str, message: str) -> list[dict[str, Any]]:
        self._has_failed = True
        return [{"type": "RUN_ERROR", "code": code, "message": message, **self._usage()}]

    def _usage(self) -> dict[str, Any]:
        used = total(self._reports)
        if used is None:
            return {}
        counts = {"inputTokens": used.prompt_tokens, "outputTokens": used.completion_tokens}
        counts["totalTokens"] = used.total_tokens
        return {"usage": [{name: n for name, n in counts.items() if n is not None}]}

    def _note(self, event: Event) -> list[dict[str, Any]]:
        data = event.data
        if event.type in {"attempt.finished", "attempt.failed"}:
            self._reports.append((data.get("usage"), None))
        if event.type == "result.set":
            self._result = data["value"]
        if event.type not in NOTES:
            return []
        value = {"event": event.type.partition(".")[2], **data}
        return [{"type": "CUSTOM", "name": NOTES[event.type], "value": value}]


class Agui:
    trailer = b""
    can_rewind = False

    def routes(self, gateway: RunGateway) -> APIRouter:
        """Return no routes: `server/api/agui.py` has them, which answers runs that wait."""
        return APIRouter()

    def encoder(self) -> AguiEncoder:
        return AguiEncoder()


plug = Agui()
