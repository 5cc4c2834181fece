"""
Unspool inside a FastAPI (or Starlette) application.

    unspool = Unspool()
    app = FastAPI(lifespan=unspool.lifespan)
    app.mount("/unspool", unspool.app)

    @app.post("/write")
    async def write(prompt: str) -> Response:
        return await unspool.stream("chat", {"prompt": prompt})

The answer is the run's stream. A browser that loses it continues at
`/unspool/v1/runs/{id}/events`; the header `X-Run-Id` has the id. An application with a lifespan
of its own enters this one in it: `async with unspool.lifespan(app): …`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.responses import Response

from .core import Core
from .dialects import open_dialect
from .errors import UnspoolError
from .runs.run import RunSpec
from .server.app import create_app
from .server.guard import error_answer
from .settings import Settings
from .viewing.streams import stream_of


class Unspool:
    """
    The server as a part of your application.

    Attributes:
        app: The whole server as an ASGI application, for you to mount. It checks the `Host` of
            each request: name yours in `UNSPOOL_ALLOWED_HOSTS`.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.app = create_app(settings)

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncGenerator[None]:
        """
        Carry runs for as long as the application lives.

        Raises:
            SetupError: The data directory cannot be used.
        """
        async with self.app.router.lifespan_context(self.app):
            yield

    @property
    def core(self) -> Core:
        """The open parts; available once the application has started."""
        core: Core = self.app.state.core
        return core

    async def start(
        self, flow: str, input: Mapping[str, Any], *, model: str = "", dialect: str = "native"
    ) -> str:
        """
        Start a run and return its id.

        Raises:
            SpecError, TooBusy, JournalError: As for a request.
        """
        return await self.core.admission.admit(RunSpec(flow, input, model=model, dialect=dialect))

    async def stream(
        self, flow: str, input: Mapping[str, Any], *, model: str = "", dialect: str = "native"
    ) -> Response:
        """Start a run and answer with its stream; an error becomes a JSON answer."""
        try:
            open_dialect(dialect)
            run_id = await self.start(flow, input, model=model, dialect=dialect)
        except UnspoolError as error:
            return error_answer(error.http_status, error.code, str(error))
        return stream_of(self.core.viewing, run_id, dialect)
