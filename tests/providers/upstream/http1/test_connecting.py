"""From a name to a socket: addresses that are refused, slow, dead, or given up meanwhile."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from support.raw_http import CHUNKED, SILENCE, RawServer, ask, chunk, exchange, whole
from unspool.providers.upstream.addresses import SocketInfo
from unspool.providers.upstream.http1 import (
    Client,
    Closed,
    ConnectTimeout,
    Forbidden,
    NotConnected,
    Resolve,
    TransportError,
)
from unspool.providers.upstream.http1 import connecting as connecting_module
from unspool.providers.upstream.http1.connecting import KEEP_ALIVE, _in_turn, resolve

KEEPS = [whole(b"abc")]


def info(address: str, port: int) -> SocketInfo:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    place = (address, port, 0, 0) if ":" in address else (address, port)
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place


def meaning(*addresses: str) -> Resolve:
    """A resolver for which every name means these addresses."""

    async def resolve(_host: str, port: int) -> Sequence[SocketInfo]:
        return [info(address, port) for address in addresses]

    return resolve


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def sockets() -> int:
    """How many sockets this process has open."""
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except OSError:
            continue  # the one that lists them
    return sum(link.startswith("socket:") for link in links)


async def refused(client: Client, url: str, **changes: object) -> TransportError:
    with pytest.raises(TransportError) as caught:
        await ask(client, url, **changes)
    await client.aclose()
    return caught.value


# Addresses that nothing is sent to


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "100.100.100.200", "fe80::1", "::ffff:169.254.169.254", "0.0.0.0"],
)
async def test_a_name_that_leads_to_a_forbidden_address_is_refused(address: str) -> None:
    error = await refused(Client(resolve=meaning(address)), "http://nice.test/")
    assert type(error) is Forbidden
    assert address not in str(error)


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "http://[fe80::1]/", "http://0.0.0.0/"])
async def test_a_forbidden_address_is_refused_as_it_stands(url: str) -> None:
    assert type(await refused(Client(), url)) is Forbidden


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "192.168.1.1"])
async def test_private_addresses_are_refused_where_the_setting_says_so(address: str) -> None:
    client = Client(allow_private=False, resolve=meaning(address))
    assert type(await refused(client, "http://nice.test/")) is Forbidden


async def test_of_several_addresses_the_forbidden_ones_are_passed_over() -> None:
    async with RawServer(KEEPS) as server:
        client = Client(resolve=meaning("169.254.169.254", "127.0.0.1", "fe80::1"))
        url = f"http://nice.test:{server.port}/"
        assert await exchange(client, url) == (b"abc", None)
        await client.aclose()


async def test_a_forbidden_address_does_not_hide_a_failure_that_may_pass() -> None:
    client = Client(resolve=meaning("169.254.169.254", "127.0.0.1"))
    error = await refused(client, f"http://nice.test:{closed_port()}/")
    assert type(error) is NotConnected
    assert str(error) == "no connection to nice.test: Connection refused"


# Names and addresses


async def test_a_name_is_looked_up_by_the_system(client: Client) -> None:
    async with RawServer(KEEPS) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert await exchange(client, url) == (b"abc", None)


async def test_a_name_that_means_nothing_is_told_of() -> None:
    async def nothing(_host: str, _port: int) -> Sequence[SocketInfo]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    error = await refused(Client(resolve=nothing), "http://nowhere.test/")
    assert type(error) is NotConnected
    assert "nowhere.test" in str(error)


async def test_a_name_without_addresses_is_told_of() -> None:
    assert type(await refused(Client(resolve=meaning()), "http://a.test/")) is NotConnected


async def test_an_address_of_ipv6_is_reached(client: Client) -> None:
    async with RawServer(KEEPS, host="::1") as server:
        assert await exchange(client, server.url) == (b"abc", None)
        assert f"Host: [::1]:{server.port}\r\n".encode() in server.requests[0]


async def test_addresses_mean_themselves_and_nobody_is_asked() -> None:
    assert await resolve("127.0.0.1", 80) == [info("127.0.0.1", 80)]
    assert await resolve("::1", 80) == [info("::1", 80)]


def test_the_families_take_turns_and_the_first_stays_first() -> None:
    six, four = [info(f"::{n}", 1) for n in (1, 2, 3)], [info(f"127.0.0.{n}", 1) for n in (1, 2)]
    assert _in_turn([*six, *four]) == [six[0], four[0], six[1], four[1], six[2]]
    assert _in_turn([*four, *six])[0] == four[0]
    assert _in_turn([]) == []


async def test_a_dead_address_is_followed_by_the_next_one_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connecting_module, "STAGGER_S", 60.0)
    async with RawServer(KEEPS) as server:
        client = Client(resolve=meaning("::1", "127.0.0.1"))
        assert await exchange(client, f"http://both.test:{server.port}/") == (b"abc", None)
        await client.aclose()


class Silence:
    """A port of this machine that never answers: its queue is full."""

    def __init__(self) -> None:
        self.listening = socket.socket()
        self.listening.bind(("127.0.0.2", 0))
        self.port = self.listening.getsockname()[1]
        self.listening.listen(0)
        self.waiting = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.2", self.port))
            self.waiting.append(sock)

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in (*self.waiting, self.listening):
            sock.close()


async def test_a_silent_address_does_not_hold_the_next_one_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connecting_module, "STAGGER_S", 0.05)

    with Silence() as silence:
        async with RawServer(KEEPS) as server:
            before = sockets()

            async def both(_host: str, port: int) -> Sequence[SocketInfo]:
                return [info("127.0.0.2", silence.port), info("127.0.0.1", port)]

            client = Client(resolve=both)
            url = f"http://both.test:{server.port}/"
            assert await exchange(client, url, connect_s=3.0) == (b"abc", None)
            await client.aclose()
            await server.until(lambda: server.open == 0)
            await asyncio.sleep(0.05)
            assert sockets() == before


async def test_a_connection_takes_no_longer_than_its_limit() -> None:
    with Silence() as silence:
        before = sockets()
        url = f"http://127.0.0.2:{silence.port}/"
        error = await refused(Client(), url, connect_s=0.1)
        assert type(error) is ConnectTimeout
        assert str(error) == "no connection within 0.1 s"
        await asyncio.sleep(0.05)
        assert sockets() == before


async def test_the_limit_counts_the_name_too() -> None:
    async def forever(_host: str, _port: int) -> Sequence[SocketInfo]:
        await asyncio.Event().wait()
        return []

    error = await refused(Client(resolve=forever), "http://slow.test/", connect_s=0.05)
    assert type(error) is ConnectTimeout


async def test_nobody_there_is_told_of(client: Client) -> None:
    error = await refused(client, f"http://127.0.0.1:{closed_port()}/")
    assert type(error) is NotConnected
    assert str(error) == "no connection to 127.0.0.1: Connection refused"


async def test_sockets_send_at_once_and_notice_the_dead(client: Client) -> None:
    async with RawServer([CHUNKED + chunk(b"a"), SILENCE]) as server:
        response = await ask(client, server.url)
        (connection,) = client._pool._open
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        for name, value in KEEP_ALIVE.items():
            if hasattr(socket, name):
                assert sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) == value
        response.close()


# Given up meanwhile


async def test_a_request_can_be_given_up_at_any_moment_and_leaves_no_socket() -> None:
    """After each number of turns of the loop: while resolving, connecting, sending, waiting."""
    async with RawServer([0.005, *KEEPS]) as server:
        before = sockets()
        finished = 0
        for turns in range(60):
            client = Client(resolve=turning(server))
            asking = asyncio.ensure_future(client.send("GET", server.url, {}, connect_s=5))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            with suppress(asyncio.CancelledError):
                (await asking).close()
                finished += 1
            await client.aclose()
        await server.until(lambda: server.open == 0)
        await asyncio.sleep(0.05)
        assert sockets() == before
    assert finished < 60


def turning(server: RawServer) -> Resolve:
    """Two addresses, so that connecting takes as many steps as it can."""

    async def resolve(_host: str, _port: int) -> Sequence[SocketInfo]:
        await asyncio.sleep(0)
        return [info("::1", server.port), info("127.0.0.1", server.port)]

    return resolve


@pytest.mark.parametrize("turns", range(12))
async def test_a_client_can_be_closed_while_it_connects(turns: int) -> None:
    async with RawServer([SILENCE]) as server:
        before = sockets()
        client = Client(resolve=turning(server))
        asking = asyncio.ensure_future(client.send("GET", server.url, {}, connect_s=5))
        for _ in range(turns):
            await asyncio.sleep(0)
        await client.aclose()
        with pytest.raises(Closed):
            await asking
        await server.until(lambda: server.open == 0)
        await asyncio.sleep(0.02)
        assert sockets() == before


async def test_closing_the_client_does_not_cancel_the_task_that_asks() -> None:
    with Silence() as silence:
        client = Client()
        asking = asyncio.ensure_future(
            client.send("GET", f"http://127.0.0.2:{silence.port}/", {}, connect_s=5)
        )
        await asyncio.sleep(0.02)
        await client.aclose()
        with pytest.raises(Closed):
            await asking
        assert not asking.cancelled()


async def test_a_request_that_is_given_up_takes_its_connection_along(client: Client) -> None:
    async with RawServer([SILENCE]) as server:
        asking = asyncio.ensure_future(ask(client, server.url))
        await server.until(lambda: len(server.requests) == 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await server.until(lambda: server.open == 0)


async def test_an_answer_to_nobody_harms_nobody(client: Client, complaints: list[object]) -> None:
    async with RawServer([0.02, *KEEPS]) as server:
        for wait_s in (0.018, 0.019, 0.02, 0.021, 0.022):
            asking = asyncio.ensure_future(ask(client, server.url))
            await asyncio.sleep(wait_s)
            asking.cancel()
            with suppress(asyncio.CancelledError):
                (await asking).close()
        assert not complaints
