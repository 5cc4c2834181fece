"""The server that a command talks to."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ..viewing.remote import connection
from ..viewing.remote.connection import ServerClient, run_path

__all__ = ["ServerClient", "reach", "run_path"]


def reach(url: str) -> AbstractAsyncContextManager[ServerClient]:
    """See `connection.reach`; errors say what to type."""
    return connection.reach(
        url,
        start_hint=" Start one with `unspool serve`, or name it with --url.",
        name_hint=" Name the server with --url or UNSPOOL_URL.",
    )
