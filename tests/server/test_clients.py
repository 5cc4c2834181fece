"""Clients that are older, or more exact, than most: HTTP/1.0, HEAD, `Accept`, proxies."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from typing import Any

import httpx
import pytest

from support.patience import within
from support.servers import Serve, Served
from unspool.errors import SetupError
from unspool.server.app import create_app
from unspool.server.headers import host_in, prefix_in, wants_stream
from unspool.settings import Settings

CHAT = {"input": {"prompt": "你好"}}
STREAM = "text/event-stream"


async def raw(served: Served, text: str, body: bytes = b"") -> tuple[bytes, bytes]:
    """Send bytes; return the head and the body of what comes until the connection closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(text.replace("\n", "\r\n").encode() + body)
    async with within(5):
        head, _, rest = (await reader.read(-1)).partition(b"\r\n\r\n")
    writer.close()
    return head.lower(), rest


def names(head: bytes, name: str) -> list[bytes]:
    return re.findall(rb"(?m)^%b: *(.*?)\r?$" % name.encode(), head)


async def ended(client: httpx.AsyncClient, served: Served) -> str:
    """The id of a run that is over."""
    run_id = (await client.post(f"{served.url}/v1/runs", json=CHAT)).json()["id"]
    await client.get(f"{served.url}/v1/runs/{run_id}/events")
    return str(run_id)


# HTTP/1.0


async def test_a_stream_to_http_1_0_has_no_chunks_and_ends_with_the_connection(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    run_id = await ended(client, shared_server)
    whole = (await client.get(f"{shared_server.url}/v1/runs/{run_id}/events")).text
    path = f"/v1/runs/{run_id}/events"
    for version, headers in (("1.0", ""), ("1.0", "Connection: keep-alive\n")):
        head, body = await raw(shared_server, f"GET {path} HTTP/{version}\n{headers}\n")
        assert b" 200 " in head
        assert names(head, "transfer-encoding") == []
        assert names(head, "connection") == [b"close"]
        assert body.decode() == whole


async def test_a_run_under_way_is_pushed_to_http_1_0_as_it_is(shared_server: Served) -> None:
    body = json.dumps(CHAT).encode()
    head, said = await raw(
        shared_server,
        f"POST /v1/runs HTTP/1.0\nAccept: {STREAM}\nContent-Type: application/json\n"
        f"Content-Length: {len(body)}\n\n",
        body,
    )
    assert names(head, "transfer-encoding") == []
    frames = [json.loads(line[6:]) for line in said.decode().splitlines() if line[:6] == "data: "]
    assert frames[-1]["type"] == "run.completed"
    assert [frame["seq"] for frame in frames] == list(range(1, len(frames) + 1))


async def test_an_answer_with_a_length_goes_to_http_1_0_as_ever(shared_server: Served) -> None:
    head, body = await raw(shared_server, "GET /healthz HTTP/1.0\n\n")
    assert json.loads(body) == {"status": "ok"}
    assert names(head, "content-length") == [b"%d" % len(body)]
    assert names(head, "connection") == [b"close"]


async def test_who_asks_to_close_the_connection_is_told_that_once(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    run_id = await ended(client, shared_server)
    path = f"/v1/runs/{run_id}/events"
    asked = f"GET {path} HTTP/1.1\nHost: localhost\nConnection: close\n\n"
    head, body = await raw(shared_server, asked)
    assert names(head, "connection") == [b"close"]
    assert names(head, "transfer-encoding") == [b"chunked"]
    assert body.endswith(b"0\r\n\r\n")


# HEAD


async def test_head_is_wherever_get_is(shared_server: Served, client: httpx.AsyncClient) -> None:
    run_id = await ended(client, shared_server)
    paths = ("/healthz", "/readyz", "/v1/runs", f"/v1/runs/{run_id}", f"/v1/runs/{run_id}/events")
    for path in (*paths, "/api/models", "/docs", "/openapi.json", "/v1/runs/none", "/nowhere"):
        url = shared_server.url + path
        got, head = await client.get(url), await client.head(url)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        kept = {"content-type", "content-length", "x-run-id", "cache-control"}
        if path not in {"/v1/runs", f"/v1/runs/{run_id}"}:  # their bodies have the time in them
            assert {n: head.headers.get(n) for n in kept} == {n: got.headers.get(n) for n in kept}
    assert (await client.head(f"{shared_server.url}/v1/runs/{run_id}/cancel")).status_code == 405


async def test_head_of_a_stream_watches_nothing(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    run_id = await ended(client, shared_server)
    url = f"{shared_server.url}/v1/runs/{run_id}/events"
    assert (await client.head(url)).headers["content-type"].startswith(STREAM)
    assert shared_server.core.viewing.count(run_id) == 0
    last = (await client.get(f"{shared_server.url}/v1/runs/{run_id}")).json()["last_seq"]
    assert (await client.head(f"{url}?after={last}")).status_code == 204


# Accept

WANTS = {
    STREAM: True,
    "TEXT/EVENT-STREAM": True,
    f"{STREAM};q=0": False,
    f"{STREAM}; q=0.0": False,
    f"{STREAM};charset=utf-8;Q=0.5": True,
    f"application/json, {STREAM}": True,
    f"application/json;q=0.5, {STREAM}": True,
    f"application/json, {STREAM};q=0.5": False,
    f"{STREAM}, */*;q=0.1": True,
    f"{STREAM};q=0.5, */*": False,
    "text/*": True,
    f"text/*, {STREAM};q=0": False,
    "*/*": False,
    "": False,
    "application/json": False,
    "text/event-streams": False,
    f"{STREAM};q=x": True,
    ",;,": False,
}


@pytest.mark.parametrize("accept", WANTS)
def test_a_stream_is_for_those_who_want_one(accept: str) -> None:
    assert wants_stream(accept) is WANTS[accept]


@pytest.mark.parametrize("query", ["", "?by=the-framework"])
@pytest.mark.parametrize("accept", [STREAM, "Text/Event-Stream", f"{STREAM};q=0", "*/*"])
async def test_both_ways_of_starting_a_run_read_accept(
    shared_server: Served, client: httpx.AsyncClient, accept: str, query: str
) -> None:
    headers = {"accept": accept}
    answer = await client.post(f"{shared_server.url}/v1/runs{query}", json=CHAT, headers=headers)
    is_stream = answer.headers["content-type"].startswith(STREAM)
    assert (is_stream, answer.status_code) == (
        (True, 200) if WANTS.get(accept.lower()) else (False, 201)
    )


# Bodies and cursors


@pytest.mark.parametrize("path", ["/v1/runs", "/ai/stream", "/api/models", "/v1/runs?x=1"])
async def test_a_compressed_body_is_refused_in_words(
    shared_server: Served, client: httpx.AsyncClient, path: str
) -> None:
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    body = gzip.compress(json.dumps(CHAT).encode())
    answer = await client.post(shared_server.url + path, content=body, headers=headers)
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "unsupported_encoding"
    plain = await client.post(
        f"{shared_server.url}/v1/runs", json=CHAT, headers={"content-encoding": "identity"}
    )
    assert plain.status_code == 201


async def test_a_stand_in_for_event_source_resumes_by_its_query(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    run_id = await ended(client, shared_server)
    url = f"{shared_server.url}/v1/runs/{run_id}/events"
    rest = (await client.get(f"{url}?after=5")).text
    assert (await client.get(f"{url}?lastEventId=5")).text == rest
    assert (await client.get(f"{url}?lastEventId=5&after=2")).text == rest
    newer = await client.get(f"{url}?lastEventId=2", headers={"last-event-id": "5"})
    assert newer.text == rest
    assert (await client.get(f"{url}?lastEventId=&after=5")).text == rest
    assert (await client.get(f"{url}?lastEventId=x")).status_code == 400


# Hosts

HOSTS: dict[str, str | None] = {
    "localhost": "localhost",
    "LocalHost:8000": "localhost",
    "127.0.0.1:": "127.0.0.1",
    "[::1]:80": "::1",
    "": "",
    "a_b.example": "a_b.example",
    "127.0.0.1:evil.com": None,
    "localhost:80@evil.com": None,
    "evil.com/localhost": None,
    "[::1": None,
    "[::1]x": None,
    "::1": None,
}


@pytest.mark.parametrize("value", HOSTS)
def test_a_host_is_a_name_and_a_port_and_nothing_else(value: str) -> None:
    assert host_in([value.encode()]) == HOSTS[value]
    assert host_in([value.encode()] * 2) is None


async def test_http_1_1_without_a_host_is_refused_and_1_0_is_not(shared_server: Served) -> None:
    head, body = await raw(shared_server, "GET /healthz HTTP/1.1\n\n")
    assert b" 400 " in head.splitlines()[0] + b" "
    assert json.loads(body)["error"]["code"] == "bad_host"
    assert b" 200 " in (await raw(shared_server, "GET /healthz HTTP/1.0\n\n"))[0]
    two = "GET /healthz HTTP/1.1\nHost: localhost\nHost: localhost\n\n"
    assert b" 400 " in (await raw(shared_server, two))[0].splitlines()[0] + b" "


# Prefixes


async def location(client: httpx.AsyncClient, url: str, **headers: str) -> str:
    answer = await client.post(f"{url}/v1/runs", json=CHAT, headers=headers)
    assert answer.status_code == 201
    return str(answer.headers["location"].removesuffix(answer.json()["id"]))


async def test_a_prefix_counts_where_the_proxy_is_trusted(
    serve_with: Serve, shared_server: Served, client: httpx.AsyncClient
) -> None:
    told = {"x-forwarded-prefix": "/shop/ai"}
    assert await location(client, shared_server.url, **told) == "/v1/runs/"
    for trusted in ("127.0.0.1", "127.0.0.0/8, ::1", "*"):
        served = serve_with(trusted_proxies=trusted)
        url = served.url
        assert await location(client, url, **told) == "/shop/ai/v1/runs/"
        assert await location(client, url) == "/v1/runs/"
        for bad in ("//evil.com", "shop", "/a b", "/..", "/a?b", "https://evil.com"):
            assert await location(client, url, **{"x-forwarded-prefix": bad}) == "/v1/runs/"
        served.stop()
    other = serve_with(trusted_proxies="10.0.0.0/8").url
    assert await location(client, other, **told) == "/v1/runs/"


async def test_a_root_path_is_told_and_may_be_left_in_front(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    url = serve_with(root_path="/unspool/").url
    assert await location(client, url) == "/unspool/v1/runs/"
    assert await location(client, f"{url}/unspool") == "/unspool/v1/runs/"
    assert '"/unspool/openapi.json"' in (await client.get(f"{url}/docs")).text.replace("'", '"')
    servers = (await client.get(f"{url}/openapi.json")).json()["servers"]
    assert servers == [{"url": "/unspool"}]
    page = await client.get(f"{url}/unspool/docs")
    assert page.status_code == 200


@pytest.mark.parametrize(
    "wrong", [{"root_path": "//evil.com"}, {"trusted_proxies": "proxy.example"}]
)
def test_a_prefix_that_cannot_be_is_told_at_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(SetupError, match="UNSPOOL_"):
        create_app(Settings(_env_file=None, **wrong))


def test_a_prefix_is_a_plain_path() -> None:
    assert prefix_in("/a/b-c/") == "/a/b-c"
    assert [prefix_in(it) for it in ("", "/", "a", "//a", "/a//b", "/%2e", "/./a")] == [""] * 7
