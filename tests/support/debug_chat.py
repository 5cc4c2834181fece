"""What tests of the debug platform share: its clients, tools, and models that call them."""

from __future__ import annotations

import json
from typing import Any

import httpx

from support.servers import Desk, Served
from support.upstream import DONE, Script, UpstreamRequest, chunk, counted

CHAT = "/api/debug/chat"

CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


async def frames(
    client: httpx.AsyncClient, served: Served | Desk, path: str = CHAT, **body: Any
) -> list[dict[str, Any]]:
    """Every frame, read as the printed client does; the last line is `[DONE]`."""
    asked = {"prompt": "北京的天气？", "stream": True, **body}
    if path == CHAT:
        asked.setdefault("model_id", served.model_id if isinstance(served, Desk) else 1)
    async with client.stream("POST", served.url + path, json=asked) as response:
        assert response.status_code == 200, await response.aread()
        lines = [line async for line in response.aiter_lines()]
    found = [line[6:] for line in lines if line.startswith("data: ")]
    assert found.pop() == "[DONE]"
    return [json.loads(data) for data in found]


async def made(
    client: httpx.AsyncClient, served: Served | Desk, resource: str, said: dict[str, Any]
) -> dict[str, Any]:
    response = await client.post(f"{served.url}/api/{resource}", json=said)
    assert response.status_code == 201, response.text
    facts: dict[str, Any] = response.json()
    assert response.headers["location"] == f"/api/{resource}/{facts['id']}"
    return facts


async def mock(
    client: httpx.AsyncClient, served: Served | Desk, value: Any = "晴", **more: Any
) -> dict[str, Any]:
    """A tool `weather` that always answers the same."""
    answer = {"kind": "mock", "value": value}
    said = {"name": "weather", "parameters": CITY, "answer": answer, **more}
    return await made(client, served, "tools", said)


def called(*calls: tuple[str, str, Any], text: str = "") -> Script:
    """An answer that calls: (id, name, arguments) each, arguments in two pieces."""
    said: list[bytes] = [chunk(text)] if text else []
    for index, (id_, name, arguments) in enumerate(calls):
        whole = arguments if isinstance(arguments, str) else json.dumps(arguments)
        first = {"name": name, "arguments": whole[:3]}
        said.append(chunk(tool_calls=[{"index": index, "id": id_, "function": first}]))
        rest = {"index": index, "function": {"arguments": whole[3:]}}
        said.append(chunk(tool_calls=[rest]))
    return [*said, chunk(finish="tool_calls"), counted(5, 7), DONE]


def results(asked: UpstreamRequest) -> list[tuple[str, str]]:
    """What a request tells of tools: (id of the call, content) each."""
    said = [message for message in asked.body["messages"] if message["role"] == "tool"]
    return [(message["tool_call_id"], message["content"]) for message in said]


async def tried(
    client: httpx.AsyncClient, served: Served | Desk, tool: dict[str, Any], **arguments: Any
) -> dict[str, Any]:
    url = f"{served.url}/api/tools/{tool['id']}/test"
    response = await client.post(url, json={"arguments": arguments})
    assert response.status_code == 200, response.text
    return dict(response.json())
