"""
Addresses that we send nothing to.

A user who registers a model chooses where our server sends requests from inside its network.
We always refuse link-local and metadata addresses, where clouds keep credentials, however they
are spelt. The setting `allow_private_upstreams` decides about this machine and private networks.

A name gets its address only when we connect, and may change until then. So `guarded` checks the
address itself when the socket is made.
"""

from __future__ import annotations

import ipaddress
import socket
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from unspool.errors import ProviderRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA: Final = frozenset(
    map(
        ipaddress.ip_address,
        (
            "100.100.100.200",  # Alibaba Cloud
            "168.63.129.16",  # Azure
            "192.0.0.192",  # Oracle Cloud
            "fd00:ec2::254",  # AWS
            "fd20:ce::254",  # Google Cloud
            "fd00:42::42",  # Scaleway
        ),
    )
)
"""Metadata services at addresses that are not link-local."""

METADATA_NAMES: Final = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data"}
)
"""Names that we refuse without resolving them."""

_NAT64: Final = (
    ipaddress.IPv6Network("64:ff9b::/96"),
    ipaddress.IPv6Network("64:ff9b:1::/48"),
    ipaddress.IPv6Network("::ffff:0:0:0/96"),  # RFC 2765, "IPv4-translated"
    ipaddress.IPv6Network("::/96"),  # "IPv4-compatible", long deprecated
)
"""Networks whose addresses end in an IPv4 address and lead there."""

_THIS_NETWORK: Final = ipaddress.IPv4Network("0.0.0.0/8")

_DOTS: Final = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))
"""Characters that resolvers read as a full stop in a host name."""

SocketInfo = tuple[Any, Any, int, str, Any]
"""An address as `socket.getaddrinfo` gives it."""


class ForbiddenAddress(OSError):
    """We did not open the connection."""

    # Always the same message, so the errors of several addresses of one name stay of this kind.
    def __init__(self) -> None:
        super().__init__("the name leads to an address that we send nothing to")


@lru_cache(maxsize=256)
def check_url(url: str, *, allow_private: bool) -> None:
    """
    Refuse a URL, as far as it can be judged without resolving its name.

    Raises:
        ProviderRefused: We send nothing there (code `address`).
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for what is no port
        scheme, host = parts.scheme.lower(), _plain(parts.hostname or "")
    except ValueError:
        scheme, host = "", ""
    if scheme not in {"http", "https"} or not host:
        raise ProviderRefused(
            "this is not an http or https address; give one like https://api.example.com/v1",
            code="address",
        )
    address = _literal(host)
    if host in METADATA_NAMES or (address is not None and is_forbidden(address)):
        raise ProviderRefused(
            f"{host} is a link-local or metadata address; we send nothing there", code="address"
        )
    is_local_name = host == "localhost" or host.endswith(".localhost")
    if not allow_private and (is_local_name or (address is not None and is_private(address))):
        raise ProviderRefused(
            f"{host} belongs to this machine or a private network; the setting "
            "`allow_private_upstreams` forbids that",
            code="address",
        )


def guarded(*, allow_private: bool) -> Callable[[SocketInfo], socket.socket]:
    """Return a factory of sockets that raises `ForbiddenAddress` for a forbidden address."""

    def socket_for(info: SocketInfo) -> socket.socket:
        family, kind, protocol, _, place = info
        address = ipaddress.ip_address(place[0])
        if is_forbidden(address) or (not allow_private and is_private(address)):
            raise ForbiddenAddress
        return socket.socket(family, kind, protocol)

    return socket_for


def is_forbidden(address: Address) -> bool:
    """Whether we send nothing there, whatever the settings say."""
    return any(
        it in METADATA
        or it.is_link_local
        or it.is_multicast
        or it.is_unspecified
        or it in _THIS_NETWORK
        or (it.is_reserved and it.version == 4)  # broadcast too; of IPv6 that is NAT64 too
        for it in _meant(address)
    )


def is_private(address: Address) -> bool:
    """Whether it belongs to this machine or to a private network."""
    return any(not it.is_global for it in _meant(address)[-1:])


def _meant(address: Address) -> list[Address]:
    """Return the address and, last, the IPv4 address inside it, if it has one."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address.teredo is not None:
        inner = address.teredo[1]
    if inner is None and int(address) > 1 and any(address in network for network in _NAT64):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return [address] if inner is None else [address, inner]


def _plain(host: str) -> str:
    """Return a host name as a resolver reads it."""
    name = unicodedata.normalize("NFKC", unquote(host).translate(_DOTS))
    return name.rstrip(".").lower()


def _literal(host: str) -> Address | None:
    """Return the address that a host spells, in any spelling that the system accepts."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        # 2852039166, 0xa9fea9fe, 0251.0376.0251.0376, 169.254.43518: as the C library reads them.
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError, ValueError):
        return None
