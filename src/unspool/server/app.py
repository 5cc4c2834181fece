"""
The ASGI application: the routes of all dialects and resources over one core.

It finds them by itself: add a file to `dialects/` or `api/`, or a folder to `apps/`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from .. import plugs
from ..core import Core, open_core
from ..core.access import Access
from ..dialects import CompleteAnswer, encoder_for, open_dialect
from ..errors import BodyTooLarge, RateLimited, SpecError, Stopping, TooBusy, UnspoolError
from ..journals import read_all
from ..providers import Model
from ..runs.events import Event
from ..runs.options import RunOptions
from ..runs.run import RunSpec
from ..settings import Settings
from ..viewing.cursor import follow
from ..viewing.line_stream import LineStream
from ..viewing.streams import first_stream_of
from ..viewing.viewers import Viewer
from .api import Resource
from .console import add_console
from .direct import DirectRoutes
from .gate import Gate
from .guard import Guard, error_answer
from .late_answer import LateAnswer
from .refusals import RefusalShapes
from .validation import invalid_message
from .wrong_path import wrong_path

log = logging.getLogger(__name__)

DESCRIPTION = """
Streams of generated text that survive refreshes, restarts and providers that die in
mid-sentence. Every stream is a run; its answer carries `X-Run-Id`, and
`GET /v1/runs/{id}/events` with `Last-Event-ID` continues where a viewer left off.
"""


class _Gateway:
    """See `dialects.RunGateway`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def stream(self, spec: RunSpec, options: RunOptions) -> Response:
        run_id = await self.begin(spec, options)
        return await first_stream_of(self._core.viewing, run_id, spec.dialect, options)

    async def lines(self, spec: RunSpec, options: RunOptions) -> Response:
        return LineStream(self._core.viewing, await self.begin(spec, options), spec.dialect)

    async def begin(self, spec: RunSpec, options: RunOptions) -> str:
        if options.conversation is None:
            return await self._core.admission.admit(spec, options)
        return await self._core.conversations.begin_turn(options.conversation, spec, options)

    async def answer(
        self, spec: RunSpec, options: RunOptions, write: Callable[[CompleteAnswer], Response]
    ) -> Response:
        run_id = await self.begin(spec, options)
        return LateAnswer(lambda: self._watched(run_id, spec), write)

    async def events(self, run_id: str) -> Sequence[Event]:
        return [event async for events in read_all(self._core.journal, run_id) for event in events]

    async def whole(self, spec: RunSpec, options: RunOptions) -> CompleteAnswer:
        return await self._watched(await self.begin(spec, options), spec)

    async def _watched(self, run_id: str, spec: RunSpec) -> CompleteAnswer:
        viewing, waiting = self._core.viewing, asyncio.current_task()
        assert waiting is not None
        viewer = Viewer(run_id, stop=waiting.cancel)
        viewing.enter(viewer)
        try:
            return await self._whole(run_id, spec)
        except asyncio.CancelledError:
            if not viewing.is_ending:
                raise
            waiting.uncancel()
            raise Stopping(run_id) from None
        finally:
            viewing.leave(viewer)

    async def _whole(self, run_id: str, spec: RunSpec) -> CompleteAnswer:
        encoder = encoder_for(spec.dialect, run_id)
        frames: list[bytes] = []
        patience_s = self._core.settings.heartbeat_s
        following = follow(self._core.journal, run_id, patience_s=patience_s)
        async with aclosing(following) as batches:
            async for events in batches:
                for event in events:
                    frames += encoder.encode(event)
        return CompleteAnswer(run_id, frames)

    def model(self, number: int) -> Model:
        return self._core.catalog.model(number)


class _GuardedApp(FastAPI):
    """FastAPI behind our guard, which also plays the streams."""

    def __init__(self, settings: Settings, **facts: Any) -> None:
        super().__init__(version=version("unspool"), docs_url=None, redoc_url=None, **facts)
        self._direct = DirectRoutes(self, super().__call__)
        self.refusals = RefusalShapes()
        self._guard = Guard(self._direct, settings, Gate(self._access), self.refusals)

    def _access(self) -> Access | None:
        core: Core | None = getattr(self.state, "core", None)
        return None if core is None else core.access

    def add(self, router: APIRouter) -> None:
        """Add routes; those that start runs are answered directly."""
        # `include_router` would build every route a second time, at the first request.
        self.router.routes.extend(router.routes)
        self._direct.add(router.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._guard(scope, receive, send)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application; on start it opens the data directory."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: _GuardedApp) -> AsyncGenerator[None]:
        async with open_core(settings) as core:
            _add_routes(app, core)
            yield

    return _made(settings, lifespan=lifespan)


def app_over(core: Core) -> FastAPI:
    """Return the application over an open core, for a program that has one already."""
    app = _made(core.settings)
    _add_routes(app, core)
    return app


def _add_routes(app: _GuardedApp, core: Core) -> None:
    gateway = _Gateway(core)
    for name in plugs.names("dialects"):
        dialect = open_dialect(name)
        app.add(dialect.routes(gateway))
        app.refusals.add(getattr(dialect, "refusals", ()))
    for name in plugs.names("api"):
        resource: Resource = plugs.load("api", name)
        app.add(resource(core))
    app.state.core = core


def _made(settings: Settings, **facts: Any) -> _GuardedApp:
    app = _GuardedApp(settings, title="Unspool", description=DESCRIPTION, **facts)
    app.add_exception_handler(UnspoolError, _on_unspool_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_fault)

    _add_pages(app)
    return app


def _add_pages(app: FastAPI) -> None:
    """Add the console, and `/docs` from local files: FastAPI's own page uses a CDN."""
    app.mount("/docs-files", StaticFiles(packages=[("fastapi_offline", "static")]))

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        root_path = request.scope.get("root_path", "")
        return get_swagger_ui_html(
            openapi_url=f"{root_path}/openapi.json",
            title="Unspool",
            swagger_js_url=f"{root_path}/docs-files/swagger-ui-bundle.js",
            swagger_css_url=f"{root_path}/docs-files/swagger-ui.css",
            swagger_favicon_url=f"{root_path}/docs-files/favicon.png",
        )

    add_console(app)


async def _on_unspool_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, UnspoolError)
    message = str(error)
    if isinstance(error, SpecError) and error.problems:
        message = invalid_message(error.problems, _language(request))
    answer = error_answer(error.http_status, error.code, _clean(message))
    if isinstance(error, TooBusy | Stopping):
        answer.headers["retry-after"] = "1"
    if isinstance(error, RateLimited):
        wait_s = error.retry_after_s
        answer.headers["retry-after"] = str(wait_s)
        answer.headers["ratelimit"] = f'"budget";r=0;t={wait_s}'
        answer.headers["ratelimit-policy"] = f'"budget";q={error.most};w=60'
    if isinstance(error, BodyTooLarge):  # the client still sends the rest
        answer.headers["connection"] = "close"
    return answer


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    message = invalid_message(error.errors(), _language(request))
    return error_answer(422, "invalid_request", _clean(message))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, BodyTooLarge):  # FastAPI met it while it read the body
        return await _on_unspool_error(request, error.__cause__)
    message = str(error.detail)
    if message in {"Not Found", "Method Not Allowed"}:  # Starlette's own words
        message = wrong_path(request, error)
    answer = error_answer(error.status_code, f"http_{error.status_code}", _clean(message))
    answer.headers.update(error.headers or {})
    return answer


async def _on_fault(request: Request, error: Exception) -> Response:
    """Answer without the error itself, which the server logs."""
    return error_answer(500, "internal", "the server failed; see the error in its log")


def _language(request: Request) -> str:
    return request.headers.get("accept-language", "")


def _clean(text: str) -> str:
    """Replace lone surrogates, which a field name may hold and JSON may not; limit the length."""
    return text.encode("utf-8", "replace").decode()[:2000]
