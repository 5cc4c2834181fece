"""
`/v1/responses`, as OpenAI's clients speak it.

Each frame has a `sequence_number`: 0, 1, 2 … of the frames of its run. It is a count, and the
encoder is a fold, so the same run has the same numbers after any restart, and a client's
`starting_after` is exact. `server/api/openai_responses.py` reads, cancels and deletes responses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import msgspec
from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from ..errors import SpecError, UnknownRun
from ..runs.beginning import spec_of
from ..runs.events import Event
from ..runs.run import RunSpec, fold
from . import CompleteAnswer, Options, RunGateway, VisibleEvents
from .kit.answers import AnswerFacts, failure_of
from .kit.failures import OpenAIRefusals, status_of
from .kit.kept_states import run_of, with_states
from .kit.output_items import ItemKind, OutputItem
from .kit.response_items import referred
from .kit.response_requests import ResponseRequest, shown_params
from .kit.talks import Said, answer_of, messages_of, sealed
from .openai_chat import for_user

NAME: Final = "openai_responses"
PATH: Final = "/v1/responses"
PREFIX: Final = "resp_"

MAX_REFERRED: Final = 256
"""Responses that the items of one request may be of: each one is read."""

MAX_REFERRED_BYTES: Final = 8 * 1024 * 1024
"""Of all items that one request names: as much as a long talk, and no more than memory has."""

ENCRYPTED: Final = "reasoning.encrypted_content"
"""What a client includes who keeps the thoughts of a model by itself."""

INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Reasons for the end of an answer that make its response incomplete."""


def run_id_of(response_id: str) -> str:
    """
    Return the run of a response.

    Raises:
        UnknownRun: It is no id of a response.
    """
    if not response_id.startswith(PREFIX):
        raise UnknownRun(response_id[:64])
    return response_id.removeprefix(PREFIX)


class ResponseEncoder:
    """One run as the events of a response."""

    def __init__(self) -> None:
        self.run_id = ""
        self._facts = AnswerFacts()
        self._number = 0
        self._items: list[OutputItem] = []
        self._open: dict[str, OutputItem] = {}
        """By step: the text or the thoughts that grow."""
        self._calls: dict[int, OutputItem] = {}
        self._status = "in_progress"
        self._error: dict[str, str] | None = None
        self._incomplete: dict[str, Any] | None = None
        self._ended_s: int | None = None

    def encode(self, event: Event) -> Sequence[bytes]:
        if self._error is not None:
            return ()
        match event.type:
            case "text.delta":
                return self._delta(event, "message", "response.output_text.delta")
            case "reasoning.delta":
                return self._delta(event, "reasoning", "response.reasoning_text.delta")
            case "tool.delta" | "tool.called":
                return self._tool(event)
            case _:
                return self._rare(event)

    def _rare(self, event: Event) -> Sequence[bytes]:
        if event.is_terminal:
            return self._end(event)
        if event.type == "step.rewound":
            self._error = failure_of(event)
            self._status = "failed"
            return (self._frame("error", **self._error, param=None),)
        self._facts.see(event)
        if event.type == "run.started":
            names = ["created", *(["queued"] if self._is_background else []), "in_progress"]
            return [self._told(name) for name in names]
        if event.type == "step.finished":
            return [*self._close(event.data["step"]), *self._sealed(event.data)]
        return ()

    @property
    def _is_background(self) -> bool:
        return bool(self._facts.wire.get("background"))

    def _frame(self, kind: str, **fields: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return msgspec.json.encode({"type": kind, **fields, "sequence_number": number})

    def _told(self, name: str) -> bytes:
        return self._frame(f"response.{name}", response=self.response())

    def _of(self, item: OutputItem) -> dict[str, Any]:
        return {"item_id": item.id, "output_index": item.index}

    def _begin(self, kind: ItemKind, short: str) -> OutputItem:
        index = len(self._items)
        item = OutputItem(kind, index, f"{short}_{self.run_id}_{index}")
        self._items.append(item)
        return item

    def _added(self, item: OutputItem) -> bytes:
        added = {"output_index": item.index, "item": item.json()}
        return self._frame("response.output_item.added", **added)

    def _done(self, item: OutputItem, status: str = "completed") -> bytes:
        item.status = status
        return self._frame("response.output_item.done", output_index=item.index, item=item.json())

    def _delta(self, event: Event, kind: ItemKind, name: str) -> Sequence[bytes]:
        step, text = event.data["step"], event.data["text"]
        frames: list[bytes] = []
        item = self._open.get(step)
        if item is None or item.kind != kind:
            frames += self._close(step)
            item = self._open[step] = self._begin(kind, "msg" if kind == "message" else "rs")
            frames.append(self._added(item))
            part = {"content_index": 0, "part": item.part("")}
            frames.append(self._frame("response.content_part.added", **self._of(item), **part))
        item.pieces.append(text)
        more: dict[str, Any] = {"content_index": 0, "delta": text}
        if kind == "message":
            more["logprobs"] = []
        frames.append(self._frame(name, **self._of(item), **more))
        return frames

    def _close(self, step: str, status: str = "completed") -> list[bytes]:
        """End the text or the thoughts of a step, if there are any."""
        item = self._open.pop(step, None)
        if item is None:
            return []
        text, place = item.text, {**self._of(item), "content_index": 0}
        is_said = item.kind == "message"
        whole = {"text": text, **({"logprobs": []} if is_said else {})}
        name = "output_text" if is_said else "reasoning_text"
        return [
            self._frame(f"response.{name}.done", **place, **whole),
            self._frame("response.content_part.done", **place, part=item.part(text)),
            self._done(item, status),
        ]

    def _sealed(self, data: Mapping[str, Any]) -> list[bytes]:
        """Give a client who asks for it what the provider wants back, as an item to send again."""
        state = data.get("turn_state")
        if state is None or ENCRYPTED not in self._facts.wire.get("include", ()):
            return []
        item = self._begin("reasoning", "rs")
        item.sealed = sealed(state)
        return [self._added(item), self._done(item)]

    def _tool(self, event: Event) -> Sequence[bytes]:
        data, index = event.data, self._facts.call_index(event)
        if index is None:
            return ()
        if event.type == "tool.called":
            return self._called(index, data["arguments"])
        frames = self._close(data["step"])
        item = self._calls.get(index)
        if item is None:
            item = self._calls[index] = self._begin("function_call", "fc")
            id_ = data.get("id") or f"call_{index}"
            item.call = {"call_id": id_, "name": data.get("name") or ""}
            frames.append(self._added(item))
        if data["arguments"]:
            frames.append(self._argue(item, data["arguments"]))
        return frames

    def _called(self, index: int, arguments: Mapping[str, Any]) -> Sequence[bytes]:
        item = self._calls.get(index)
        if item is None or item.status != "in_progress":
            return ()
        frames: list[bytes] = []
        if not item.pieces:  # a model may call without arguments; clients read them as JSON
            frames = [self._argue(item, msgspec.json.encode(arguments).decode())]
        facts = {"name": item.call["name"], "arguments": item.text}
        name = "response.function_call_arguments.done"
        return [*frames, self._frame(name, **self._of(item), **facts), self._done(item)]

    def _argue(self, item: OutputItem, arguments: str) -> bytes:
        item.pieces.append(arguments)
        name = "response.function_call_arguments.delta"
        return self._frame(name, **self._of(item), delta=arguments)

    def _end(self, event: Event) -> Sequence[bytes]:
        is_whole = event.type == "run.completed"
        left = "completed" if is_whole else "incomplete"
        frames = [frame for step in list(self._open) for frame in self._close(step, left)]
        cut = [call for call in self._calls.values() if call.status == "in_progress"]
        frames += [self._done(call, left) for call in cut]
        self._ended_s = event.at_ms // 1000
        if is_whole and (reason := INCOMPLETE.get(self._facts.finish)):
            self._status, self._incomplete = "incomplete", {"reason": reason}
        elif is_whole:
            self._status = "completed"
        else:
            self._status = "cancelled" if event.type == "run.cancelled" else "failed"
            self._error = failure_of(event)
        name = "failed" if self._error else self._status
        return [*frames, self._told(name)]

    def response(self) -> dict[str, Any]:
        """Return the response as far as it has come."""
        facts = self._facts
        return {
            "id": f"{PREFIX}{self.run_id}",
            "object": "response",
            "created_at": facts.created_s,
            "status": self._status,
            "background": self._is_background,
            "completed_at": self._ended_s if self._status == "completed" else None,
            "error": self._error,
            "incomplete_details": self._incomplete,
            "instructions": facts.wire.get("instructions"),
            "metadata": facts.wire.get("metadata") or {},
            "model": facts.model,
            "output": [item.json() for item in self._items],
            "previous_response_id": facts.wire.get("previous_response_id"),
            "store": True,
            **shown_params(facts.input),
            "truncation": "disabled",
            "usage": self._usage() if self._ended_s is not None else None,
        }

    def _usage(self) -> dict[str, Any] | None:
        facts = self._facts
        asked, said = facts.tokens("prompt_tokens"), facts.tokens("completion_tokens")
        if asked is None or said is None:
            return None
        return {
            "input_tokens": asked,
            "input_tokens_details": {"cached_tokens": facts.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": said,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": asked + said,
        }


def response_after(run_id: str, events: Iterable[Event]) -> dict[str, Any]:
    """Return the response of a run after these events."""
    encoder = ResponseEncoder()
    encoder.run_id = run_id
    shown = VisibleEvents(encoder)
    for event in events:
        shown.encode(event)
    return encoder.response()


def _whole(answer: CompleteAnswer) -> Response:
    """Return the response that is not streamed: the last frame has it."""
    last = msgspec.json.decode(answer.frames[-1])
    headers = {"X-Run-Id": answer.run_id}
    response = last.get("response")
    if response is None or response["error"] is not None:
        headers["x-should-retry"] = "false"  # we have tried again ourselves
        error = last if response is None else response["error"]
        facts = {"type": "server_error", "param": None, "code": error["code"]}
        body = {"error": {"message": error["message"], **facts}}
        return JSONResponse(body, status_of(error["code"]), headers=headers)
    return JSONResponse(response, headers=headers)


async def _named_items(
    gateway: RunGateway, items: str | list[dict[str, Any]]
) -> str | list[dict[str, Any]]:
    """
    Return the input with what its references name: items of earlier responses, by their ids.

    Raises:
        SpecError: There is no such item.
    """
    if isinstance(items, str):
        return items
    named: dict[str, dict[str, Any]] = {}
    runs: set[str] = set()
    wanted, room = set(map(referred, items)), MAX_REFERRED_BYTES
    for id in filter(None, map(referred, items)):
        run_id = run_of({"id": id})
        if run_id not in runs and len(runs) < MAX_REFERRED:
            runs.add(run_id)
            with suppress(UnknownRun):
                output = response_after(run_id, await gateway.events(run_id))["output"]
                found = {it["id"]: it for it in output if it["id"] in wanted}
                room -= len(msgspec.json.encode(found))
                named |= found
        if room < 0:
            raise SpecError(f"input: it names items of more than {MAX_REFERRED_BYTES} bytes")
        if id not in named:
            raise SpecError(f"input: no response here has an item {id[:64]!r}; send it whole")
    return [named[id] if (id := referred(item)) else item for item in items]


async def _before(gateway: RunGateway, response_id: str | None) -> list[Said]:
    """
    Return what was said up to and with an earlier response, but for its instructions.

    Raises:
        UnknownRun: There is no such response.
        SpecError: It is none that a conversation can go on from.
    """
    if response_id is None:
        return []
    events = await gateway.events(run_id_of(response_id))
    spec, run = spec_of(events[0]), fold(events)
    if spec.flow != "chat":
        raise SpecError("previous_response_id: no conversation can go on from that response")
    if not run.is_ended:
        raise SpecError("previous_response_id: that response is still being written; wait for it")
    own = str(spec.input.get("wire", {}).get("instructions") or "")
    system = str(spec.input.get("system") or "").removeprefix(own).strip()
    return [*messages_of({**spec.input, "system": system}), *answer_of(run)]


class OpenAIResponses:
    trailer = b""
    can_rewind = False
    is_named = True
    refusals = (OpenAIRefusals((PATH,)),)

    def routes(self, gateway: RunGateway) -> APIRouter:
        router = APIRouter(tags=["OpenAI"])

        @router.post(PATH)
        async def respond(request: ResponseRequest, options: Options) -> Response:
            """Answer as OpenAI's Responses do: streamed, in the background, or whole."""
            request.input = await _named_items(gateway, request.input)
            if not isinstance(request.input, str):
                request.input = await with_states(gateway, request.input)
            spec = request.spec(await _before(gateway, request.previous_response_id))
            options = for_user(options, request.user)
            if request.background and options.cancel_after_s is None:
                options = replace(options, continues=True)
            if request.stream:
                return await gateway.stream(spec, options)
            if request.background:
                return await _begun(gateway, spec, options)
            return await gateway.answer(spec, options, _whole)

        return router

    def encoder(self) -> ResponseEncoder:
        return ResponseEncoder()


async def _begun(gateway: RunGateway, spec: RunSpec, options: Options) -> Response:
    run_id = await gateway.begin(spec, options)
    body = response_after(run_id, await gateway.events(run_id))
    return JSONResponse(body, headers={"X-Run-Id": run_id})


plug = OpenAIResponses()
