"""
Unspool inside a Django project, under ASGI and under WSGI.

    # urls.py: projects with their stages, streams and history, and the runs
    path("", include("unspool.django"))

    # views.py: a view of your own
    from unspool.django import astream, follow, stream

    async def rewrite(request, pk):                     # ASGI
        return await astream(request, "story", {"project_id": pk, "stages": ["rewrite"]}, "story")

    def rewrite_wsgi(request, pk):                      # WSGI
        return stream(request, "story", {"project_id": pk, "stages": ["rewrite"]}, "story")

    path("runs/<str:run_id>/events", follow)            # to continue such a stream

The dictionary `UNSPOOL` of Django's settings has fields of `unspool.Settings` (`data_dir` …).
A thread of this process carries the runs. With several processes, let one of them, or a separate
server, open the data directory; the others speak to it over HTTP.
"""

from __future__ import annotations

import atexit
import json
import threading
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import quote

from django.conf import settings as django_settings
from django.core.handlers.asgi import ASGIRequest
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import re_path
from fastapi import FastAPI

from .embedded import Embedded
from .errors import UnspoolError
from .formats.sse import Decoder
from .server.app import app_over
from .server.headers import STREAM
from .server.pulled_answer import PulledAnswer
from .settings import Settings
from .viewing.event_stream import HEADERS

_HOP_BY_HOP: Final = "connection"
"""WSGI reserves it for servers: `wsgiref` refuses an application that sends it."""

_lock = threading.Lock()
_embedded: Embedded | None = None
_app: FastAPI | None = None
"""The server's application over the same core, made at the first request."""


def unspool() -> Embedded:
    """
    Return the Unspool of this process; the first call opens it.

    Raises:
        SetupError: The data directory cannot be used, or another process has it.
    """
    global _embedded  # noqa: PLW0603 - one for the process, like Django's own connections
    with _lock:
        if _embedded is None:
            embedded = Embedded(Settings(**getattr(django_settings, "UNSPOOL", {})))
            embedded.open()
            atexit.register(embedded.close)
            _embedded = embedded
        return _embedded


def close() -> None:
    """Release all runs and close the Unspool of this process: for tests, and before a fork."""
    global _app, _embedded  # noqa: PLW0603
    with _lock:
        if _embedded is not None:
            _embedded.close()
            _app = _embedded = None


def serve(request: HttpRequest) -> HttpResponseBase:
    """
    Answer as the server does at the same path: the view of `urlpatterns`.

    It knows no users: put a decorator of yours around it, such as `login_required`. Pages send
    JSON, so it takes no CSRF token.
    """
    here = unspool()
    scope, body = _scope_of(request), request.body

    async def begin() -> PulledAnswer:
        global _app  # noqa: PLW0603
        if _app is None:
            _app = app_over(here.core)
        app = _app
        return PulledAnswer(lambda receive, send: app(scope, receive, send), body)

    answer = here.call(begin)
    status, head = here.call(answer.head)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head}
    kind = headers.pop("content-type", None)
    for name in ("content-length", _HOP_BY_HOP):  # the server counts, and keeps its connection
        headers.pop(name, None)
    if not (kind or "").startswith(STREAM):
        whole = b"".join(_pieces(here, answer))
        return HttpResponse(whole, status=status, content_type=kind, headers=headers)
    is_async = isinstance(request, ASGIRequest)
    pieces: Any = _apieces(here, answer) if is_async else _pieces(here, answer)
    return StreamingHttpResponse(pieces, status=status, content_type=kind, headers=headers)


serve.csrf_exempt = True  # type: ignore[attr-defined]


def _scope_of(request: HttpRequest) -> dict[str, Any]:
    """Return the request as ASGI says it, as one from this machine: Django has checked its host."""
    headers = [(b"host", b"localhost")]
    headers += [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in request.headers.items()
        if name.lower() not in {"host", "cookie", "authorization"}
    ]
    path = request.path_info
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.scheme,
        "path": path,
        "raw_path": quote(path).encode(),
        "root_path": "",
        "query_string": request.META.get("QUERY_STRING", "").encode("latin-1"),
        "headers": headers,
        "client": ("127.0.0.1", 0),
        "server": None,
    }


def _pieces(here: Embedded, answer: PulledAnswer) -> Generator[bytes, None, None]:
    try:
        while data := here.call(answer.next):
            yield data
    finally:
        here.call(answer.close)


async def _apieces(here: Embedded, answer: PulledAnswer) -> AsyncGenerator[bytes]:
    try:
        while data := await here.acall(answer.next):
            yield data
    finally:
        await here.acall(answer.close)


urlpatterns = [re_path(r"^(?:api/v1/projects|v1/runs)(?:/.*)?$", serve)]
"""Story projects as the fourth seed document has them, and the runs behind them."""


def stream(
    request: HttpRequest, flow: str, input: Mapping[str, Any], dialect: str = "native"
) -> HttpResponseBase:
    """Start a run and answer with its stream: for a view under WSGI."""
    here = unspool()
    try:
        run_id = here.start(flow, input, dialect=dialect)
    except UnspoolError as error:
        return _refusal(error)
    return _streaming(here.frames(run_id, dialect), run_id)


async def astream(
    request: HttpRequest, flow: str, input: Mapping[str, Any], dialect: str = "native"
) -> HttpResponseBase:
    """Start a run and answer with its stream: for an async view, under ASGI."""
    here = unspool()
    try:
        run_id = await here.astart(flow, input, dialect=dialect)
    except UnspoolError as error:
        return _refusal(error)
    return _streaming(here.aframes(run_id, dialect), run_id)


def follow(request: HttpRequest, run_id: str) -> HttpResponseBase:
    """Continue the stream of a run after `Last-Event-ID` (or `?after=`), in its own dialect."""
    here = unspool()
    after = request.headers.get("Last-Event-ID") or request.GET.get("after", "")
    try:
        dialect = request.GET.get("dialect") or _dialect_of(here, run_id)
        if not here.call(lambda: here.has_more(run_id, dialect, after)):
            return HttpResponse(status=204, headers={"X-Run-Id": run_id})
    except UnspoolError as error:
        return _refusal(error)
    return _streaming(here.frames(run_id, dialect, after), run_id)


async def afollow(request: HttpRequest, run_id: str) -> HttpResponseBase:
    """See `follow`: for a project under ASGI."""
    here = unspool()
    after = request.headers.get("Last-Event-ID") or request.GET.get("after", "")
    try:
        head = await here.acall(lambda: here.core.journal.head(run_id))
        dialect = request.GET.get("dialect") or head.dialect
        if not await here.acall(lambda: here.has_more(run_id, dialect, after)):
            return HttpResponse(status=204, headers={"X-Run-Id": run_id})
    except UnspoolError as error:
        return _refusal(error)
    return _streaming(here.aframes(run_id, dialect, after), run_id)


def _dialect_of(here: Embedded, run_id: str) -> str:
    return here.call(lambda: here.core.journal.head(run_id)).dialect


def _streaming(pieces: Any, run_id: str) -> StreamingHttpResponse:
    headers = {name.decode(): value.decode() for name, value in HEADERS}
    kind = headers.pop("content-type")
    headers.pop(_HOP_BY_HOP)
    headers["X-Run-Id"] = run_id
    return StreamingHttpResponse(pieces, content_type=kind, headers=headers)


def _refusal(error: UnspoolError) -> HttpResponse:
    body = {"error": {"code": error.code, "message": str(error)}}
    return JsonResponse(body, status=error.http_status)


class Rewrite:
    """The stage `rewrite` of a story, with the interface of the seed document's class."""

    async def process_stream(
        self, project_id: int, input_data: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[dict[str, Any]]:
        """Yield the frames of contract S4 as dictionaries; an error is the last of them."""
        here = unspool()
        text = (input_data or {}).get("original_text")
        request = {"project_id": project_id, "stages": ["rewrite"], "original_text": text}
        try:
            run_id = await here.astart("story", request, dialect="story")
        except UnspoolError as error:
            yield {"type": "error", "error": str(error), "code": error.code}
            return
        decoder = Decoder()
        async with aclosing(here.aframes(run_id, "story")) as pieces:
            async for piece in pieces:
                for frame in decoder.feed(piece):
                    yield json.loads(frame.data)


RewriteProcessor = Rewrite
"""Its name in the seed document."""
