"""
Unspool inside a Django project, under ASGI and under WSGI.

    # views.py
    from unspool.django import astream, follow, stream

    async def rewrite(request, pk):                     # ASGI
        return await astream(request, "story", {"project_id": pk, "stages": ["rewrite"]}, "story")

    def rewrite_wsgi(request, pk):                      # WSGI
        return stream(request, "story", {"project_id": pk, "stages": ["rewrite"]}, "story")

    # urls.py
    path("runs/<str:run_id>/events", follow)

The dictionary `UNSPOOL` of Django's settings has fields of `unspool.Settings` (`data_dir` …).
A thread of this process carries the runs. With several processes, let one of them, or a separate
server, open the data directory; the others speak to it over HTTP.
"""

from __future__ import annotations

import atexit
import json
import threading
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

from django.conf import settings as django_settings
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)

from .embedded import Embedded
from .errors import UnspoolError
from .formats.sse import Decoder
from .settings import Settings
from .viewing.event_stream import HEADERS

_HOP_BY_HOP: Final = "connection"
"""WSGI reserves it for servers: `wsgiref` refuses an application that sends it."""

_lock = threading.Lock()
_embedded: Embedded | None = None


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
    global _embedded  # noqa: PLW0603
    with _lock:
        if _embedded is not None:
            _embedded.close()
            _embedded = None


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
