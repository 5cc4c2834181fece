"""
The console: pages built from `console/`, as files of this package.

All its addresses serve the same page. The policy allows only the page's own files: even if the page
has a fault, text from a model becomes no script, no style and no request. Beside it stands
`unspool-client`, as modules that any page may import.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

BUILT: Final = Path(__file__).parent / "_console"

PAGES: Final = (
    "/",
    "/runs",
    "/runs/{run_id}",
    "/view/{run_id}",
    "/share/{token}",
    "/pages/debug.html",
    "/debug",
    "/cases",
    "/copy",
    "/experiments",
    "/extraction",
    "/graph",
    "/story",
    "/story/{project_id}",
    "/flows",
    "/models",
    "/prompts",
    "/tools",
    "/data",
    "/data/{tab}",
    "/usage",
    "/guide",
    "/keys",
    "/settings",
    "/states",
)
"""The addresses in `console/src/routes.ts`."""

POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # the icon of the tab shows the state of the run
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)

HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}

FOR_GOOD: Final = "public, max-age=31536000, immutable"
"""For files whose names change with their contents."""

FOR_ANY_PAGE: Final = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
"""For the client's modules: public code, the same for everybody, looked for again each time."""

METHODS: Final = ["GET", "HEAD"]

NOT_BUILT: Final = (
    "The console and the client's modules are not built: run `make console` in the checkout, or "
    "install a wheel. The API works without them; see /docs."
)


class _Files(StaticFiles):
    async def check_config(self) -> None:
        """Serve on where nothing is built: each path is looked for, and is 404."""


class _Assets(_Files):
    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers.update({**HEADERS, "Cache-Control": FOR_GOOD})
        return answer


class _Modules(_Files):
    async def get_response(self, path: str, scope: Scope) -> Response:
        try:
            answer = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404 or await run_in_threadpool(self._is_built):
                raise
            answer = PlainTextResponse(NOT_BUILT, 404)
        answer.headers.update(FOR_ANY_PAGE)
        return answer

    def _is_built(self) -> bool:
        return Path(str(self.directory)).is_dir()


def add_console(app: FastAPI, built: Path = BUILT) -> None:
    """Serve the console at `/`; if it is not built, say how to build it."""
    for path in PAGES:
        app.add_api_route(
            path, _file(built / "index.html"), methods=METHODS, include_in_schema=False
        )
    app.mount("/assets", _Assets(directory=built / "assets", check_dir=False))
    app.mount("/client", _Modules(directory=built / "client", check_dir=False))
    for name in ("theme.js", "icon.svg"):
        app.add_api_route(f"/{name}", _file(built / name), methods=METHODS, include_in_schema=False)


def _file(path: Path) -> Callable[[], Response]:
    def answer() -> Response:
        # Checked each time: a running server shows a newer build.
        if not path.is_file():
            return PlainTextResponse(NOT_BUILT, 404)
        return FileResponse(path, headers={**HEADERS, "Cache-Control": "no-cache"})

    return answer
