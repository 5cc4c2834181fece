"""
How a connection is made: a name becomes addresses, one of them a socket, TLS goes on top.

Each address is looked at before anything is sent to it (`addresses.guarded`). Several are
tried a little after each other, the families in turn (RFC 8305), and the first that answers
is taken. A proxy is the operator's choice, whose address is not questioned; behind it names
are the proxy's to resolve, so only an address that stands in the URL itself can be refused.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, zip_longest

from ..addresses import ForbiddenAddress, SocketInfo
from .connection import Connection
from .errors import BadProxy, BadTls, Forbidden, NotConnected, TransportError
from .proxies import Place
from .request import Target, connect_head

STAGGER_S = 0.25
"""How long one address may take before the next is tried as well (RFC 8305, 5)."""

MAX_ADDRESSES = 8
"""Of one name so many are tried."""

KEEP_ALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 4}
"""
Seconds of silence before the first question, between two, and how many go without an answer: a host
that is gone is noticed in 70 s, and a NAT forgets no connection (most wait for minutes).
"""

Resolve = Callable[[str, int], Awaitable[Sequence[SocketInfo]]]
"""Turns a host and a port into addresses, in order of preference. Raises OSError."""

MakeSocket = Callable[[SocketInfo], socket.socket]


async def resolve(host: str, port: int) -> Sequence[SocketInfo]:
    """Ask the system for the addresses of a name. An address stands for itself."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        loop = asyncio.get_running_loop()
        # Without a way to IPv6, its addresses need not be looked for.
        flags = socket.AI_ADDRCONFIG
        return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    place = (host, port) if version == 4 else (host, port, 0, 0)
    return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place)]


async def connect(
    place: Place,
    target: Target,
    connection: Connection,
    *,
    resolving: Resolve,
    make_socket: MakeSocket,
    tls: ssl.SSLContext | None,
) -> None:
    """
    Open a connection to a place.

    Raises:
        NotConnected: It is not open; the message says why.
    """
    at = place.host
    try:
        sock = await _dial(await resolving(place.host, place.port), make_socket)
        await _begin(sock, connection, tls if place.is_tls else None, place.host)
        if place.tunnel is not None and place.proxy is not None:
            await _ask_for_tunnel(connection, target, place.proxy)
            at = target.host
            await _begin_tls(connection, tls, target.host)
    except TransportError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name that no resolver takes
        raise _told(error, at) from None


async def _begin(
    sock: socket.socket, connection: Connection, tls: ssl.SSLContext | None, host: str
) -> None:
    loop = asyncio.get_running_loop()
    try:
        await loop.create_connection(
            lambda: connection,
            sock=sock,
            ssl=tls,
            server_hostname=None if tls is None else host.rstrip("."),
        )
    except BaseException:
        sock.close()
        raise


async def _ask_for_tunnel(connection: Connection, target: Target, proxy: Target) -> None:
    try:
        response = await connection.ask("CONNECT", connect_head(target, proxy))
    except TransportError:
        raise BadProxy("the proxy did not answer as a proxy does") from None
    if response.status >= 300:
        connection.abort()
        raise BadProxy(f"the proxy answered {response.status} and opened no tunnel")
    connection.uses = 0  # the server at its other end has not been asked yet


async def _begin_tls(connection: Connection, tls: ssl.SSLContext | None, host: str) -> None:
    assert tls is not None
    loop = asyncio.get_running_loop()
    try:
        transport = await loop.start_tls(
            connection.transport, connection, tls, server_hostname=host.rstrip(".")
        )
    except BaseException:
        connection.abort()
        raise
    if transport is None:
        raise BadTls("the proxy closed the tunnel during the handshake")
    connection.transport = transport


async def _dial(infos: Sequence[SocketInfo], make_socket: MakeSocket) -> socket.socket:
    """
    Return a socket that is connected to the first address that answers.

    Raises:
        OSError: None does; `ForbiddenAddress` where none may be connected to.
    """
    waiting = deque(_in_turn(infos)[:MAX_ADDRESSES])
    if len(waiting) == 1:
        return await _open(waiting[0], make_socket)
    attempts: list[asyncio.Task[socket.socket]] = []
    errors: list[BaseException] = []
    winner: asyncio.Task[socket.socket] | None = None
    pending: set[asyncio.Task[socket.socket]] = set()
    try:
        while winner is None and (waiting or pending):
            if waiting:
                attempts.append(asyncio.create_task(_open(waiting.popleft(), make_socket)))
                pending.add(attempts[-1])
            done, pending = await asyncio.wait(
                pending,
                timeout=STAGGER_S if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            errors += [error for it in done if (error := it.exception()) is not None]
            winner = next((it for it in done if it.exception() is None), None)
    finally:
        for attempt in attempts:
            if attempt is not winner:
                attempt.cancel()
                attempt.add_done_callback(_close_result)
    if winner is not None:
        return winner.result()
    raise _worst(errors)


def _in_turn(infos: Sequence[SocketInfo]) -> list[SocketInfo]:
    """Take the families in turn, that of the first address first."""
    first = [info for info in infos if info[0] == infos[0][0]]
    others = [info for info in infos if info[0] != infos[0][0]]
    return [it for it in chain.from_iterable(zip_longest(first, others)) if it is not None]


async def _open(info: SocketInfo, make_socket: MakeSocket) -> socket.socket:
    sock = make_socket(info)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _keep_alive(sock)
        await asyncio.get_running_loop().sock_connect(sock, info[4])
    except BaseException:
        sock.close()
        raise
    return sock


def _keep_alive(sock: socket.socket) -> None:
    """Let the system find out that a silent peer is gone; its usual two hours are no help."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE.items():
        if (option := getattr(socket, name, None)) is not None:  # systems differ in these
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _close_result(attempt: asyncio.Task[socket.socket]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


def _worst(errors: Sequence[BaseException]) -> BaseException:
    """Return the failure to report of several: one that may pass, if there is one."""
    hopeful = [error for error in errors if not isinstance(error, ForbiddenAddress)]
    return (hopeful or [*errors, OSError("the name has no addresses")])[0]


def _told(error: Exception, host: str) -> NotConnected:
    match error:
        case ForbiddenAddress():
            return Forbidden(str(error))
        case ssl.SSLCertVerificationError():
            return BadTls(f"the certificate of {host} is not valid: {error.verify_message}")
        case ssl.SSLError():
            return BadTls(f"the TLS handshake with {host} failed: {error.reason}")
        case socket.gaierror() | ValueError():
            return NotConnected(f"the name {host} does not lead to an address")
        case OSError(errno=int() as number):
            return NotConnected(f"no connection to {host}: {os.strerror(number)}")
    return NotConnected(f"no connection to {host}")
