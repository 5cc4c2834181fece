"""The client: it chooses the place of a request and the connection that carries it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from typing import Self

from unspool.errors import ProviderRefused

from ..addresses import SocketInfo, check_url, guarded
from ..learned import Learned
from ..rounds import Rounds
from ..standstill import Standstill
from .connecting import Resolve, connect, resolve
from .connection import Connection
from .errors import Closed, ConnectTimeout, Forbidden, Stale
from .pool import Pool
from .proxies import Place, Proxies
from .request import Target, request_head
from .response import Response

MAX_STALE = 4
"""Kept connections that are tried before a new one is made; servers close them in groups."""


class Client:
    """
    Sends requests over HTTP/1.1 and keeps connections for the next ones. One for each loop.

    Args:
        allow_private: Whether to connect to this machine and to private networks.
        proxies: Which ones to go through; without, the environment says it.
        tls: The authorities to trust; without, those of the system.
        resolve: Turns names into addresses.
        max_delay_s: How long a chunk may wait for others while the loop is busy.

    Attributes:
        rounds: Of the streams that it reads.
        standstill: Of the loop that it runs in; time limits do not count it.
        learned: What the deployments that it asks have shown of themselves.
    """

    def __init__(
        self,
        *,
        allow_private: bool = True,
        proxies: Proxies | None = None,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = resolve,
        max_delay_s: float = 0.0,
    ) -> None:
        self.rounds = Rounds(max_delay_s)
        self.standstill = Standstill()
        self.learned = Learned()
        self._allow_private = allow_private
        self._make_socket = guarded(allow_private=allow_private)
        self._proxies = Proxies.from_environment() if proxies is None else proxies
        self._tls = tls
        self._resolve = resolve
        self._pool = Pool()
        self._connecting: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        connect_s: float,
    ) -> Response:
        """
        Send a request and return the answer once the head of the final one has come.

        A request that meets a kept connection which its server has given up is sent again on
        another (RFC 9112, 9.3.1). Nothing limits the time from the connection to the head.

        Raises:
            TransportError: See `errors`; of `BadRequest` and `NotConnected` nothing was sent.
        """
        target = Target.of(url)
        proxy = self._proxies.proxy_for(target)
        if proxy is not None:
            self._check(url)
        place = Place.to(target, proxy)
        head = request_head(method, target, headers, body, proxy=None if place.tunnel else proxy)
        for round_ in range(MAX_STALE + 1):
            connection = self._pool.take(place) if round_ < MAX_STALE else None
            if connection is None:
                connection = await self._connect(place, target, connect_s)
            try:
                return await connection.ask(method, head, body)
            except Stale:
                continue
        raise AssertionError("a new connection is never stale")

    async def aclose(self) -> None:
        """Close all connections. Requests that wait for an answer raise `Closed`."""
        self._is_closed = True
        for task in self._connecting:
            task.cancel()
        if self._connecting:
            await asyncio.wait(self._connecting)
        await self._pool.aclose()

    def _check(self, url: str) -> None:
        try:
            check_url(url, allow_private=self._allow_private)
        except ProviderRefused as error:
            raise Forbidden(str(error)) from None

    async def _connect(self, place: Place, target: Target, connect_s: float) -> Connection:
        if self._is_closed:
            raise Closed("the client is closed")
        connection = Connection(place, self._pool)
        # In a task of its own, so that `aclose` can cancel it and leave the caller alone.
        task = asyncio.create_task(self._limited(place, target, connection, connect_s))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        try:
            await task
        except BaseException as error:
            connection.abort()
            connection.connection_lost(None)  # uvloop does not say it of one half made
            waiting = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and waiting and not waiting.cancelling():
                raise Closed("the client was closed") from None
            raise
        return connection

    def _trusted(self) -> ssl.SSLContext:
        if self._tls is None:  # only now: reading the system's certificates takes 20 ms
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    async def _limited(
        self, place: Place, target: Target, connection: Connection, connect_s: float
    ) -> None:
        tls = self._trusted() if target.is_tls or place.is_tls else None
        now = asyncio.get_running_loop().time()
        try:
            async with self.standstill.timeout(now, connect_s):
                await connect(
                    place,
                    target,
                    connection,
                    resolving=self._resolve,
                    make_socket=self._make_socket if place.proxy is None else _make_socket,
                    tls=tls,
                )
        except TimeoutError:
            raise ConnectTimeout(f"no connection within {connect_s:g} s") from None


def _make_socket(info: SocketInfo) -> socket.socket:
    family, kind, protocol, _, _ = info
    return socket.socket(family, kind, protocol)
