"""
What is refused before the application sees it: foreign hosts, and requests too large.

A pure ASGI middleware; it touches requests only, so streams pass it for nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse

from .settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class BodyTooLarge(Exception):
    """More bytes came than were declared or allowed."""


class Guard:
    def __init__(self, app: App, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        names = {name.strip().lower() for name in settings.allowed_hosts.split(",")} - {""}
        self._any_host = "*" in names
        self._hosts = LOOPBACK_NAMES | names | {settings.host}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        limit = self._settings.max_body_bytes
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise BodyTooLarge
            return message

        try:
            await self._app(scope, bounded, send)
        except BodyTooLarge:
            await self._too_large()(scope, receive, send)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> JSONResponse | None:
        settings = self._settings
        target = len(scope.get("raw_path", b"")) + len(scope.get("query_string", b""))
        if target > settings.max_target_bytes:
            return _answer(414, "target_too_long", f"at most {settings.max_target_bytes} bytes")
        if not self._is_known(headers.get(b"host", b"").decode("latin-1")):
            return _answer(
                421,
                "unknown_host",
                "this server does not go by that name; add it to UNSPOOL_ALLOWED_HOSTS",
            )
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared[:20]) > settings.max_body_bytes:
            return self._too_large()
        return None

    def _is_known(self, host: str) -> bool:
        if host.startswith("["):
            name = host[1:].partition("]")[0]
        else:
            name = host.rpartition(":")[0] or host
        return self._any_host or name.lower() in self._hosts

    def _too_large(self) -> JSONResponse:
        limit = self._settings.max_body_bytes
        answer = _answer(413, "body_too_large", f"a request body may have {limit} bytes")
        # What is still on its way is not read; the connection cannot be used again.
        answer.headers["connection"] = "close"
        return answer


def _answer(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status)
