"""Tools of real Model Context Protocol servers: a program, and an address."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.keys import Keys
from support.runs import until_ended
from support.servers import Serve, Served, clean_env
from unspool.errors import SetupError
from unspool.tools.calling.mcp_servers import McpServers

PROGRAM = Path(__file__).parent.parent / "support" / "mcp_program.py"
STDIO = {"command": sys.executable, "args": [str(PROGRAM)], "env": {"ORDER_STATE": "shipped"}}


def configured(tmp_path: Path, **servers: Any) -> Path:
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({"mcpServers": servers}))
    return path


@pytest.fixture
def served(serve_with: Serve, tmp_path: Path) -> Served:
    return serve_with(mcp_config=configured(tmp_path, shop=STDIO))


async def registered(client: httpx.AsyncClient, served: Served, tool: str, **facts: Any) -> Any:
    answer = {"kind": "mcp", "server": "shop", "tool": tool}
    body = {"name": tool, "answer": answer, **facts}
    return await client.post(f"{served.url}/api/tools", json=body)


async def test_a_tool_of_a_program_is_listed_registered_and_called_in_a_run(
    served: Served, client: httpx.AsyncClient
) -> None:
    offered = (await client.get(f"{served.url}/api/tools/mcp/shop")).json()["tools"]
    assert [tool["name"] for tool in offered] == ["find_order", "refund", "die"]
    reply = await registered(client, served, "find_order")
    assert reply.status_code == 201, reply.text
    tool = reply.json()
    assert tool["description"] == "Where an order is."
    assert tool["parameters"]["required"] == ["number"]
    trial = {"arguments": {"number": "7"}}
    tried = await client.post(f"{served.url}/api/tools/{tool['id']}/test", json=trial)
    assert tried.json()["content"] == "order 7 is shipped"
    asked = {"prompt": "请调用 find_order", "tool_ids": [tool["id"]]}
    body = {"flow": "chat", "input": asked}
    run_id = (await client.post(f"{served.url}/v1/runs", json=body)).json()["id"]
    run = await until_ended(client, served, run_id)
    calls = [call for step in run["steps"] for call in step["tool_calls"]]
    assert run["status"] == "completed"
    assert calls
    assert calls[0]["answer"]["content"].startswith("order ")


async def test_what_fails_is_told_and_a_program_that_died_is_started_again(
    served: Served, client: httpx.AsyncClient
) -> None:
    ids = {
        name: (await registered(client, served, name)).json()["id"]
        for name in ("find_order", "refund", "die")
    }

    async def call(name: str, **arguments: str) -> Any:
        url = f"{served.url}/api/tools/{ids[name]}/test"
        return (await client.post(url, json={"arguments": arguments})).json()

    refused = await call("refund", number="7")
    assert refused["code"] == "tool_failed"
    assert "Error executing tool refund" in refused["content"]
    assert (await call("die"))["code"] == "tool_failed"
    assert (await call("find_order", number="8"))["content"] == "order 8 is shipped"
    unknown = await registered(client, served, "delete_everything")
    assert unknown.status_code == 422
    assert "has: find_order" in unknown.json()["error"]["message"]


@pytest.fixture
async def address() -> AsyncIterator[str]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROGRAM), str(port)),
        env=clean_env(ORDER_STATE="lost"),
        stderr=subprocess.DEVNULL,
    )
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                await client.get(f"http://127.0.0.1:{port}/mcp")
                break
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
    yield f"http://127.0.0.1:{port}/mcp"
    program.kill()
    await program.wait()


async def test_a_tool_behind_an_address_is_called(
    serve_with: Serve, client: httpx.AsyncClient, tmp_path: Path, address: str
) -> None:
    served = serve_with(mcp_config=configured(tmp_path, shop={"url": address}))
    tool = (await registered(client, served, "find_order")).json()
    trial = {"arguments": {"number": "9"}}
    tried = await client.post(f"{served.url}/api/tools/{tool['id']}/test", json=trial)
    assert tried.json()["content"] == "order 9 is lost"


async def test_a_server_that_nobody_named_or_that_is_not_there_is_said_so(
    serve_with: Serve, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    gone = {"command": str(tmp_path / "nothing"), "args": []}
    served = serve_with(mcp_config=configured(tmp_path, shop=gone))
    reply = await registered(client, served, "find_order")
    assert reply.status_code == 422
    message = reply.json()["error"]["message"]
    assert "the MCP server shop does not answer: FileNotFoundError" in message
    assert "see that its `command` in UNSPOOL_MCP_CONFIG starts" in message
    reply = await client.get(f"{served.url}/api/tools/mcp/other")
    assert "there is no MCP server other" in reply.json()["error"]["message"]


async def test_only_the_people_who_run_the_server_register_such_tools(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    answer = {"kind": "mcp", "server": "shop", "tool": "find_order"}
    body = {"name": "find_order", "answer": answer}
    url = f"{keys.url}/api/tools"
    reply = await client.post(url, json=body, headers=keys.of("other"))
    assert reply.status_code == 403


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing", "Invalid JSON"),
        ('{"mcpServers": {"a": {}}}', "a `command` or a `url`"),
        ('{"mcpServers": {"a": {"command": "x", "url": "y"}}}', "a `command` or a `url`"),
    ],
)
def test_a_file_that_makes_no_sense_stops_the_start(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(text)
    with pytest.raises(SetupError, match=says):
        McpServers.of(path)
