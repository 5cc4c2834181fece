"""
Refuses foreign hosts, foreign pages and oversized requests before the application sees them.

It answers HEAD wherever GET is, and knows the path that a proxy took away. A pure ASGI middleware.
It also plays the streams that the application opens, so the application need not stay in memory
until a stream ends.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import BodyTooLarge, SetupError, SpecError
from ..runs.options import read_options
from ..settings import Settings
from ..viewing.event_stream import STAGE, EventStream
from .gate import Gate
from .headers import IS_HEAD, host_in, prefix_in
from .refusals import RefusalShapes

UPLOAD_PATH = "/api/imports"
"""Where a body may be as long as `max_upload_bytes`."""

IMAGE_PATHS = (
    "/api/debug/chat",
    "/api/chat",
    "/v1/chat/completions",
    "/v1/responses",
    "/messages",
    "/v1/ui/chat",
    "/v1/agui",
)
"""
Ends of paths where a body may hold images, and be as long as `max_image_body_bytes`. `/messages`
are those of Anthropic's clients and those of a conversation.
"""

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    def __init__(
        self, app: ASGIApp, settings: Settings, gate: Gate, refusals: RefusalShapes
    ) -> None:
        self._app = app
        self._refusals = refusals
        self._gate = gate
        self._settings = settings
        self._named = {name.strip().lower() for name in settings.allowed_hosts.split(",")} - {""}
        self._any_host = "*" in self._named
        self._hosts = LOOPBACK_NAMES | self._named | {settings.host.lower()}
        self._root_path = prefix_in(settings.root_path)
        if settings.root_path.strip("/") and not self._root_path:
            raise SetupError("UNSPOOL_ROOT_PATH is no path; give one like /unspool")
        proxies = {name.strip() for name in settings.trusted_proxies.split(",")} - {""}
        self._any_proxy = "*" in proxies
        self._proxies = _networks(proxies - {"*"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            refusal = self._refusal(scope)
            if self._gate.is_open:  # else the key says which pages may use it
                refusal = refusal or self._foreign(scope)
            answer = refusal or await self._gate.admit(scope, self._path(scope))
            await (answer or self._app)(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = self._refusals.around(send, self._path(scope))
        for stream in await self._answer(scope, receive, send):
            stream.raw_headers += await self._gate.sharing(scope)
            if scope["method"] == "HEAD":
                await stream.show_head(send)
            else:
                await stream.play(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> list[EventStream]:
        """Refuse the request or pass it to the application; return the stream that it opened."""
        refusal = self._refusal(scope)
        if refusal is not None:
            # We do not read the rest of the request, so the connection cannot be used again.
            refusal.headers["connection"] = "close"
            await refusal(scope, receive, send)
            return []
        send = await self._gate.shared(scope, send)
        answer = await self._gate.admit(scope, self._path(scope)) or _wrong_options(scope)
        if answer is not None:
            await answer(scope, receive, send)
            return []
        limit, taken = self._max_body(scope), 0

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
        self._set_prefix(inner)
        if scope["method"] == "HEAD":
            inner["method"], inner[IS_HEAD], send = "GET", True, _without_body(send)
        if root_path := inner.get("root_path"):
            send = _below(root_path, send)
        await self._app(inner, bounded, send)
        return stage

    def _path(self, scope: Scope) -> str:
        """Return the path below the one that a proxy took away."""
        path = str(scope["path"])
        prefix = self._prefix(scope)
        return path.removeprefix(prefix) if f"{path}/".startswith(f"{prefix}/") else path

    def _prefix(self, scope: Scope) -> str:
        prefix = self._root_path
        if self._is_proxy(scope):
            told = dict(scope["headers"]).get(b"x-forwarded-prefix", b"").decode("latin-1")
            prefix = prefix_in(told) or prefix
        return prefix

    def _set_prefix(self, scope: Scope) -> None:
        """Tell the application the path before its own: ours, or that of a proxy we trust."""
        prefix = self._prefix(scope)
        if not prefix:
            return
        scope["root_path"] = prefix
        if not f"{scope['path']}/".startswith(f"{prefix}/"):  # the proxy took it away
            scope["path"] = prefix + scope["path"]

    def _is_proxy(self, scope: Scope) -> bool:
        if not self._proxies or self._any_proxy:
            return self._any_proxy
        try:
            address = ipaddress.ip_address((scope.get("client") or ("", 0))[0])
        except ValueError:
            return False
        return any(address in network for network in self._proxies)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        settings = self._settings
        max_target, max_head = settings.max_target_bytes, settings.max_header_bytes
        target = len(scope.get("raw_path", b"")) + len(scope.get("query_string", b""))
        if target > max_target:
            return error_answer(414, "target_too_long", f"at most {max_target} bytes")
        if sum([len(name) + len(value) for name, value in scope["headers"]]) > max_head:
            return error_answer(431, "head_too_large", f"at most {max_head} bytes")
        return self._wrong_host(scope) or self._wrong_body(scope)

    def _wrong_host(self, scope: Scope) -> JSONResponse | None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        host = host_in(hosts)
        if host is None and (hosts or scope.get("http_version") == "1.1"):
            message = "a request names one host, as in `Host: 127.0.0.1:8000`"
            return error_answer(400, "bad_host", message)
        if self._is_known(host or ""):
            return None
        message = "this server does not know that host name; add it to UNSPOOL_ALLOWED_HOSTS"
        return error_answer(421, "unknown_host", message)

    def _max_body(self, scope: Scope) -> int:
        """Return the most bytes of a body; files for an import go to the disk."""
        path, settings = scope["path"] if scope["method"] == "POST" else "", self._settings
        if path.endswith(UPLOAD_PATH):
            return settings.max_upload_bytes
        may_show = path.endswith(IMAGE_PATHS)
        return settings.max_image_body_bytes if may_show else settings.max_body_bytes

    def _wrong_body(self, scope: Scope) -> JSONResponse | None:
        headers = dict(scope["headers"])
        if headers.get(b"content-encoding", b"").strip().lower() not in {b"", b"identity"}:
            message = "this server reads no compressed bodies; send it without Content-Encoding"
            answer = error_answer(415, "unsupported_encoding", message)
            answer.headers["accept-encoding"] = "identity"
            return answer
        declared = headers.get(b"content-length", b"0")
        limit = self._max_body(scope) if scope["type"] == "http" else self._settings.max_body_bytes
        if declared.isdigit() and int(declared[:20]) > limit:
            error = BodyTooLarge(limit)
            return error_answer(error.http_status, error.code, str(error))
        return None

    def _foreign(self, scope: Scope) -> JSONResponse | None:
        """Refuse a page of another site; pages may open a WebSocket to any host."""
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin is None:  # not a page
            return None
        ours = host_in([headers.get(b"host", b"")])
        theirs = _site_of(origin.decode("latin-1"))
        is_local = {ours, theirs} <= LOOPBACK_NAMES
        if theirs and (theirs == ours or theirs in self._named or is_local):
            return None
        message = "a page of another site sent this; add its host to UNSPOOL_ALLOWED_HOSTS"
        return error_answer(403, "foreign_origin", message)

    def _is_known(self, name: str) -> bool:
        is_named = self._any_host or name in self._hosts
        return is_named or _is_address(name) or _is_single_label(name)


def _wrong_options(scope: Scope) -> JSONResponse | None:
    try:
        read_options(scope["headers"])
    except SpecError as error:
        return error_answer(error.http_status, error.code, str(error))
    return None


def _networks(
    names: Iterable[str],
) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [ipaddress.ip_network(name, strict=False) for name in names]
    except ValueError as error:
        raise SetupError(f"UNSPOOL_TRUSTED_PROXIES cannot be read: {error}") from None


def _without_body(send: Send) -> Send:
    """Send an answer to GET as one to HEAD."""

    async def heads(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
        elif not message.get("more_body"):
            await send({"type": "http.response.body", "body": b""})

    return heads


def _below(root_path: str, send: Send) -> Send:
    """Send an answer whose `Location`, if it has one, is a path below `root_path`."""

    async def located(message: Message) -> None:
        if message["type"] == "http.response.start":
            begins = root_path.encode()
            message["headers"] = [
                (k, begins + v if k == b"location" and v.startswith(b"/") else v)
                for k, v in message.get("headers", ())
            ]
        await send(message)

    return located


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


def _is_single_label(name: str) -> bool:
    """
    Whether a name is one word, such as `backend` in nginx's `proxy_pass http://backend`.

    No site on the internet has such a name (RFC 7085), so none can rebind it to this server.
    """
    return "." not in name


def error_answer(status: int, code: str, message: str) -> JSONResponse:
    """Return an error answer as PROTOCOL.md describes it."""
    headers = {"X-Content-Type-Options": "nosniff"}  # a message may quote the client
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)
