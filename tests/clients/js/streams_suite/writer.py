"""
Our server with a write path for the conformance suite of Durable Streams, and for nothing else.

The suite makes its streams by PUT and POST, which we do not offer. Here each message of a stream is
an event of a run, written straight into the journal. All reading is that of `/v1/streams/{id}`:
offsets, waiting, closing, headers, caching, controls. Only the payload is translated, from our
events to the messages that the suite wrote, and to the type it gave its stream.

`python writer.py DATA_DIR` prints its address.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from unspool import Core, Settings
from unspool.journals import RunPen
from unspool.runs.events import Draft
from unspool.runs.run import RunSpec
from unspool.server.app import create_app
from unspool.server.listening import listen
from unspool.server.uvicorn import BoundedConfig
from unspool.viewing.durable_stream import offset_of

ROOT = "/v1/stream/"
NOSNIFF = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "cross-origin"}


@dataclass
class Written:
    """A stream of the suite: a run, and how its messages look."""

    pen: RunPen
    type: str
    is_closed: bool = False

    @property
    def is_json(self) -> bool:
        return self.type.partition(";")[0].strip().lower() == "application/json"

    @property
    def is_text(self) -> bool:
        return self.type.lower().startswith("text/")

    def payload(self, events: list[dict[str, Any]]) -> bytes:
        """Return the messages in events as a body of the stream's type."""
        messages = [it["data"]["message"] for it in events if it["type"] == "item.found"]
        if self.is_json:
            return json.dumps(messages, ensure_ascii=False, separators=(",", ":")).encode()
        return b"".join(base64.b64decode(message) for message in messages)

    def frames(self, block: bytes) -> bytes:
        """Return a frame of ours as one of the suite's."""
        if not block.startswith(b"event: data\n"):
            return block
        events = json.loads(block.partition(b"\ndata: ")[2])
        if not any(it["type"] == "item.found" for it in events):
            return b""
        body = self.payload(events)
        if not (self.is_json or self.is_text):
            body = base64.b64encode(body)
        text = body.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
        lines = "".join(f"data:{line}\n" for line in text.split("\n"))
        return f"event: data\n{lines}\n".encode()


class Writer:
    """An ASGI application around ours."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._streams: dict[str, Written] = {}

    @property
    def _core(self) -> Core:
        core: Core = self._app.state.core
        return core

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(ROOT) or scope["method"] == "OPTIONS":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        if scope["method"] in {"GET", "HEAD"}:
            await self._read(path, scope, receive, send)
            return
        body = await request.body()
        act = {"PUT": self._create, "POST": self._append, "DELETE": self._delete}[scope["method"]]
        answer = await act(path, request, body)
        answer.headers.update(NOSNIFF)
        await answer(scope, receive, send)

    async def _create(self, path: str, request: Request, body: bytes) -> Response:
        kind = request.headers.get("content-type", "application/octet-stream")
        closes = request.headers.get("stream-closed") == "true"
        known = self._streams.get(path)
        if known is not None:
            is_same = known.type.lower() == kind.lower() and known.is_closed == closes
            return self._facts(known, 200 if is_same else 409)
        pen = await self._core.journal.create(RunSpec("chat", {"prompt": path}))
        stream = self._streams[path] = Written(pen, kind)
        try:
            await self._write(stream, body, may_be_empty=True)
        except ValueError:
            return Response("not JSON", 400)
        if closes:
            await self._close(stream)
        answer = await self._headed(stream, 201)
        answer.headers["location"] = str(request.url)
        return answer

    async def _append(self, path: str, request: Request, body: bytes) -> Response:
        stream = self._streams.get(path)
        if stream is None:
            return Response("there is no such stream", 404)
        closes = request.headers.get("stream-closed") == "true"
        if stream.is_closed:
            answer = await self._headed(stream, 204 if closes and not body else 409)
            answer.headers["stream-closed"] = "true"
            return answer
        if not body and not closes:
            return Response("nothing to append", 400)
        if body and request.headers.get("content-type", "").lower() != stream.type.lower():
            return Response("another type", 409)
        try:
            await self._write(stream, body, may_be_empty=False)
        except ValueError:
            return Response("not JSON", 400)
        if closes:
            await self._close(stream)
        return await self._headed(stream, 204)

    async def _delete(self, path: str, _request: Request, _body: bytes) -> Response:
        stream = self._streams.pop(path, None)
        if stream is None:
            return Response("there is no such stream", 404)
        if not stream.is_closed:
            await self._close(stream)
        await self._core.journal.forget([stream.pen.run_id])
        return Response(None, 204)

    async def _write(self, stream: Written, body: bytes, *, may_be_empty: bool) -> None:
        if not body:
            return
        messages: list[Any] = [base64.b64encode(body).decode()]
        if stream.is_json:
            said = json.loads(body)
            messages = said if isinstance(said, list) else [said]
            if not messages and not may_be_empty:
                raise ValueError("an empty list")
        for message in messages:
            stream.pen.append(Draft("item.found", {"kind": "message", "message": message}))
        await stream.pen.commit()

    async def _close(self, stream: Written) -> None:
        await stream.pen.end(Draft("run.completed", {}))
        stream.is_closed = True

    def _facts(self, stream: Written, status: int) -> Response:
        answer = Response(None, status)
        answer.headers["content-type"] = stream.type
        if stream.is_closed:
            answer.headers["stream-closed"] = "true"
        return answer

    async def _headed(self, stream: Written, status: int) -> Response:
        answer = self._facts(stream, status)
        head = await self._core.journal.head(stream.pen.run_id)
        answer.headers["stream-next-offset"] = offset_of(head.seq)
        return answer

    async def _read(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        stream = self._streams.get(path)
        run_id = "unknown" if stream is None else stream.pen.run_id
        at = f"/v1/streams/{run_id}"
        inner = {**scope, "path": at, "raw_path": at.encode(), "extensions": {}}
        await self._app(inner, receive, send if stream is None else _Translated(stream, send))


class _Translated:
    """Sends an answer of ours on, with the payload of the suite."""

    def __init__(self, stream: Written, send: Send) -> None:
        self._stream = stream
        self._send = send
        self._start: Message | None = None
        self._is_sse = False
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = dict(message["headers"])
            self._is_sse = headers.get(b"content-type", b"").startswith(b"text/event-stream")
            if self._is_sse:
                if not (self._stream.is_json or self._stream.is_text):
                    headers[b"stream-sse-data-encoding"] = b"base64"
            elif message["status"] == 200:
                headers[b"content-type"] = self._stream.type.encode()
                headers.pop(b"content-length", None)
            self._start = {**message, "headers": list(headers.items())}
            if self._is_sse or message["status"] != 200:
                await self._send(self._start)
            return
        body = message.get("body", b"")
        if self._is_sse:
            blocks = (self._body + body).split(b"\n\n")
            self._body = blocks.pop()
            whole = b"".join(self._stream.frames(block + b"\n\n") for block in blocks)
            await self._send({**message, "body": whole})
        elif self._start is not None and self._start["status"] == 200:
            self._body += body
            if not message.get("more_body"):
                payload = self._stream.payload(json.loads(self._body)) if self._body else b""
                await self._send(self._start)
                await self._send({"type": "http.response.body", "body": payload})
        else:
            await self._send(message)


async def serve(settings: Settings) -> None:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        sock = listen(settings)
        print(f"http://127.0.0.1:{sock.getsockname()[1]}", flush=True)
        config = BoundedConfig(app, settings)
        config.app = Writer(app)
        await uvicorn.Server(config).serve(sockets=[sock])


if __name__ == "__main__":
    asyncio.run(serve(Settings(data_dir=Path(sys.argv[1]), port=0)))
