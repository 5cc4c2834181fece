"""Every route that an application answers, as a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from fastapi.routing import APIWebSocketRoute

from support.servers import Served

METHODS = ("get", "post", "put", "patch", "delete")


class Route(NamedTuple):
    """`method` is `WEBSOCKET` for a socket; `path` has its parameters in braces."""

    method: str
    path: str

    @property
    def has_id(self) -> bool:
        return "{" in self.path

    def at(self, ids: dict[str, str]) -> str:
        """The path with an id for each parameter, found by what stands before it; else `1`."""
        path = self.path
        while found := re.search(r"\{[^}]+\}", path):
            before = path[: found.start()]
            path = before + ids.get(before, "1") + path[found.end() :]
        return path


def routes(served: Served) -> list[Route]:
    """Return all routes that the application documents, and its sockets."""
    paths: dict[str, Any] = served.app.openapi()["paths"]
    found = [
        Route(method.upper(), path)
        for path, operations in paths.items()
        for method in METHODS
        if method in operations
    ]
    assert len(found) > 100
    sockets = [Route("WEBSOCKET", path) for path in _sockets(served.app.routes)]
    assert sockets
    return [*found, *sockets]


def _sockets(found: list[Any]) -> Iterator[str]:
    for route in found:
        if isinstance(route, APIWebSocketRoute):
            yield route.path
        elif (inner := getattr(route, "original_router", None)) is not None:
            yield from _sockets(inner.routes)
