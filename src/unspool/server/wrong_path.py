"""The answer to a request for a path, or with a method, that the server does not have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match, Route

MOST_SHOWN: Final = 200
"""Characters of a path in a message: longer than any of ours."""


def wrong_path(request: Request, error: HTTPException) -> str:
    """Return what to do about a 404 or 405, in one sentence."""
    scope = request.scope
    root = scope.get("root_path", "")
    path = scope["path"].removeprefix(root)
    shown = (root + path)[:MOST_SHOWN]
    if error.status_code == 405:
        return (
            f"{shown} does not take {request.method}; {root}/docs lists the paths and their methods"
        )
    for near in _near(path):
        if _is_there(request, near):
            return f"no path {shown}; did you mean {root}{near}? Check the client's base URL"
    return f"no path {shown}; check the address: {root}/docs lists the paths"


def _near(path: str) -> Iterator[str]:
    """Yield the paths that are meant when a base URL lacks its `/v1`, or has one too many."""
    if len(path) > MOST_SHOWN:
        return
    if path.startswith("/v1/"):
        yield path.removeprefix("/v1")
    yield f"/v1{path}"


def _is_there(request: Request, path: str) -> bool:
    scope = {**request.scope, "path": request.scope.get("root_path", "") + path}
    routes = (each for each in request.app.router.routes if isinstance(each, Route))
    return any(route.matches(scope)[0] is Match.FULL for route in routes)
