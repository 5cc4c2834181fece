"""`/api/tools`: registering, changing, removing and trying; and what goes out over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.debug_chat import CITY, made, mock, tried
from support.models import KEY, deep, refused
from support.readers import until
from support.servers import Desk, Serve, Served, serving, tuned
from support.upstream import RESET, SILENCE, Head, Upstream
from unspool import plugs
from unspool.tools.calling.calls import MAX_THREADS
from unspool.tools.calling.http import MAX_REDIRECTS

MOCK = {"kind": "mock", "value": 1}


@pytest.fixture
def offered() -> Iterator[list[str]]:
    names: list[str] = []
    yield names
    for name in names:
        plugs.withdraw("tools", name)


@pytest.fixture
def served(desk: Desk, upstream: Upstream) -> Desk:
    """A place at a server whose tools may send to the upstream."""
    tool_registry = (
        desk.core.tool_registry
    )  # which reads the setting once: the upstream is another each time
    tool_registry._hosts = frozenset({place(upstream), "api.example.com"})
    return desk


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory, filled_records: Path) -> Iterator[Served]:
    """One for all that is refused: nothing is kept there that could disturb another test."""
    hosts = "api.example.com, 169.254.169.254"
    settings = tuned(tmp_path_factory.mktemp("refusing"), filled_records, tool_hosts=hosts)
    with serving(settings) as served:
        yield served


def place(upstream: Upstream) -> str:
    return upstream.url.removeprefix("http://").removesuffix("/v1")


def over_http(upstream: Upstream, **more: Any) -> dict[str, Any]:
    url = f"http://{place(upstream)}/find?in=shop"
    return {"name": "find", "answer": {"kind": "http", "url": url, **more}}


def said(body: str, status: int = 200, *headers: str) -> list[Any]:
    return [Head(status, ("Content-Type: text/plain; charset=utf-8", *headers), body.encode())]


async def test_a_tool_is_kept_changed_and_forgotten(
    client: httpx.AsyncClient, served: Desk
) -> None:
    tool = await mock(client, served, {"sky": "晴"}, description="天气")
    url = f"{served.url}/api/tools/{tool['id']}"
    assert (await client.get(url)).json() == tool
    assert tool["answer"] == {"kind": "mock", "value": {"sky": "晴"}}
    assert (tool["parameters"], tool["limit_s"], tool["problem"]) == (CITY, 30.0, None)
    listed = (await client.get(f"{served.url}/api/tools")).json()
    assert listed["tools"][-1] == tool
    assert {"calculate", "current_time"} <= set(listed["entry_points"])
    changed = (await client.patch(url, json={"name": "sky", "limit_s": 1})).json()
    assert (changed["name"], changed["limit_s"]) == ("sky", 1)
    assert (changed["answer"], changed["description"]) == (tool["answer"], "天气")
    assert (await client.patch(url, json={})).json()["name"] == "sky"
    assert (await client.delete(url)).status_code == 204
    for gone in (client.get(url), client.delete(url), client.patch(url, json={"name": "x"})):
        await refused(await gone, "no tool with the number", status=404)
    again = await mock(client, served)
    assert again["id"] > tool["id"], "a number is given once"


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"name": "no spaces"}, "name"),
        ({"name": ""}, "name"),
        ({"answer": {"kind": "magic"}}, "answer"),
        ({"answer": None}, "answer"),
        ({"answer": {**MOCK, "url": "http://x"}}, "answer"),
        ({"answer": {"kind": "mock"}}, "value"),
        ({"answer": {"kind": "mock", "value": deep(40)}}, "levels"),
        ({"answer": {"kind": "mock", "value": "x" * 40_000}}, "characters"),
        ({"answer": {"kind": "python", "entry_point": "os.system"}}, "have: calculate"),
        ({"answer": {"kind": "http", "url": "http://elsewhere.example"}}, "UNSPOOL_TOOL_HOSTS"),
        ({"answer": {"kind": "http", "url": "http://api.example.com:81"}}, "UNSPOOL_TOOL_HOSTS"),
        ({"answer": {"kind": "http", "url": "http://169.254.169.254/x"}}, "link-local"),
        ({"answer": {"kind": "http", "url": "ftp://api.example.com"}}, "http"),
        ({"answer": {"kind": "http", "url": "http://u:p@api.example.com"}}, "user"),
        ({"answer": {"kind": "http", "url": ""}}, "url"),
        ({"answer": {"kind": "http", "url": "http://api.example.com", "method": "TRACE"}}, "GET"),
        ({"parameters": {"type": "objekt"}}, "object"),
        ({"parameters": {"required": "x"}}, "Schema"),
        ({"parameters": {"type": "array"}}, "object"),
        ({"parameters": {"$ref": "http://127.0.0.1/x.json"}}, "$defs"),
        ({"parameters": {"type": "object", "pattern": "(?=x)"}}, "Schema"),
        ({"parameters": deep(3)}, "parameters"),
        ({"parameters": {"properties": {"x": deep(40)}}}, "levels"),
        ({"parameters": {"description": "x" * 40_000}}, "characters"),
        ({"limit_s": 0}, "limit_s"),
        ({"limit_s": 301}, "limit_s"),
        ({"color": "red"}, "color"),
    ],
)
async def test_what_cannot_be_a_tool_is_refused(
    client: httpx.AsyncClient, refusing: Served, wrong: dict[str, Any], word: str
) -> None:
    body = {"name": "fine", "answer": MOCK, **wrong}
    await refused(await client.post(f"{refusing.url}/api/tools", json=body), word)
    url = f"{refusing.url}/api/tools/1"
    tool = (await client.get(url)).json()
    await refused(await client.patch(url, json=wrong), word)
    assert (await client.get(url)).json() == tool


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({"Host": "x"}, "a tool cannot set"),
        ({"Content-Length": "1"}, "a tool cannot set"),
        ({"X y": "1"}, "name of a header"),
        ({"X": "a\r\nY: b"}, "one line"),
        ({"X": "键"}, "one line"),
        ({"X": "1", "x": "2"}, "once"),
        ({f"X-{n}": "1" for n in range(20)}, "16"),
    ],
)
async def test_a_header_is_one_line_that_is_the_tools_to_say(
    client: httpx.AsyncClient, refusing: Served, headers: dict[str, str], word: str
) -> None:
    answer = {"kind": "http", "url": "https://api.example.com/x", "headers": headers}
    body = {"name": "fine", "answer": answer}
    await refused(await client.post(f"{refusing.url}/api/tools", json=body), word)


async def test_a_name_is_given_once(client: httpx.AsyncClient, served: Desk) -> None:
    await mock(client, served)
    body = {"name": "weather", "answer": MOCK}
    await refused(await client.post(f"{served.url}/api/tools", json=body), "weather is registered")
    other = await mock(client, served, name="other")
    url = f"{served.url}/api/tools/{other['id']}"
    await refused(await client.patch(url, json={"name": "weather"}), "weather is registered")


async def test_a_request_carries_the_arguments_and_the_headers(
    client: httpx.AsyncClient, served: Desk, upstream: Upstream
) -> None:
    upstream.play = [said('{"found": 3}')]
    body = over_http(upstream, headers={"Authorization": f"Bearer {KEY}"})
    tool = await made(client, served, "tools", {**body, "parameters": CITY})
    assert tool["answer"]["headers"] == ["Authorization"]
    assert KEY not in json.dumps(tool)
    came = await tried(client, served, tool, city="北京")
    assert (came["ok"], came["content"], came["code"]) == (True, '{"found": 3}', None)
    (asked,) = upstream.requests
    assert (asked.method, asked.path) == ("POST", "/find?in=shop")
    assert asked.body == {"city": "北京"}
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["idempotency-key"].startswith("test-")


async def test_arguments_may_stand_in_the_address(
    client: httpx.AsyncClient, served: Desk, upstream: Upstream
) -> None:
    upstream.play = [said("好")]
    body = over_http(upstream, method="GET", arguments_in="query")
    tool = await made(client, served, "tools", body)
    came = await tried(client, served, tool, q="跑鞋 & 袜", size=[42, None], in_="x")
    assert came["content"] == "好"
    (asked,) = upstream.requests
    url = httpx.URL(f"http://x{asked.path}")
    assert asked.method == "GET"
    assert dict(url.params) == {"in": "shop", "q": "跑鞋 & 袜", "size": "[42, null]", "in_": "x"}
    came = await tried(client, served, tool, q="x" * 9000)
    assert "address" in came["content"]


async def test_a_service_that_repeats_what_it_was_sent_tells_no_secret(
    client: httpx.AsyncClient, served: Desk, upstream: Upstream
) -> None:
    upstream.play = [said(f"you sent Bearer {KEY} and {KEY}")]
    body = over_http(upstream, headers={"Authorization": f"Bearer {KEY}"})
    tool = await made(client, served, "tools", body)
    came = await tried(client, served, tool)
    assert KEY not in json.dumps(came)
    assert "[secret]" in came["content"]


@pytest.mark.parametrize(
    ("script", "word"),
    [
        (said("no such thing", 404), "404: no such thing"),
        (said("", 500), "500"),
        ([RESET], "cannot be reached"),
        ([SILENCE], "within 0.2 s"),
        ([b"not http at all"], ""),
    ],
)
async def test_a_service_that_fails_is_an_answer(
    client: httpx.AsyncClient, served: Desk, upstream: Upstream, script: Any, word: str
) -> None:
    upstream.play = [script]
    # A busy machine must not be what ends an answer that is to fail otherwise.
    limit_s = 0.2 if script == [SILENCE] else 10
    tool = await made(client, served, "tools", {**over_http(upstream), "limit_s": limit_s})
    came = await tried(client, served, tool)
    if word:
        assert not came["ok"]
        assert word in json.loads(came["content"])["error"]["message"]
    else:
        assert came["content"] == "not http at all"


async def test_a_service_may_send_its_callers_on_within_its_origin(
    client: httpx.AsyncClient, served: Desk, upstream: Upstream
) -> None:
    upstream.play = [
        said("", 307, "Location: /there"),
        said("", 303, "Location: /seen"),
        said("ok"),
    ]
    tool = await made(client, served, "tools", over_http(upstream))
    assert (await tried(client, served, tool, x=1))["content"] == "ok"
    assert [(a.method, a.path) for a in upstream.requests] == [
        ("POST", "/find?in=shop"),
        ("POST", "/there"),
        ("GET", "/seen"),
    ]
    upstream.play = [said("", 307, "Location: /there")]
    assert str(MAX_REDIRECTS) in (await tried(client, served, tool))["content"]
    upstream.play = [said("", 302, "Location: http://127.0.0.1:9/")]
    assert "redirects to another origin" in (await tried(client, served, tool))["content"]


async def test_headers_stay_while_the_host_does(
    client: httpx.AsyncClient, served: Desk, upstream: Upstream
) -> None:
    body = over_http(upstream, headers={"X-Key": KEY})
    tool = await made(client, served, "tools", body)
    url = f"{served.url}/api/tools/{tool['id']}"
    moved = {**body["answer"], "url": f"http://{place(upstream)}/other"}
    del moved["headers"]
    changed = await client.patch(url, json={"answer": moved})
    assert changed.json()["answer"]["headers"] == ["X-Key"]
    upstream.play = [said("ok")]
    await tried(client, served, changed.json())
    assert upstream.requests[-1].headers["x-key"] == KEY
    away = {**moved, "url": "https://api.example.com/x"}
    await refused(await client.patch(url, json={"answer": away}), "headers")
    freed = await client.patch(url, json={"answer": {**away, "headers": {}}})
    assert freed.json()["answer"]["headers"] == []
    mocked = await client.patch(url, json={"answer": MOCK})
    assert mocked.json()["answer"] == MOCK


async def test_a_tool_that_cannot_be_called_any_more_says_why(
    client: httpx.AsyncClient, serve_with: Serve, upstream: Upstream, offered: list[str]
) -> None:
    async def brief() -> str:
        return "x"

    plugs.offer("tools", "brief", brief)
    offered.append("brief")
    first = serve_with(tool_hosts=place(upstream))
    keyed = await made(client, first, "tools", over_http(upstream, headers={"X-Key": KEY}))
    python = {"name": "brief", "answer": {"kind": "python", "entry_point": "brief"}}
    own = await made(client, first, "tools", python)
    first.stop()
    plugs.withdraw("tools", "brief")
    second = serve_with()
    problems = {tool["id"]: tool["problem"] for tool in await tools(client, second)}
    assert "UNSPOOL_TOOL_HOSTS" in problems[keyed["id"]]
    assert "install" in problems[own["id"]]
    came = await tried(client, second, own)
    assert (came["code"], "install" in came["content"]) == ("tool_failed", True)
    second.stop()
    (second.settings.data_dir / "secret.key").unlink()
    third = serve_with(tool_hosts=place(upstream))
    problems = {tool["id"]: tool["problem"] for tool in await tools(client, third)}
    assert "set them again" in problems[keyed["id"]]


async def tools(client: httpx.AsyncClient, served: Served) -> list[dict[str, Any]]:
    return list((await client.get(f"{served.url}/api/tools")).json()["tools"])


async def test_functions_that_hang_take_no_more_than_their_threads(
    client: httpx.AsyncClient, served: Desk, offered: list[str]
) -> None:
    go = threading.Event()

    def stuck() -> str:
        go.wait(10)
        return "late"

    plugs.offer("tools", "stuck", stuck)
    offered.append("stuck")
    answer = {"kind": "python", "entry_point": "stuck"}
    tool = await made(client, served, "tools", {"name": "s", "answer": answer, "limit_s": 0.01})
    try:
        for _ in range(MAX_THREADS):
            assert (await tried(client, served, tool))["code"] == "tool_timeout"
        came = await tried(client, served, tool)
        assert (came["code"], str(MAX_THREADS) in came["content"]) == ("tool_failed", True)
    finally:
        go.set()
    await until(lambda: not any(thread.name == "tool" for thread in threading.enumerate()))
    await client.patch(f"{served.url}/api/tools/{tool['id']}", json={"limit_s": 5})
    assert (await tried(client, served, tool))["content"] == "late"


async def test_a_test_holds_the_arguments_against_the_schema(
    client: httpx.AsyncClient, served: Desk
) -> None:
    tool = await mock(client, served)
    came = await tried(client, served, tool, town="北京")
    assert (came["ok"], came["code"]) == (False, "invalid_arguments")
    url = f"{served.url}/api/tools/{tool['id']}/test"
    assert (await client.post(url)).json()["code"] == "invalid_arguments"
    await refused(await client.post(url, json={"argument": {}}), "argument")
    await refused(await client.post(f"{served.url}/api/tools/999/test", json={}), status=404)
