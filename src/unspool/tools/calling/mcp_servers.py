"""
Calls the tools of Model Context Protocol servers: programs on this machine, or addresses.

They stand in a file in the form that MCP clients share (`mcpServers`), and not behind the API: the
name of a program to run is as good as the account that runs it. The first call opens a connection,
which is kept; one that breaks is opened anew by the next call.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, Field, SecretStr, ValidationError, model_validator

from unspool.errors import SetupError, SpecError, UnknownRecord

from .http import Failed

if TYPE_CHECKING:
    from mcp.client import Client
    from mcp_types import CallToolResult, Tool

log = logging.getLogger(__name__)

CONNECT_S: Final = 20.0
"""To start a program, or reach an address, and shake hands."""

CLOSE_S: Final = 3.0

MAX_TOOLS: Final = 500
"""Tools of one server."""

Name = Annotated[str, Field(pattern=r"^[\p{L}\p{N}_.-]{1,64}$")]


class McpServer(BaseModel):
    """One server, as the file names it; further fields are other clients'."""

    command: str = ""
    args: list[str] = Field(default_factory=list)
    env: dict[str, SecretStr] = Field(default_factory=dict)
    cwd: str | None = None
    url: str = ""
    headers: dict[str, SecretStr] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_one(self) -> McpServer:
        if bool(self.command) == bool(self.url):
            raise ValueError("name a `command` or a `url`")
        return self


class McpConfig(BaseModel):
    """The file."""

    mcpServers: dict[Name, McpServer]  # noqa: N815 - the name that clients share


class McpServers:
    """The servers of a file; open for as long as tools are called."""

    def __init__(self, servers: Mapping[str, McpServer]) -> None:
        self._servers = servers
        self._open: dict[str, _McpConnection] = {}

    @classmethod
    def of(cls, path: Path | None) -> McpServers:
        """
        Read a file of servers; None: there are none.

        Raises:
            SetupError: It cannot be read, or the extra `mcp` is not installed.
        """
        if path is None:
            return cls({})
        try:
            import mcp  # noqa: F401 - an extra
        except ImportError:
            raise SetupError("UNSPOOL_MCP_CONFIG needs `pip install unspool[mcp]`.") from None
        try:
            config = McpConfig.model_validate_json(path.read_bytes())
        except OSError as error:
            raise SetupError(f"UNSPOOL_MCP_CONFIG: {path}: {error.strerror}.") from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            raise SetupError(f"UNSPOOL_MCP_CONFIG: {path}: {place}: {first['msg']}.") from None
        return cls(config.mcpServers)

    @property
    def names(self) -> list[str]:
        return sorted(self._servers)

    async def tools(self, server: str) -> list[Tool]:
        """
        Return the tools that a server offers.

        Raises:
            UnknownRecord: There is no such server.
            SpecError: It cannot be reached.
        """
        self.check(server)
        found: list[Tool] = []
        try:
            async with asyncio.timeout(CONNECT_S):
                client, cursor = await self._client(server), None
                while len(found) < MAX_TOOLS:
                    page = await client.list_tools(cursor=cursor)
                    found += page.tools
                    cursor = page.next_cursor
                    if not cursor:
                        break
        except Exception as error:
            await self._drop(server)
            cause = error.__cause__ if isinstance(error, Failed) else error
            raise SpecError(
                f"the MCP server {server} does not answer: {_said(cause or error)}; "
                f"{_advice(self._servers[server])}"
            ) from error
        return found[:MAX_TOOLS]

    def check(self, server: str) -> None:
        """
        Raises:
            UnknownRecord: The file names no such server.
        """
        if server not in self._servers:
            have = ", ".join(self.names) or "none"
            raise UnknownRecord(
                f"there is no MCP server {server}; UNSPOOL_MCP_CONFIG names: {have}"
            )

    async def call(self, server: str, tool: str, arguments: Mapping[str, Any], key: str) -> str:
        """
        Call a tool and return its text. A repeat of a call has the same `key`, in its `_meta`.

        Raises:
            Failed: The tool reports an error, or the connection broke.
        """
        client = await self._client(server)
        meta: Any = {"unspool/call": key}
        try:
            result = await client.call_tool(tool, dict(arguments), meta=meta)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await self._drop(server)
            raise Failed(f"the MCP server {server} failed: {_said(error)}") from error
        text = _text_of(result)
        if result.is_error:
            raise Failed(text or "the tool reports an error")
        return text

    async def aclose(self) -> None:
        """End all connections, and the programs behind them."""
        for server in list(self._open):
            await self._drop(server)

    async def _client(self, server: str) -> Client:
        connection = self._open.get(server)
        if connection is None:
            connection = self._open[server] = _McpConnection(self._servers[server])
        try:
            async with asyncio.timeout(CONNECT_S):
                return await asyncio.shield(connection.ready)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await self._drop(server)
            raise Failed(f"the MCP server {server} cannot be reached: {_said(error)}") from error

    async def _drop(self, server: str) -> None:
        if (connection := self._open.pop(server, None)) is not None:
            await connection.close()


class _McpConnection:
    """One connection, in a task of its own: the SDK wants it opened and closed in one task."""

    def __init__(self, server: McpServer) -> None:
        self.ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._is_over = asyncio.Event()
        self._task = asyncio.create_task(self._hold(server), name="MCP server")

    async def close(self) -> None:
        self._is_over.set()
        await asyncio.wait([self._task], timeout=CLOSE_S)
        self._task.cancel()

    async def _hold(self, server: McpServer) -> None:
        try:
            async with _opened(server) as client:
                if not self.ready.done():
                    self.ready.set_result(client)
                await self._is_over.wait()
        except Exception as error:  # noqa: BLE001 - the caller gets it
            if not self.ready.done():
                self.ready.set_exception(error)
            log.info("A connection to an MCP server ended: %s", _said(error))
        finally:
            if self.ready.done() and not self.ready.cancelled():
                self.ready.exception()  # nobody may wait for it any more


@asynccontextmanager
async def _opened(server: McpServer) -> AsyncGenerator[Client]:
    """Connect, until the context ends."""
    import httpx2
    from mcp import StdioServerParameters
    from mcp.client import Client
    from mcp.client.stdio import get_default_environment
    from mcp.client.streamable_http import streamable_http_client

    if server.url:
        headers = {name: value.get_secret_value() for name, value in server.headers.items()}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=None, trust_env=False) as http,
            Client(streamable_http_client(server.url, http_client=http)) as client,
        ):
            yield client
        return
    env = get_default_environment()
    env |= {name: value.get_secret_value() for name, value in server.env.items()}
    program = StdioServerParameters(
        command=server.command, args=server.args, env=env, cwd=server.cwd
    )
    async with Client(program) as client:
        yield client


def _advice(server: McpServer) -> str:
    # Neither the address nor the arguments: they may hold secrets.
    if server.url:
        return "see that something answers at its `url` in UNSPOOL_MCP_CONFIG"
    return "see that its `command` in UNSPOOL_MCP_CONFIG starts; the server's log has its stderr"


def _text_of(result: CallToolResult) -> str:
    """Return the texts of a result; without one its structured content as JSON."""
    texts = [
        part.text if part.type == "text" else f"[{part.type} left out]" for part in result.content
    ]
    if not texts and result.structured_content is not None:
        return json.dumps(result.structured_content, ensure_ascii=False)
    return "\n".join(texts)


def _said(error: BaseException) -> str:
    """Return the reason in an error, from inside the groups of the SDK."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    with suppress(Exception):
        return f"{type(error).__name__}: {error}"[:300]
    return type(error).__name__
