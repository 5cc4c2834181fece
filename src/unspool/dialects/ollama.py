"""
`POST /api/chat`, as Ollama's clients speak it: one JSON document a line.

Each line is a frame of this dialect. The last one has `done`, or an `error` in its place, at which
the official client raises. `server/api/ollama.py` lists the models.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from ..errors import SpecError
from ..formats.images import type_of
from ..runs.events import Event
from ..runs.run import RunSpec
from . import CompleteAnswer, Options, RunGateway
from .kit.answers import AnswerFacts, failure_of
from .kit.failures import UNFIT, status_of
from .kit.talks import arguments_of, chat_input
from .openai_chat import CompletionTool, left_alone

PATH: Final = "/api/chat"

ABSENT: Final = (
    *("/api/generate", "/api/embed", "/api/embeddings", "/api/ps", "/api/pull", "/api/push"),
    *("/api/create", "/api/copy", "/api/delete"),
)
"""What Ollama has and we have not; their clients read the refusal, too."""

OF_ENGINE: Final = frozenset(
    {
        *("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "num_keep", "numa"),
        *("use_mmap", "use_mlock", "low_vram", "f16_kv", "vocab_only", "logits_all"),
        "embedding_only",
    }
)
"""Options about the engine itself, which is not ours to set."""


class MadeOllamaFunction(BaseModel):
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class OllamaCall(BaseModel):
    function: MadeOllamaFunction


class OllamaMessage(BaseModel):
    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    images: list[str] | None = None
    tool_calls: list[OllamaCall] | None = None
    tool_name: str = ""


class OllamaRequest(BaseModel):
    model: str = Field("", max_length=128)
    messages: list[OllamaMessage] = Field(min_length=1, max_length=1000)
    tools: list[CompletionTool] | None = None
    format: str | dict[str, Any] | None = None
    options: dict[str, Any] | None = None
    think: bool | str | None = None
    stream: bool | None = True

    def spec(self) -> RunSpec:
        """
        Return the run that it asks for.

        Raises:
            SpecError: It asks for something that we do not have.
        """
        body = chat_input(_messages(self.messages))
        options = {k: v for k, v in (self.options or {}).items() if k not in OF_ENGINE}
        if "num_predict" in options:
            most = options.pop("num_predict")
            options |= {"max_tokens": most} if most > 0 else {}
        body["params"] = options | _form(self.format)
        if isinstance(self.think, str):
            body["params"]["reasoning_effort"] = self.think
        if self.tools:
            body["tools"] = [tool.described() for tool in self.tools]
        return RunSpec("chat", body, model=self.model, dialect="ollama")


def _form(form: str | dict[str, Any] | None) -> dict[str, Any]:
    if not form:
        return {}
    if isinstance(form, str):
        return {"response_format": {"type": "json_object"}}
    asked = {"type": "json_schema", "json_schema": {"name": "answer", "schema": form}}
    return {"response_format": asked}


def _messages(messages: Sequence[OllamaMessage]) -> list[dict[str, Any]]:
    """Return messages as `kit.talks` has them: the calls get ids, which Ollama does without."""
    said: list[dict[str, Any]] = []
    waiting: dict[str, str] = {}
    for message in messages:
        facts: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.images:
            facts["images"] = [_data_url(image) for image in message.images]
        if message.role == "assistant" and message.tool_calls:
            made = enumerate((call.function for call in message.tool_calls), len(waiting))
            facts["tool_calls"] = [
                {"id": f"call_{k}", "name": it.name, "arguments": arguments_of(it.arguments)}
                for k, it in made
            ]
            waiting |= {call["id"]: call["name"] for call in facts["tool_calls"]}
        if message.role == "tool":
            facts["tool_call_id"] = _answered(waiting, message.tool_name)
        said.append(facts)
    return said


def _answered(waiting: dict[str, str], name: str) -> str:
    """Return the id of the oldest open call, of that name if the answer names a tool."""
    ids = [id_ for id_, called in waiting.items() if called and name in ("", called)]
    if not ids:
        return ""  # nobody made it: refused with the other faults of a talk
    waiting[ids[0]] = ""  # it has its answer; its place keeps later ids apart
    return ids[0]


def _data_url(image: str) -> str:
    try:
        type_ = type_of(base64.b64decode(image[:64], validate=True))
    except (binascii.Error, ValueError):
        type_ = None
    if type_ is None:
        raise SpecError("images: each is a PNG, JPEG, WebP or GIF in base64")
    return f"data:{type_};base64,{image}"


class OllamaEncoder:
    """One run as lines."""

    def __init__(self) -> None:
        self._facts = AnswerFacts()
        self._began_ms = 0
        self._first_ms: int | None = None
        self._is_broken = False

    def encode(self, event: Event) -> Sequence[bytes]:
        if self._is_broken:
            return ()
        match event.type:
            case "text.delta":
                return (self._line(event, content=event.data["text"]),)
            case "reasoning.delta":
                return (self._line(event, content="", thinking=event.data["text"]),)
            case "tool.called":
                return self._call(event)
            case "run.completed":
                return (self._last(event),)
            case _:
                return self._rare(event)

    def _rare(self, event: Event) -> Sequence[bytes]:
        if event.is_terminal or event.type == "step.rewound":
            self._is_broken = True
            return (_error(**failure_of(event)),)
        if event.type == "run.started":
            self._began_ms = event.at_ms
        self._facts.see(event)
        return ()

    def _head(self, event: Event, message: Mapping[str, Any]) -> dict[str, Any]:
        moment = datetime.fromtimestamp(event.at_ms / 1000, UTC)
        at = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        said = {"role": "assistant", **message}
        return {"model": self._facts.model, "created_at": at, "message": said}

    def _line(self, event: Event, **message: Any) -> bytes:
        if self._first_ms is None:
            self._first_ms = event.at_ms
        return msgspec.json.encode({**self._head(event, message), "done": False})

    def _call(self, event: Event) -> Sequence[bytes]:
        if self._facts.call_index(event) is None:
            return ()
        function = {"name": event.data["name"], "arguments": event.data["arguments"]}
        return (self._line(event, content="", tool_calls=[{"function": function}]),)

    def _last(self, event: Event) -> bytes:
        facts = self._facts
        finish = "length" if facts.finish == "length" else "stop"
        began, first = self._began_ms, self._first_ms or event.at_ms
        counts = {
            "total_duration": (event.at_ms - began) * 1_000_000,
            "load_duration": 0,
            "prompt_eval_count": facts.tokens("prompt_tokens"),
            "prompt_eval_duration": (first - began) * 1_000_000,
            "eval_count": facts.tokens("completion_tokens"),
            "eval_duration": (event.at_ms - first) * 1_000_000,
        }
        known = {name: value for name, value in counts.items() if value is not None}
        head = self._head(event, {"content": ""})
        return msgspec.json.encode({**head, "done": True, "done_reason": finish, **known})


def _error(code: str, message: str) -> bytes:
    return msgspec.json.encode({"error": message, "code": code})


def _whole(answer: CompleteAnswer) -> Response:
    """Return the answer that is not streamed, from the lines of one that would have been."""
    lines = [msgspec.json.decode(frame) for frame in answer.frames]
    headers = {"X-Run-Id": answer.run_id}
    last = lines[-1]
    if "error" in last:
        return JSONResponse(last, status_of(last["code"]), headers=headers)
    message = last["message"]
    for name in ("content", "thinking"):
        if text := "".join(line["message"].get(name, "") for line in lines):
            message[name] = text
    if calls := [call for line in lines for call in line["message"].get("tool_calls", ())]:
        message["tool_calls"] = calls
    return JSONResponse(last, headers=headers)


@dataclass(frozen=True, slots=True)
class OllamaRefusals:
    """See `dialects.Refusals`."""

    paths: Sequence[str]

    def refusal(self, status: int, code: str, message: str) -> tuple[int, bytes]:
        return 400 if status == UNFIT else status, _error(code, message)


class OllamaChat:
    trailer = b""
    can_rewind = False
    refusals = (OllamaRefusals((PATH, "/api/tags", "/api/show", "/api/version", *ABSENT)),)

    def routes(self, gateway: RunGateway) -> APIRouter:
        router = APIRouter(tags=["Ollama"])

        @router.post(PATH)
        async def chat(request: OllamaRequest, options: Options) -> Response:
            """Answer a chat as Ollama does; a client who leaves stops its run."""
            spec, options = request.spec(), left_alone(options)
            if request.stream is False:
                return await gateway.answer(spec, options, _whole)
            return await gateway.lines(spec, options)

        return router

    def encoder(self) -> OllamaEncoder:
        return OllamaEncoder()


plug = OllamaChat()
