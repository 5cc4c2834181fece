"""
Refuses foreign hosts, foreign pages and oversized requests before the application sees them.

A pure ASGI middleware. It also plays the streams that the application opens, so the application
need not stay in memory until a stream ends.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import BodyTooLarge, SpecError
from ..runs.options import read_options
from ..settings import Settings
from ..viewing.event_stream import STAGE, EventStream

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._named = {name.strip().lower() for name in settings.allowed_hosts.split(",")} - {""}
        self._any_host = "*" in self._named
        self._hosts = LOOPBACK_NAMES | self._named | {settings.host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            refusal = self._refusal(scope) or self._foreign(scope)
            await (refusal or self._app)(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        for stream in await self._answer(scope, receive, send):
            await stream.play(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> list[EventStream]:
        """Refuse the request or pass it to the application; return the stream that it opened."""
        refusal = self._refusal(scope)
        if refusal is not None:
            # We do not read the rest of the request, so the connection cannot be used again.
            refusal.headers["connection"] = "close"
            await refusal(scope, receive, send)
            return []
        try:
            read_options(scope["headers"])
        except SpecError as error:
            answer = error_answer(error.http_status, error.code, str(error))
            await answer(scope, receive, send)
            return []
        limit = self._settings.max_body_bytes
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise BodyTooLarge(limit)
            return message

        stage: list[EventStream] = []
        # Its own scope: we drop it, and all that the application stores in it, on return.
        inner = dict(scope) | {STAGE: stage}
        await self._app(inner, bounded, send)
        return stage

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        settings = self._settings
        headers = dict(scope["headers"])
        max_target, max_head = settings.max_target_bytes, settings.max_header_bytes
        target = len(scope.get("raw_path", b"")) + len(scope.get("query_string", b""))
        if target > max_target:
            return error_answer(414, "target_too_long", f"at most {max_target} bytes")
        if sum([len(name) + len(value) for name, value in scope["headers"]]) > max_head:
            return error_answer(431, "head_too_large", f"at most {max_head} bytes")
        if not self._is_known(headers.get(b"host", b"").decode("latin-1")):
            return error_answer(
                421,
                "unknown_host",
                "this server does not know that host name; add it to UNSPOOL_ALLOWED_HOSTS",
            )
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared[:20]) > settings.max_body_bytes:
            error = BodyTooLarge(settings.max_body_bytes)
            return error_answer(error.http_status, error.code, str(error))
        return None

    def _foreign(self, scope: Scope) -> JSONResponse | None:
        """Refuse a page of another site; pages may open a WebSocket to any host."""
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin is None:  # not a page
            return None
        ours = _name_of(headers.get(b"host", b"").decode("latin-1"))
        theirs = _site_of(origin.decode("latin-1"))
        is_local = {ours, theirs} <= LOOPBACK_NAMES
        if theirs and (theirs == ours or theirs in self._named or is_local):
            return None
        message = "a page of another site sent this; add its host to UNSPOOL_ALLOWED_HOSTS"
        return error_answer(403, "foreign_origin", message)

    def _is_known(self, host: str) -> bool:
        name = _name_of(host)
        return self._any_host or not name or name in self._hosts or _is_address(name)


def _name_of(host: str) -> str:
    """Return the name or address in a `Host`, in lower case and without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return (host.rpartition(":")[0] or host).lower()


def _site_of(origin: str) -> str:
    """Return the host of an `Origin`; empty for `null` and malformed ones."""
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    """Whether it is an IP address, which DNS rebinding cannot use."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def error_answer(status: int, code: str, message: str) -> JSONResponse:
    """Return an error answer as PROTOCOL.md describes it."""
    return JSONResponse({"error": {"code": code, "message": message}}, status)
