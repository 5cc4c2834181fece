"""
Which proxy a request goes through: a setting's, or the environment's.

The variables are those of curl: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, of which
the lower-case spelling counts first. `NO_PROXY` is a list of names (with all below them),
addresses, networks like 10.0.0.0/8, each with a port or without, or `*`. This machine is never
reached through a proxy, as in Go: local engines would be asked of a proxy elsewhere.
"""

from __future__ import annotations

import ipaddress
import os
from contextlib import suppress
from dataclasses import dataclass, field

from .errors import BadProxy, BadRequest
from .request import Target


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a connection leads. Those of one place can stand for each other.

    Attributes:
        tunnel: The server behind a proxy that passes on bytes as they are.
    """

    host: str
    port: int
    is_tls: bool
    proxy: Target | None = None
    tunnel: tuple[str, int] | None = None

    @classmethod
    def to(cls, target: Target, proxy: Target | None) -> Place:
        if proxy is None:
            return cls(target.host, target.port, target.is_tls)
        tunnel = (target.host, target.port) if target.is_tls else None
        return cls(proxy.host, proxy.port, proxy.is_tls, proxy, tunnel)


@dataclass(frozen=True, slots=True)
class Proxies:
    """Addresses of proxies for http and https; empty: none."""

    http: str = field(default="", repr=False)
    https: str = field(default="", repr=False)
    no_proxy: str = ""

    @classmethod
    def from_environment(cls) -> Proxies:
        all_of_them = _variable("all_proxy")
        # In a CGI program a client's `Proxy` header would be HTTP_PROXY (CVE-2016-5385).
        http = "" if "REQUEST_METHOD" in os.environ else _variable("http_proxy")
        https = _variable("https_proxy")
        return cls(http or all_of_them, https or all_of_them, _variable("no_proxy"))

    def proxy_for(self, target: Target) -> Target | None:
        """
        Return the proxy that a request to `target` goes through.

        Raises:
            BadProxy: Its address is none of http or https.
        """
        address = self.https if target.is_tls else self.http
        if not address or _is_here(target.host) or self._is_exempt(target):
            return None
        try:
            return Target.of(address if "://" in address else f"http://{address}")
        except BadRequest:
            raise BadProxy("the address of the proxy is not one of http or https") from None

    def _is_exempt(self, target: Target) -> bool:
        entries = self.no_proxy.replace(",", " ").split()
        return any(_covers(entry.lower(), target) for entry in entries)


def _variable(name: str) -> str:
    return os.environ.get(name, "") or os.environ.get(name.upper(), "")


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def _covers(entry: str, target: Target) -> bool:
    """Whether an entry of `NO_PROXY` names a target."""
    name, _, port = entry.rpartition(":")
    if name and port.isdigit() and (":" not in name or name.endswith("]")):
        if int(port) != target.port:
            return False
        entry = name
    if entry == "*":
        return True
    with suppress(ValueError):
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
        return ipaddress.ip_address(target.host) in network
    suffix = entry.removeprefix("*").removeprefix(".")
    return target.host == suffix or target.host.endswith(f".{suffix}")
