"""
Anthropic's Messages: `POST /v1/messages`, streamed or whole, for its official clients.

`message_start (content_block_start content_block_delta* content_block_stop)* message_delta
message_stop`, or an `error` in the place of the last two, at which the clients raise. The
contract cannot take anything back.

Source: `types/` of anthropic-python 2.14 (MIT).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec
from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from ..runs.events import Event
from ..runs.run import RunSpec
from . import Options, RunGateway
from .kit.answers import AnswerFacts, failure_of
from .kit.anthropic_request import MessagesRequest, chat_of, sealed

_json = msgspec.json.Encoder().encode

ERRORS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
STOPS: Final = {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
OVERLOADED: Final = frozenset({"rate_limit", "overloaded", "queue_full"})
"""Codes of runs that a later request may succeed after."""


class MessagesEncoder:
    def __init__(self) -> None:
        self.run_id = ""
        self._count = 0
        """Blocks that have begun."""
        self._open: tuple[str, str] | None = None
        """Step and kind of the open block of text or thoughts, which has the last number."""
        self._calls: dict[tuple[str, int], int] = {}
        """Numbers of the open blocks of calls."""
        self._told: set[tuple[str, int]] = set()
        """Calls whose blocks are closed."""
        self._facts = AnswerFacts()
        self._has_failed = False

    def encode(self, event: Event) -> Sequence[bytes]:
        if self._has_failed:
            return ()
        data = event.data
        match event.type.partition(".")[0]:
            case "text":
                return self._piece(data["step"], "text", data["text"])
            case "reasoning":
                return self._piece(data["step"], "thinking", data["text"])
            case "tool":
                return self._call(event)
            case "step" | "run":
                return self._mark(event)
            case _:
                pass
        self._facts.see(event)
        return ()

    def _mark(self, event: Event) -> Sequence[bytes]:
        """Encode a beginning or an end, of a step or of the run."""
        self._facts.see(event)
        data = event.data
        match event.type:
            case "run.started":
                return (_json(self._start(data["model"])),)
            case "step.finished":
                return self._step(data)
            case "step.rewound":
                return self._failed(**failure_of(event))
            case _:
                return self._end(event) if event.is_terminal else ()

    def _start(self, model: str) -> dict[str, Any]:
        message: dict[str, Any] = {
            "id": f"msg_{self.run_id}",
            "type": "message",
            "role": "assistant",
            "model": model or "default",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }
        return {"type": "message_start", "message": message}

    def _piece(self, step: str, kind: str, text: str) -> list[bytes]:
        frames: list[bytes] = []
        if self._open != (step, kind):
            frames += self._close()
            empty = {"text": ""} if kind == "text" else {"thinking": "", "signature": ""}
            frames.append(self._begin({"type": kind, **empty}))
            self._open = (step, kind)
        delta = {"type": f"{kind}_delta", kind: text}
        return [*frames, self._delta(self._count - 1, delta)]

    def _begin(self, block: Mapping[str, Any]) -> bytes:
        index, self._count = self._count, self._count + 1
        return _json({"type": "content_block_start", "index": index, "content_block": block})

    def _delta(self, index: int, delta: Mapping[str, Any]) -> bytes:
        return _json({"type": "content_block_delta", "index": index, "delta": delta})

    def _close(self) -> list[bytes]:
        """Close the open block of text or thoughts."""
        if self._open is None:
            return []
        self._open = None
        return [_json({"type": "content_block_stop", "index": self._count - 1})]

    def _call(self, event: Event) -> list[bytes]:
        data = event.data
        key = data["step"], data["index"]
        is_whole = event.type == "tool.called"
        is_ours = self._facts.call_index(event) is None
        if is_ours or key in self._told or event.type == "tool.answered":
            return []
        frames: list[bytes] = []
        if key not in self._calls:
            if not (data.get("id") and data.get("name")):
                return []  # the whole call names it
            frames += self._close()
            self._calls[key] = self._count
            block = {"type": "tool_use", "id": data["id"], "name": data["name"], "input": {}}
            frames.append(self._begin(block))
            pieces = data["arguments"]
            text = json.dumps(pieces, ensure_ascii=False) if is_whole else pieces
        else:
            text = "" if is_whole else data["arguments"]
        index = self._calls[key]
        if text:
            delta = {"type": "input_json_delta", "partial_json": text}
            frames.append(self._delta(index, delta))
        if is_whole:
            del self._calls[key]
            self._told.add(key)
            frames.append(_json({"type": "content_block_stop", "index": index}))
        return frames

    def _step(self, data: Mapping[str, Any]) -> list[bytes]:
        frames = self._close() if self._open and self._open[0] == data["step"] else []
        if (state := data.get("turn_state")) is not None:
            frames += self._close()
            index = self._count
            frames.append(self._begin({"type": "redacted_thinking", "data": sealed(state)}))
            frames.append(_json({"type": "content_block_stop", "index": index}))
        return frames

    def _end(self, event: Event) -> Sequence[bytes]:
        if event.type != "run.completed":
            return self._failed(**failure_of(event))
        facts = self._facts
        names = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}
        usage = {theirs: facts.tokens(ours) or 0 for theirs, ours in names.items()}
        usage["cache_read_input_tokens"] = facts.cached_tokens
        usage["input_tokens"] = max(0, usage["input_tokens"] - facts.cached_tokens)
        delta = {"stop_reason": STOPS.get(facts.finish, "end_turn"), "stop_sequence": None}
        ended = {"type": "message_delta", "delta": delta, "usage": usage}
        return [*self._close(), _json(ended), _json({"type": "message_stop"})]

    def _failed(self, code: str, message: str) -> list[bytes]:
        self._has_failed = True
        kind = "overloaded_error" if code in OVERLOADED else "api_error"
        error = {"type": kind, "message": f"{code}: {message}"}
        return [_json({"type": "error", "error": error, "request_id": self.run_id})]


def message_of(frames: Sequence[bytes]) -> tuple[int, dict[str, Any]]:
    """Return the status and the message that a whole stream is; or its error."""
    message: dict[str, Any] = {}
    parts: dict[int, list[str]] = {}
    for frame in map(json.loads, frames):
        match frame["type"]:
            case "message_start":
                message = frame["message"]
            case "content_block_start":
                message["content"].append(frame["content_block"])
            case "content_block_delta":
                delta = frame["delta"]
                name = next(key for key in delta if key != "type")
                block = message["content"][frame["index"]]
                if name == "partial_json":
                    parts.setdefault(frame["index"], []).append(delta[name])
                else:
                    block[name] += delta[name]
            case "message_delta":
                message |= frame["delta"] | {"usage": frame["usage"]}
            case "error":
                return (529 if frame["error"]["type"] == "overloaded_error" else 500), frame
            case _:
                pass
    for index, pieces in parts.items():
        message["content"][index]["input"] = json.loads("".join(pieces))
    return 200, message


class MessagesRefusals:
    paths = ("/v1/messages",)

    def refusal(self, status: int, code: str, message: str) -> tuple[int, bytes]:
        """Their clients repeat requests at 409; ours is final, so it is 400, and so is 422."""
        status = 400 if status in {409, 415, 422} else status
        kind = ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error")
        error = {"type": kind, "message": message, "code": code}
        return status, _json({"type": "error", "error": error})


class AnthropicMessages:
    trailer = b""
    can_rewind = False
    is_named = True
    refusals = (MessagesRefusals(),)

    def routes(self, gateway: RunGateway) -> APIRouter:
        router = APIRouter(tags=["Anthropic Messages"])

        @router.post("/v1/messages")
        async def create_message(request: MessagesRequest, options: Options) -> Response:
            """Answer as Anthropic's Messages API does; `model` is a model or a route of ours."""
            if (user := request.user) and not options.user:
                options = replace(options, user=user)
            spec = RunSpec(
                "chat", chat_of(request), model=request.model, dialect="anthropic_messages"
            )
            if request.stream:
                return await gateway.stream(spec, options)
            whole = await gateway.whole(spec, options)
            status, message = message_of(whole.frames)
            # Another request would be another run, and cost as much again.
            headers = {"X-Run-Id": whole.run_id, "request-id": whole.run_id}
            if status >= 400:
                headers["x-should-retry"] = "false"
            return JSONResponse(message, status, headers=headers)

        return router

    def encoder(self) -> MessagesEncoder:
        return MessagesEncoder()


plug = AnthropicMessages()
