"""
The bytes that are sent: an address taken apart, and the head of a request.

This file refuses everything that could end a line, so no header and no address can begin a
header or a request of its own.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from yarl import URL

from .errors import BadRequest

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_VISIBLE: Final = re.compile(r"[!-~]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

_OURS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer"}
    | {"upgrade", "expect", "accept-encoding", "proxy-authorization", "proxy-connection"}
)
"""Headers that say how a message is framed and sent: only we know that."""


@dataclass(frozen=True, slots=True)
class Target:
    """
    An address that a request can be sent to.

    Attributes:
        host: A name in its ASCII form, or an address without brackets.
        authority: Host and port as the `Host` header has them.
        path: Path and query, never a fragment.
        authorization: From a user name and a password in the address; empty without.
    """

    is_tls: bool
    host: str
    port: int
    authority: str
    path: str
    authorization: str = field(repr=False)

    @classmethod
    @lru_cache(maxsize=256)
    def of(cls, url: str) -> Target:
        """
        Raises:
            BadRequest: It is no address of http or https.
        """
        if _CONTROL.search(url):  # the parser would leave them out, as browsers do
            raise BadRequest("the address is not one of http or https")
        try:
            parts = URL(url)
            host, authority = parts.raw_host or "", parts.host_port_subcomponent or ""
            port = parts.port
        except (ValueError, TypeError):
            raise BadRequest("the address is not one of http or https") from None
        is_whole = all(map(_VISIBLE.fullmatch, (host, authority, parts.raw_path_qs)))
        if parts.scheme not in {"http", "https"} or not port or not is_whole:
            raise BadRequest("the address is not one of http or https")
        authorization = ""
        if parts.user is not None:
            pair = f"{parts.user}:{parts.password or ''}".encode()
            authorization = "Basic " + base64.b64encode(pair).decode()
        is_tls = parts.scheme == "https"
        return cls(is_tls, host, port, authority, parts.raw_path_qs, authorization)


def request_head(
    method: str,
    target: Target,
    headers: Mapping[str, str],
    body: bytes | None,
    *,
    proxy: Target | None = None,
) -> bytes:
    """
    Return the head of a request; `proxy` is one that gets the whole address (RFC 9112, 3.2.2).

    Raises:
        BadRequest: A method or header that would not stay one.
    """
    if not _TOKEN.fullmatch(method):
        raise BadRequest("the method of the request is not a word")
    path = target.path if proxy is None else f"http://{target.authority}{target.path}"
    lines = [f"{method} {path} HTTP/1.1", f"Host: {target.authority}"]
    lines += ["Accept-Encoding: gzip, deflate"]
    names = {name.lower() for name in headers}
    if "user-agent" not in names:
        lines.append("User-Agent: unspool")
    if target.authorization and "authorization" not in names:
        lines.append(f"Authorization: {target.authorization}")
    if proxy is not None and proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    if body is not None or method in {"POST", "PUT", "PATCH"}:
        lines.append(f"Content-Length: {len(body or b'')}")
    lines += [_line(name, value) for name, value in headers.items()]
    return _encoded(lines)


def connect_head(target: Target, proxy: Target) -> bytes:
    """Return the request to a proxy for a tunnel (RFC 9110, 9.3.6)."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    lines = [f"CONNECT {host}:{target.port} HTTP/1.1", f"Host: {host}:{target.port}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    return _encoded(lines)


def _line(name: str, value: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise BadRequest("the name of a header is not a word")
    if name.lower() in _OURS:
        raise BadRequest(f"the header {name} is set by the client itself; leave it out")
    if not _VALUE.fullmatch(value):
        raise BadRequest(f"the value of the header {name} has a line break or a control character")
    return f"{name}: {value}"


def _encoded(lines: list[str]) -> bytes:
    try:
        return "\r\n".join([*lines, "", ""]).encode()
    except UnicodeEncodeError:  # half a surrogate pair
        raise BadRequest("the value of a header is not text") from None
