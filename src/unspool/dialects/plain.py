"""
S1.10: `POST /ai/stream`, the text itself as the data of each frame.

A newline in the text becomes a further `data:` line, as the standard requires. The contract has
no frame for the end; a run that does not complete ends with a frame that begins with `[ERROR]`, so
that clients notice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from ..errors import SpecError
from ..runs.events import Event
from ..runs.run import RunSpec, taken_back
from . import Options, RunGateway

MAX_PROMPT_CHARS = 200_000


class PlainRequest(BaseModel):
    prompt: str = Field(min_length=1, max_length=MAX_PROMPT_CHARS)
    system: str | None = Field(None, max_length=200_000)
    model: str = Field("", max_length=128)


class PlainEncoder:
    def encode(self, event: Event) -> Sequence[bytes]:
        match event.type:
            case "text.delta":
                return (event.data["text"].encode(),)
            case "step.rewound":  # only in a run that began in another dialect
                return (f"[ERROR] rewound: {taken_back(event.data.get('at', 0))}".encode(),)
            case "run.failed" | "run.cancelled" | "run.incomplete":
                code = event.data.get("code", event.type.partition(".")[2])
                return (f"[ERROR] {code}: {event.data.get('message', '')}".encode(),)
            case _:
                return ()


class Plain:
    trailer = b""
    can_rewind = False

    def routes(self, gateway: RunGateway) -> APIRouter:
        router = APIRouter(tags=["plain text (S1)"])

        @router.post("/ai/stream")
        async def stream_text(
            options: Options,
            prompt: Annotated[str, Query(max_length=MAX_PROMPT_CHARS)] = "",
            request: PlainRequest | None = None,
        ) -> Response:
            """Stream a model's answer as plain text frames; send `?prompt=` or a JSON body."""
            if request is None and not prompt:
                raise SpecError('no prompt: send ?prompt=… or the JSON body {"prompt": …}')
            request = request or PlainRequest(prompt=prompt)
            body = {"prompt": request.prompt}
            if request.system is not None:
                body["system"] = request.system
            spec = RunSpec("chat", body, model=request.model, dialect="plain")
            return await gateway.stream(spec, options)

        return router

    def encoder(self) -> PlainEncoder:
        return PlainEncoder()


plug = Plain()
