"""
Lets requests in: finds the key, ticket or session of each, and what its route needs.

Credentials come as `Authorization: Bearer`, `x-api-key`, `x-goog-api-key`, in the cookie of the
console, or, tickets alone, as `?ticket=`.
"""

from __future__ import annotations

from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.responses import JSONResponse, Response
from starlette.types import Message, Scope, Send

from ..core.access import PERSON, SESSION, TICKET, Access
from ..errors import Unauthorized, UnspoolError
from ..formats.tenancy import work_for
from ..runs.principal import Principal, present
from . import rights
from .headers import host_in

COOKIE: Final = "unspool_session"

SESSIONS: Final = (SESSION, PERSON)

MAX_CREDENTIALS: Final = 4096

KEYS: Final = (b"x-api-key", b"x-goog-api-key")

EXPOSED: Final = "*"
ALLOWED: Final = "*, Authorization"
"""
Headers of answers that a page may read, and of requests that it may send: all, as the clients of
many protocols need them (a wildcard leaves out `Authorization`: the Fetch standard). No page sends
credentials of the browser to us, for which wildcards mean nothing.
"""

METHODS: Final = "GET, POST, PUT, PATCH, DELETE"

PORTS: Final = {"http": 80, "https": 443}

PREFLIGHT_S: Final = 600


class Gate:
    """`access` returns who may do what, once the application is open."""

    def __init__(self, access: Callable[[], Access | None]) -> None:
        self._access = access

    @property
    def is_open(self) -> bool:
        """Whether everybody may do everything."""
        access = self._access()
        return access is None or access.is_open

    async def admit(self, scope: Scope, path: str) -> Response | None:
        """Let a request work for its tenant, with its rights; else return the refusal."""
        access = self._access()
        if access is None or access.is_open:
            return None
        method = scope.get("method", "WEBSOCKET")
        origin = _first(scope, b"origin")
        if method == "OPTIONS" and _first(scope, b"access-control-request-method"):
            return await self._preflight(access, origin)
        if rights.is_public(path):
            return None
        try:
            who = await access.principal_of(_credentials(scope))
            rights.check(who, method, path)
            await self._check_page(access, scope, who, origin)
        except UnspoolError as error:
            return _refused(error)
        present.set(who)
        work_for(who.tenant)
        return None

    async def shared(self, scope: Scope, send: Send) -> Send:
        """Return `send`, which tells a page of another site that it may read the answer."""
        headers = await self.sharing(scope)
        if not headers:
            return send

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", ())
                # To a browser two such headers are none; this answer lets in every page already.
                if not any(name.lower() == headers[0][0] for name, _ in own):
                    message = {**message, "headers": [*own, *headers]}
            await send(message)

        return telling

    async def sharing(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """Return the headers that tell a page of another site that it may read the answer."""
        access, origin = self._access(), _first(scope, b"origin")
        if access is None or access.is_open or not origin:
            return []
        if origin not in await access.origins():
            return []
        return [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", EXPOSED.encode()),
            (b"vary", b"Origin"),
        ]

    async def _preflight(self, access: Access, origin: str) -> Response:
        if origin not in await access.origins():
            return _refused(Unauthorized("no key lists this origin"))
        headers = {  # beside those of `sharing`
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": ALLOWED,
            "Access-Control-Max-Age": str(PREFLIGHT_S),
        }
        return Response(status_code=204, headers=headers)

    async def _check_page(self, access: Access, scope: Scope, who: Principal, origin: str) -> None:
        """Refuse a page of another site that the key does not list; a cookie would go with it."""
        if not origin or _is_same(scope, origin) or origin in await access.origins_of(who):
            return
        raise Unauthorized(f"the key does not list the origin {origin[:200]}")


def _credentials(scope: Scope) -> str:
    """
    Return the key, ticket or session of a request; empty: it has none.

    Raises:
        Unauthorized: A key stands in the address, where logs and proxies keep it.
    """
    query = scope.get("query_string", b"")
    if b"usp_" in query:
        raise Unauthorized("send a key in a header, never in an address; for pages get a ticket")
    bearer = _first(scope, b"authorization")
    scheme, _, token = bearer.partition(" ")
    found = token.strip() if scheme.lower() == "bearer" else ""
    for name in KEYS:
        found = found or _first(scope, name)
    if not found and query:
        found = parse_qs(query.decode("latin-1"), max_num_fields=50).get("ticket", [""])[0]
        found = found if found.startswith(TICKET) else ""
    return (found or session_of(scope))[:MAX_CREDENTIALS]


def session_of(scope: Scope) -> str:
    """Return the session of the console in a request; empty: it has none."""
    try:
        morsel = SimpleCookie(_first(scope, b"cookie")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel is not None and morsel.value.startswith(SESSIONS) else ""


def _first(scope: Scope, name: bytes) -> str:
    return next((v.decode("latin-1") for n, v in scope["headers"] if n == name), "")


def _is_same(scope: Scope, origin: str) -> bool:
    """
    Whether a page has the host of this request, and its port, where `Host` names one.

    A cookie knows no ports: a page of another server on this machine would send it, too.
    """
    ours = host_in([v for n, v in scope["headers"] if n == b"host"])
    try:
        page, port = urlsplit(origin), urlsplit(f"//{_first(scope, b'host')}").port
        theirs = page.port or PORTS.get(page.scheme)
    except ValueError:
        return False
    return ours is not None and ours == page.hostname and port in {None, theirs}


def _refused(error: UnspoolError) -> JSONResponse:
    content = {"error": {"code": error.code, "message": str(error)}}
    headers = {"WWW-Authenticate": "Bearer"} if error.http_status == 401 else {}
    return JSONResponse(content, error.http_status, headers=headers)
