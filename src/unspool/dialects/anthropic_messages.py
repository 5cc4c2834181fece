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
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from ..runs.events import Event
from ..runs.run import RunSpec
from . import Options, RunGateway
from .kit.answers import AnswerFacts, failure_of
from .kit.anthropic_request import MessagesRequest, chat_of
from .kit.failures import SERVER_FAULT, status_of
from .kit.talks import sealed

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
OF_RUNS: Final = {400: ERRORS[400], 402: ERRORS[402]}
"""Of a run that did not complete, by the status of its code; any other is the server's fault."""
STATUSES: Final = {"overloaded_error": 529, **{kind: status for status, kind in OF_RUNS.items()}}
OVERLOADED: Final = frozenset({"rate_limit", "overloaded", "queue_full"})
"""Codes of runs that a later request may succeed after."""


@dataclass(slots=True)
class _OpenCall:
    """A call whose block is open."""

    key: tuple[str, int]
    """Its step, and its place in it."""
    index: int
    """Number of its block."""
    pieces: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether its arguments are a JSON object, so that nothing can follow them."""
        try:
            return isinstance(msgspec.json.decode("".join(self.pieces)), dict)
        except (msgspec.DecodeError, RecursionError):
            return False


class MessagesEncoder:
    def __init__(self) -> None:
        self.run_id = ""
        self._count = 0
        """Blocks that have begun."""
        self._open: tuple[str, str] | None = None
        """Step and kind of the open block of text or thoughts, which has the last number."""
        self._call: _OpenCall | None = None
        """The call whose block is open."""
        self._waiting: set[tuple[str, int]] = set()
        """Calls that wait until they are whole: another one's block was open."""
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
                return self._tool(event)
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
            frames += self._close() + self._end_call()
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
        index, kind, self._open = self._count - 1, self._open[1], None
        stop = _json({"type": "content_block_stop", "index": index})
        if kind == "text":
            return [stop]
        # Without one, clients send thoughts back as words of the user, or not at all.
        signature = {"type": "signature_delta", "signature": f"{self.run_id}.{index}"}
        return [self._delta(index, signature), stop]

    def _tool(self, event: Event) -> list[bytes]:
        data = event.data
        key = data["step"], data["index"]
        is_ours = self._facts.call_index(event) is None
        if is_ours or key in self._told or event.type == "tool.answered":
            return []
        if event.type == "tool.called":
            return self._called(key, data)
        if key in self._waiting:
            return []
        if self._call is not None and self._call.key == key:
            return self._argue(self._call, data["arguments"])
        frames = self._end_call()
        is_named = data.get("id") and data.get("name")
        if self._call is not None or not is_named:
            self._waiting.add(key)
            return frames
        return [*frames, *self._begin_call(key, data, data["arguments"])]

    def _begin_call(
        self, key: tuple[str, int], data: Mapping[str, Any], arguments: str
    ) -> list[bytes]:
        frames = self._close()
        self._call = _OpenCall(key, self._count)
        block = {"type": "tool_use", "id": data["id"], "name": data["name"], "input": {}}
        return [*frames, self._begin(block), *self._argue(self._call, arguments)]

    def _argue(self, call: _OpenCall, arguments: str) -> list[bytes]:
        if not arguments:
            return []
        call.pieces.append(arguments)
        return [self._delta(call.index, {"type": "input_json_delta", "partial_json": arguments})]

    def _called(self, key: tuple[str, int], data: Mapping[str, Any]) -> list[bytes]:
        if self._call is not None and self._call.key == key:
            return self._stop_call(self._call)
        # A call before it that never came to its end must not stay open either.
        frames = [] if self._call is None else self._stop_call(self._call)
        text = json.dumps(data["arguments"], ensure_ascii=False)
        frames += self._begin_call(key, data, text)
        assert self._call is not None
        return frames + self._stop_call(self._call)

    def _end_call(self) -> list[bytes]:
        """Close the block of a call whose arguments are whole: their clients want one at a time."""
        if self._call is None or not self._call.is_whole:
            return []
        return self._stop_call(self._call)

    def _stop_call(self, call: _OpenCall) -> list[bytes]:
        self._told.add(call.key)
        self._call = None
        return [_json({"type": "content_block_stop", "index": call.index})]

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
        kind = "overloaded_error" if code in OVERLOADED else OF_RUNS.get(status_of(code))
        error = {"type": kind or "api_error", "message": f"{code}: {message}"}
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
                return STATUSES.get(frame["error"]["type"], SERVER_FAULT), frame
            case _:
                pass
    cut: list[Any] = []
    for index, pieces in parts.items():
        block = message["content"][index]
        try:
            block["input"] = json.loads("".join(pieces))
        except ValueError:  # of a tool that nobody offered, else the run fails
            cut.append(block)
    message["content"] = [block for block in message["content"] if block not in cut]
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
