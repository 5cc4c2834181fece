"""
S0: `POST /ai/generate/copy`, sales posts for one product.

`start (post_start token* post_end){n} complete`. Posts are numbered in the order of
their steps (`post-1`, `post-2` …) and never interleave on the wire, whatever order
the log has them in: an event of a later post waits for the end of the one before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from unspool.dialects import Options, RunGateway
from unspool.runs.events import Event
from unspool.runs.run import RunSpec, cut, taken_back

from .request import CopyOrder

_json = msgspec.json.Encoder().encode


class CopyRequest(CopyOrder):
    """What clients of S0 send: `sku` and `style`; the other fields are ours."""

    model: str = Field("", max_length=128)
    """The model that writes; empty: the default one."""


class CopyEncoder:
    def __init__(self) -> None:
        self._total = 0
        self._numbers: dict[str, int] = {}  # step -> post, in the order in which steps began
        self._turn = 1  # the post that may speak now
        self._waiting: dict[int, list[Event]] = {}
        self._parts: list[str] = []
        self._position = 0
        self._posts: list[str] = []

    def encode(self, event: Event) -> Sequence[bytes]:
        match event.type:
            case "text.delta" | "step.started" | "step.finished" | "step.rewound":
                return self._in_turn(event)
            case "run.started":
                request = event.data["input"]
                self._total = request.get("count", 1)
                style = request.get("style", "natural")
                return (_json({"type": "start", "total": self._total, "style": style}),)
            case "run.completed":
                return (_json({"type": "complete", "posts": self._posts}),)
            case "run.failed" | "run.cancelled" | "run.incomplete":
                return (_json(_error(event)),)
            case _:
                return ()

    def _in_turn(self, event: Event) -> Sequence[bytes]:
        step = event.data["step"]
        number = self._numbers.setdefault(step, len(self._numbers) + 1)
        if number != self._turn:
            self._waiting.setdefault(number, []).append(event)
            return ()
        frames = self._post(event)
        said = [event]
        while said and said[-1].type == "step.finished":
            self._turn += 1
            said = self._waiting.pop(self._turn, [])
            for later in said:
                frames += self._post(later)
        return frames

    def _post(self, event: Event) -> list[bytes]:
        number = self._turn
        if event.type == "text.delta":
            text = event.data["text"]
            token = {"type": "token", "content": text, "index": number, "position": self._position}
            self._position += len(text)
            self._parts.append(text)
            return [_json(token)]
        if event.type == "step.finished":
            content = "".join(self._parts)
            self._posts.append(content)
            self._parts, self._position = [], 0
            return [_json({"type": "post_end", "index": number, "content": content})]
        if event.type == "step.rewound":  # only in a run that was asked in another dialect
            cut(self._parts, at := event.data.get("at", 0))
            self._position = at
            return [_json({"type": "error", "code": "rewound", "message": taken_back(at)})]
        if self._parts:  # begun again by a later owner of the run: the post is open already
            return []
        return [_json({"type": "post_start", "index": number, "total": self._total})]


def _error(event: Event) -> dict[str, Any]:
    status = event.type.partition(".")[2]
    message = event.data.get("message", status)
    return {"type": "error", "status": status, "code": event.data.get("code"), "message": message}


class Copywriting:
    trailer = b""
    can_rewind = False

    def routes(self, gateway: RunGateway) -> APIRouter:
        router = APIRouter(tags=["copywriting (S0)"])

        @router.post("/ai/generate/copy")
        async def generate_copy(request: CopyRequest, options: Options) -> Response:
            """Three sales posts for one product, streamed; unknown SKU: 404."""
            # Only what was sent: a style that was not is chosen for the reader.
            body = request.model_dump(exclude={"model"}, exclude_unset=True, mode="json")
            spec = RunSpec("copywriting", body, model=request.model, dialect="copywriting")
            return await gateway.stream(spec, options)

        return router

    def encoder(self) -> CopyEncoder:
        return CopyEncoder()


plug = Copywriting()
