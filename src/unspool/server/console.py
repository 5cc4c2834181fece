"""
The console: pages built from `console/`, as files of this package.

All its addresses serve the same page. The policy allows only the page's own files: even if the page
has a fault, text from a model becomes no script, no style and no request.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from fastapi import FastAPI
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

METHODS: Final = ["GET", "HEAD"]

NOT_BUILT: Final = (
    "The console is not built: run `make console` in the checkout, or install a wheel. "
    "The API works without it; see /docs."
)


class _Assets(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers.update({**HEADERS, "Cache-Control": FOR_GOOD})
        return answer


def add_console(app: FastAPI, built: Path = BUILT) -> None:
    """Serve the console at `/`; if it is not built, say how to build it."""
    for path in PAGES:
        app.add_api_route(
            path, _file(built / "index.html"), methods=METHODS, include_in_schema=False
        )
    app.mount("/assets", _Assets(directory=built / "assets", check_dir=False))
    for name in ("theme.js", "icon.svg"):
        app.add_api_route(f"/{name}", _file(built / name), methods=METHODS, include_in_schema=False)


def _file(path: Path) -> Callable[[], Response]:
    def answer() -> Response:
        # Checked each time: a running server shows a newer build.
        if not path.is_file():
            return PlainTextResponse(NOT_BUILT, 404)
        return FileResponse(path, headers={**HEADERS, "Cache-Control": "no-cache"})

    return answer
